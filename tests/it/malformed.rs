//! Requests that are too large or of another version, and what the answer to a malformed one does not say.

use crate::support::{Origin, QUERY, Sidekey, get, get_with};

#[test]
fn the_detail_does_not_repeat_the_request() {
    let origin = Origin::ok();
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let answer = sidekey.ask(format!("GET /api/x?{QUERY} HTTP/1.1\r\nHost: localhost\r\n{QUERY}\r\n\r\n"));
    answer.assert_own(400, "http_request_error");
    assert!(!answer.text().contains(QUERY));
}

#[test]
fn a_header_of_64_kib_passes_and_a_longer_one_is_answered_431() {
    let origin = Origin::ok();
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let with = |length: usize| {
        let frame = "GET /api/x HTTP/1.1\r\nHost: localhost\r\nX: \r\n\r\n";
        frame.replace("X: ", &format!("X: {}", "y".repeat(length - frame.len())))
    };
    sidekey.ask(with(64 * 1024)).assert_passed_on(200);
    for header in [with(64 * 1024 + 1), with(200 * 1024)] {
        let mut caller = sidekey.connect();
        // The rest may be refused while it is sent.
        let _ = caller.try_send(header);
        caller.response().assert_own(431, "http_request_error");
    }
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn so_does_a_header_of_128_fields() {
    let origin = Origin::ok();
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let with = |fields: usize| get_with("/api/x", &"X: y\r\n".repeat(fields - 1));
    sidekey.ask(with(128)).assert_passed_on(200);
    sidekey.ask(with(129)).assert_own(431, "http_request_error");
    assert_eq!(origin.request().fields.all("x").len(), 127);
}

#[test]
fn another_version_is_answered_505() {
    let origin = Origin::ok();
    let sidekey = Sidekey::start(&origin.upstream("api"));
    for version in ["HTTP/2.0", "HTTP/1.2", "HTTP/0.9", "HTTP/3.1"] {
        let request = get("/api/x").replace("HTTP/1.1", version);
        sidekey.ask(request).assert_own(505, "http_request_error");
    }
    sidekey.ask("PRI * HTTP/3.0\r\n\r\nSM\r\n\r\n").assert_own(505, "http_request_error");
    assert_eq!(origin.connections(), 0);
}
