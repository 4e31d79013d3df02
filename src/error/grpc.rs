//! A refusal in the words of gRPC: HTTP 200, and a header that is the trailers, too, with a code and a text. Of an HTTP
//! status its clients make a code themselves, mostly `UNKNOWN`, and nobody gets to see the problem.

use std::fmt::Write;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Response, StatusCode, Version};

use super::problem::Problem;
use crate::message::RequestHead;

const GRPC: &str = "application/grpc";
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// Whether a client of gRPC asks, which is spoken over HTTP/2 alone. `application/grpc-web` is another protocol.
pub(crate) fn is_spoken(head: &RequestHead) -> bool {
    let content_type = (head.version == Version::HTTP_2).then(|| head.fields.get(&CONTENT_TYPE)).flatten();
    content_type.and_then(|value| value.split_at_checked(GRPC.len())).is_some_and(|(begin, rest)| {
        begin.eq_ignore_ascii_case(GRPC.as_bytes()) && matches!(rest.first(), None | Some(b'+' | b';' | b' '))
    })
}

/// Makes `response`, which tells `problem`, an answer of trailers alone. Its other fields stay, and become metadata.
pub(super) fn translate(response: &mut Response<Bytes>, problem: &Problem) {
    *response.status_mut() = StatusCode::OK;
    *response.body_mut() = Bytes::new();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(GRPC));
    headers.insert(GRPC_STATUS, code(problem.status).into());
    let message = format!("sidekey: {}: {}", problem.slug, problem.detail);
    if let Ok(message) = HeaderValue::try_from(escape(&message)) {
        headers.insert(GRPC_MESSAGE, message);
    }
}

/// As gRPC's own table for HTTP's status codes has it, which leaves out some.
fn code(status: StatusCode) -> u16 {
    match status.as_u16() {
        400 | 505 => 13,             // INTERNAL
        403 => 7,                    // PERMISSION_DENIED
        404 | 405 | 421 => 12,       // UNIMPLEMENTED
        407 => 16,                   // UNAUTHENTICATED
        413 | 431 => 8,              // RESOURCE_EXHAUSTED
        429 | 502 | 503 | 504 => 14, // UNAVAILABLE
        _ => 2,                      // UNKNOWN
    }
}

/// Percent-encodes what is not printable ASCII, as `grpc-message` wants it.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if matches!(byte, b' '..=b'~') && byte != b'%' {
            escaped.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;
    use crate::fields::tests::fields;
    use crate::message::Path;

    fn asked_with(version: Version, content_type: &str) -> bool {
        let fields = fields(&[("content-type", content_type)]);
        is_spoken(&RequestHead { version, fields, ..RequestHead::new(Method::POST, Path::default()) })
    }

    #[test]
    fn grpc_is_known_by_its_content_type_over_http2() {
        for content_type in ["application/grpc", "application/grpc+proto", "Application/gRPC; charset=x"] {
            assert!(asked_with(Version::HTTP_2, content_type), "{content_type}");
            assert!(!asked_with(Version::HTTP_11, content_type), "{content_type}");
        }
        for content_type in
            ["application/grpc-web", "application/grpc-web+proto", "application/grpcx", "application/json"]
        {
            assert!(!asked_with(Version::HTTP_2, content_type), "{content_type}");
        }
    }

    #[test]
    fn a_message_is_ascii_and_can_be_read_back() {
        assert_eq!(escape("100 % `NAME`, …\n"), "100 %25 `NAME`, %E2%80%A6%0A");
    }
}
