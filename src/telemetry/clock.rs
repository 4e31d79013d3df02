//! The time of a log line, in RFC 3339 with microseconds.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

thread_local! {
    /// The second that was written last, and how: a calendar is consulted once a second, not once a line.
    static SECOND: RefCell<(u64, String)> = const { RefCell::new((u64::MAX, String::new())) };
    /// When this thread last asked for the time of day, and what it was.
    static ASKED: Cell<Option<(Instant, Duration)>> = const { Cell::new(None) };
}

/// After so long, the time of day is asked for again: it may have been set.
const GOOD_FOR: Duration = Duration::from_secs(1);

/// As much of `2026-11-22T06:40:00.000000Z` as stays the same for a second.
const WHOLE_SECONDS: usize = "2026-11-22T06:40:00".len();

/// A point in time that is told later: as a date, and by how long it is past.
pub(crate) struct Moment {
    at: Instant,
    time: SystemTime,
    date: String,
}

impl Moment {
    pub(crate) fn now() -> Self {
        let time = SystemTime::now();
        Self { at: Instant::now(), time, date: rfc3339(time) }
    }

    pub(crate) fn time(&self) -> SystemTime {
        self.time
    }

    /// In RFC 3339, to the second.
    pub(crate) fn date(&self) -> &str {
        &self.date
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.at.elapsed()
    }
}

/// Now, in one word: milliseconds since 1970.
pub(crate) fn unix_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or_default()
}

/// The same of a moment that is known otherwise. Nearly always, it is counted on from when the system was asked last.
pub(crate) fn unix_millis_at(moment: Instant) -> u64 {
    let counted = |(asked, time): (Instant, Duration)| {
        let since = moment.checked_duration_since(asked).filter(|since| *since < GOOD_FOR)?;
        Some(time + since)
    };
    let time = ASKED.get().and_then(counted).unwrap_or_else(|| {
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        ASKED.set(Some((moment, time)));
        time
    });
    u64::try_from(time.as_millis()).unwrap_or_default()
}

/// When that was. `None`: 0, which is never.
pub(crate) fn at_unix_millis(millis: u64) -> Option<SystemTime> {
    (millis > 0).then(|| UNIX_EPOCH + Duration::from_millis(millis))
}

/// Writes the time.
pub(super) fn write_now(out: &mut impl fmt::Write) -> fmt::Result {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    SECOND.with_borrow_mut(|(second, text)| {
        if *second != now.as_secs() {
            *text = rfc3339(UNIX_EPOCH + Duration::from_secs(now.as_secs()));
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

/// `2026-11-22T06:40:00Z` (RFC 3339).
pub(crate) fn rfc3339(at: SystemTime) -> String {
    const DAY: u64 = 24 * 60 * 60;
    let seconds = at.duration_since(UNIX_EPOCH).map_or(0, |since: Duration| since.as_secs());
    let (days, in_day) = (seconds / DAY, seconds % DAY);
    // Howard Hinnant's `civil_from_days`: years begin in March, so that the day that comes and goes is the last one.
    let days = days + 719_468;
    let (era, in_era) = (days / 146_097, days % 146_097);
    let year_of_era = (in_era - in_era / 1460 + in_era / 36_524 - in_era / 146_096) / 365;
    let in_year = in_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * in_year + 2) / 153;
    let day = in_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (in_day / 3600, in_day / 60 % 60, in_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant, UNIX_EPOCH};

    use super::{GOOD_FOR, rfc3339, unix_millis, unix_millis_at, write_now};

    #[test]
    fn a_moment_has_the_time_of_day_that_it_was() {
        let first = Instant::now();
        let (before, told) = (unix_millis(), unix_millis_at(first));
        assert!((before..=unix_millis()).contains(&told));
        // Within a second it is counted on, and after that it is asked for.
        assert_eq!(unix_millis_at(first + Duration::from_millis(999)), told + 999);
        assert!(unix_millis_at(first + GOOD_FOR) <= unix_millis());
    }

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

    #[test]
    fn a_time_is_rfc_3339() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_795_330_800, "2026-11-22T07:00:00Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(UNIX_EPOCH + Duration::from_secs(seconds)), text);
        }
    }
}
