//! One reading of a response, or none.

use bytes::BytesMut;
use http::HeaderName;
use hyper::ext::ReasonPhrase;

use super::{FramedResponse, MAX_INTERIM, Malformed, ResponseReader};
use crate::wire::body::Piece;

fn read(response: &[u8]) -> Result<Option<FramedResponse>, Malformed> {
    ResponseReader::new().read(&mut BytesMut::from(response), false)
}

fn head(response: &[u8]) -> FramedResponse {
    read(response).unwrap().unwrap()
}

#[test]
fn takes_off_the_head_and_leaves_the_body() {
    let mut bytes = BytesMut::from(&b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nA:  b\t\r\n\r\nokmore"[..]);
    let mut framed = ResponseReader::new().read(&mut bytes, false).unwrap().unwrap();
    assert_eq!(
        (framed.head.status.as_u16(), framed.head.fields.get(&HeaderName::from_static("a"))),
        (200, Some(&b"b"[..]))
    );
    assert!(framed.keeps_alive && framed.head.reason.is_none());
    assert!(matches!(framed.body.read(&mut bytes), Ok(Piece::Data(data)) if data == "ok"));
    assert!(framed.body.is_end() && *bytes == *b"more");
    assert!(read(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n").unwrap().is_none());
}

#[test]
fn a_body_is_framed_by_the_status_and_the_request_first() {
    for (response, to_head, remaining) in [
        ("200 OK\r\nContent-Length: 7\r\n", false, Some(7)),
        ("200 OK\r\nContent-Length: 7\r\n", true, Some(0)),
        ("200 OK\r\n", true, Some(0)),
        ("200 OK\r\n", false, None),
        ("304 Not Modified\r\nContent-Length: 7\r\n", false, Some(0)),
        ("204 No Content\r\nTransfer-Encoding: chunked\r\n", false, Some(0)),
        ("100 Continue\r\n", false, Some(0)),
        ("101 Switching Protocols\r\n", false, Some(0)),
        ("404 Not Found\r\nTransfer-Encoding: chunked\r\n", false, None),
    ] {
        let mut bytes = BytesMut::from(&*format!("HTTP/1.1 {response}\r\n"));
        let head = ResponseReader::new().read(&mut bytes, to_head).unwrap().unwrap();
        assert_eq!(head.body.remaining(), remaining, "{response}");
    }
}

#[test]
fn a_connection_goes_on_after_what_says_its_length_unless_it_says_not() {
    for (response, expected) in [
        ("1.1 200 OK\r\nContent-Length: 0\r\n", true),
        ("1.1 200 OK\r\nTransfer-Encoding: chunked\r\n", true),
        ("1.1 200 OK\r\n", false),
        ("1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n", false),
        ("1.0 200 OK\r\nContent-Length: 0\r\n", false),
        ("1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n", true),
        ("1.1 304 Not Modified\r\n", true),
    ] {
        assert_eq!(head(format!("HTTP/{response}\r\n").as_bytes()).keeps_alive, expected, "{response}");
    }
}

#[test]
fn a_reason_that_is_not_the_usual_one_is_kept() {
    for (line, reason) in [("200 OK", None), ("200 Fine", Some(&b"Fine"[..])), ("299", Some(b"")), ("200 ", Some(b""))]
    {
        let framed = head(format!("HTTP/1.1 {line}\r\n\r\n").as_bytes());
        assert_eq!(framed.head.reason.as_ref().map(ReasonPhrase::as_bytes), reason, "{line}");
    }
}

#[test]
fn refuses_headers_that_two_readers_could_frame_in_two_ways() {
    for (response, expected) in [
        (&b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n"[..], Malformed::TwoFramings),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", Malformed::TransferEncoding),
        (b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", Malformed::TransferEncoding),
        (b"HTTP/1.1 200 OK\nContent-Length: 2\r\n\r\n", Malformed::LineEnding),
        (b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n", Malformed::Field),
        (b"HTTP/1.1 20 OK\r\n\r\n", Malformed::StatusLine),
        (b"HTTP/1.1 099 OK\r\n\r\n", Malformed::StatusLine),
        (b"HTTP/1.1 200 a\x7fb\r\n\r\n", Malformed::StatusLine),
        (b"HTTP/2 200 OK\r\n\r\n", Malformed::StatusLine),
        (b"ICY 200 OK\r\n\r\n", Malformed::StatusLine),
    ] {
        assert_eq!(read(response).err(), Some(expected), "{}", String::from_utf8_lossy(response));
    }
}

#[test]
fn bounds_interim_responses() {
    let mut bytes = BytesMut::from(&*b"HTTP/1.1 103 Early Hints\r\n\r\n".repeat(MAX_INTERIM + 1));
    let mut reader = ResponseReader::new();
    for _ in 0..MAX_INTERIM {
        assert!(reader.read(&mut bytes, false).unwrap().is_some());
    }
    assert_eq!(reader.read(&mut bytes, false).err(), Some(Malformed::TooManyInterim));
}
