//! Requests that two readers could frame in two ways, or take for two: answered with 400, named in the log, and the
//! connection is closed. None of them reaches the upstream.

use crate::support::{Origin, Sidekey, get, holds, until_true};

/// Requests that two readers could frame in two ways, or that mean nothing.
const MALFORMED: [(&str, &[u8]); 42] = [
    ("both framings", b"POST /api/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("both framings, the other way", b"POST /api/x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"),
    ("two lengths that differ", b"POST /api/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
    ("two lengths that agree", b"POST /api/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na"),
    ("a list of lengths", b"POST /api/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1, 1\r\n\r\na"),
    ("a length with a sign", b"POST /api/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: +1\r\n\r\na"),
    ("a length in hexadecimal", b"POST /api/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0x1\r\n\r\na"),
    ("a negative length", b"POST /api/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n"),
    ("an empty length", b"POST /api/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: \r\n\r\n"),
    ("obs-fold", b"GET /api/x HTTP/1.1\r\nHost: localhost\r\nX-Folded: a\r\n b\r\n\r\n"),
    ("obs-fold in the first line", b"GET /api/x HTTP/1.1\r\n Host: localhost\r\n\r\n"),
    ("bare LF", b"GET /api/x HTTP/1.1\nHost: localhost\n\n"),
    ("bare LF after a field", b"GET /api/x HTTP/1.1\r\nHost: localhost\r\nX: y\n\r\n"),
    ("bare CR", b"GET /api/x HTTP/1.1\r\nHost: localhost\r\nX: y\rz\r\n\r\n"),
    ("NUL in a value", b"GET /api/x HTTP/1.1\r\nHost: localhost\r\nX: a\0b\r\n\r\n"),
    ("NUL in the target", b"GET /api/\0 HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    ("DEL in a value", b"GET /api/x HTTP/1.1\r\nHost: localhost\r\nX: a\x7fb\r\n\r\n"),
    ("gzip, chunked", b"POST /api/x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    ("chunked, identity", b"POST /api/x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"),
    ("xchunked", b"POST /api/x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
    ("chunked twice", b"POST /api/x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("chunked in HTTP/1.0", b"POST /api/x HTTP/1.0\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("two hosts", b"GET /api/x HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n"),
    ("no host", b"GET /api/x HTTP/1.1\r\nX: y\r\n\r\n"),
    ("a space before the colon", b"GET /api/x HTTP/1.1\r\nHost: localhost\r\nX : y\r\n\r\n"),
    ("a field without a name", b"GET /api/x HTTP/1.1\r\nHost: localhost\r\n: y\r\n\r\n"),
    ("a field without a colon", b"GET /api/x HTTP/1.1\r\nHost: localhost\r\nnonsense\r\n\r\n"),
    ("the target *", b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    ("an authority for a target", b"GET localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    ("a relative target", b"GET api/x HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    ("a target of another scheme", b"GET ftp://localhost/x HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    ("a fragment", b"GET /api/x#y HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    ("a quote in the query", b"GET /api/x?q={\"a\":1} HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    ("an absolute target without a host", b"GET http:///api/x HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    ("an absolute target with a port alone", b"GET http://:80/api/x HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    ("an absolute target with half an address", b"GET http://[::1/api/x HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    ("an absolute target with a quote in its host", b"GET http://a\"b/api/x HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    ("an absolute target with a user", b"GET http://u:p@localhost/api/x HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    ("a tunnel to no authority", b"CONNECT \" HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    ("an absolute target of a scheme alone", b"GET http:// HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    ("a method that is no token", b"G@T /api/x HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    ("no HTTP at all", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 not for us \r\n\r\n"),
];

#[test]
fn a_malformed_request_is_answered_400_and_its_connection_closed() {
    let origin = Origin::ok();
    let sidekey = Sidekey::start(&origin.upstream("api"));
    for (what, request) in MALFORMED {
        let mut caller = sidekey.connect();
        caller.send(request);
        let answer = caller.response();
        assert_eq!(answer.status, 400, "{what}: {answer:?}");
        answer.assert_own(400, "http_request_error");
        assert_eq!(answer.fields.get("connection"), Some("close"), "{what}");
        caller.assert_closed();
        let id = answer.fields.get("x-request-id").unwrap();
        let record = sidekey.access(|record| record["request_id"] == id);
        assert!(record["error"].as_str().is_some_and(|error| !error.is_empty()), "{what}: {record}");
    }
    assert_eq!(origin.connections(), 0, "nothing malformed goes on");
}

#[test]
fn a_malformed_request_never_makes_another_one() {
    let origin = Origin::ok();
    let sidekey = Sidekey::start(&origin.upstream("api"));
    for (what, request) in MALFORMED {
        let mut caller = sidekey.connect();
        // Whatever follows the fault is no request any more.
        caller.send([request, get("/api/smuggled").as_bytes()].concat());
        caller.response();
        let (rest, _) = caller.rest();
        assert!(rest.is_empty(), "{what}: {}", String::from_utf8_lossy(&rest));
    }
    assert_eq!(origin.connections(), 0);
}

/// The beginning of a chunked request, and what is no chunk after it.
const CHUNKED: &str = "POST /api/x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n";
const BAD_CHUNKS: [&str; 7] =
    ["zz\r\n", "3\r\nabcd\r\n", "3;=\r\nabc\r\n", "-1\r\n", "3 \r\nabc\r\n", "3\nabc\r\n", "0\r\nNo colon\r\n\r\n"];

#[test]
fn a_body_that_breaks_its_chunks_is_cut_at_the_upstream() {
    let origin = Origin::plain(|conversation| assert!(conversation.request().is_none(), "no whole request arrives"));
    let sidekey = Sidekey::start(&origin.upstream("api"));
    for bad in BAD_CHUNKS {
        let (mut caller, before) = (sidekey.connect(), origin.requests().len());
        caller.send(CHUNKED);
        until_true("the header at the origin", || origin.requests().len() > before);
        caller.send(bad);
        caller.send(get("/api/smuggled"));
        caller.response().assert_own(400, "http_request_error");
        caller.assert_closed();
    }
    assert!(!holds(&origin.raw(), b"smuggled"));
}

#[test]
fn a_body_whose_broken_chunk_comes_with_its_header_goes_nowhere() {
    let origin = Origin::ok();
    let sidekey = Sidekey::start(&origin.upstream("api"));
    for bad in BAD_CHUNKS {
        let answer = sidekey.ask(format!("{CHUNKED}{bad}"));
        answer.assert_own(400, "http_request_error");
    }
    assert_eq!(origin.connections(), 0);
}
