//! Requests that two readers could frame in two ways, or take for two: answered with 400, named in the log, and the
//! connection is closed. None of them reaches the upstream.

use crate::support::{Origin, Sidekey, get, holds, until_true};

/// Requests that two readers could frame in two ways, or that mean nothing.
const MALFORMED: [(&str, &[u8]); 76] = [
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
    ("chunked with a parameter", b"POST /api/x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n"),
    ("chunked in quotes", b"POST /api/x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n"),
    ("a list of chunked alone", b"POST /api/x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: , chunked\r\n\r\n0\r\n\r\n"),
    ("an empty coding", b"POST /api/x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding:\r\n\r\n0\r\n\r\n"),
    ("a vertical tab before chunked", b"POST /api/x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n"),
    ("a NUL in a name", b"POST /api/x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding\0: chunked\r\n\r\n0\r\n\r\n"),
    ("a blank before the colon of a framing field", b"POST /api/x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n"),
    ("both framings, after bare CR", b"POST /api/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("both framings, the second coding unknown", b"POST /api/x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: cow\r\n\r\n0\r\n\r\n"),
    ("a length with a fraction", b"POST /api/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1.0\r\n\r\na"),
    ("a length with an underscore", b"POST /api/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1_0\r\n\r\na"),
    ("a length with a blank in it", b"POST /api/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1 0\r\n\r\na"),
    ("a length that overflows", b"POST /api/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 18446744073709551617\r\n\r\na"),
    ("a blank line of blanks", b" \r\nGET /api/x HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    ("a bare LF before the request", b"\nGET /api/x HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    ("two blanks in the request line", b"GET  /api/x HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    ("a tab in the request line", b"GET\t/api/x\tHTTP/1.1\r\nHost: localhost\r\n\r\n"),
    ("a blank after the version", b"GET /api/x HTTP/1.1 \r\nHost: localhost\r\n\r\n"),
    ("no version", b"GET /api/x\r\nHost: localhost\r\n\r\n"),
    ("a version in lower case", b"GET /api/x http/1.1\r\nHost: localhost\r\n\r\n"),
    ("a version of three digits", b"GET /api/x HTTP/1.10\r\nHost: localhost\r\n\r\n"),
    ("a byte order mark", b"\xef\xbb\xbfGET /api/x HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    ("a name that is not ASCII", b"GET /api/x HTTP/1.1\r\nHost: localhost\r\nX-\xc3\xa9: y\r\n\r\n"),
    ("a chunk of a sign", b"POST /api/x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n+3\r\nabc\r\n0\r\n\r\n"),
    ("a chunk that overflows", b"POST /api/x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000003\r\nabc\r\n0\r\n\r\n"),
    ("a chunk whose extension holds a bare LF", b"POST /api/x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3;a\nabc\r\n0\r\n\r\n"),
    ("a chunk whose extension holds a bare CR", b"POST /api/x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3;a\rb\r\nabc\r\n0\r\n\r\n"),
    ("a chunk that is longer than it says", b"POST /api/x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n"),
    ("a last chunk of bare LF", b"POST /api/x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\n\n"),
    ("a trailer without a colon", b"POST /api/x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nGET /api/smuggled HTTP/1.1\r\n\r\n"),
    ("a body that no length tells of", b"POST /api/x HTTP/1.1\r\nHost: localhost\r\n\r\nbody\r\n\r\n"),
    ("a body that is longer than its length", b"POST /api/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nbody\r\n\r\n"),
    ("chunks under a name that is none", b"POST /api/x HTTP/1.1\r\nHost: localhost\r\nTransfer---Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"),
    ("a second request without a host", b"GET /api/x HTTP/1.1\r\nHost: localhost\r\n\r\nGET /api/smuggled HTTP/1.1\r\n\r\n"),
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

/// Requests whose body, or what looks like one, holds another request: each has one reading.
#[test]
fn a_request_in_a_body_stays_in_the_body() {
    let inner = get("/api/smuggled");
    let length = inner.len();
    let chunked = format!("{length:x}\r\n{inner}\r\n0\r\n\r\n");
    for (what, head, body) in [
        (
            "GET with a length",
            format!("GET /api/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n"),
            &inner,
        ),
        ("HEAD", format!("HEAD /api/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n"), &inner),
        ("OPTIONS", format!("OPTIONS /api/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n"), &inner),
        ("HTTP/1.0", format!("POST /api/x HTTP/1.0\r\nContent-Length: {length}\r\n\r\n"), &inner),
        (
            "leading zeros",
            format!("POST /api/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 000{length}\r\n\r\n"),
            &inner,
        ),
        (
            "blanks around a length",
            format!("POST /api/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: \t{length} \r\n\r\n"),
            &inner,
        ),
        (
            "GET in chunks",
            "GET /api/x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(),
            &chunked,
        ),
        (
            "CHUNKED",
            "POST /api/x HTTP/1.1\r\nHost: localhost\r\nTRANSFER-ENCODING:\tCHUNKED \r\n\r\n".to_owned(),
            &chunked,
        ),
        (
            "leading empty lines",
            "\r\n\r\nPOST /api/x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(),
            &chunked,
        ),
        (
            "a framing field under another name",
            format!(
                "POST /api/x HTTP/1.1\r\nHost: localhost\r\nTransfer_Encoding: chunked\r\nContent_Length: 1\r\nContent-Length: {length}\r\n\r\n"
            ),
            &inner,
        ),
    ] {
        let origin = Origin::ok();
        let sidekey = Sidekey::start(&origin.upstream("api"));
        let mut caller = sidekey.connect();
        caller.send(head + body + &get("/api/after"));
        assert_eq!(caller.response_to(if what == "HEAD" { "HEAD" } else { "GET" }).status, 200, "{what}");
        if what != "HTTP/1.0" {
            assert_eq!(caller.response().status, 200, "{what}");
        }
        let requests = origin.requests();
        assert_eq!(String::from_utf8_lossy(&requests[0].body), inner, "{what}");
        assert!(requests[1..].iter().all(|request| request.target() == "/after"), "{what}");
        assert!(!requests[0].fields.has("transfer_encoding") && !requests[0].fields.has("content_length"), "{what}");
    }
}

#[test]
fn chunk_extensions_end_here() {
    let chunks = ["4;a\r\n", "4;a=b\r\n", "4;a=\"b;c\"\r\n", "4 ; a = b\r\n", "4;a=\"\\\"\"\r\n", "0004\r\n"];
    let origin = Origin::ok();
    let sidekey = Sidekey::start(&origin.upstream("api"));
    for chunk in chunks {
        let header = "POST /api/x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
        sidekey.ask(format!("{header}{chunk}body\r\n0;z=\"\"\r\n\r\n")).assert_passed_on(200);
    }
    assert_eq!(origin.requests().len(), chunks.len());
    assert!(origin.requests().iter().all(|request| request.body == b"body"));
    let raw = origin.raw();
    assert!(!holds(&raw, b";") && !holds(&raw, b"0004"), "{}", String::from_utf8_lossy(&raw));
}

#[test]
fn a_host_that_could_be_read_in_two_ways_goes_nowhere() {
    let origin = Origin::ok();
    let sidekey = Sidekey::start(&origin.upstream("api"));
    for host in [
        "",
        "localhost, evil.test",
        "localhost evil.test",
        "evil.test@localhost",
        "localhost@evil.test",
        "localhost#evil.test",
        "localhost/evil",
        "localhost?evil",
        "localhost\\evil",
        "localhost:80:80",
        "localhost:http",
        "localhost:123456",
        ":80",
        "http://localhost",
        "[::1",
        "::1",
        "[::1]evil",
        "localhost%00",
        "localhost%2eevil",
        "localhost.",
        "\u{ff4c}ocalhost",
        "0.0.0.0=5000",
        "127.1",
        "0x7f.0.0.1",
        "localhost;evil",
        "\"localhost\"",
        "localhost\tevil",
    ] {
        let answer = sidekey.ask(format!("GET /api/x HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert!(matches!(answer.status, 400 | 421), "{host:?}: {answer:?}");
        let target = format!("http://{host}/api/x");
        let answer = sidekey.ask(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        // Here a host may end where the path or query begins, which then names no upstream.
        assert!(matches!(answer.status, 400 | 404 | 421), "{target:?}: {answer:?}");
    }
    assert_eq!(origin.connections(), 0);
}

/// What an absolute target says goes, and `Host` with it: RFC 9112 3.2.2.
#[test]
fn an_absolute_target_and_host_cannot_mean_two_upstreams() {
    let (one, two) = (Origin::ok(), Origin::ok());
    let two_config = two.upstream("two").replace("TOKEN", "OTHER");
    let sidekey = Sidekey::start(&(one.upstream("one") + &two_config));
    sidekey.ask("GET http://one.localhost/x HTTP/1.1\r\nHost: two.localhost\r\n\r\n").assert_passed_on(200);
    sidekey
        .ask("GET http://evil.test/x HTTP/1.1\r\nHost: two.localhost\r\n\r\n")
        .assert_own(421, "destination_not_found");
    assert_eq!((one.request().fields.get("host"), two.connections()), (Some(one.authority().as_str()), 0));
    assert!(!holds(&one.raw(), sidekey.secret("env:OTHER").as_bytes()));
}
