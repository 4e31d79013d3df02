//! One reading of a request, or none.

use bytes::BytesMut;

use super::{FramedRequest, Malformed, RequestReader, fault, fault_behind};
use crate::wire::body::Piece;

/// One request: its method, target and fields as text, and its body.
type Told = (String, Vec<u8>);

/// Reads what comes in `pieces` as a connection does. What was read, and what is wrong after it.
fn read(pieces: &[&[u8]]) -> (Vec<Told>, Option<Malformed>) {
    let (mut reader, mut bytes, mut told) = (RequestReader::new(), BytesMut::new(), Vec::new());
    let mut body = None;
    for piece in pieces {
        bytes.extend_from_slice(piece);
        loop {
            if body.is_none() {
                match reader.read(&mut bytes) {
                    Ok(Some(head)) => {
                        if let Some(fault) = fault_behind(head.body.clone(), &bytes) {
                            return (told, Some(fault));
                        }
                        let FramedRequest { head, body: framed, .. } = head;
                        let text = |bytes| str::from_utf8(bytes).unwrap();
                        let fields = head.fields.iter();
                        let fields: String =
                            fields.map(|line| format!(" {}={:?}", text(line.name), text(line.value))).collect();
                        let authority =
                            head.authority.map(|authority| format!("http://{authority}")).unwrap_or_default();
                        told.push((format!("{} {authority}{}{fields}", head.method, head.path), Vec::new()));
                        body = Some(framed);
                    }
                    Ok(None) => break,
                    Err(fault) => return (told, Some(fault)),
                }
            }
            match body.as_mut().unwrap().read(&mut bytes) {
                Ok(Piece::Data(data)) => told.last_mut().unwrap().1.extend_from_slice(&data),
                Ok(Piece::Trailers(_) | Piece::End) => body = None,
                Ok(Piece::More) => break,
                Err(fault) => return (told, Some(fault)),
            }
        }
    }
    (told, None)
}

fn told(head: &str, body: &[u8]) -> Told {
    (head.to_owned(), body.to_vec())
}

#[test]
fn reads_requests_one_after_the_other() {
    let requests = b"POST /a?b HTTP/1.1\r\nHost:\t h \r\nContent-Length: 3\r\nX:\r\nx: b c\r\n\r\nabcGET /b HTTP/1.1\r\nHost: h\r\n\r\nGET";
    let first = told("POST /a?b host=\"h\" content-length=\"3\" x=\"\" x=\"b c\"", b"abc");
    assert_eq!(read(&[requests]), (vec![first, told("GET /b host=\"h\"", b"")], None));
}

#[test]
fn reads_the_same_however_the_bytes_are_cut() {
    let request = b"\r\nPOST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3;x=\"\\\"\";y\r\nabc\r\n0\r\nT: 1\r\n\r\nGET / HTTP/1.0\r\n\r\n";
    let whole = read(&[request]);
    assert_eq!(whole.0, [told("POST /a host=\"h\" transfer-encoding=\"chunked\"", b"abc"), told("GET /", b"")]);
    for cut in 1..request.len() {
        assert_eq!(read(&[&request[..cut], &request[cut..]]), whole, "cut at {cut}");
    }
    let bytes: Vec<&[u8]> = request.chunks(1).collect();
    assert_eq!(read(&bytes), whole);
}

#[test]
fn says_whether_another_request_may_follow() {
    for (version, connection, expected) in [
        ("1.1", "", true),
        ("1.1", "Connection: keep-alive, Close\r\n", false),
        ("1.1", "Connection: TE\r\nconnection: close\r\n", false),
        ("1.1", "Connection: closed\r\n", true),
        ("1.0", "", false),
        ("1.0", "Connection: Keep-Alive\r\n", true),
        ("1.0", "Connection: keep-alive\r\nConnection: close\r\n", false),
    ] {
        let mut bytes = BytesMut::from(&*format!("GET / HTTP/{version}\r\nHost: h\r\n{connection}\r\n"));
        let head = RequestReader::new().read(&mut bytes).unwrap().unwrap();
        assert_eq!(head.keeps_alive, expected, "{version} {connection}");
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
        let whole = read(&[request]);
        assert!(whole.1.is_some());
        for cut in 1..request.len() {
            assert_eq!(read(&[&request[..cut], &request[cut..]]), whole, "cut at {cut}");
        }
    }
}

#[test]
fn what_came_with_a_malformed_request_falls_with_it() {
    let good = b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc";
    for bad in [&b"abc\r\n\r\n"[..], b"GET / HTTP/1.1\r\n\r\n", b"\0\n"] {
        let together = [good, &good[..], bad].concat();
        assert_eq!(read(&[&together]).0, []);
        // A request that was read before the fault came has its answer.
        for cut in 1..=good.len() {
            let (told, fault) = read(&[&together[..cut], &together[cut..]]);
            assert!(fault.is_some());
            assert_eq!(told.len(), usize::from(cut >= good.len() - 3), "cut at {cut}");
        }
    }
}

#[test]
fn a_chunk_that_is_malformed_takes_a_header_with_it_that_came_with_it() {
    let header = b"POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n";
    let request = [header, &b"zz\r\n"[..]].concat();
    assert_eq!(read(&[&request]), (vec![], Some(Malformed::Chunk)));
    let (told, fault) = read(&[header, b"zz\r\n"]);
    assert_eq!((told.len(), fault), (1, Some(Malformed::Chunk)));
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
fn every_target_that_is_admitted_is_a_uri() {
    for byte in 0..=u8::MAX {
        for target in [[b'/', byte, b'x'].as_slice(), &[b'/', b'?', byte, b'x']] {
            let request = [b"GET ", target, b" HTTP/1.1\r\nHost: h\r\n\r\n"].concat();
            if fault(&request).is_none() {
                let uri = http::Uri::try_from(target).unwrap();
                assert_eq!(uri.to_string().as_bytes(), target);
            }
        }
    }
}

#[test]
fn the_preface_of_http_2_is_met_at_the_beginning_alone_however_it_comes() {
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    for after in [&b""[..], b"\0\0\0\x04"] {
        let mut bytes = BytesMut::from(&*[preface, after].concat());
        assert_eq!(RequestReader::new().read(&mut bytes).err(), Some(Malformed::Http2));
        assert_eq!(bytes.len(), preface.len() + after.len(), "nothing of it is taken off");
    }
    for cut in 1..preface.len() {
        let mut reader = RequestReader::new();
        let mut bytes = BytesMut::from(&preface[..cut]);
        assert!(reader.read(&mut bytes).unwrap().is_none(), "cut at {cut}");
        bytes.extend_from_slice(&preface[cut..]);
        assert_eq!(reader.read(&mut bytes).err(), Some(Malformed::Http2), "cut at {cut}");
    }
    for before in ["\r\n", "GET / HTTP/1.1\r\nHost: h\r\n\r\n"] {
        let bytes = [before.as_bytes(), preface].concat();
        assert_eq!(fault(&bytes), Some(Malformed::Version), "{before:?}");
        assert_eq!(read(&[before.as_bytes(), preface]).1, Some(Malformed::Version), "{before:?}");
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
    assert_eq!(fault(with(127).as_bytes()), None);
    assert_eq!(read(&[with(127).as_bytes()]).0.len(), 1);
    assert_eq!(fault(with(128).as_bytes()), Some(Malformed::TooManyFields));
}

#[test]
fn a_request_for_a_websocket_says_so_and_what_comes_with_it_is_not_looked_at() {
    let with = |fields: &str| format!("GET / HTTP/1.1\r\nHost: h\r\n{fields}\r\n").into_bytes();
    let asks =
        |request: &[u8]| RequestReader::new().read(&mut BytesMut::from(request)).unwrap().unwrap().asks_for_websocket;
    for fields in ["Upgrade: websocket\r\n", "upgrade:  WebSocket \r\n", "Content-Length: 0\r\nUpgrade: websocket\r\n"]
    {
        assert!(asks(&with(fields)), "{fields}");
        assert_eq!(fault(&[&with(fields)[..], b"\x81\x02\n\n"].concat()), None, "{fields}");
    }
    for fields in [
        "Upgrade: h2c\r\n",
        "Upgrade: websocket, h2c\r\n",
        "Upgrade: websocket\r\nUpgrade: websocket\r\n",
        "Upgrade: websocket\r\nUpgrade: h2c\r\n",
        "X-Upgrade: websocket\r\n",
        "Upgrade: websocket\r\nTransfer-Encoding: chunked\r\n",
    ] {
        assert!(!asks(&with(fields)), "{fields}");
    }
    assert!(fault(&[&with("Upgrade: h2c\r\n")[..], b"\x81\x02\n\n"].concat()).is_some());
}
