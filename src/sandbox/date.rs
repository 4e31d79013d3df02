//! Timestamps in the vendors' bodies.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::telemetry::clock::rfc3339;

/// `2026-03-04T05:06:07.089Z`, as JavaScript's and Java's clients print it.
pub(super) fn timestamp(time: SystemTime) -> String {
    let (seconds, milli) = (rfc3339(time), time.duration_since(UNIX_EPOCH).unwrap_or_default().subsec_millis());
    format!("{}.{milli:03}Z", seconds.trim_end_matches('Z'))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::timestamp;

    #[test]
    fn a_timestamp_is_iso_8601_with_milliseconds() {
        for (milliseconds, shown) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_772_600_767_089, "2026-03-04T05:06:07.089Z"),
            (1_798_761_599_999, "2026-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(timestamp(UNIX_EPOCH + Duration::from_millis(milliseconds)), shown);
        }
    }
}
