//! `limits`: how much an upstream is asked, or a caller may ask.

use std::num::NonZeroU32;
use std::time::Duration;

use super::error::Fault;
use super::read::Table;
use super::{Limits, Rate};

/// More than any vendor allows, in any time.
const MOST: usize = 1_000_000;
const RATE: &str = "a rate such as `10/s`, `600/m` or `5000/h`";
/// By default, the burst is what the rate comes to in this time.
const BURST: u64 = 1;

pub(super) fn read(table: &mut Table<'_>) -> Limits {
    table.section("limits", |table| {
        let burst = table.integer("burst", 1..=MOST).and_then(number);
        if burst.is_some() && !table.has("rate") {
            table.refuse_missing("rate", &format!("{RATE}, as there is a `burst`"));
        }
        let rate = table.parsed("rate", RATE, |text| parse(text).ok_or_else(|| Fault::new(format!("expected {RATE}"))));
        let rate = rate.map(|rate| Rate { burst: burst.unwrap_or(rate.value.burst), ..rate.value });
        let concurrency = table.integer("concurrency", 1..=MOST);
        Limits { rate, concurrency, wait: table.duration_or_zero("wait").unwrap_or_default() }
    })
}

/// A whole number of requests, a slash, and `s`, `m` or `h`.
fn parse(text: &str) -> Option<Rate> {
    let (requests, unit) = text.split_once('/')?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        _ => return None,
    };
    if !requests.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let requests = number(requests.parse().ok().filter(|requests| *requests <= MOST)?)?;
    let burst = u64::from(requests.get()) * BURST / seconds;
    let burst = u32::try_from(burst).ok().and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN);
    Some(Rate { requests, period: Duration::from_secs(seconds), burst })
}

fn number(number: usize) -> Option<NonZeroU32> {
    u32::try_from(number).ok().and_then(NonZeroU32::new)
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::parse;
    use crate::config::Config;
    use crate::config::file::parse_with;
    use crate::secret::source::Source;

    #[test]
    fn a_rate_is_a_whole_number_in_a_time() {
        for (text, requests, seconds, burst) in [
            ("10/s", 10, 1, 10),
            ("600/m", 600, 60, 10),
            ("1/s", 1, 1, 1),
            ("100/h", 100, 3600, 1),
            ("100/m", 100, 60, 1),
        ] {
            let rate = parse(text).unwrap();
            let read = (rate.requests.get(), rate.period, rate.burst.get());
            assert_eq!(read, (requests, Duration::from_secs(seconds), burst), "{text}");
        }
        for text in
            ["", "10", "/s", "0/s", "-1/s", "+1/s", "1.5/s", "10/d", "10 / s", "10/s ", "1000001/s", "10/S", "10/1s"]
        {
            assert!(parse(text).is_none(), "{text}");
        }
    }

    fn read(limits: &str) -> Result<Config, String> {
        let text = format!("[upstream.a]\nurl = 'https://a.test'\nauth.bearer.token = 'env:KEY'\nlimits = {limits}\n");
        let secrets: [(&str, &[u8]); 1] = [("env:KEY", b"s3cret")];
        parse_with(Path::new("sidekey.toml"), &text, Source::Given(&secrets)).map_err(|error| error.to_string())
    }

    #[test]
    fn every_part_of_limits_is_optional() {
        for limits in
            ["{}", "{ rate = '10/s' }", "{ concurrency = 3 }", "{ wait = '2s' }", "{ rate = '1/m', burst = 9 }"]
        {
            assert!(read(limits).is_ok(), "{limits}");
        }
        let limits =
            read("{ rate = '10/s', burst = 20, concurrency = 32, wait = '2s' }").ok().unwrap().upstreams[0].limits;
        assert_eq!(limits.rate.unwrap().burst.get(), 20);
        assert_eq!((limits.concurrency, limits.wait), (Some(32), Duration::from_secs(2)));
    }

    #[test]
    fn what_is_wrong_with_limits_is_told() {
        for (limits, told) in [
            ("{ rate = '10' }", "`upstream.a.limits.rate`: expected a rate such as"),
            ("{ rate = 10 }", "`upstream.a.limits.rate`: expected a rate such as"),
            ("{ burst = 5 }", "`upstream.a.limits.rate`: missing: expected a rate"),
            ("{ concurrency = 0 }", "`upstream.a.limits.concurrency`: expected a whole number from 1"),
            ("{ wait = 2 }", "`upstream.a.limits.wait`: expected a duration"),
            ("{ queue = 2 }", "`upstream.a.limits.queue`: unknown key"),
        ] {
            let report = read(limits).err().unwrap();
            assert!(report.contains(told) && report.starts_with("error: 1 problem"), "{limits}\n{report}");
        }
    }
}
