//! How the messaging Hub's gateway verifies an HMAC signature: Kong's `hmac-auth`, written from what a request looks
//! like on the wire, with another HMAC than the signer uses.
//!
//! Modelled on Kong's plugin: order of the checks, texts, the lines that are signed, 300 s of clock skew. Stricter in that the
//! date, the target and the digest of a body have to be signed, that every listed field has to be there once, and that
//! a digest which is there has to be right.

use std::time::{Duration, SystemTime};

use aws_lc_rs::{constant_time, digest, hmac};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderMap, request};
use md5::{Digest, Md5};

use super::authorization::only_value;
use super::http::Arrived;
use super::keys::Pair;
use crate::Secret;

const CLOCK_SKEW: Duration = Duration::from_secs(300);

const DATES: [&str; 2] = ["x-date", "date"];
const DIGESTS: [&str; 3] = ["content-md5", "x-content-md5", "digest"];

/// Why a request is answered 401.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    NothingPresented,
    Date,
    Unverifiable,
    Mismatch,
}

impl Refusal {
    /// What the gateway says.
    pub(super) fn message(self) -> &'static str {
        match self {
            Self::NothingPresented => "Unauthorized",
            Self::Date => {
                "HMAC signature cannot be verified, a valid date or x-date header is required for HMAC Authentication"
            }
            Self::Unverifiable => "HMAC signature cannot be verified",
            Self::Mismatch => "HMAC signature does not match",
        }
    }
}

/// Whether `request` is signed with `pair`.
pub(super) fn verify(request: &Arrived, pair: &Pair) -> Result<(), Refusal> {
    let headers = &request.parts.headers;
    if !headers.contains_key(AUTHORIZATION) {
        return Err(Refusal::NothingPresented);
    }
    if !DATES.iter().any(|name| is_recent(headers, name, request.now)) {
        return Err(Refusal::Date);
    }
    let presented = only_value(headers).and_then(Presented::parse).ok_or(Refusal::Unverifiable)?;
    let algorithm = algorithm(presented.algorithm).ok_or(Refusal::Unverifiable)?;
    check_names(&presented.names, request)?;
    if constant_time::verify_slices_are_equal(presented.username.as_bytes(), pair.name.expose()).is_err() {
        return Err(Refusal::Unverifiable);
    }
    let signed = signing_string(&presented.names, request).ok_or(Refusal::Unverifiable)?;
    let signature = STANDARD.decode(presented.signature).map_err(|_| Refusal::Mismatch)?;
    let key = hmac::Key::new(algorithm, pair.secret.expose());
    hmac::verify(&key, &signed, &signature).map_err(|_| Refusal::Mismatch)?;
    if digests_are_right(headers, &request.body) { Ok(()) } else { Err(Refusal::Mismatch) }
}

/// Whether a request is signed with the key pair `name` and `secret`, now.
pub(crate) fn is_signed(parts: request::Parts, body: Bytes, name: &[u8], secret: &[u8]) -> bool {
    let pair = Pair { name: Secret::new(name.to_vec()), secret: Secret::new(secret.to_vec()) };
    verify(&Arrived { parts, body, now: SystemTime::now() }, &pair).is_ok()
}

/// The four parameters, as presented.
struct Presented<'a> {
    username: &'a str,
    algorithm: &'a str,
    names: Vec<&'a str>,
    signature: &'a str,
}

impl<'a> Presented<'a> {
    /// `hmac username="K", algorithm="A", headers="N N", signature="S"`: this order, this quoting, one space.
    fn parse(value: &'a [u8]) -> Option<Self> {
        let rest = std::str::from_utf8(value).ok()?.strip_prefix("hmac ")?;
        let (username, rest) = quoted(rest, "username")?;
        let (algorithm, rest) = quoted(rest.strip_prefix(", ")?, "algorithm")?;
        let (names, rest) = quoted(rest.strip_prefix(", ")?, "headers")?;
        let (signature, rest) = quoted(rest.strip_prefix(", ")?, "signature")?;
        rest.is_empty().then(|| Self { username, algorithm, names: names.split(' ').collect(), signature })
    }
}

/// `name="value"` at the start of `text`: the value, which is not empty, and what follows.
fn quoted<'a>(text: &'a str, name: &str) -> Option<(&'a str, &'a str)> {
    let (value, rest) = text.strip_prefix(name)?.strip_prefix("=\"")?.split_once('"')?;
    (!value.is_empty()).then_some((value, rest))
}

fn algorithm(name: &str) -> Option<hmac::Algorithm> {
    match name {
        "hmac-sha1" => Some(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY),
        "hmac-sha256" => Some(hmac::HMAC_SHA256),
        "hmac-sha384" => Some(hmac::HMAC_SHA384),
        "hmac-sha512" => Some(hmac::HMAC_SHA512),
        _ => None,
    }
}

/// What has to be among the signed names, and that none is there twice.
fn check_names(names: &[&str], request: &Arrived) -> Result<(), Refusal> {
    let headers = &request.parts.headers;
    let lists = |wanted: &str| names.iter().any(|name| name.eq_ignore_ascii_case(wanted));
    let dates: Vec<_> = DATES.iter().filter(|name| lists(name)).collect();
    if !dates.iter().all(|name| is_recent(headers, name, request.now)) {
        return Err(Refusal::Date);
    }
    let signs_target = names.contains(&"request-line") || names.contains(&"@request-target");
    let digests: Vec<_> = DIGESTS.iter().filter(|name| headers.contains_key(**name)).collect();
    let signs_body = digests.iter().all(|name| lists(name)) && (request.body.is_empty() || !digests.is_empty());
    let is_repeated =
        |(index, name): (usize, &&str)| names.iter().skip(index + 1).any(|other| other.eq_ignore_ascii_case(name));
    let repeats = names.iter().enumerate().any(is_repeated);
    let complete = !dates.is_empty() && signs_target && signs_body && !repeats;
    if complete { Ok(()) } else { Err(Refusal::Unverifiable) }
}

/// Whether the field is there, once, is a date, and is near enough to now.
fn is_recent(headers: &HeaderMap, name: &str, now: SystemTime) -> bool {
    let Some(date) = only(headers, name).and_then(|value| std::str::from_utf8(value).ok()) else { return false };
    let Ok(date) = httpdate::parse_http_date(date) else { return false };
    let distance = now.duration_since(date).unwrap_or_else(|ahead| ahead.duration());
    distance <= CLOCK_SKEW
}

/// The text that was signed, rebuilt: a line for each name, as it was written. `None`: a listed field is not there.
fn signing_string(names: &[&str], request: &Arrived) -> Option<Vec<u8>> {
    let method = request.parts.method.as_str();
    let target = request.target();
    let line = |name: &&str| match *name {
        // Kong would take the field's value instead of the real line: a way to have anything signed.
        "request-line" | "@request-target" if request.parts.headers.contains_key(*name) => None,
        "request-line" => Some(format!("{method} {target} {:?}", request.parts.version).into_bytes()),
        "@request-target" => Some(format!("{name}: {} {target}", method.to_ascii_lowercase()).into_bytes()),
        name => Some([name.as_bytes(), b": ", only(&request.parts.headers, name)?].concat()),
    };
    let lines: Option<Vec<_>> = names.iter().map(line).collect();
    Some(lines?.join(&b'\n'))
}

/// Whether every digest field that is there is that of `body`.
fn digests_are_right(headers: &HeaderMap, body: &[u8]) -> bool {
    let hex: String = Md5::digest(body).iter().map(|byte| format!("{byte:02x}")).collect();
    let sha256 = format!("SHA-256={}", STANDARD.encode(digest::digest(&digest::SHA256, body)));
    DIGESTS.iter().filter(|name| headers.contains_key(**name)).all(|name| {
        let right = if *name == "digest" { &sha256 } else { &hex };
        only(headers, name) == Some(right.as_bytes())
    })
}

/// The value of a field that is there once.
fn only<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a [u8]> {
    let mut fields = headers.get_all(name).iter();
    match (fields.next(), fields.next()) {
        (Some(value), None) => Some(value.as_bytes()),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
