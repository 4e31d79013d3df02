//! Secrets that are looked for afterwards, in every form in which one could get out.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use super::holds;

/// A word for queries: no log line may hold it.
pub(crate) const QUERY: &str = "qcanary8d1f6a";

/// A secret's reference in the config, and the secret.
pub(crate) struct Canary {
    pub(super) reference: String,
    pub(super) value: String,
}

impl Canary {
    /// A new secret, with bytes in it that base64, percent-encoding and hexadecimal all change.
    pub(super) fn make(reference: &str) -> Self {
        let random = RandomState::new().build_hasher().finish();
        Self { reference: reference.to_owned(), value: format!("cnry/{random:016x}+=~{}", reference.len()) }
    }
}

/// Fails if one of `canaries`, or a pair of them as Basic has it, is in `bytes` in any form.
pub(super) fn assert_none_in(canaries: &[Canary], bytes: &[u8], place: &str) {
    for form in forms(canaries) {
        assert!(!holds(bytes, form.as_bytes()), "a secret got out to {place}, as {form:?}");
    }
}

fn forms(canaries: &[Canary]) -> Vec<String> {
    let raw = canaries.iter().map(|canary| canary.value.clone());
    let pairs = canaries
        .iter()
        .flat_map(|user| canaries.iter().map(move |password| format!("{}:{}", user.value, password.value)));
    raw.chain(pairs)
        .flat_map(|secret| {
            let hex = |template: fn(u8) -> String| secret.bytes().map(template).collect::<String>();
            [
                STANDARD_NO_PAD.encode(&secret),
                URL_SAFE_NO_PAD.encode(&secret),
                hex(|byte| format!("{byte:02x}")),
                hex(|byte| format!("{byte:02X}")),
                percent(&secret, false),
                percent(&secret, true),
                secret,
            ]
        })
        .collect()
}

/// As a URL would have it; `lower`: with lower-case digits.
fn percent(text: &str, lower: bool) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes()
        .map(|byte| match byte {
            _ if plain(byte) => char::from(byte).to_string(),
            _ if lower => format!("%{byte:02x}"),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

#[test]
fn a_secret_is_found_in_every_form() {
    let canaries = [Canary::make("env:A"), Canary::make("env:BB")];
    let (user, password) = (&canaries[0].value, &canaries[1].value);
    let pair = format!("{user}:{password}");
    let shown = |text: String| {
        std::panic::catch_unwind(|| assert_none_in(&canaries, format!("x{text}y").as_bytes(), "a test")).is_err()
    };
    for leak in [
        user.clone(),
        format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(&pair)),
        URL_SAFE_NO_PAD.encode(password),
        percent(user, false),
        percent(password, true),
        user.bytes().map(|byte| format!("{byte:02x}")).collect(),
    ] {
        assert!(shown(leak.clone()), "{leak}");
    }
    assert!(!shown("cnry".to_owned()));
}
