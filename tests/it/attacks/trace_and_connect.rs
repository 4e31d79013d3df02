//! Methods that would show the credential to the caller, or open a way past sidekey.

use crate::support::{Origin, Sidekey, get, get_with};

#[test]
fn connect_and_trace_are_refused() {
    let origin = Origin::ok();
    let sidekey = Sidekey::start(&origin.upstream("api"));
    for request in [
        "CONNECT api.localhost:443 HTTP/1.1\r\nHost: api.localhost:443\r\n\r\n",
        "CONNECT /api/x HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "TRACE /api/x HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "TRACE http://api.localhost/ HTTP/1.1\r\nHost: api.localhost\r\n\r\n",
    ] {
        let answer = sidekey.ask(request);
        answer.assert_own(405, "http_request_denied");
        let allow = answer.fields.get("allow").unwrap();
        assert!(allow.contains("GET") && !allow.contains("TRACE") && !allow.contains("CONNECT"));
    }
    assert_eq!(origin.connections(), 0);
}

#[test]
fn trace_is_refused_however_it_is_written() {
    let origin = Origin::ok();
    let sidekey = Sidekey::start(&origin.upstream("api"));
    for method in ["TRACE", "trace", "Track", "connect"] {
        sidekey.ask(get("/api/x").replace("GET", method)).assert_own(405, "http_request_denied");
    }
    assert_eq!(origin.connections(), 0);
}

/// The preface of HTTP/2 within a connection, and the upgrade to it, with what an HTTP/2 server would take for frames behind it.
#[test]
fn no_other_protocol_is_begun() {
    let origin = Origin::ok();
    let sidekey = Sidekey::start(&origin.upstream("api"));
    sidekey.ask(b"\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").assert_own(505, "http_request_error");
    assert_eq!(origin.connections(), 0);
    let upgrade = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n";
    sidekey.ask(get_with("/api/x", upgrade)).assert_passed_on(200);
    let arrived = origin.request().fields;
    assert!(!arrived.has("upgrade") && !arrived.has("connection") && !arrived.has("http2-settings"), "{arrived:?}");
}
