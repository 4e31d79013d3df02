//! The time of a log line, in RFC 3339 with microseconds.

use std::cell::RefCell;
use std::fmt;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime as Rfc3339};

thread_local! {
    /// The second that was written last, and how: a calendar is consulted once a second, not once a line.
    static SECOND: RefCell<(u64, String)> = const { RefCell::new((u64::MAX, String::new())) };
}

/// As much of `2026-11-22T06:40:00.000000Z` as stays the same for a second.
const WHOLE_SECONDS: usize = "2026-11-22T06:40:00".len();

/// A point in time that is told later: as a date, and by how long it is past.
pub(crate) struct Moment {
    at: Instant,
    date: String,
}

impl Moment {
    pub(crate) fn now() -> Self {
        let mut date = String::new();
        // Writing to a string does not fail.
        let _ = write_now(&mut date);
        date.truncate(WHOLE_SECONDS);
        date.push('Z');
        Self { at: Instant::now(), date }
    }

    /// In RFC 3339, to the second.
    pub(crate) fn date(&self) -> &str {
        &self.date
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.at.elapsed()
    }
}

/// Writes the time.
pub(super) fn write_now(out: &mut impl fmt::Write) -> fmt::Result {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    SECOND.with_borrow_mut(|(second, text)| {
        if *second != now.as_secs() {
            text.clear();
            Rfc3339.format_time(&mut Writer::new(text))?;
            text.truncate(WHOLE_SECONDS);
            *second = now.as_secs();
        }
        out.write_str(text)
    })?;
    // A million more than the fraction: seven digits, the first of which is not part of it.
    let mut digits = itoa::Buffer::new();
    out.write_char('.')?;
    out.write_str(digits.format(1_000_000 + now.subsec_micros()).get(1..).unwrap_or_default())?;
    out.write_char('Z')
}

#[cfg(test)]
mod tests {
    use super::write_now;

    #[test]
    fn a_time_is_rfc_3339_with_microseconds() {
        let mut text = String::new();
        write_now(&mut text).unwrap();
        assert_eq!(text.len(), "2026-11-22T06:40:00.000000Z".len());
        assert!(text.starts_with("20") && text.ends_with('Z'), "{text}");
        assert_eq!(text.as_bytes()[19], b'.');
        let mut later = String::new();
        std::iter::repeat_with(|| write_now(&mut later)).find(|_| true).unwrap().unwrap();
        assert!(later >= text, "{later} after {text}");
    }
}
