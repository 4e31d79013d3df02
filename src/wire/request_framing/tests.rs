//! One reading of a request, or none.

use super::{Framing, Malformed, RequestFraming};

fn fault(request: &[u8]) -> Option<Malformed> {
    RequestFraming::new().admit(request).1
}

#[test]
fn admits_whole_requests_only() {
    let mut framing = RequestFraming::new();
    let request = b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabcGET /b HTTP/1.1\r\nHost: h\r\n\r\nGET";
    assert_eq!(framing.admit(request), (request.len() - 3, None));
    assert!(framing.between_requests());
}

#[test]
fn finds_the_same_end_however_the_bytes_are_cut() {
    let request = b"\r\nPOST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3;x=\"\\\"\";y\r\nabc\r\n0\r\nT: 1\r\n\r\n";
    for cut in 1..request.len() {
        let mut framing = RequestFraming::new();
        let (first, fault) = framing.admit(&request[..cut]);
        assert_eq!(fault, None, "cut at {cut}");
        assert_eq!(framing.admit(&request[first..]), (request.len() - first, None), "cut at {cut}");
        assert!(framing.between_requests());
    }
}

#[test]
fn refuses_what_two_readers_could_frame_in_two_ways() {
    let with = |fields: &str| format!("POST / HTTP/1.1\r\nHost: h\r\n{fields}\r\n").into_bytes();
    for (request, expected) in [
        (with("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"), Malformed::TwoFramings),
        (with("Transfer-Encoding: chunked\r\nContent-Length: 1\r\n"), Malformed::TwoFramings),
        (with("Content-Length: 1\r\nContent-Length: 2\r\n"), Malformed::ContentLength),
        (with("Content-Length: 1, 1\r\n"), Malformed::ContentLength),
        (with("Content-Length: +1\r\n"), Malformed::ContentLength),
        (with("Content-Length: 99999999999999999999\r\n"), Malformed::ContentLength),
        (with("Content-Length: 9223372036854775808\r\n"), Malformed::ContentLength),
        (with("Transfer-Encoding: gzip, chunked\r\n"), Malformed::TransferEncoding),
        (with("Transfer-Encoding: identity\r\n"), Malformed::TransferEncoding),
        (with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), Malformed::TransferEncoding),
        (with("X: a\r\n b\r\n"), Malformed::Field),
        (with("X : a\r\n"), Malformed::Field),
        (with(": a\r\n"), Malformed::Field),
        (with("X: a\0b\r\n"), Malformed::Field),
        (with("X: a\rb\r\n"), Malformed::LineEnding),
        (with("X: a\n"), Malformed::LineEnding),
        (with("Host: h\r\n"), Malformed::Host),
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), Malformed::Host),
        (b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec(), Malformed::TransferEncoding),
    ] {
        assert_eq!(fault(&request), Some(expected), "{}", String::from_utf8_lossy(&request));
    }
}

#[test]
fn finds_the_same_fault_however_the_bytes_are_cut() {
    for request in [&b"\r\n\n,x"[..], b"\r\n\r\nGET\n", b"\r\n\r\n\r\nGET / HTTP/1.1\r\nX\n"] {
        let whole = RequestFraming::new().admit(request);
        assert!(whole.1.is_some());
        for cut in 1..request.len() {
            let mut framing = RequestFraming::new();
            let first = framing.admit(&request[..cut]);
            let rest = if first.1.is_some() { first } else { framing.admit(&request[first.0..]) };
            assert_eq!(rest, whole, "cut at {cut}");
        }
    }
}

#[test]
fn what_came_with_a_malformed_request_falls_with_it() {
    let good = b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc";
    for bad in [&b"abc\r\n\r\n"[..], b"GET / HTTP/1.1\r\n\r\n", b"\0\n"] {
        let together = [good, &good[..], bad].concat();
        let mut framing = RequestFraming::new();
        assert_eq!(framing.admit(&together).0, 0);
        assert!(framing.between_requests());
        // A request that was let through before the fault came has its answer.
        for cut in 1..=good.len() {
            let mut framing = RequestFraming::new();
            let (first, fault) = framing.admit(&together[..cut]);
            assert_eq!(fault, None);
            let (rest, fault) = framing.admit(&together[first..]);
            assert!(fault.is_some() && framing.between_requests());
            let its_end = if first == 0 { 0 } else { good.len() };
            assert_eq!(first + rest, its_end, "cut at {cut}");
        }
    }
}

#[test]
fn a_chunk_that_is_malformed_takes_a_header_with_it_that_has_not_gone() {
    let header = b"POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n";
    let request = [header, &b"zz\r\n"[..]].concat();
    assert_eq!(RequestFraming::new().admit(&request), (0, Some(Malformed::Chunk)));
    let mut framing = RequestFraming::new();
    assert_eq!(framing.admit(header), (header.len(), None));
    assert_eq!(framing.admit(b"zz\r\n"), (0, Some(Malformed::Chunk)));
    assert!(!framing.between_requests());
}

#[test]
fn refuses_targets_that_are_neither_a_path_nor_an_absolute_url() {
    for target in [
        "*",
        "example.com:443",
        "a/b",
        "?q",
        "ftp://h/",
        "/a b",
        "/a#b",
        "/\u{e9}",
        "",
        "/a\tb",
        "/?\"",
        "http:///x",
        "http://[::1/x",
        "http://a\"b/",
    ] {
        let request = format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n");
        assert!(matches!(fault(request.as_bytes()), Some(Malformed::Target | Malformed::RequestLine)), "{target}");
    }
    assert_eq!(fault(b"GET http://h/?a={b|c} HTTP/1.1\r\nHost: h\r\n\r\n"), None);
    assert_eq!(fault(b"GET / HTTP/2.0\r\nHost: h\r\n\r\n"), Some(Malformed::Version));
    assert_eq!(fault(b"GET /\r\n\r\n"), Some(Malformed::RequestLine));
}

#[test]
fn every_target_that_is_admitted_can_be_read_by_hyper() {
    for byte in 0..=u8::MAX {
        for target in [[b'/', byte, b'x'].as_slice(), &[b'/', b'?', byte, b'x']] {
            let request = [b"GET ", target, b" HTTP/1.1\r\nHost: h\r\n\r\n"].concat();
            if fault(&request).is_none() {
                let uri = http::Uri::try_from(target).expect("hyper reads it");
                assert_eq!(uri.to_string().as_bytes(), target);
            }
        }
    }
}

#[test]
fn the_preface_of_http_2_is_met_at_the_beginning_alone_however_it_comes() {
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    assert_eq!(RequestFraming::new().admit(preface), (0, Some(Malformed::Http2)));
    assert_eq!(RequestFraming::new().admit(&[&preface[..], b"\0\0\0\x04"].concat()), (0, Some(Malformed::Http2)));
    for cut in 1..preface.len() {
        let mut framing = RequestFraming::new();
        assert_eq!(framing.admit(&preface[..cut]), (0, None), "cut at {cut}");
        assert!(framing.between_requests());
        assert_eq!(framing.admit(preface), (0, Some(Malformed::Http2)), "cut at {cut}");
    }
    for before in ["\r\n", "GET / HTTP/1.1\r\nHost: h\r\n\r\n"] {
        let bytes = [before.as_bytes(), preface].concat();
        assert_eq!(fault(&bytes), Some(Malformed::Version), "{before:?}");
    }
    assert_eq!(fault(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r!"), Some(Malformed::Version));
    assert_eq!(fault(b"PRI * HTTP/2.0\r\nHost: h\r\n\r\n"), Some(Malformed::Version));
}

#[test]
fn refuses_chunks_that_are_not_exact() {
    let with = |body: &str| format!("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
    for body in ["3\nabc\r\n", "3\r\nabcd\r\n", " 3\r\n", "0x3\r\n", "3;\r\n", "3;a=\r\n", "3 a\r\n", "-1\r\n", "\r\n"]
    {
        assert_eq!(fault(with(body).as_bytes()), Some(Malformed::Chunk), "{body:?}");
    }
    assert_eq!(fault(with("fffffffffffffffff\r\n").as_bytes()), Some(Malformed::Chunk));
    assert_eq!(fault(with("0\r\nA b: 1\r\n\r\n").as_bytes()), Some(Malformed::Field));
}

#[test]
fn bounds_the_header() {
    let long = format!("GET / HTTP/1.1\r\nHost: h\r\nX: {}\r\n\r\n", "x".repeat(70_000));
    assert_eq!(fault(long.as_bytes()), Some(Malformed::HeaderTooLarge));
    assert_eq!(fault(&vec![b'a'; 65_537]), Some(Malformed::HeaderTooLarge));
    let with = |count| format!("GET / HTTP/1.1\r\nHost: h\r\n{}\r\n", "X: y\r\n".repeat(count));
    assert_eq!(fault(with(99).as_bytes()), None);
    assert_eq!(fault(with(100).as_bytes()), Some(Malformed::ManyFields));
    let roomy_fault = |request: &str| {
        let mut framing = RequestFraming::new();
        framing.make_room();
        framing.admit(request.as_bytes()).1
    };
    assert_eq!(roomy_fault(&with(127)), None);
    assert_eq!(roomy_fault(&with(128)), Some(Malformed::TooManyFields));
}

#[test]
fn what_comes_after_a_request_for_a_websocket_waits_for_its_answer() {
    let with = |fields: &str| format!("GET / HTTP/1.1\r\nHost: h\r\n{fields}\r\n").into_bytes();
    let next = b"GET /b HTTP/1.1\r\nHost: h\r\n\r\n";
    for fields in ["Upgrade: websocket\r\n", "upgrade:  WebSocket \r\n", "Content-Length: 0\r\nUpgrade: websocket\r\n"]
    {
        let asking = with(fields);
        let mut framing = RequestFraming::new();
        assert_eq!(framing.admit(&[&asking[..], next].concat()), (asking.len(), None), "{fields}");
        assert!(framing.is_undecided() && framing.between_requests());
        // Nor does it matter what it is.
        assert_eq!(framing.admit(b"\x81\x02hi"), (0, None));
        framing.stay();
        assert_eq!(framing.admit(next), (next.len(), None), "{fields}");
    }
    for fields in [
        "Upgrade: h2c\r\n",
        "Upgrade: websocket, h2c\r\n",
        "Upgrade: websocket\r\nUpgrade: websocket\r\n",
        "Upgrade: websocket\r\nUpgrade: h2c\r\n",
        "X-Upgrade: websocket\r\n",
        "Upgrade: websocket\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
    ] {
        let both = [&with(fields)[..], next].concat();
        assert_eq!(RequestFraming::new().admit(&both), (both.len(), None), "{fields}");
    }
}
