//! Secrets that are looked for afterwards, in every form in which one could get out.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::collections::hash_map::RandomState;
use std::fs::{self, OpenOptions};
use std::hash::{BuildHasher, Hasher};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use base64::Engine;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};

use super::holds;

/// A word for queries: no log line may hold it.
pub(crate) const QUERY: &str = "qcanary8d1f6a";

/// A secret for wherever a test wants one, such as a config in which none belongs: nothing that sidekey writes, and no
/// answer to a caller, may hold it.
pub(crate) const LITERAL: &str = "cnry/l1t3ral+=~7c0e";

/// What is shorter could be anywhere.
const SHORTEST: usize = 5;
/// So much of a secret is looked for.
const LONGEST: usize = 100;

/// A secret's reference in the config, and the secret.
struct Canary {
    reference: String,
    value: String,
}

/// The secrets of one process, besides [`LITERAL`].
#[derive(Default)]
pub(super) struct Canaries(Vec<Canary>);

thread_local! {
    /// The callers' tokens of this test, which no origin may see.
    static TOKENS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

impl Canaries {
    /// Makes one for each reference in the config `text`, and writes those of files into `folder`. A file that is there
    /// already is one as it is.
    pub(super) fn plant(folder: &Path, text: &str) -> Self {
        let mut canaries = Self::default();
        for (reference, is_token) in references(text) {
            if canaries.0.iter().any(|known| known.reference == reference) {
                continue;
            }
            let mut value = made_up(reference.len());
            if let Some(path) = reference.strip_prefix("file:").map(|name| folder.join(name)) {
                if let Some(written) = read(&path) {
                    value = written;
                } else {
                    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).unwrap();
                    writeln!(file, "{value}").unwrap();
                }
            }
            if is_token {
                TOKENS.with_borrow_mut(|tokens| tokens.push(value.clone()));
            }
            canaries.0.push(Canary { reference: reference.to_owned(), value });
        }
        canaries
    }

    /// Those that the config in `file` refers to and that are there: it may be one that is wrong.
    pub(super) fn find(file: &Path) -> Self {
        let text = String::from_utf8_lossy(&fs::read(file).unwrap_or_default()).into_owned();
        let folder = file.parent().unwrap();
        let read = |reference: &str| read(&folder.join(reference.strip_prefix("file:")?));
        let found = references(&text)
            .into_iter()
            .filter_map(|(reference, _)| Some(Canary { reference: reference.to_owned(), value: read(reference)? }));
        Self(found.collect())
    }

    /// One more, which is in the environment under `name`.
    pub(super) fn add_variable(&mut self, name: &str) {
        self.0.push(Canary { reference: format!("env:{name}"), value: made_up(name.len()) });
    }

    /// Those of the environment: name and value.
    pub(super) fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().filter_map(|canary| Some((canary.reference.strip_prefix("env:")?, canary.value.as_str())))
    }

    pub(super) fn secret(&self, reference: &str) -> &str {
        let found = self.0.iter().find(|canary| canary.reference == reference);
        &found.expect("a reference that the config has").value
    }

    /// Fails if one of them is in `bytes` in any form.
    pub(super) fn assert_none_in(&self, bytes: &[u8], place: &str) {
        for secret in self.0.iter().map(|canary| canary.value.as_str()).chain([LITERAL]) {
            assert_hidden(secret, bytes, place);
        }
    }
}

/// Fails if a caller's token is in `bytes`, which came to an origin.
pub(super) fn assert_no_token_in(bytes: &[u8]) {
    TOKENS.with_borrow(|tokens| tokens.iter().for_each(|token| assert_hidden(token, bytes, "an origin")));
}

/// The references in the text of a config, and whether each is a caller's token.
fn references(text: &str) -> Vec<(&str, bool)> {
    let mut found = Vec::new();
    let mut of_caller = false;
    for line in text.lines() {
        if line.starts_with('[') {
            of_caller = line.starts_with("[caller.");
        }
        let quoted = line.split('"').filter(|quoted| quoted.starts_with("env:") || quoted.starts_with("file:"));
        found.extend(quoted.map(|reference| (reference, of_caller)));
    }
    found
}

fn read(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok().map(|written| written.trim_end().to_owned())
}

/// A new secret, with bytes in it that base64, percent-encoding, hexadecimal and JSON all change.
fn made_up(seed: usize) -> String {
    let random = RandomState::new().build_hasher().finish();
    format!("cnry/{random:016x}+=~{seed}")
}

fn assert_hidden(secret: &str, bytes: &[u8], place: &str) {
    for form in parts(secret).flat_map(forms) {
        let hidden = form.len() < SHORTEST || !holds(bytes, form.as_bytes());
        assert!(hidden, "a secret got out to {place}, as {form:?}");
    }
}

/// The lines of a secret, such as a key in PEM, each of which is one, too; of a very long one the beginning.
fn parts(secret: &str) -> impl Iterator<Item = &str> {
    let lines = secret.lines().filter(|line| !line.starts_with("-----"));
    lines.map(|line| &line[..line.floor_char_boundary(LONGEST)])
}

/// The secret, every encoding of it, and every encoding of its base64, which is what a header value has of it.
fn forms(secret: &str) -> BTreeSet<String> {
    let base64 = base64_within(secret);
    let twice = base64.iter().flat_map(|encoded| encodings(encoded));
    let once = encodings(secret).into_iter().chain([secret.to_owned()]);
    once.chain(twice).collect()
}

fn encodings(text: &str) -> Vec<String> {
    let each = |template: fn(u8) -> String| text.bytes().map(template).collect::<String>();
    let mut encodings = base64_within(text);
    encodings.extend([
        each(|byte| format!("{byte:02x}")),
        each(|byte| format!("{byte:02X}")),
        each(|byte| unless_plain(byte, format!("%{byte:02X}"))),
        each(|byte| unless_plain(byte, format!("%{byte:02x}"))),
        // JSON: as little as it must be, slashes too, and all.
        serde_json::to_string(text).unwrap().trim_matches('"').to_owned(),
        text.replace('/', "\\/"),
        each(|byte| unless_plain(byte, format!("\\u{byte:04x}"))),
        each(|byte| unless_plain(byte, format!("\\u{byte:04X}"))),
        // As Rust shows bytes.
        text.bytes().map(|byte| byte.to_string()).collect::<Vec<_>>().join(", "),
    ]);
    encodings
}

/// As it is, in a URL (RFC 3986 2.3) or in JSON.
fn unless_plain(byte: u8, encoded: String) -> String {
    if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) { char::from(byte).to_string() } else { encoded }
}

/// What base64 makes of `text` wherever it stands in what is encoded, as in `user:password` or a whole header value: six
/// bits to a character, so there are three ways. Characters that have bits of their neighbours are left out, and so is
/// padding.
fn base64_within(text: &str) -> Vec<String> {
    let mut ways = Vec::new();
    for alphabet in [&alphabet::STANDARD, &alphabet::URL_SAFE] {
        let engine = GeneralPurpose::new(alphabet, NO_PAD);
        for before in 0..3 {
            let encoded = engine.encode([&b"\0\0"[..before], text.as_bytes()].concat());
            ways.push(encoded[(before * 8).div_ceil(6)..(before + text.len()) * 8 / 6].to_owned());
        }
    }
    ways
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use base64::Engine;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};

    use super::{Canaries, assert_no_token_in, unless_plain};

    const CONFIG: &str = "[caller.app]\ntoken = \"file:token\"\n[upstream.a]\n{ u = \"env:A\", p = \"env:BB\" }\n";

    #[test]
    fn a_secret_is_found_in_every_form() {
        let folder = tempfile::tempdir().unwrap();
        let canaries = Canaries::plant(folder.path(), CONFIG);
        let (user, password) = (canaries.secret("env:A"), canaries.secret("env:BB"));
        let found =
            |text: &str| catch_unwind(|| canaries.assert_none_in(format!("x{text}y").as_bytes(), "here")).is_err();
        let hex = |text: &str| text.bytes().map(|byte| format!("{byte:02x}")).collect::<String>();
        let pair = STANDARD.encode(format!("{user}:{password}"));
        for leak in [
            user,
            &format!("Basic {pair}"),
            &URL_SAFE.encode(password),
            &STANDARD.encode(format!("Bearer {password}")),
            &STANDARD.encode(format!("Basic {pair}")),
            &URL_SAFE.encode(format!("authorization: Basic {pair}\r\n")),
            &hex(user),
            &hex(&format!("Basic {pair}")).to_uppercase(),
            &user.bytes().map(|byte| unless_plain(byte, format!("%{byte:02x}"))).collect::<String>(),
            &user.replace('/', "\\/"),
            &user.bytes().map(|byte| unless_plain(byte, format!("\\u{byte:04x}"))).collect::<String>(),
            &format!("{:?}", user.as_bytes()),
            super::LITERAL,
        ] {
            assert!(found(leak), "{leak}");
        }
        assert!(!found("cnry") && !found(&STANDARD.encode("cnry")));
    }

    #[test]
    fn a_callers_token_is_found_at_an_origin_and_an_upstreams_key_may_be_there() {
        let folder = tempfile::tempdir().unwrap();
        let canaries = Canaries::plant(folder.path(), CONFIG);
        let at_origin = |secret: &str| {
            let bytes = format!("authorization: Basic {}\r\n", STANDARD.encode(format!("app:{secret}")));
            assert_no_token_in(bytes.as_bytes());
        };
        at_origin(canaries.secret("env:A"));
        // On this thread, whose tokens they are.
        let token = std::panic::AssertUnwindSafe(canaries.secret("file:token"));
        assert!(catch_unwind(|| at_origin(&token)).is_err());
    }
}
