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
