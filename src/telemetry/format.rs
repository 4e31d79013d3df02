//! How a log line looks: for a person on a terminal, or as JSON.

mod fields;
mod human;
mod json;

use std::cell::RefCell;
use std::fmt;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

pub(super) use self::fields::{Fields, Name, Told, name};
pub(super) use self::human::choose_colour;
use super::{clock, settings};

/// The form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// One line to read.
    Human,
    /// One JSON object a line.
    Json,
}

/// How the log says that lines were lost.
pub(super) fn notice_of_loss(lost: usize) -> String {
    let mut now = String::new();
    // Writing to a string does not fail.
    let _ = clock::write_now(&mut now);
    match settings::format() {
        LogFormat::Human => format!("{now} WARN  log lines were lost lost_lines={lost}\n"),
        LogFormat::Json => {
            format!("{{\"timestamp\":\"{now}\",\"level\":\"WARN\",\"target\":\"log\",\"lost_lines\":{lost}}}\n")
        }
    }
}

/// One line, in the format in force.
pub(super) struct Line;

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        LINE.with_borrow_mut(|line| {
            line.clear();
            match settings::format() {
                LogFormat::Human => human::write(line, event)?,
                LogFormat::Json => json::write(line, event)?,
            }
            writer.write_str(line)
        })
    }
}

/// The same for what is told without an event; `hand_on` is given the line as a whole.
pub(super) fn tell(level: Level, told: &impl Told, hand_on: impl FnOnce(&str)) {
    LINE.with_borrow_mut(|line| {
        line.clear();
        let written = match settings::format() {
            LogFormat::Human => human::tell(line, level, told),
            LogFormat::Json => json::tell(line, level, told),
        };
        if written.is_ok() {
            hand_on(line);
        }
    });
}

thread_local! {
    /// Where a line is put together, before it is handed on as a whole.
    static LINE: RefCell<String> = const { RefCell::new(String::new()) };
}
