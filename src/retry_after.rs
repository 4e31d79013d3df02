//! `Retry-After` (RFC 9110 10.2.3): as a vendor says it, and as sidekey does.

use std::time::{Duration, SystemTime};

use http::header::{DATE, RETRY_AFTER};

use crate::fields::{Fields, ascii};

/// How long the sender asks to be left alone: a number of seconds, or a date, which its own `Date` is taken from, so that
/// no clock need be right. `None`: it does not ask, or nobody could say for how long.
pub(crate) fn read(fields: &Fields, now: SystemTime) -> Option<Duration> {
    let value = ascii(fields.single(&RETRY_AFTER).ok()??)?.trim_ascii();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // More than can be counted is more than anyone waits.
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let sent = fields.single(&DATE).ok().flatten().and_then(|date| httpdate::parse_http_date(ascii(date)?).ok());
    let until = httpdate::parse_http_date(value).ok()?;
    Some(until.duration_since(sent.unwrap_or(now)).unwrap_or_default())
}

/// What a caller is told that has to wait for `time`: whole seconds, never too few, at least one.
pub(crate) fn seconds(time: Duration) -> u64 {
    time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0)).max(1)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::{read, seconds};
    use crate::fields::tests::fields;

    #[test]
    fn it_is_seconds_or_a_date() {
        const DATE: &str = "Sat, 30 Jul 2016 05:13:23 GMT";
        let now = httpdate::parse_http_date(DATE).unwrap();
        for (value, seconds) in [
            ("0", Some(0)),
            ("120", Some(120)),
            (" 7 ", Some(7)),
            ("Sat, 30 Jul 2016 05:14:23 GMT", Some(60)),
            ("Saturday, 30-Jul-16 05:14:23 GMT", Some(60)),
            ("Sat, 30 Jul 2016 05:13:22 GMT", Some(0)),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
            ("99999999999999999999", Some(u64::MAX)),
            ("", None),
        ] {
            assert_eq!(read(&fields(&[("retry-after", value)]), now), seconds.map(Duration::from_secs), "{value}");
        }
        assert_eq!(read(&fields(&[("retry-after", "1"), ("retry-after", "2")]), now), None);
        assert_eq!(read(&fields(&[]), now), None);
    }

    #[test]
    fn a_date_counts_from_the_senders_own() {
        let given = [("retry-after", "Sat, 30 Jul 2016 05:14:23 GMT"), ("date", "Sat, 30 Jul 2016 05:13:23 GMT")];
        assert_eq!(read(&fields(&given), SystemTime::now()), Some(Duration::from_secs(60)));
    }

    #[test]
    fn a_caller_is_never_told_too_few_seconds() {
        for (millis, told) in [(0, 1), (1, 1), (1000, 1), (1001, 2), (59_999, 60)] {
            assert_eq!(seconds(Duration::from_millis(millis)), told, "{millis}");
        }
    }
}
