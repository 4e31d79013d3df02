//! A log line for a person: what matters first, the rest by name, and colour where a terminal wants it.

use std::fmt::{self, Write};
use std::io::Stderr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use tracing::field::{Field, Visit};
use tracing::{Event, Level};

use super::fields::{self, Name, Told};
use crate::telemetry::clock;

static COLOURED: AtomicBool = AtomicBool::new(false);

const PLAIN: Style = Style::new();
const FAINT: Style = Style::new().dimmed();
const GOOD: Style = AnsiColor::Green.on_default();
const ELSEWHERE: Style = AnsiColor::Cyan.on_default();
const ODD: Style = AnsiColor::Yellow.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();

/// These speak for themselves; any other field is shown with its name.
const UNNAMED: [&str; 6] = ["message", "status", "method", "path", "upstream", "duration_us"];

/// Lines have colour from now on if `stderr` is a terminal that has, and the environment does not speak against it.
pub(in crate::telemetry) fn choose_colour(stderr: &Stderr) {
    COLOURED.store(AutoStream::choice(stderr) != ColorChoice::Never, Relaxed);
}

pub(super) fn write(line: &mut String, event: &Event<'_>) -> fmt::Result {
    write_with(line, *event.metadata().level(), |fields| event.record(fields))
}

/// As [`write()`] of an event with the same fields, byte for byte.
pub(super) fn tell(line: &mut String, level: Level, told: &impl Told) -> fmt::Result {
    write_with(line, level, |fields| told.tell(fields))
}

fn write_with(line: &mut String, level: Level, record: impl FnOnce(&mut Fields<'_>)) -> fmt::Result {
    let mut fields = Fields { line, coloured: COLOURED.load(Relaxed), result: Ok(()) };
    fields.begin(FAINT);
    clock::write_now(fields.line)?;
    fields.end(FAINT);
    fields.line.push(' ');
    fields.paint(of_level(level), format_args!("{:5}", level.as_str()));
    record(&mut fields);
    fields.result?;
    line.write_char('\n')
}

fn of_level(level: Level) -> Style {
    match level {
        Level::ERROR => BAD,
        Level::WARN => ODD,
        Level::INFO => PLAIN,
        _ => FAINT,
    }
}

fn of_status(status: u64) -> Style {
    match status {
        0..300 => GOOD,
        300..400 => ELSEWHERE,
        400..500 => ODD,
        _ => BAD,
    }
}

/// What JSON has, and a reader can do without: what goes without saying, and what is for programs to join by.
fn is_noise(name: &str, value: &str) -> bool {
    matches!((name, value), ("answered_by", "upstream") | ("trace_id", _))
}

/// Whether a terminal might obey it: a control character could rewrite its history, and others turn a line's order around.
fn is_odd(character: char) -> bool {
    character.is_control() || !(character.is_ascii() || character.is_alphanumeric())
}

struct Fields<'a> {
    line: &'a mut String,
    coloured: bool,
    result: fmt::Result,
}

impl Fields<'_> {
    fn text(&mut self, name: &str, value: &str) {
        if is_noise(name, value) {
            return;
        }
        if value.chars().any(is_odd) {
            self.field(name, PLAIN, format_args!("{value:?}"));
        } else if value.contains(' ') && !UNNAMED.contains(&name) {
            self.field(name, PLAIN, format_args!("\"{value}\""));
        } else {
            self.field(name, PLAIN, format_args!("{value}"));
        }
    }

    fn number(&mut self, name: &str, value: u64) {
        match name {
            "status" => self.field(name, of_status(value), format_args!("{value}")),
            name if name.ends_with("_us") => {
                self.field(name, PLAIN, format_args!("{}.{:03}ms", value / 1000, value % 1000));
            }
            _ => self.field(name, PLAIN, format_args!("{value}")),
        }
    }

    fn flag(&mut self, name: &str, value: bool) {
        // Of a connection that is new, the time that it took tells.
        if name != "reused" {
            self.field(name, PLAIN, format_args!("{value}"));
        }
    }

    fn field(&mut self, name: &str, style: Style, value: fmt::Arguments<'_>) {
        self.line.push(' ');
        if !UNNAMED.contains(&name) {
            self.paint(FAINT, format_args!("{}=", name.strip_suffix("_us").unwrap_or(name)));
        }
        self.paint(style, value);
    }

    fn paint(&mut self, style: Style, text: fmt::Arguments<'_>) {
        self.begin(style);
        self.result = self.result.and_then(|()| self.line.write_fmt(text));
        self.end(style);
    }

    fn begin(&mut self, style: Style) {
        if self.coloured {
            self.result = self.result.and_then(|()| write!(self.line, "{style}"));
        }
    }

    fn end(&mut self, style: Style) {
        if self.coloured {
            self.result = self.result.and_then(|()| write!(self.line, "{style:#}"));
        }
    }
}

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.number(field.name(), value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.flag(field.name(), value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.field(field.name(), PLAIN, format_args!("{value:?}"));
    }
}

impl fields::Fields for Fields<'_> {
    fn put_number(&mut self, name: &'static Name, value: u64) {
        self.number(name.plain, value);
    }

    fn put_flag(&mut self, name: &'static Name, value: bool) {
        self.flag(name.plain, value);
    }

    fn put_text(&mut self, name: &'static Name, value: &str) {
        self.text(name.plain, value);
    }

    fn put_plain(&mut self, name: &'static Name, value: &str) {
        self.text(name.plain, value);
    }
}

#[cfg(test)]
mod tests {
    use super::{BAD, Fields, GOOD, PLAIN, is_odd, of_status};

    fn painted(coloured: bool) -> String {
        let mut line = String::new();
        let mut fields = Fields { line: &mut line, coloured, result: Ok(()) };
        fields.paint(GOOD, format_args!("200"));
        fields.paint(PLAIN, format_args!(" GET"));
        line
    }

    #[test]
    fn nothing_that_a_terminal_would_obey_passes_for_plain() {
        assert!("/a b~\u{fc}\u{4e2d}".chars().all(|character| !is_odd(character)));
        for odd in ['\n', '\u{1b}', '\u{7f}', '\u{9b}', '\u{202e}', '\u{2066}', '\u{200b}', '\u{2028}', '\u{feff}'] {
            assert!(is_odd(odd) && !format!("{odd:?}").contains(odd), "{odd:?}");
        }
    }

    #[test]
    fn colour_is_there_where_it_is_wanted_and_ends() {
        assert_eq!(painted(true), "\u{1b}[32m200\u{1b}[0m GET");
        assert_eq!(painted(false), "200 GET");
        assert_eq!((of_status(204), of_status(502)), (GOOD, BAD));
    }
}
