//! A log line for a program: one JSON object.

use std::fmt;

use tracing::field::{Field, Visit};
use tracing::{Event, Level};

use super::fields::{Fields, Name, Told};
use crate::octets::Octets;
use crate::telemetry::clock;

pub(super) fn write(line: &mut String, event: &Event<'_>) -> fmt::Result {
    let metadata = event.metadata();
    begin(line, *metadata.level(), metadata.target())?;
    event.record(&mut JsonFields { line });
    line.push_str("}\n");
    Ok(())
}

/// As [`write()`] of an event with the same fields, byte for byte.
pub(super) fn tell(line: &mut String, level: Level, told: &impl Told) -> fmt::Result {
    begin(line, level, told.target())?;
    told.tell(&mut JsonFields { line });
    line.push_str("}\n");
    Ok(())
}

fn begin(line: &mut String, level: Level, target: &str) -> fmt::Result {
    line.push_str("{\"timestamp\":\"");
    clock::write_now(line)?;
    line.push_str("\",\"level\":\"");
    line.push_str(level.as_str());
    line.push_str("\",\"target\":\"");
    line.push_str(target);
    line.push('"');
    Ok(())
}

struct JsonFields<'a> {
    line: &'a mut String,
}

// Inlined: a name whose length the compiler knows is copied without asking how long it is.
impl Fields for JsonFields<'_> {
    #[inline(always)]
    fn put_number(&mut self, name: &'static Name, value: u64) {
        self.line.push_str(name.bare);
        self.line.push_str(itoa::Buffer::new().format(value));
    }

    #[inline(always)]
    fn put_flag(&mut self, name: &'static Name, value: bool) {
        self.line.push_str(name.bare);
        self.line.push_str(if value { "true" } else { "false" });
    }

    #[inline(always)]
    fn put_text(&mut self, name: &'static Name, value: &str) {
        self.line.push_str(name.quoted);
        write_escaped(self.line, value);
        self.line.push('"');
    }

    #[inline(always)]
    fn put_plain(&mut self, name: &'static Name, value: &str) {
        debug_assert!(is_plain(value));
        self.line.push_str(name.quoted);
        self.line.push_str(value);
        self.line.push('"');
    }
}

impl JsonFields<'_> {
    fn bare(&mut self, field: &Field, value: &str) {
        self.line.push_str(",\"");
        self.line.push_str(field.name());
        self.line.push_str("\":");
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
        self.bare(field, "\"");
        write_escaped(self.line, value);
        self.line.push('"');
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

/// RFC 8259 7.
fn write_escaped(out: &mut String, text: &str) {
    if is_plain(text) {
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

/// Whether a text stands in JSON as it is, as most do.
fn is_plain(text: &str) -> bool {
    let odd = |bytes| {
        let octets = Octets::new(bytes);
        octets.below(b' ').or(octets.equal_to(b'"')).or(octets.equal_to(b'\\')).any()
    };
    let (chunks, rest) = text.as_bytes().as_chunks();
    let found = chunks.iter().fold(false, |found, chunk| found | odd(*chunk));
    // Those at the end may be looked at again, so that they are eight.
    let rest_is_odd = || match text.as_bytes().last_chunk() {
        Some(last) => odd(*last),
        None => rest.iter().any(|b| *b < b' ' || *b == b'"' || *b == b'\\'),
    };
    !found && (rest.is_empty() || !rest_is_odd())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::{is_plain, write_escaped};

    #[test]
    fn json_strings_are_escaped() {
        let mut out = String::new();
        write_escaped(&mut out, "a\"b\\c\n\u{1b}é");
        assert_eq!(out, "a\\\"b\\\\c\\u000a\\u001bé");
    }

    #[test]
    fn a_byte_is_found_wherever_it_stands() {
        for length in 0..20 {
            for at in 0..length {
                for byte in 0..=0x7f {
                    let mut text = vec![b'a'; length];
                    text[at] = byte;
                    let plain = byte >= b' ' && byte != b'"' && byte != b'\\';
                    assert_eq!(is_plain(std::str::from_utf8(&text).unwrap()), plain, "{byte} at {at} of {length}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_as_it_was(text in proptest::collection::vec(any::<char>(), 0..40)) {
            let text: String = text.into_iter().collect();
            let mut line = String::from("\"");
            write_escaped(&mut line, &text);
            line.push('"');
            assert_eq!(serde_json::from_str::<String>(&line).unwrap(), text);
        }
    }
}
