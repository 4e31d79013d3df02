//! How a log line looks: for a person on a terminal, or as JSON.

mod human;

use std::cell::RefCell;
use std::fmt;

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

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
                LogFormat::Json => write_json(line, event)?,
            }
            writer.write_str(line)
        })
    }
}

thread_local! {
    /// Where a line is put together, before it is handed on as a whole.
    static LINE: RefCell<String> = const { RefCell::new(String::new()) };
}

fn write_json(line: &mut String, event: &Event<'_>) -> fmt::Result {
    let metadata = event.metadata();
    line.push_str("{\"timestamp\":\"");
    clock::write_now(line)?;
    line.push_str("\",\"level\":\"");
    line.push_str(metadata.level().as_str());
    line.push_str("\",\"target\":\"");
    line.push_str(metadata.target());
    line.push('"');
    event.record(&mut JsonFields { line });
    line.push_str("}\n");
    Ok(())
}

struct JsonFields<'a> {
    line: &'a mut String,
}

impl JsonFields<'_> {
    fn name(&mut self, field: &Field) {
        self.line.push_str(",\"");
        self.line.push_str(field.name());
        self.line.push_str("\":");
    }

    fn bare(&mut self, field: &Field, value: &str) {
        self.name(field);
        self.line.push_str(value);
    }
}

impl Visit for JsonFields<'_> {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.bare(field, itoa::Buffer::new().format(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.bare(field, itoa::Buffer::new().format(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.bare(field, if value { "true" } else { "false" });
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.name(field);
        self.line.push('"');
        write_escaped(self.line, value);
        self.line.push('"');
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

/// RFC 8259 7.
fn write_escaped(out: &mut String, text: &str) {
    if text.bytes().all(|b| b >= b' ' && b != b'"' && b != b'\\') {
        return out.push_str(text);
    }
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::write_escaped;

    #[test]
    fn json_strings_are_escaped() {
        let mut out = String::new();
        write_escaped(&mut out, "a\"b\\c\n\u{1b}é");
        assert_eq!(out, "a\\\"b\\\\c\\u000a\\u001bé");
    }
}
