//! How this machine's clock stands to the vendor's: an HMAC signature is good only as long as its date is.

use std::time::{Duration, SystemTime};

use http::header::{AGE, DATE};

use super::report::{Level, Report, Step};
use crate::fields::{Fields, ascii};

/// Beyond this, somebody should set a clock, in seconds.
const WARNS: f64 = 30.0;
/// Beyond this, Kong refuses a signature, unless it was told otherwise, in seconds.
const REFUSES: f64 = 300.0;

/// In seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Clock {
    /// Ours less the vendor's: more than nothing if ours is ahead.
    pub(super) skew: f64,
    /// By so much it may be wrong either way.
    pub(super) uncertainty: f64,
}

/// What an answer's `Date` says, if the request left at `sent` and the answer `took` so long. It was written about in the
/// middle, and is cut off at the second. `None`: it says nothing, or is a cache's and says nothing of now.
pub(super) fn read(fields: &Fields, sent: SystemTime, took: Duration) -> Option<Clock> {
    if fields.get(&AGE).is_some_and(|age| age != b"0") {
        return None;
    }
    let date = httpdate::parse_http_date(ascii(fields.get(&DATE)?)?).ok()?;
    let (ours, theirs) = (sent + took / 2, date + Duration::from_millis(500));
    let skew = match ours.duration_since(theirs) {
        Ok(ahead) => ahead.as_secs_f64(),
        Err(behind) => -behind.duration().as_secs_f64(),
    };
    Some(Clock { skew, uncertainty: 0.5 + took.as_secs_f64() / 2.0 })
}

impl Clock {
    /// Whether it is surely off by more than `limit`.
    fn is_beyond(self, limit: f64) -> bool {
        self.skew.abs() - self.uncertainty > limit
    }

    /// In words.
    pub(super) fn describe(self) -> String {
        if !self.is_beyond(0.5) {
            return "in step with the vendor's".to_owned();
        }
        let direction = if self.skew > 0.0 { "ahead of" } else { "behind" };
        format!("{:.0} s {direction} the vendor's", self.skew.abs())
    }
}

/// Says what a clock that is off will do.
pub(super) fn judge(report: &mut Report<'_>) {
    let Some(clock) = report.clock else { return };
    let signs = report.config.credentials.each().any(|credential| credential.scheme() == "hmac");
    let hint = "set this machine's clock (NTP); all else that checks dates suffers, too";
    if signs && clock.is_beyond(REFUSES) {
        let text = "so far off, no HMAC signature is accepted: 300 s is what gateways allow";
        report.find(Step::Clock, Level::Failure, "clock_skew", text, hint);
    } else if clock.is_beyond(WARNS) {
        let text = if signs { "at 300 s off, no HMAC signature is accepted" } else { "that is more than 30 s" };
        report.find(Step::Clock, Level::Warning, "clock_skew", text, hint);
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::{Clock, read};
    use crate::fields::tests::fields;

    fn seen(offset: i64, took: Duration, age: Option<&'static str>) -> Option<Clock> {
        // A whole second, so that nothing is cut off.
        let sent = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let date =
            httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs((1_800_000_000 + offset) as u64));
        let told: Vec<_> = [("date", &*date)].into_iter().chain(age.map(|age| ("age", age))).collect();
        read(&fields(&told), sent, took)
    }

    #[test]
    fn a_date_is_compared_with_the_middle_of_the_request() {
        let slow = seen(2, Duration::from_secs(5), None).unwrap();
        assert_eq!(slow, Clock { skew: 0.0, uncertainty: 3.0 });
        assert_eq!(slow.describe(), "in step with the vendor's");
        let quick = Duration::from_millis(20);
        assert_eq!(seen(-41, quick, None).unwrap().describe(), "41 s ahead of the vendor's");
        assert_eq!(seen(400, quick, None).unwrap().describe(), "400 s behind the vendor's");
        assert_eq!(seen(0, quick, Some("0")).unwrap().describe(), "in step with the vendor's");
    }

    #[test]
    fn doubt_never_makes_a_clock_wrong() {
        assert!(!seen(31, Duration::from_secs(4), None).unwrap().is_beyond(30.0));
        assert!(seen(35, Duration::from_secs(4), None).unwrap().is_beyond(30.0));
    }

    #[test]
    fn a_cache_or_nonsense_says_nothing_of_the_time() {
        assert_eq!(seen(-90, Duration::ZERO, Some("90")), None);
        for told in [&[][..], &[("date", "tomorrow")]] {
            assert_eq!(read(&fields(told), SystemTime::now(), Duration::ZERO), None);
        }
    }
}
