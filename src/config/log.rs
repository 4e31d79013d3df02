//! `[log]`: what is logged, and how.

use std::time::Duration;

use tracing::Level;

use super::Log;
use super::read::Table;
use crate::telemetry::LogFormat;

const LEVELS: [(&str, Level); 4] =
    [("error", Level::ERROR), ("warn", Level::WARN), ("info", Level::INFO), ("debug", Level::DEBUG)];
const FORMATS: [(&str, LogFormat); 2] = [("human", LogFormat::Human), ("json", LogFormat::Json)];
const ALL: f64 = 1.0;
const SLOW: Duration = Duration::from_secs(1);

pub(super) fn read(table: &mut Table<'_>) -> Log {
    Log {
        level: table.one_of("level", &LEVELS).unwrap_or(Level::INFO),
        format: table.one_of("format", &FORMATS),
        sample_success: table.fraction("sample_success").unwrap_or(ALL),
        slow: table.duration("slow").unwrap_or(SLOW),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use tracing::Level;

    use crate::config::file::parse_with;
    use crate::config::{Config, ConfigError};
    use crate::secret::source::Source;
    use crate::telemetry::LogFormat;

    fn parse(log: &str) -> Result<Config, ConfigError> {
        let upstream = "[upstream.a]\nurl = 'https://a.test'\nauth.bearer = { token = 'env:KEY' }\n";
        parse_with(Path::new("x.toml"), &format!("[log]\n{log}\n{upstream}"), Source::Given(&[("env:KEY", b"planted")]))
    }

    #[test]
    fn the_log_is_as_it_is_written() {
        let log = parse("").unwrap_or_else(|error| panic!("{error}")).log;
        assert_eq!((log.level, log.format, log.slow), (Level::INFO, None, Duration::from_secs(1)));
        assert_eq!(log.sample_success.to_string(), "1");
        let written = "level = 'warn'\nformat = 'human'\nslow = '20ms'\nsample_success = '1/4'";
        let log = parse(written).unwrap_or_else(|error| panic!("{error}")).log;
        let expected = (Level::WARN, Some(LogFormat::Human), Duration::from_millis(20));
        assert_eq!((log.level, log.format, log.slow), expected);
        assert_eq!(log.sample_success.to_string(), "0.25");
        for (written, share) in [("0", "0"), ("1", "1"), ("0.5", "0.5"), ("'0.01'", "0.01")] {
            let log = parse(&format!("sample_success = {written}")).unwrap_or_else(|error| panic!("{error}")).log;
            assert_eq!(log.sample_success.to_string(), share);
        }
    }

    #[test]
    fn what_the_log_does_not_know_is_refused() {
        for (written, told) in [
            ("level = 'loud'", "expected one of `error`, `warn`, `info`, `debug`"),
            ("format = 'xml'", "expected one of `human`, `json`"),
            ("sample_success = 1.5", "expected a number from 0 to 1"),
            ("sample_success = nan", "expected a number from 0 to 1"),
            ("sample_success = '2/1'", "expected a number from 0 to 1"),
            ("sample_success = true", "expected a number from 0 to 1"),
            ("slow = '0s'", "more than zero"),
            ("levels = 'info'", "unknown key"),
        ] {
            let refused = parse(written).err().unwrap_or_else(|| panic!("{written} is taken")).to_string();
            assert!(refused.contains(told), "{written}: {refused}");
        }
    }
}
