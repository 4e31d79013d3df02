//! What the schemes' tests share, and what holds for every scheme.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{Request, header};

use super::Credential;
use crate::Config;
use crate::config::file::parse_with;
use crate::message::RequestHead;
use crate::secret::source::Source;

type Secrets<'a> = [(&'a str, &'a [u8])];

fn parse(auth: &str, secrets: &Secrets<'_>) -> Result<Config, crate::ConfigError> {
    let text = format!("[upstream.x]\nurl = 'https://x.test'\n{auth}\n");
    parse_with(Path::new("sidekey.toml"), &text, Source::Given(secrets))
}

/// The credential of an upstream with this `auth.SCHEME = { … }`.
pub(super) fn read(auth: &str, secrets: &Secrets<'_>) -> Credential {
    match parse(auth, secrets) {
        Ok(config) => config.upstreams.into_iter().next().unwrap().credentials.into_main().unwrap(),
        Err(error) => panic!("{error}"),
    }
}

/// Why it is refused. No message holds any of the secrets.
pub(super) fn refusal(auth: &str, secrets: &Secrets<'_>) -> String {
    let Err(error) = parse(auth, secrets) else { panic!("it was not refused: {auth}") };
    let report = error.to_string();
    for (_, secret) in secrets.iter().filter(|(_, secret)| secret.len() > 3) {
        assert!(!report.contains(&*String::from_utf8_lossy(secret)), "{report}");
    }
    report
}

pub(super) fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_772_600_767)
}

/// A request's head with the credential on it.
pub(super) fn place(
    credential: &Credential,
    method: &str,
    target: &str,
    fields: &[(&str, &str)],
    body: &[u8],
) -> RequestHead {
    let mut head = head(method, target, fields);
    credential.place(&mut head, body, now).unwrap();
    head
}

pub(super) fn head(method: &str, target: &str, fields: &[(&str, &str)]) -> RequestHead {
    let builder = Request::builder().method(method).uri(target).header("host", "x.test");
    let request = fields.iter().fold(builder, |request, (name, value)| request.header(*name, *value));
    request.body(()).unwrap().into_parts().0.into()
}

pub(super) fn authorization(head: &RequestHead) -> &str {
    let mut lines = head.fields.iter().filter(|line| line.name == header::AUTHORIZATION.as_str().as_bytes());
    let line = lines.next().unwrap();
    assert!(line.is_secret && lines.next().is_none());
    std::str::from_utf8(line.value).unwrap()
}

const EVERY_SCHEME: [&str; 4] = [
    "auth.basic = { username = 'env:A', password = 'env:B' }",
    "auth.bearer = { token = 'env:A' }",
    "auth.api-key = { key = 'env:A' }",
    "auth.hmac = { username = 'env:A', secret = 'env:B' }",
];
const SECRETS: [(&str, &[u8]); 2] = [("env:A", b"alpha"), ("env:B", b"beta")];

#[test]
fn every_scheme_is_read_by_its_name() {
    for (auth, name) in EVERY_SCHEME.iter().zip(super::SCHEMES) {
        assert_eq!(read(auth, &SECRETS).scheme(), *name);
    }
}

#[test]
fn the_credential_replaces_what_was_there_and_is_sensitive() {
    for auth in EVERY_SCHEME {
        let there = [("authorization", "the caller's"), ("authorization", "twice")];
        let head = place(&read(auth, &SECRETS), "GET", "/", &there, b"");
        assert_ne!(authorization(&head), "the caller's");
    }
}

#[test]
fn a_replica_places_the_same_from_its_own_memory() {
    for auth in EVERY_SCHEME {
        let credential = read(auth, &SECRETS);
        let replica = credential.replica();
        let (one, other) = (place(&credential, "GET", "/", &[], b""), place(&replica, "GET", "/", &[], b""));
        assert_eq!(authorization(&one), authorization(&other));
        assert_ne!(authorization(&one).as_ptr(), authorization(&other).as_ptr());
        assert_eq!(credential.owned_headers(), replica.owned_headers());
        assert_eq!(credential.signs_body(), replica.signs_body());
    }
}

#[test]
fn every_missing_part_is_told_at_once() {
    let report = refusal("auth.hmac = { username = 'env:NO', secret = 'hunter2', extra = 1 }", &[]);
    assert!(report.starts_with("error: 3 problems"), "{report}");
    assert!(!report.contains("hunter2"), "{report}");
}
