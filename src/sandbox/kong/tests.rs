//! The verifier against requests that the vendor's own SDK signed, and against the same with one thing changed.

use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request};
use serde_json::Value;

use super::{Refusal, verify};
use crate::Secret;
use crate::sandbox::http::Arrived;
use crate::sandbox::keys::Pair;

const VECTORS: &str = include_str!("../../../tests/vectors/messaging_hub.jsonl");

/// A worked request, and the keys that it is signed with.
fn vector(line: &Value) -> (Arrived, Pair) {
    let text = |key: &str| line[key].as_str().unwrap();
    let mut request = Request::builder().method(text("method")).uri(text("target"));
    for field in line["headers"].as_array().unwrap() {
        request = request.header(field[0].as_str().unwrap(), field[1].as_str().unwrap());
    }
    let (parts, ()) = request.body(()).unwrap().into_parts();
    let body = Bytes::from(STANDARD.decode(text("body_base64")).unwrap());
    let secret = |key: &str| Secret::new(text(key).as_bytes().to_vec());
    let now = httpdate::parse_http_date("Wed, 04 Mar 2026 05:06:07 GMT").unwrap();
    (Arrived { parts, body, now }, Pair { name: secret("key"), secret: secret("secret") })
}

fn signed_vectors() -> impl Iterator<Item = Value> {
    let lines = VECTORS.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["scheme"] == "hmac")
}

/// The vector in the form of the vendor's documentation, with a body.
fn post() -> (Arrived, Pair) {
    let line = signed_vectors().find(|line| line["name"] == "POST json").unwrap();
    vector(&line)
}

fn refusal(change: impl FnOnce(&mut Arrived)) -> Option<Refusal> {
    let (mut request, pair) = post();
    change(&mut request);
    verify(&request, &pair).err()
}

fn set(request: &mut Arrived, name: &'static str, value: &str) {
    request.parts.headers.insert(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
}

/// Changes the one `Authorization` field.
fn rewrite(request: &mut Arrived, from: &str, to: &str) {
    let value = request.parts.headers["authorization"].to_str().unwrap();
    assert!(value.contains(from), "{from}");
    let value = value.replacen(from, to, 1);
    set(request, "authorization", &value);
}

/// Signs `names` of `request` as a client would, with code of this test's own.
fn sign(
    request: &mut Arrived,
    pair: &Pair,
    algorithm: aws_lc_rs::hmac::Algorithm,
    label: &str,
    names: &str,
    text: &str,
) {
    let key = aws_lc_rs::hmac::Key::new(algorithm, pair.secret.expose());
    let signature = STANDARD.encode(aws_lc_rs::hmac::sign(&key, text.as_bytes()));
    let username = std::str::from_utf8(pair.name.expose()).unwrap();
    let value =
        format!(r#"hmac username="{username}", algorithm="{label}", headers="{names}", signature="{signature}""#);
    set(request, "authorization", &value);
}

#[test]
fn accepts_every_request_that_the_vendors_sdk_signed() {
    let mut count = 0;
    for line in signed_vectors() {
        let (request, pair) = vector(&line);
        assert_eq!(verify(&request, &pair), Ok(()), "{}", line["name"]);
        count += 1;
    }
    assert_eq!(count, 26);
}

#[test]
fn refuses_what_was_changed_after_signing() {
    assert_eq!(refusal(|_| {}), None);
    let mismatches: [fn(&mut Arrived); 8] = [
        |request| request.parts.method = Method::PUT,
        |request| request.parts.uri = "/v1/message".parse().unwrap(),
        |request| request.parts.uri = "/v1/messages?".parse().unwrap(),
        |request| request.parts.version = http::Version::HTTP_10,
        |request| set(request, "date", "Wed, 04 Mar 2026 05:06:08 GMT"),
        |request| set(request, "content-md5", "d41d8cd98f00b204e9800998ecf8427e"),
        |request| request.body = Bytes::from_static(b"{}"),
        |request| request.body = [&request.body[..], b"\n"].concat().into(),
    ];
    for (index, change) in mismatches.into_iter().enumerate() {
        assert_eq!(refusal(change), Some(Refusal::Mismatch), "{index}");
    }
}

#[test]
fn refuses_another_key_and_another_secret() {
    let (request, mut pair) = post();
    pair.secret = Secret::new(b"s3cr3t-0123456789-ABCDEFGHIJKM".to_vec());
    assert_eq!(verify(&request, &pair), Err(Refusal::Mismatch));
    let (request, mut pair) = post();
    pair.name = Secret::new(b"AbCdEfGhIjKlMnOpQrSu".to_vec());
    assert_eq!(verify(&request, &pair), Err(Refusal::Unverifiable));
}

#[test]
fn refuses_every_other_grammar() {
    for (from, to) in [
        ("hmac username", "Hmac username"),
        ("hmac username", "hmac  username"),
        ("username=\"AbCdEfGhIjKlMnOpQrSt\"", "username=\"\""),
        ("username=\"AbCdEfGhIjKlMnOpQrSt\"", "username=AbCdEfGhIjKlMnOpQrSt"),
        (", algorithm", ",algorithm"),
        ("hmac-sha256", "hmac-sha224"),
        ("hmac-sha256", "HMAC-SHA256"),
        ("headers=", "header="),
        ("Date Content-MD5", "Date  Content-MD5"),
        ("Date Content-MD5", "Date Date Content-MD5"),
        ("Date Content-MD5 request-line", "Content-MD5 request-line"),
        ("Date Content-MD5 request-line", "Date request-line"),
        ("Date Content-MD5 request-line", "Date Content-MD5"),
        ("Date Content-MD5", "Date X-Absent Content-MD5"),
        ("signature=\"", "signature=\"\" \""),
        ("hmac username", "username"),
    ] {
        assert_eq!(refusal(|request| rewrite(request, from, to)), Some(Refusal::Unverifiable), "{from} -> {to}");
    }
    for (from, to) in [("hmac-sha256", "hmac-sha512"), ("Date", "date"), ("signature=\"", "signature=\"AAAA")] {
        assert_eq!(refusal(|request| rewrite(request, from, to)), Some(Refusal::Mismatch), "{from} -> {to}");
    }
}

#[test]
fn a_field_that_is_there_twice_is_not_verified() {
    let twice = |name: &'static str| {
        move |request: &mut Arrived| {
            let value = request.parts.headers[name].clone();
            request.parts.headers.append(name, value);
        }
    };
    assert_eq!(refusal(twice("authorization")), Some(Refusal::Unverifiable));
    assert_eq!(refusal(twice("content-md5")), Some(Refusal::Unverifiable));
    assert_eq!(refusal(twice("date")), Some(Refusal::Date));
}

#[test]
fn a_request_is_good_for_five_minutes_either_way() {
    let after = |seconds: u64| refusal(|request| request.now += Duration::from_secs(seconds));
    let before = |seconds: u64| refusal(|request| request.now -= Duration::from_secs(seconds));
    assert_eq!((after(300), before(300)), (None, None));
    assert_eq!((after(301), before(301)), (Some(Refusal::Date), Some(Refusal::Date)));
    assert_eq!(refusal(|request| drop(request.parts.headers.remove("date"))), Some(Refusal::Date));
    assert_eq!(refusal(|request| set(request, "date", "yesterday")), Some(Refusal::Date));
    assert_eq!(refusal(|request| request.now = SystemTime::UNIX_EPOCH), Some(Refusal::Date));
}

#[test]
fn without_authorization_nothing_was_presented() {
    let nothing = refusal(|request| drop(request.parts.headers.remove("authorization")));
    assert_eq!(nothing, Some(Refusal::NothingPresented));
    assert_eq!(Refusal::NothingPresented.message(), "Unauthorized");
}

#[test]
fn accepts_the_other_names_that_can_be_signed() {
    use aws_lc_rs::hmac::{HMAC_SHA384, HMAC_SHA512};
    let (mut request, pair) = post();
    let date = "Wed, 04 Mar 2026 05:06:09 GMT";
    for name in ["date", "content-md5"] {
        request.parts.headers.remove(name);
    }
    let sha256 = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &request.body);
    let digest = format!("SHA-256={}", STANDARD.encode(sha256));
    set(&mut request, "x-date", date);
    set(&mut request, "digest", &digest);
    set(&mut request, "host", "localhost:7001");
    let names = "X-Date Digest host @request-target";
    let text = format!("X-Date: {date}\nDigest: {digest}\nhost: localhost:7001\n@request-target: post /v1/messages");
    sign(&mut request, &pair, HMAC_SHA384, "hmac-sha384", names, &text);
    assert_eq!(verify(&request, &pair), Ok(()));
    sign(&mut request, &pair, HMAC_SHA512, "hmac-sha512", names, &text);
    assert_eq!(verify(&request, &pair), Ok(()));
    sign(&mut request, &pair, HMAC_SHA512, "hmac-sha512", names, &text.replace("post", "POST"));
    assert_eq!(verify(&request, &pair), Err(Refusal::Mismatch));
}

#[test]
fn a_field_cannot_stand_in_for_the_request_line() {
    let (mut request, pair) = post();
    set(&mut request, "request-line", "POST /v1/messages HTTP/1.1");
    assert_eq!(verify(&request, &pair), Err(Refusal::Unverifiable));
}

#[test]
fn a_digest_that_nobody_signed_is_not_verified() {
    assert_eq!(refusal(|request| set(request, "x-content-md5", "00")), Some(Refusal::Unverifiable));
    assert_eq!(refusal(|request| set(request, "digest", "SHA-256=")), Some(Refusal::Unverifiable));
}
