//! The vendor's TLS is not what it should be. That of names and dates is in `tests/it/tls.rs`.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::version::TLS13;

use crate::support::{Authority, Conversation, Identity, OK, Origin, Sidekey, get, post};

/// sidekey before an origin on TLS, which it trusts `authority` to know.
fn before(origin: &Origin, authority: &Authority) -> Sidekey {
    let folder = tempfile::tempdir().unwrap();
    let (port, tls) = (origin.port(), authority.write(folder.path()));
    let config = format!(
        "[upstream.api]\nurl = \"https://localhost:{port}\"\nauth.bearer = {{ token = \"env:TOKEN\" }}\ntls = {{ {tls} }}\n"
    );
    Sidekey::start_in(folder, &config, "json")
}

fn serving(config: Arc<ServerConfig>) -> Origin {
    Origin::tls(config, |conversation| conversation.answer_all(OK))
}

#[test]
fn a_certificate_that_signed_itself_is_refused() {
    let identity: Identity = Authority::self_signed_server("localhost");
    let origin = serving(identity.serve(&[&TLS13], None));
    let sidekey = before(&origin, &Authority::new());
    sidekey.ask(get("/api/x")).assert_own(502, "tls_certificate_error");
    sidekey.ask(post("/api/x", "body")).assert_own(502, "tls_certificate_error");
    assert!(origin.requests().is_empty(), "nothing was sent");
}

/// A ServerHello of TLS 1.1 (RFC 4346 7.4.1.3), to whatever was asked.
fn says_tls_1_1(conversation: &mut Conversation) {
    let hello = conversation.some().unwrap();
    assert_eq!(hello[0], 22, "a handshake, and nothing else");
    let session = 0;
    let cipher = [0xc0, 0x13];
    let body = [&[3, 2][..], &[7; 32], &[session], &cipher, &[0]].concat();
    let length = u8::try_from(body.len()).unwrap();
    let handshake = [&[2, 0, 0, length][..], &body].concat();
    conversation.send([&[22, 3, 2, 0, length + 4][..], &handshake].concat());
    // Its last word is an alert, and never a request.
    let (rest, _) = conversation.rest();
    assert_eq!(rest.first(), Some(&21), "{rest:?}");
}

#[test]
fn an_upstream_that_speaks_tls_1_1_alone_is_refused() {
    let origin = Origin::plain(says_tls_1_1);
    let sidekey = before(&origin, &Authority::new());
    let answer = sidekey.ask(get("/api/x"));
    answer.assert_own(502, "tls_protocol_error");
    assert!(answer.text().contains("urn:sidekey:problem:tls-protocol"));
    let record = sidekey.access(|record| record["status"] == 502);
    assert!(record["error"].as_str().unwrap().contains("peer is incompatible"), "{record}");
}

/// Staples are not read: no certificate is taken, or refused, for one.
#[test]
fn a_staple_of_garbage_changes_nothing() {
    let authority = Authority::new();
    let garbage = [0xde, 0xad, 0xbe, 0xef].repeat(64);
    let good = serving(authority.server("localhost").serve_stapled(&garbage));
    before(&good, &authority).ask(get("/api/x")).assert_passed_on(200);
    let bad = serving(authority.server("other.example").serve_stapled(&garbage));
    before(&bad, &authority).ask(get("/api/x")).assert_own(502, "tls_certificate_error");
}

#[test]
fn an_upstream_that_goes_in_the_handshake_is_502() {
    for reset in [false, true] {
        let origin = Origin::plain(move |conversation| {
            conversation.some().unwrap();
            if reset {
                conversation.reset();
            }
        });
        let sidekey = before(&origin, &Authority::new());
        sidekey.ask(get("/api/x")).assert_own(502, "connection_terminated");
        assert_eq!(origin.connections(), 1, "it is not tried again");
    }
}
