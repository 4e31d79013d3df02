//! Answers of an upstream that two readers could frame in two ways, or take for two.

use super::MINE;
use crate::support::{OK, Origin, Sidekey, get, post};

#[test]
fn a_malformed_answer_is_502() {
    let long = format!("HTTP/1.1 200 OK\r\nX: {}\r\nContent-Length: 0\r\n\r\n", "y".repeat(65 * 1024));
    let fields = format!("HTTP/1.1 200 OK\r\n{}Content-Length: 0\r\n\r\n", "X: y\r\n".repeat(128));
    let interim = format!("{}{OK}", "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(17));
    for (what, answer) in [
        ("both framings", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        ("two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nokk"),
        ("a length that is none", "HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\nok"),
        ("gzip, chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
        ("chunked in HTTP/1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        ("obs-fold", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: a\r\n b\r\n\r\nok"),
        ("bare LF", "HTTP/1.1 200 OK\nContent-Length: 2\n\nok"),
        ("NUL", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: a\0b\r\n\r\nok"),
        ("a space before the colon", "HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok"),
        ("bare CR in a value", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: a\rSet-Cookie: b\r\n\r\nok"),
        ("bare LF in a value", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: a\nSet-Cookie: b\r\n\r\nok"),
        ("bare CR in the reason", "HTTP/1.1 200 OK\rX: y\r\nContent-Length: 2\r\n\r\nok"),
        ("bare CR for a line's end", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\rok\r\n\r\n"),
        ("a field without a name", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n: y\r\n\r\nok"),
        ("a field without a colon", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nnonsense\r\n\r\nok"),
        ("two lengths that agree", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok"),
        ("a list of lengths", "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok"),
        ("a negative length", "HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok"),
        ("xchunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
        (
            "chunked twice",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
        (
            "a header after a 101",
            "HTTP/1.1 101 Switching Protocols\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        ),
        (
            "an interim response with a bare LF",
            "HTTP/1.1 103 Early Hints\nX: y\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        ),
        ("blanks before the status line", " HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
        ("garbage", "SSH-2.0-OpenSSH_9.9\r\n\r\n"),
        ("another version", "HTTP/2 200 OK\r\nContent-Length: 2\r\n\r\nok"),
        ("no status", "HTTP/1.1 OK\r\nContent-Length: 2\r\n\r\nok"),
        ("a header of 65 KiB", &long),
        ("129 fields", &fields),
        ("17 interim responses", &interim),
        (
            "a 101 that nobody asked for",
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        ),
        ("a bare 101", "HTTP/1.1 101 Switching Protocols\r\n\r\n"),
    ] {
        let origin = Origin::answering(answer);
        let sidekey = Sidekey::start(&origin.upstream("api"));
        for request in [get("/api/x"), post("/api/x", "body")] {
            let answer = sidekey.ask(request);
            assert_eq!(answer.status, 502, "{what}: {answer:?}");
            answer.assert_own(502, "http_protocol_error");
        }
        assert_eq!(origin.connections(), 2, "{what}: such a connection is not used again");
        assert_eq!(origin.requests().len(), 2, "{what}: nothing is sent again");
    }
}

#[test]
fn a_malformed_chunk_cuts_the_answer() {
    for bad in ["zz\r\nhello\r\n0\r\n\r\n", "5\r\nhelloo\r\n0\r\n\r\n", "5\nhello\r\n0\r\n\r\n", "-5\r\nhello\r\n"] {
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n";
        let origin = Origin::answering(format!("{chunked}{bad}"));
        let sidekey = Sidekey::start(&origin.upstream("api"));
        let mut caller = sidekey.connect();
        caller.send(get("/api/x"));
        caller.cut_response();
    }
}

#[test]
fn a_body_that_no_rule_expects_is_not_taken_for_the_next_answer() {
    let origin = Origin::plain(|conversation| {
        conversation.request();
        conversation.send("HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
        conversation.answer_all(OK);
    });
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let mut caller = sidekey.connect();
    caller.send(get("/api/x"));
    assert_eq!(caller.response().status, 204);
    for _ in 0..5 {
        caller.send(post("/api/x", "body"));
        assert_ne!(caller.response().text(), "evil");
    }
}

/// The answer comes before the request has been read: the rest of the request is no request, and of the answer no other.
#[test]
fn an_early_answer_with_another_behind_it_is_one_answer() {
    let origin = Origin::plain(|conversation| {
        conversation.head();
        conversation.send(format!("{OK}HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{MINE}"));
        conversation.rest();
    });
    let sidekey = Sidekey::start(&origin.upstream("api"));
    for _ in 0..3 {
        let mut caller = sidekey.connect();
        caller.send("POST /api/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nhalf");
        assert_eq!(caller.response().text(), "ok");
        let _ = caller.try_send(get("/api/next"));
        caller.half_close();
        let (rest, _) = caller.rest();
        assert!(!rest.windows(MINE.len()).any(|bytes| bytes == MINE.as_bytes()), "{}", String::from_utf8_lossy(&rest));
    }
    assert_eq!(origin.connections(), 3, "such a connection is not used again");
}

/// What a caller sends never ends a line of an answer, though an origin may well repeat it.
#[test]
fn an_encoded_line_end_stays_encoded() {
    let origin = Origin::plain(|conversation| {
        while let Some(request) = conversation.request() {
            let target = request.target();
            conversation.send(format!("HTTP/1.1 302 Found\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n"));
        }
    });
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let answer = sidekey.ask(get("/api/x%0d%0aSet-Cookie:%20a=b?y=%0D%0A"));
    assert!(answer.fields.get("location").unwrap().ends_with("/api/x%0d%0aSet-Cookie:%20a=b?y=%0D%0A"), "{answer:?}");
    assert!(!answer.fields.has("set-cookie"));
}

/// By `Proxy-Status` a caller tells an error of sidekey's own: wherever an upstream puts one, it stops here.
#[test]
fn an_upstream_cannot_speak_for_sidekey() {
    let origin = Origin::answering(
        "HTTP/1.1 200 OK\r\nProxy-Status: sidekey; error=dns_error\r\nTrailer: Proxy-Status, X-Sum\r\n\
         Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nProxy-Status: sidekey; error=dns_error\r\nX-Sum: 1\r\n\r\n",
    );
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let answer = sidekey.ask(get("/api/x").replacen("\r\n", "\r\nTE: trailers\r\n", 1));
    answer.assert_passed_on(200);
    assert!(!answer.fields.has("proxy-status") && !answer.trailers.has("proxy-status"), "{answer:?}");
    assert_eq!(answer.trailers.get("x-sum"), Some("1"));
}
