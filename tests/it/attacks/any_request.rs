//! The promise itself, as a property: of any request that passes, the upstream sees exactly one credential field, and it is
//! sidekey's.

use std::cell::Cell;

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::sample::select;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::MINE;
use crate::support::{Origin, Sidekey};

/// Of each scheme: its name here, its config, and the fields that are sidekey's alone.
const SCHEMES: [(&str, &str, &[&str]); 4] = [
    ("bearer", "auth.bearer = { token = \"env:TOKEN\" }", &["authorization", "proxy-authorization"]),
    (
        "basic",
        "auth.basic = { username = \"env:USER\", password = \"env:PASSWORD\" }",
        &["authorization", "proxy-authorization"],
    ),
    (
        "key",
        "auth.api-key = { key = \"file:key\", header = \"x-api-key\", prefix = \"\" }",
        &["x-api-key", "authorization", "proxy-authorization"],
    ),
    (
        "hmac",
        "auth.hmac = { username = \"env:KEY\", secret = \"file:secret\" }",
        &["authorization", "proxy-authorization", "date", "content-md5", "x-date", "digest", "request-line"],
    ),
];

#[derive(Clone, Debug)]
struct Asked {
    method: &'static str,
    target: String,
    fields: Vec<String>,
    body: Body,
}

#[derive(Clone, Debug)]
enum Body {
    None,
    Counted(String),
    Chunked(Vec<String>, Vec<String>),
}

impl Asked {
    fn on_the_wire(&self, upstream: &str) -> String {
        let Self { method, target, fields, body } = self;
        let lines: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
        let header = format!("{method} /{upstream}{target} HTTP/1.1\r\n{lines}Host: localhost\r\n");
        match body {
            Body::None => format!("{header}\r\n"),
            Body::Counted(body) => format!("{header}Content-Length: {}\r\n\r\n{body}", body.len()),
            Body::Chunked(chunks, trailers) => {
                let chunks: String = chunks.iter().map(|chunk| format!("{:x}\r\n{chunk}\r\n", chunk.len())).collect();
                let trailers: String = trailers.iter().map(|field| format!("{field}\r\n")).collect();
                format!("{header}Transfer-Encoding: chunked\r\n\r\n{chunks}0\r\n{trailers}\r\n")
            }
        }
    }
}

/// A field that is sidekey's alone, as the caller may write it, with the caller's own credential.
fn alias(owned: &'static [&'static str]) -> impl Strategy<Value = String> {
    let before = select(vec!["", "", "", "X-", "HTTP_", "http-", "_", "-", "HTTP_X_"]);
    let after = select(vec!["", "", "", "_", ".", "-"]);
    let letters = vec((any::<bool>(), select(vec!["-", "-", "_", ".", "~"])), 24);
    (select(owned), before, after, letters, "[ \t]{0,2}").prop_map(|(name, before, after, letters, blanks)| {
        let written: String = name
            .chars()
            .zip(letters)
            .map(|(letter, (upper, sign))| match letter {
                '-' => sign.to_owned(),
                _ if upper => letter.to_ascii_uppercase().to_string(),
                _ => letter.to_string(),
            })
            .collect();
        format!("{before}{written}{after}:{blanks}{MINE}")
    })
}

fn field(owned: &'static [&'static str]) -> impl Strategy<Value = String> {
    let names =
        vec!["authorization", "x-api-key", "host", "content-length", "date", "te", "close", "x-a", "keep-alive"];
    prop_oneof![
        4 => alias(owned),
        1 => vec(select(names), 0..4).prop_map(|names| format!("Connection: {}", names.join(", "))),
        1 => select(vec!["TE: trailers", "TE: gzip", "Trailer: Authorization", "Upgrade: h2c", "Cookie: a=b"])
            .prop_map(str::to_owned),
        2 => ("[a-zA-Z0-9!#$%&'*+.^_`|~-]{1,3}", "[ -~]{0,20}").prop_map(|(name, value)| format!("{name}: {value}")),
    ]
}

fn asked(owned: &'static [&'static str]) -> impl Strategy<Value = Asked> {
    let target = "(/[a-zA-Z0-9._~!$&'()*+,;=:@-]{0,6}){1,4}(\\?[a-z=&/]{0,8})?";
    let fields = || vec(field(owned), 0..8);
    let body = prop_oneof![
        Just(Body::None),
        "[ -~\r\n]{0,40}".prop_map(Body::Counted),
        (vec("[ -~\r\n]{1,20}", 0..4), fields()).prop_map(|(chunks, trailers)| Body::Chunked(chunks, trailers)),
    ];
    let method = select(vec!["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PURGE", "get"]);
    (method, target, fields(), body).prop_map(|(method, target, fields, body)| Asked { method, target, fields, body })
}

#[test]
fn of_any_request_that_passes_the_upstream_sees_one_credential_and_it_is_ours() {
    let origin = Origin::ok();
    let upstream =
        |(name, auth, _): &(&str, &str, _)| format!("[upstream.{name}]\nurl = \"{}\"\n{auth}\n", origin.url());
    let sidekey = Sidekey::start(&SCHEMES.iter().map(upstream).collect::<String>());
    let values = [
        ("authorization", format!("Bearer {}", sidekey.secret("env:TOKEN"))),
        ("authorization", "Basic ".to_owned()),
        ("x-api-key", sidekey.secret("file:key").to_owned()),
        ("authorization", format!("hmac username=\"{}\"", sidekey.secret("env:KEY"))),
    ];
    for ((upstream, _, owned), (name, value)) in SCHEMES.into_iter().zip(&values) {
        let config = Config { cases: 50, failure_persistence: None, ..Config::default() };
        let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
        let (before, arrived) = (origin.requests().len(), Cell::new(origin.requests().len()));
        let outcome = runner.run(&asked(owned), |asked| {
            let answer = sidekey.ask(asked.on_the_wire(upstream));
            let requests = origin.requests();
            if answer.status != 200 {
                assert_eq!(requests.len(), arrived.get(), "{answer:?}");
                return Ok(());
            }
            assert_eq!(requests.len(), arrived.replace(requests.len()) + 1);
            let request = requests.last().unwrap();
            let ours = request.fields.all(name);
            assert!(ours.len() == 1 && ours[0].starts_with(value.as_str()), "{request:?}");
            assert!(!request.trailers.has(name) && !format!("{request:?}").contains(MINE), "{request:?}");
            Ok(())
        });
        outcome.unwrap();
        assert!(arrived.get() - before >= 40, "hardly any request passed to `{upstream}`");
    }
    assert!(!String::from_utf8_lossy(&origin.raw()).contains(MINE));
}
