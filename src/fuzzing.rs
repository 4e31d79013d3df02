//! Entry points for fuzzing: each takes any bytes, and panics only where the code is wrong.

use std::path::Path;

use toml::de::{DeTable, DeValue};

use crate::config::file::parse_with;
use crate::secret::source::{Reference, Source};
use crate::wire::Framing;
use crate::wire::request::RequestFraming;

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
        DeValue::Table(table) => names_canary(table),
        DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_) => false,
    }
}

/// Reads a stream of requests, whole and cut in two at each of its bytes (as far as there are few). The same fault must
/// be found, however the bytes arrive; without one, the same must be let through. With one, a cut may let through more:
/// whole requests whose fate was sealed before the fault came.
#[expect(clippy::panic, reason = "a panic is how a fuzz target says that something is wrong")]
pub fn requests(data: &[u8]) {
    let whole = RequestFraming::new().admit(data);
    for cut in 0..data.len().min(512) {
        let mut framing = RequestFraming::new();
        let first = framing.admit(data.get(..cut).unwrap_or_default());
        let rest = framing.admit(data.get(first.0..).unwrap_or_default());
        let in_pieces = if first.1.is_some() { first } else { (first.0 + rest.0, rest.1) };
        let fits = if whole.1.is_some() { in_pieces.0 >= whole.0 } else { in_pieces.0 == whole.0 };
        if in_pieces.1 != whole.1 || !fits {
            panic!("cut at {cut}, {in_pieces:?} is let through instead of {whole:?}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{config, requests};

    #[test]
    fn the_requests_corpus_is_read_alike_however_it_is_cut() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/requests");
        let seeds: Vec<_> = std::fs::read_dir(corpus).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(seeds.len() >= 8);
        for seed in seeds {
            requests(&std::fs::read(seed).unwrap());
        }
    }

    /// Each seed whole, and cut off before, or without, each character that gives it its structure.
    #[test]
    fn the_config_corpus_and_its_near_misses_pass() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/config");
        let mut seeds = 0;
        for entry in std::fs::read_dir(corpus).unwrap() {
            let bytes = std::fs::read(entry.unwrap().path()).unwrap();
            config(&bytes);
            let text = String::from_utf8_lossy(&bytes);
            for (offset, gone) in text.char_indices().filter(|(_, gone)| gone.is_ascii_punctuation() || *gone == '\n') {
                let (before, after) = text.split_at(offset);
                let after = after.strip_prefix(gone).unwrap();
                config(before.as_bytes());
                config(format!("{before}{after}").as_bytes());
            }
            seeds += 1;
        }
        assert!(seeds >= 4);
    }
}
