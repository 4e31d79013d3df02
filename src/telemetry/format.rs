//! How a log line looks: for a person on a terminal, or as JSON.

use std::fmt;

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::clock;

/// The form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// One line to read.
    Human,
    /// One JSON object a line.
    Json,
}

impl LogFormat {
    /// How the log says that lines were lost.
    pub(super) fn notice_of_loss(self) -> fn(usize) -> String {
        fn now() -> String {
            let mut text = String::new();
            // Writing to a string does not fail.
            let _ = clock::write_now(&mut text);
            text
        }
        match self {
            Self::Human => |lost| format!("{}  WARN log lines were lost lost_lines={lost}\n", now()),
            Self::Json => |lost| {
                let now = now();
                format!("{{\"timestamp\":\"{now}\",\"level\":\"WARN\",\"target\":\"log\",\"lost_lines\":{lost}}}\n")
            },
        }
    }
}

/// These fields of an access record come first and speak for themselves; any other is shown with its name.
const UNNAMED: [&str; 6] = ["message", "status", "method", "path", "upstream", "duration_us"];

impl<S, N> FormatEvent<S, N> for LogFormat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut line: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let metadata = event.metadata();
        match self {
            Self::Human => {
                clock::write_now(&mut line)?;
                write!(line, " {:5}", metadata.level().as_str())?;
                let mut fields = HumanFields { line: &mut line, result: Ok(()) };
                event.record(&mut fields);
                fields.result?;
                line.write_char('\n')
            }
            Self::Json => {
                line.write_str("{\"timestamp\":\"")?;
                clock::write_now(&mut line)?;
                line.write_str("\",\"level\":\"")?;
                line.write_str(metadata.level().as_str())?;
                line.write_str("\",\"target\":\"")?;
                line.write_str(metadata.target())?;
                line.write_char('"')?;
                let mut fields = JsonFields { line: &mut line, result: Ok(()) };
                event.record(&mut fields);
                fields.result?;
                line.write_str("}\n")
            }
        }
    }
}

struct HumanFields<'a, 'w> {
    line: &'a mut Writer<'w>,
    result: fmt::Result,
}

impl HumanFields<'_, '_> {
    fn write(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        let name = field.name();
        self.result = self.result.and_then(|()| match name {
            _ if UNNAMED.contains(&name) => write!(self.line, " {value}"),
            _ => write!(self.line, " {name}={value}"),
        });
    }
}

impl Visit for HumanFields<'_, '_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        // A control character could rewrite the terminal's history.
        if value.chars().any(char::is_control) {
            self.write(field, format_args!("{value:?}"));
        } else if value.contains(' ') && !UNNAMED.contains(&field.name()) {
            self.write(field, format_args!("\"{value}\""));
        } else {
            self.write(field, format_args!("{value}"));
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "duration_us" {
            self.write(field, format_args!("{}.{:03}ms", value / 1000, value % 1000));
        } else {
            self.write(field, format_args!("{value}"));
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.write(field, format_args!("{value:?}"));
    }
}

struct JsonFields<'a, 'w> {
    line: &'a mut Writer<'w>,
    result: fmt::Result,
}

impl JsonFields<'_, '_> {
    fn name(&mut self, field: &Field) -> fmt::Result {
        self.line.write_str(",\"")?;
        self.line.write_str(field.name())?;
        self.line.write_str("\":")
    }

    fn string(&mut self, field: &Field, value: &str) -> fmt::Result {
        self.name(field)?;
        self.line.write_char('"')?;
        write_escaped(self.line, value)?;
        self.line.write_char('"')
    }

    fn bare(&mut self, field: &Field, value: &str) -> fmt::Result {
        self.name(field)?;
        self.line.write_str(value)
    }
}

impl Visit for JsonFields<'_, '_> {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.result = self.result.and_then(|()| self.bare(field, itoa::Buffer::new().format(value)));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.result = self.result.and_then(|()| self.bare(field, itoa::Buffer::new().format(value)));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.result = self.result.and_then(|()| self.bare(field, if value { "true" } else { "false" }));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.result = self.result.and_then(|()| self.string(field, value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        self.result = self.result.and_then(|()| self.string(field, &text));
    }
}

/// RFC 8259 7.
pub(crate) fn write_escaped(out: &mut impl fmt::Write, text: &str) -> fmt::Result {
    if text.bytes().all(|b| b >= b' ' && b != b'"' && b != b'\\') {
        return out.write_str(text);
    }
    for c in text.chars() {
        match c {
            '"' => out.write_str("\\\"")?,
            '\\' => out.write_str("\\\\")?,
            c if c < ' ' => write!(out, "\\u{:04x}", u32::from(c))?,
            c => out.write_char(c)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::write_escaped;

    #[test]
    fn json_strings_are_escaped() {
        let mut out = String::new();
        write_escaped(&mut out, "a\"b\\c\n\u{1b}é").unwrap();
        assert_eq!(out, "a\\\"b\\\\c\\u000a\\u001bé");
    }
}
