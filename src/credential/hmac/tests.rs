//! The vendor's own requests, signed anew; and the rules of the grammar that they do not touch.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderName, header};
use serde_json::Value;

use super::Hmac;
use crate::credential::tests::{authorization, head, now, place, read, refusal};
use crate::credential::{Credential, PlaceError};
use crate::message::RequestHead;

const VECTORS: &str = include_str!("../../../tests/vectors/messaging_hub.jsonl");
const SECRETS: [(&str, &[u8]); 2] = [("env:K", b"user"), ("env:S", b"secret")];

fn hmac(options: &str) -> Credential {
    read(&format!("auth.hmac = {{ username = 'env:K', secret = 'env:S'{options} }}"), &SECRETS)
}

fn hmac_refusal(options: &str) -> String {
    refusal(&format!("auth.hmac = {{ username = 'env:K', secret = 'env:S'{options} }}"), &SECRETS)
}

fn signing_text(credential: &Credential, head: &RequestHead) -> (String, String) {
    let Credential::Hmac(hmac) = credential else { panic!("not hmac") };
    let mut listed = Vec::new();
    let text = Hmac::signing_text(hmac, head, &mut listed).unwrap();
    (String::from_utf8(text).unwrap(), String::from_utf8(listed).unwrap())
}

/// The config that the request's author must have had.
fn auth_of(vector: &Value) -> String {
    let authorization = vector["authorization"].as_str().unwrap();
    if authorization.starts_with("Basic ") {
        return "auth.basic = { username = 'env:K', password = 'env:S' }".into();
    }
    let algorithm = if authorization.contains("hmac-sha1") { "hmac-sha1" } else { "hmac-sha256" };
    let names = if authorization.contains("\"date ") { "'date', 'x-Content-MD5'" } else { "'Date', 'Content-MD5'" };
    format!(
        "auth.hmac = {{ username = 'env:K', secret = 'env:S', algorithm = '{algorithm}', headers = [{names}, 'request-line'] }}"
    )
}

#[test]
fn every_request_of_the_vendors_sdk_and_documentation_is_signed_alike() {
    let mut checked = 0;
    for line in VECTORS.lines() {
        let vector: Value = serde_json::from_str(line).unwrap();
        let text = |key: &str| vector[key].as_str().unwrap();
        let secrets = [("env:K", text("key").as_bytes()), ("env:S", text("secret").as_bytes())];
        let credential = read(&auth_of(&vector), &secrets);
        let body = STANDARD.decode(text("body_base64")).unwrap();
        let head = place(&credential, text("method"), text("target"), &[], &body);
        if let Some(expected) = vector["signing_string"].as_str() {
            assert_eq!(signing_text(&credential, &head).0, expected, "{}", text("name"));
        }
        assert_eq!(authorization(&head), text("authorization"), "{}", text("name"));
        for sent in vector["headers"].as_array().unwrap() {
            let (name, value) = (sent[0].as_str().unwrap(), sent[1].as_str().unwrap());
            if matches!(name, "Date" | "date" | "Content-MD5" | "x-Content-MD5") {
                assert_eq!(head.fields.get(&HeaderName::from_bytes(name.as_bytes()).unwrap()), Some(value.as_bytes()));
            }
        }
        checked += 1;
    }
    assert_eq!(checked, 28);
}

#[test]
fn the_default_is_the_documented_form() {
    let head = place(&hmac(""), "POST", "/v1/messages?x=y", &[], b"{}");
    let value = authorization(&head);
    let opening =
        "hmac username=\"user\", algorithm=\"hmac-sha256\", headers=\"Date Content-MD5 request-line\", signature=\"";
    assert!(value.starts_with(opening) && value.ends_with("=\""), "{value}");
}

#[test]
fn a_request_without_a_body_neither_sends_nor_lists_its_digest() {
    let credential = hmac(", headers = ['Date', 'Digest', 'Content-MD5', 'request-line']");
    let head = place(&credential, "GET", "/", &[("digest", "x"), ("content-md5", "x")], b"");
    assert!(
        !head.fields.has(&HeaderName::from_static("digest"))
            && !head.fields.has(&HeaderName::from_static("content-md5"))
    );
    assert_eq!(signing_text(&credential, &head).1, "Date request-line");
}

#[test]
fn every_kind_of_name_has_its_line() {
    let names = "'X-Date', 'host', '@request-target', 'Digest', 'CONTENT-md5', 'Account', 'x-absent', 'request-line'";
    let credential = hmac(&format!(", headers = [{names}]"));
    let head = place(&credential, "POST", "/v1/x?a=%20&b", &[("account", "sub, two")], b"hello");
    let (text, listed) = signing_text(&credential, &head);
    assert_eq!(
        text,
        "X-Date: Wed, 04 Mar 2026 05:06:07 GMT\n\
         host: x.test\n\
         @request-target: post /v1/x?a=%20&b\n\
         Digest: SHA-256=LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=\n\
         CONTENT-md5: 5d41402abc4b2a76b9719d911017c592\n\
         Account: sub, two\n\
         POST /v1/x?a=%20&b HTTP/1.1"
    );
    assert_eq!(listed, "X-Date host @request-target Digest CONTENT-md5 Account request-line");
    assert!(!head.fields.has(&header::DATE));
}

#[test]
fn every_algorithm_signs_with_its_own_length() {
    for (algorithm, length) in [("hmac-sha1", 28), ("hmac-sha256", 44), ("hmac-sha384", 64), ("hmac-sha512", 88)] {
        let head = place(&hmac(&format!(", algorithm = '{algorithm}'")), "GET", "/", &[], b"");
        let signature = authorization(&head).rsplit('"').nth(1).unwrap().to_owned();
        assert_eq!(signature.len(), length, "{algorithm}");
        assert!(authorization(&head).contains(&format!("algorithm=\"{algorithm}\"")));
    }
}

#[test]
fn the_value_is_written_without_growing() {
    let credential = hmac(", algorithm = 'hmac-sha512'");
    let Credential::Hmac(hmac) = &credential else { panic!("not hmac") };
    let head = place(&credential, "POST", "/", &[], b"x");
    // One space less than names.
    assert_eq!(authorization(&head).len() + 1, hmac.capacity());
}

#[test]
fn a_signed_field_that_occurs_twice_is_refused() {
    let credential = hmac(", headers = ['Date', 'Account', 'request-line']");
    let mut head = head("GET", "/", &[("account", "a"), ("Account", "b")]);
    assert_eq!(credential.place(&mut head, b"", now), Err(PlaceError::RepeatedField));
    assert!(!head.fields.has(&header::AUTHORIZATION));
}

#[test]
fn the_body_is_held_only_where_it_is_signed() {
    assert_eq!(hmac("").signs_body(), Some(10 << 20));
    assert_eq!(hmac(", max_signed_body = '1KiB'").signs_body(), Some(1024));
    assert_eq!(hmac(", headers = ['Date', 'request-line']").signs_body(), None);
}

#[test]
fn the_callers_own_copies_of_what_is_signed_are_owned() {
    let owned: Vec<String> = hmac("").owned_headers().iter().map(ToString::to_string).collect();
    assert_eq!(owned, ["date", "x-date", "digest", "content-md5", "x-content-md5", "request-line"]);
}

#[test]
fn a_list_that_does_not_bind_request_and_time_is_refused() {
    assert!(hmac_refusal(", headers = ['Date', 'host']").contains("neither `request-line` nor `@request-target`"));
    assert!(hmac_refusal(", headers = ['request-line']").contains("neither `Date` nor `X-Date` is signed"));
    assert!(hmac_refusal(", headers = []").starts_with("error: 2 problems"));
}

#[test]
fn a_name_that_cannot_be_signed_is_refused() {
    let list = |name| hmac_refusal(&format!(", headers = ['Date', 'request-line', '{name}']"));
    for name in ["a b", "a\"b", "", "Request-Line", "@target", "Authorization", "content-length", "te", "dAte"] {
        assert!(list(name).contains("hmac.headers[2]`: "), "{name}");
    }
}

#[test]
fn a_user_name_that_would_leave_its_quotes_is_refused() {
    for username in [&b"us\"er"[..], b"us\\er"] {
        let report = refusal(
            "auth.hmac = { username = 'env:K', secret = 'env:S' }",
            &[("env:K", username), ("env:S", b"secret")],
        );
        assert!(report.contains("hmac.username`: the user name holds a quote or a backslash"));
    }
}
