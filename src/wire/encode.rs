//! Heads and the framing of bodies, as they are written: what is read strictly is said anew, in one form.

use http::{HeaderMap, StatusCode};
use hyper::ext::ReasonPhrase;

use crate::message::{RequestHead, ResponseHead};

/// `METHOD path HTTP/1.1`, and the fields as they stand.
pub(crate) fn request_head(head: &RequestHead, out: &mut Vec<u8>) {
    out.extend_from_slice(head.method.as_str().as_bytes());
    out.push(b' ');
    let target = head.path.text();
    // A URL may have a query and no path, which is the root's (RFC 9112 3.2.1).
    if !target.starts_with(b"/") {
        out.push(b'/');
    }
    out.extend_from_slice(target);
    out.extend_from_slice(b" HTTP/1.1\r\n");
    head.fields.write(out);
    out.extend_from_slice(b"\r\n");
}

/// `HTTP/1.1 code reason`.
pub(crate) fn status_line(head: &ResponseHead, out: &mut Vec<u8>) {
    match &head.reason {
        None if head.status == StatusCode::OK => out.extend_from_slice(b"HTTP/1.1 200 OK\r\n"),
        told => {
            let usual = || head.status.canonical_reason().unwrap_or_default().as_bytes();
            out.extend_from_slice(b"HTTP/1.1 ");
            out.extend_from_slice(head.status.as_str().as_bytes());
            out.push(b' ');
            out.extend_from_slice(told.as_ref().map_or_else(usual, ReasonPhrase::as_bytes));
            out.extend_from_slice(b"\r\n");
        }
    }
}

/// No size line of a chunk is longer.
pub(super) const LONGEST_SIZE_LINE: usize = 2 * size_of::<usize>() + 2;

/// The size line of a chunk. Its data comes next, and a CRLF.
pub(super) fn chunk(length: usize, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = (usize::BITS - length.leading_zeros()).div_ceil(4).max(1);
    let digit = |at: u32| DIGITS.get((length >> (4 * at)) & 15).copied().unwrap_or_default();
    out.extend((0..digits).rev().map(digit));
    out.extend_from_slice(b"\r\n");
}

/// The end of a chunked body, with its trailers.
pub(super) fn last_chunk(trailers: Option<&HeaderMap>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"0\r\n");
    if let Some(trailers) = trailers {
        fields(trailers, out);
    }
    out.extend_from_slice(b"\r\n");
}

/// So long is that.
pub(super) fn last_chunk_length(trailers: Option<&HeaderMap>) -> usize {
    b"0\r\n\r\n".len() + trailers.map_or(0, fields_length)
}

/// Field lines. Nothing here can hold a line end: the types see to that.
fn fields(headers: &HeaderMap, out: &mut Vec<u8>) {
    for (name, value) in headers {
        field_line(name, value.as_bytes(), out);
    }
}

fn fields_length(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum()
}

/// One field line, of what a [`HeaderName`](http::HeaderName) and a [`HeaderValue`](http::HeaderValue) may hold.
pub(crate) fn field_line(name: impl AsRef<[u8]>, value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_ref());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, Request, Response};
    use hyper::ext::ReasonPhrase;

    use super::{LONGEST_SIZE_LINE, chunk, last_chunk, request_head, status_line};
    use crate::message::ResponseHead;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn heads_are_written_in_one_form() {
        let request =
            Request::put("http://h/a?b").header("Host", "h").header("X", "a").header("X", "b").body(()).unwrap();
        let head = request.into_parts().0.into();
        assert_eq!(written(|out| request_head(&head, out)), "PUT /a?b HTTP/1.1\r\nhost: h\r\nx: a\r\nx: b\r\n\r\n");
        let head = Response::new(()).into_parts().0.into();
        assert_eq!(written(|out| status_line(&head, out)), "HTTP/1.1 200 OK\r\n");
        let mut head = ResponseHead::from(Response::builder().status(418).body(()).unwrap().into_parts().0);
        assert_eq!(written(|out| status_line(&head, out)), "HTTP/1.1 418 I'm a teapot\r\n");
        head.reason = Some(ReasonPhrase::from_static(b"Tea"));
        assert_eq!(written(|out| status_line(&head, out)), "HTTP/1.1 418 Tea\r\n");
        let head = Response::builder().status(599).body(()).unwrap().into_parts().0.into();
        assert_eq!(written(|out| status_line(&head, out)), "HTTP/1.1 599 \r\n");
    }

    #[test]
    fn chunks_have_their_size_in_hexadecimal() {
        for length in [0, 1, 9, 10, 15, 16, 255, 256, 65_535, 65_536, usize::MAX] {
            assert_eq!(written(|out| chunk(length, out)), format!("{length:x}\r\n"));
            assert!(written(|out| chunk(length, out)).len() <= LONGEST_SIZE_LINE);
        }
        assert_eq!(written(|out| last_chunk(None, out)), "0\r\n\r\n");
        let trailers = [("a".parse().unwrap(), HeaderValue::from_static("b"))].into_iter().collect();
        assert_eq!(written(|out| last_chunk(Some(&trailers), out)), "0\r\na: b\r\n\r\n");
    }
}
