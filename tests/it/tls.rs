//! TLS towards the upstream: always verified, with the name that the config says.

use std::io::{Read, Write};
use std::sync::mpsc::channel;

use rustls::SupportedProtocolVersion;
use rustls::version::{TLS12, TLS13};
use tempfile::TempDir;

use crate::support::{Authority, Conversation, Identity, OK, Origin, PATIENCE, Sidekey, get, post, until_true};

const BOTH: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];

/// An origin with the certificate of `identity`, and sidekey before it that trusts `trusted`.
struct Secure {
    origin: Origin,
    sidekey: Sidekey,
}

impl Secure {
    fn start(identity: &Identity, trusted: &Authority) -> Self {
        Self::start_with(identity, &BOTH, None, trusted, |_| String::new())
    }

    /// `more`: further keys of `tls`, which may refer to files that it writes.
    fn start_with(
        identity: &Identity,
        versions: &[&'static SupportedProtocolVersion],
        callers: Option<&Authority>,
        trusted: &Authority,
        more: impl Fn(&TempDir) -> String,
    ) -> Self {
        let origin = Origin::tls(identity.serve(versions, callers), |conversation| {
            let name = conversation.server_name.clone().unwrap_or_default();
            conversation.answer_all(OK.replace("\r\n\r\n", &format!("\r\nX-Asked-For: {name}\r\n\r\n")));
        });
        let folder = tempfile::tempdir().unwrap();
        let tls = format!("{}{}", trusted.write(folder.path()), more(&folder));
        let config = format!(
            "[upstream.api]\nurl = \"https://localhost:{}\"\nauth.bearer = {{ token = \"env:TOKEN\" }}\ntls = {{ {tls} }}\n",
            origin.port()
        );
        Self { origin, sidekey: Sidekey::start_in(folder, &config, "json") }
    }

    fn assert_refused(&self, error: &str) {
        self.sidekey.ask(get("/api/x")).assert_own(502, error);
        self.sidekey.ask(post("/api/x", "body")).assert_own(502, error);
        assert!(self.origin.requests().is_empty(), "nothing was sent");
    }

    fn assert_served(&self) -> String {
        let mut caller = self.sidekey.connect();
        caller.send(get("/api/x"));
        caller.response().assert_passed_on(200);
        caller.send(post("/api/x", "body"));
        let answer = caller.response();
        answer.assert_passed_on(200);
        assert_eq!(self.origin.connections(), 1);
        answer.fields.get("x-asked-for").unwrap().to_owned()
    }
}

#[test]
fn a_certificate_of_a_known_ca_for_the_name_is_trusted() {
    let authority = Authority::new();
    assert_eq!(Secure::start(&authority.server("localhost"), &authority).assert_served(), "localhost");
}

#[test]
fn tls_1_2_alone_and_tls_1_3_alone_will_do() {
    let authority = Authority::new();
    for version in [&TLS12, &TLS13] {
        let identity = authority.server("localhost");
        Secure::start_with(&identity, &[version], None, &authority, |_| String::new()).assert_served();
    }
}

#[test]
fn a_certificate_for_another_name_is_refused() {
    let authority = Authority::new();
    Secure::start(&authority.server("other.example"), &authority).assert_refused("tls_certificate_error");
}

/// That no secret is in the log, the harness asserts.
#[test]
fn a_credential_that_a_certificate_is_for_is_not_in_the_log() {
    let authority = Authority::new();
    let folder = tempfile::tempdir().unwrap();
    let origin = Origin::tls(authority.server("k3y-of-the-vendor.example").serve(&BOTH, None), |_| {});
    std::fs::write(folder.path().join("token"), "k3y-of-the-vendor").unwrap();
    let config = format!(
        "[upstream.api]\nurl = \"https://localhost:{}\"\nauth.bearer = {{ token = \"file:token\" }}\ntls = {{ {} }}\n",
        origin.port(),
        authority.write(folder.path())
    );
    let sidekey = Sidekey::start_in(folder, &config, "json");
    sidekey.ask(get("/api/x")).assert_own(502, "tls_certificate_error");
    until_true("the line", || sidekey.log().contains("\"problem\":"));
    assert!(sidekey.log().contains("[redacted:api].example"), "{}", sidekey.log());
}

#[test]
fn a_certificate_of_an_unknown_ca_is_refused() {
    let server = Authority::new().server("localhost");
    Secure::start(&server, &Authority::new()).assert_refused("tls_certificate_error");
}

#[test]
fn an_expired_certificate_is_refused() {
    let authority = Authority::new();
    Secure::start(&authority.expired_server("localhost"), &authority).assert_refused("tls_certificate_error");
}

#[test]
fn a_certificate_for_clients_is_no_servers() {
    let authority = Authority::new();
    Secure::start(&authority.client("localhost"), &authority).assert_refused("tls_certificate_error");
}

#[test]
fn the_systems_roots_do_not_know_the_tests_ca() {
    let authority = Authority::new();
    let origin =
        Origin::tls(authority.server("localhost").serve(&BOTH, None), |conversation| conversation.answer_all(OK));
    let url = format!("https://localhost:{}", origin.port());
    let config = format!("[upstream.api]\nurl = \"{url}\"\nauth.bearer = {{ token = \"env:TOKEN\" }}\n");
    Sidekey::start(&config).ask(get("/api/x")).assert_own(502, "tls_certificate_error");
}

#[test]
fn server_name_is_asked_for_and_checked_in_the_hosts_place() {
    let authority = Authority::new();
    let named = |_: &TempDir| ", server_name = \"vendor.example\"".to_owned();
    let right = Secure::start_with(&authority.server("vendor.example"), &BOTH, None, &authority, named);
    assert_eq!(right.assert_served(), "vendor.example");
    let request = right.origin.requests().remove(0);
    assert_eq!(request.fields.get("host"), Some(format!("localhost:{}", right.origin.port()).as_str()));
    Secure::start_with(&authority.server("localhost"), &BOTH, None, &authority, named)
        .assert_refused("tls_certificate_error");
}

#[test]
fn an_address_in_the_url_is_checked_as_one() {
    let authority = Authority::new();
    for (name, status) in [("127.0.0.1", 200), ("localhost", 502)] {
        let identity = authority.server(name);
        let origin = Origin::tls(identity.serve(&BOTH, None), |conversation| conversation.answer_all(OK));
        let folder = tempfile::tempdir().unwrap();
        let config = format!("{}tls = {{ {} }}\n", origin.upstream("api"), authority.write(folder.path()));
        let sidekey = Sidekey::start_in(folder, &config, "json");
        assert_eq!(sidekey.ask(get("/api/x")).status, status, "{name}");
    }
}

#[test]
fn plain_http_where_tls_was_to_be_is_a_protocol_error() {
    let origin = Origin::plain(|conversation| {
        conversation.send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        conversation.rest();
    });
    let url = origin.url().replace("http://", "https://");
    let config = format!("[upstream.api]\nurl = \"{url}\"\nauth.bearer = {{ token = \"env:TOKEN\" }}\n");
    let sidekey = Sidekey::start(&config);
    sidekey.ask(get("/api/x")).assert_own(502, "tls_protocol_error");
}

#[test]
fn a_client_certificate_is_shown_to_who_asks_for_one() {
    let authority = Authority::new();
    let (certificate, key) = authority.client("caller.example").pem();
    let shown = |folder: &TempDir| {
        std::fs::write(folder.path().join("client.pem"), &certificate).unwrap();
        std::fs::write(folder.path().join("client.key"), &key).unwrap();
        ", client_cert = \"client.pem\", client_key = \"file:client.key\"".to_owned()
    };
    let server = authority.server("localhost");
    for versions in [&[&TLS13][..], &[&TLS12]] {
        Secure::start_with(&server, versions, Some(&authority), &authority, shown).assert_served();
        let without = Secure::start_with(&server, versions, Some(&authority), &authority, |_| String::new());
        assert_eq!(without.sidekey.ask(get("/api/x")).status, 502);
        assert!(without.origin.requests().is_empty());
    }
}

#[test]
fn a_connection_that_ends_without_close_notify_cuts_an_answer_that_only_its_end_would_end() {
    let authority = Authority::new();
    let origin = Origin::tls(authority.server("localhost").serve(&BOTH, None), |conversation| {
        conversation.request();
        conversation.send("HTTP/1.1 200 OK\r\n\r\nhello");
        std::thread::sleep(std::time::Duration::from_millis(100));
        conversation.close();
    });
    let folder = tempfile::tempdir().unwrap();
    let config = format!("{}tls = {{ {} }}\n", origin.upstream("api"), authority.write(folder.path()))
        .replace("127.0.0.1", "localhost");
    let sidekey = Sidekey::start_in(folder, &config, "json");
    let mut caller = sidekey.connect();
    caller.send(get("/api/x"));
    caller.cut_response();
}

/// An origin that answers each request by `script`, and sidekey before it.
fn answering(script: impl Fn(&mut Conversation) + Send + Sync + 'static) -> (Origin, Sidekey) {
    answering_with("", script)
}

/// The same, with these keys of the upstream.
fn answering_with(keys: &str, script: impl Fn(&mut Conversation) + Send + Sync + 'static) -> (Origin, Sidekey) {
    let authority = Authority::new();
    let origin = Origin::tls(authority.server("localhost").serve(&BOTH, None), move |conversation| {
        while conversation.request().is_some() {
            script(conversation);
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let config = format!("{}{keys}tls = {{ {} }}\n", origin.upstream("api"), authority.write(folder.path()))
        .replace("127.0.0.1", "localhost");
    (origin, Sidekey::start_in(folder, &config, "json"))
}

/// No two parts of it are alike.
fn body_of(length: usize) -> Vec<u8> {
    (0u32..).flat_map(u32::to_be_bytes).take(length).collect()
}

fn ok_of(length: usize) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
    [head.as_bytes(), &body_of(length)].concat()
}

#[test]
fn an_answer_of_any_number_of_records_comes_whole() {
    for length in [0, 1, 16_000, 16_384, 50_000, 65_536, 100_000, 1_000_000] {
        let (origin, sidekey) = answering(move |conversation| conversation.send(ok_of(length)));
        let mut caller = sidekey.connect();
        for _ in 0..4 {
            caller.send(get("/api/x"));
            assert!(caller.response().body == body_of(length), "{length}");
        }
        assert_eq!(origin.connections(), 1);
    }
}

#[test]
fn a_body_of_any_number_of_records_arrives_whole() {
    let (origin, sidekey) = answering(|conversation| conversation.send(OK));
    let mut caller = sidekey.connect();
    for length in [1, 3_900, 4_096, 16_384, 65_537, 1_000_000] {
        let head = format!("POST /api/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n");
        caller.send([head.as_bytes(), &body_of(length)].concat());
        caller.response().assert_passed_on(200);
        assert!(origin.requests().pop().unwrap().body == body_of(length), "{length}");
    }
}

#[test]
fn a_record_that_cannot_be_deciphered_cuts_the_answer_after_those_that_can() {
    let (origin, sidekey) = answering(|conversation| {
        let answer = ok_of(100_000);
        conversation.send(&answer[..60_000]);
        // Of application data, and nobody's.
        let record = [&[23, 3, 3, 0, 32][..], &[7; 32]].concat();
        conversation.socket().write_all(&record).unwrap();
        // It stays until sidekey has gone, whose last word is an alert.
        let _ = conversation.socket().read_to_end(&mut Vec::new());
    });
    for _ in 0..8 {
        let mut caller = sidekey.connect();
        caller.send(get("/api/x"));
        let (answer, _) = caller.cut_response();
        assert_eq!(answer.status, 200);
        assert!(answer.body.len() < 60_000 && body_of(60_000).starts_with(&answer.body));
    }
    assert_eq!(origin.connections(), 8);
}

#[test]
fn a_connection_on_which_more_came_than_the_answer_is_not_used_again() {
    // What is more ends the answer's last record, or is one of its own. It leaves with the answer: nobody can tell what comes
    // later from an answer to the next request.
    for length in [20_000, 2 * 16 * 1024 - ok_of(10_000).len() + 10_000] {
        let (origin, sidekey) = answering(move |conversation| conversation.send([ok_of(length), OK.into()].concat()));
        let mut caller = sidekey.connect();
        for _ in 0..4 {
            caller.send(get("/api/x"));
            assert_eq!(caller.response().body.len(), length);
        }
        assert_eq!(origin.connections(), 4);
    }
}

#[test]
fn an_upstream_is_told_when_a_connection_with_nothing_under_way_is_closed() {
    let closing = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok";
    for (keys, answer) in [("", closing), ("pool = { max_idle = 0 }\n", OK), ("pool = { idle = \"1ms\" }\n", OK)] {
        let (tell, told) = channel();
        let (origin, sidekey) = answering_with(keys, move |conversation| {
            conversation.send(answer);
            let mut last = Vec::new();
            let _ = conversation.socket().read_to_end(&mut last);
            let _ = tell.send(last);
        });
        until_true("another connection", || {
            sidekey.ask(get("/api/x")).assert_passed_on(200);
            origin.connections() > 1
        });
        // An alert of TLS 1.3 is a record that looks like data: two bytes, their type, and the tag.
        let last = told.recv_timeout(PATIENCE).unwrap();
        assert!(last.starts_with(&[23, 3, 3, 0, 19]) && last.len() == 24, "{keys}: {last:?}");
    }
}
