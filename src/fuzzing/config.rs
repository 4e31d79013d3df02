//! The config parser: any text is a config or a list of problems, and no problem's text holds a value.

use std::path::Path;

use toml::de::{DeTable, DeValue};

use crate::config::file::parse_with;
use crate::secret::source::{Reference, Source};

/// What stands for every value in the corpus. It may reach no message.
pub const CANARY: &str = "canary";

/// The one secret that there is.
const SECRETS: [(&str, &[u8]); 1] = [("env:KEY", b"planted secret")];

/// Parses a config with no environment but one planted secret, and renders what is wrong with it.
#[expect(clippy::panic, reason = "a panic is how a fuzz target says that something is wrong")]
pub fn config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Err(error) = parse_with(Path::new("fuzz.toml"), text, Source::Given(&SECRETS)) else { return };
    let report = error.to_string();
    if error.problems().is_empty() {
        panic!("a config was refused for no reason");
    }
    if report.contains("planted secret") {
        panic!("a message holds a secret: {report}");
    }
    let (document, _) = DeTable::parse_recoverable(text);
    if report.contains(CANARY) && !names_canary(document.get_ref()) {
        panic!("a message holds a value: {report}");
    }
}

/// Whether the canary stands where it may be shown: in a key or in a secret reference.
fn names_canary(table: &DeTable<'_>) -> bool {
    table.iter().any(|(key, value)| key.get_ref().contains(CANARY) || shows_canary(value.get_ref()))
}

fn shows_canary(value: &DeValue<'_>) -> bool {
    match value {
        DeValue::String(text) => text.contains(CANARY) && Reference::parse(text).is_ok(),
        DeValue::Array(items) => items.iter().any(|item| shows_canary(item.get_ref())),
        // Of a command, the program is shown.
        DeValue::Table(table) => {
            names_canary(table) || table.get("command").is_some_and(|argv| runs_canary(argv.get_ref()))
        }
        DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_) => false,
    }
}

fn runs_canary(command: &DeValue<'_>) -> bool {
    let program = command.as_array().and_then(|words| words.iter().next());
    program.and_then(|program| program.get_ref().as_str()).is_some_and(|program| program.contains(CANARY))
}

#[cfg(test)]
mod tests {
    use super::config;
    use crate::fuzzing::seeds;

    /// Each seed whole, and cut off before, or without, each character that gives it its structure.
    #[test]
    fn the_config_corpus_and_its_near_misses_pass() {
        for bytes in seeds("config", 4) {
            config(&bytes);
            let text = String::from_utf8_lossy(&bytes);
            for (offset, gone) in text.char_indices().filter(|(_, gone)| gone.is_ascii_punctuation() || *gone == '\n') {
                let (before, after) = text.split_at(offset);
                let after = after.strip_prefix(gone).unwrap();
                config(before.as_bytes());
                config(format!("{before}{after}").as_bytes());
            }
        }
    }
}
