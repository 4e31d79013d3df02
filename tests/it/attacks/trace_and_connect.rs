//! Methods that would show the credential to the caller, or open a way past sidekey.

use crate::support::{Origin, Sidekey, get};

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
