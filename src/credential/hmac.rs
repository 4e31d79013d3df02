//! `Authorization: hmac username="…", algorithm="…", headers="…", signature="…"`: what the messaging Hub wants, in the
//! grammar of Kong's `hmac-auth` plugin.
//!
//! One line is signed for each name in `headers=`, written exactly as it stands there. A name whose field the request
//! does not carry is not listed: so a request without a body neither sends nor lists a digest of it.

mod key;
mod names;

use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderName, HeaderValue, Method, header};
use md5::Md5;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use self::key::{ALGORITHMS, Algorithm, Key};
use self::names::{SignedName, What};
use super::{PlaceError, offer, without_prefix};
use crate::Secret;
use crate::config::error::Fault;
use crate::config::read::Table;
use crate::fields::{Fields, Repeated};
use crate::message::RequestHead;
use crate::scrub::Forms;

const PREFIX: &str = "hmac ";
const MAX_SIGNED_BODY: u64 = 10 * 1024 * 1024;

/// What is signed or could be taken for it: never the caller's.
static OWNED: [HeaderName; 6] = [
    header::DATE,
    HeaderName::from_static("x-date"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-md5"),
    HeaderName::from_static("x-content-md5"),
    HeaderName::from_static("request-line"),
];

pub(super) const NAME: &str = "hmac";
pub(super) type Placed = Hmac;

pub(super) fn read(table: &mut Table<'_>) -> Option<Placed> {
    table.own_fields(&OWNED);
    let username = table.secret("username").and_then(|username| without_prefix(table, username, PREFIX));
    let secret = table.secret("secret");
    let algorithm = table.one_of("algorithm", &ALGORITHMS).unwrap_or(Algorithm::Sha256);
    let names = names::read(table);
    let max_signed_body = table.size("max_signed_body").unwrap_or(MAX_SIGNED_BODY);
    let (username, secret) = (username?, secret?);
    if username.value.expose().iter().any(|byte| matches!(byte, b'"' | b'\\')) {
        let fault = Fault::new("the user name holds a quote or a backslash");
        table.refuse(&username.place, fault.hint("it stands in quotes, and the verifier knows no escapes"));
        return None;
    }
    let opening = opening(&username.value, algorithm);
    let forms = Forms::none().username(username.value.expose()).secret(secret.value.expose());
    Some(Hmac { key: Box::new(Key::new(algorithm, &secret.value)?), opening, names: names?, max_signed_body, forms })
}

/// A signature cannot be checked without the vendor's secret: of an SDK's own, the user name is the token.
pub(super) fn offered(_: &Placed, fields: &Fields, take: impl FnMut(&[u8])) {
    offer::hmac(fields, take);
}

/// A key pair, and what is signed with it.
pub(crate) struct Hmac {
    key: Box<Key>,
    /// Up to and with `headers="`.
    opening: Zeroizing<Vec<u8>>,
    names: Box<[SignedName]>,
    max_signed_body: u64,
    forms: Forms,
}

impl Hmac {
    pub(super) fn owned_headers(&self) -> &[HeaderName] {
        &OWNED
    }

    pub(super) fn is_signature(&self) -> bool {
        true
    }

    pub(super) fn signs_body(&self) -> Option<u64> {
        self.names.iter().any(SignedName::is_body_digest).then_some(self.max_signed_body)
    }

    pub(super) fn signs_request_line(&self) -> bool {
        self.names.iter().any(|name| name.what == What::RequestLine)
    }

    pub(super) fn place(&self, head: &mut RequestHead, body: &[u8], now: fn() -> SystemTime) -> Result<(), PlaceError> {
        self.set_signed_fields(head, body, now())?;
        let mut value = Zeroizing::new(Vec::with_capacity(self.capacity()));
        value.extend_from_slice(&self.opening);
        let text = self.signing_text(head, &mut value)?;
        value.extend_from_slice(b"\", signature=\"");
        self.key.sign(&text, &mut value);
        value.push(b'"');
        let value = Secret::header_value(value).ok_or(PlaceError::NotLegal)?;
        head.fields.put(&header::AUTHORIZATION, &value);
        Ok(())
    }

    /// Sets the fields that are made for being signed: a fresh date, and digests of the body where there is one.
    fn set_signed_fields(&self, head: &mut RequestHead, body: &[u8], now: SystemTime) -> Result<(), PlaceError> {
        let has_body = !body.is_empty() || anticipates_body(&head.method);
        for name in &self.names {
            let (field, text) = match &name.what {
                What::Date(field) => (field, httpdate::fmt_http_date(now)),
                What::Md5(field) | What::Sha256(field) if !has_body => {
                    head.fields.remove(field);
                    continue;
                }
                What::Md5(field) => (field, hex(&Md5::digest(body))),
                What::Sha256(field) => (field, format!("SHA-256={}", STANDARD.encode(Sha256::digest(body)))),
                What::RequestLine | What::RequestTarget | What::Field(_) => continue,
            };
            head.fields.put(field, &HeaderValue::try_from(text).map_err(|_| PlaceError::NotLegal)?);
        }
        Ok(())
    }

    /// The text to be signed. The names that it has are appended to `listed`, parted by spaces.
    fn signing_text(&self, head: &RequestHead, listed: &mut Vec<u8>) -> Result<Vec<u8>, PlaceError> {
        let target = head.path.as_str();
        // Enough for lines of ordinary length.
        let mut text = Vec::with_capacity(self.names.len() * 96 + target.len());
        for name in &self.names {
            let before = text.len();
            let separator: &[u8] = if before == 0 { b"" } else { b"\n" };
            text.extend_from_slice(separator);
            match &name.what {
                What::RequestLine => push(&mut text, &[head.method.as_str(), " ", target, " HTTP/1.1"]),
                What::RequestTarget => {
                    let method = head.method.as_str().to_ascii_lowercase();
                    push(&mut text, &[&name.written, ": ", &method, " ", target]);
                }
                What::Date(field) | What::Md5(field) | What::Sha256(field) | What::Field(field) => {
                    let value = head.fields.single(field).map_err(|Repeated| PlaceError::RepeatedField)?;
                    let Some(value) = value else {
                        text.truncate(before);
                        continue;
                    };
                    push(&mut text, &[&name.written, ": "]);
                    text.extend_from_slice(value);
                }
            }
            push(listed, &[if before == 0 { "" } else { " " }, &name.written]);
        }
        Ok(text)
    }

    /// The longest that the field's value gets: it never grows while it is written.
    fn capacity(&self) -> usize {
        let names: usize = self.names.iter().map(|name| name.written.len() + 1).sum();
        self.opening.len() + names + "\", signature=\"\"".len() + Key::MAX_SIGNATURE
    }

    pub(super) fn forms(&self) -> &Forms {
        &self.forms
    }

    /// The whole value, and the signature by itself, with which the same request could be sent again.
    pub(super) fn fresh_forms(&self, head: &RequestHead) -> Forms {
        let Some(value) = head.fields.get(&header::AUTHORIZATION) else { return Forms::none() };
        let signature = value.rsplit(|&byte| byte == b'"').nth(1).unwrap_or_default();
        Forms::none().value(value).base64(signature)
    }

    pub(super) fn replica(&self) -> Self {
        Self {
            key: self.key.clone(),
            opening: self.opening.clone(),
            names: self.names.clone(),
            max_signed_body: self.max_signed_body,
            forms: self.forms.replica(),
        }
    }
}

fn opening(username: &Secret, algorithm: Algorithm) -> Zeroizing<Vec<u8>> {
    let parts: [&[u8]; 5] =
        [b"hmac username=\"", username.expose(), b"\", algorithm=\"", algorithm.name().as_bytes(), b"\", headers=\""];
    let mut opening = Zeroizing::new(Vec::with_capacity(parts.iter().map(|part| part.len()).sum()));
    for part in parts {
        opening.extend_from_slice(part);
    }
    opening
}

/// A request with such a method has a body, if an empty one (RFC 9110 8.6): the Hub's own SDKs sign that too.
fn anticipates_body(method: &Method) -> bool {
    matches!(*method, Method::POST | Method::PUT | Method::PATCH)
}

fn push(text: &mut Vec<u8>, parts: &[&str]) {
    for part in parts {
        text.extend_from_slice(part.as_bytes());
    }
}

/// In lower case, as the vendor compares it.
fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    let mut text = String::with_capacity(2 * bytes.len());
    text.extend(digits.filter_map(|digit| char::from_digit(digit.into(), 16)));
    text
}

#[cfg(test)]
mod tests;
