//! Durations, sizes and percentages, as they are written: `25s`, `10MiB`, `20%`. Never a bare number, whose unit one would have to know.

use std::time::Duration;

/// Far beyond any use, and far below what would overflow a clock.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

pub(crate) const DURATION: &str = "a duration such as `250ms`, `25s`, `5m` or `1h`";
pub(crate) const PERCENTAGE: &str = "a percentage from `1%` to `100%`";
pub(crate) const SIZE: &str = "a size such as `512B`, `64KiB`, `10MiB` or `1GiB`";

pub(crate) const FRACTION: &str = "a number from 0 to 1, or a fraction such as `\"1/100\"`";

/// A part of a whole. `None`: it is no number, or not from 0 to 1.
pub(crate) fn fraction(text: &str) -> Option<f64> {
    let fraction = match text.split_once('/') {
        Some((part, whole)) => f64::from(part.parse::<u32>().ok()?) / f64::from(whole.parse::<u32>().ok()?),
        None => text.parse().ok()?,
    };
    (0.0..=1.0).contains(&fraction).then_some(fraction)
}

/// A whole number with `ms`, `s`, `m` or `h`. `None`: it is not, or it is more than a year.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = split(text)?;
    let duration = match unit {
        "ms" => Duration::from_millis(number),
        "s" => Duration::from_secs(number),
        "m" => Duration::from_secs(number.checked_mul(60)?),
        "h" => Duration::from_secs(number.checked_mul(60 * 60)?),
        _ => return None,
    };
    (duration <= LONGEST).then_some(duration)
}

/// A whole number of bytes with `B`, `KiB`, `MiB` or `GiB`. `None`: it is not, or it is more than can be counted.
pub(crate) fn size(text: &str) -> Option<u64> {
    let (number, unit) = split(text)?;
    let factor = match unit {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.checked_mul(factor)
}

/// A whole number from 1 to 100 with `%`. `None`: it is not.
pub(crate) fn percentage(text: &str) -> Option<u32> {
    let (number, unit) = split(text)?;
    let number = u32::try_from(number).ok().filter(|number| (1..=100).contains(number))?;
    (unit == "%").then_some(number)
}

fn split(text: &str) -> Option<(u64, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    Some((number.parse().ok()?, unit))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{duration, fraction, percentage, size};

    #[test]
    fn a_duration_is_a_whole_number_and_a_unit() {
        for (text, millis) in [("250ms", 250), ("25s", 25_000), ("5m", 300_000), ("1h", 3_600_000), ("0s", 0)] {
            assert_eq!(duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in [
            "",
            "s",
            "25",
            "25 s",
            "-1s",
            "+1s",
            "1.5s",
            "1d",
            "1m30s",
            "25S",
            "8761h",
            "99999999999999999999s",
            "307445734561825861m",
            "１s",
        ] {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn a_fraction_is_a_part_of_a_whole() {
        for (text, part) in
            [("0", 0.0), ("1", 1.0), ("1.0", 1.0), ("0.25", 0.25), ("1/100", 0.01), ("0/5", 0.0), ("1e-3", 0.001)]
        {
            assert_eq!(fraction(text), Some(part), "{text}");
        }
        for text in ["", "1.1", "-0.1", "2", "2/1", "0/0", "1/0", "-1/2", "1/", "/2", "1/2/3", "nan", "inf", "1%", "x"]
        {
            assert_eq!(fraction(text), None, "{text}");
        }
    }

    #[test]
    fn a_percentage_is_a_whole_number_of_a_hundred() {
        for (text, percent) in [("1%", 1), ("20%", 20), ("100%", 100)] {
            assert_eq!(percentage(text), Some(percent), "{text}");
        }
        for text in ["", "%", "20", "0%", "101%", "20 %", "0.2%", "-1%", "4294967316%"] {
            assert_eq!(percentage(text), None, "{text}");
        }
    }

    #[test]
    fn a_size_is_a_whole_number_and_a_binary_unit() {
        for (text, bytes) in [("0B", 0), ("512B", 512), ("64KiB", 65_536), ("10MiB", 10_485_760), ("1GiB", 1 << 30)] {
            assert_eq!(size(text), Some(bytes), "{text}");
        }
        for text in ["", "64", "64KB", "64kib", "10M", "1.5MiB", "-1B", "18446744073709551615KiB"] {
            assert_eq!(size(text), None, "{text}");
        }
    }
}
