//! What a request for a WebSocket is, and what an upstream that agrees says (RFC 6455 4). What is not quite one is a request
//! like any other, and loses its `Upgrade`: no other protocol is ever switched to.

use http::header::{
    CONNECTION, CONTENT_LENGTH, HeaderName, HeaderValue, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, TE, UPGRADE,
};
use http::{HeaderMap, Method, Response, Version, request};

use crate::headers::{names_token, single};

/// Whether a request, if it has no body, asks for a WebSocket and nothing else.
///
/// What the reader takes for one is more: it keeps back what comes after the header.
pub(crate) fn is_asked_for(head: &request::Parts) -> bool {
    head.method == Method::GET
        && head.version == Version::HTTP_11
        && is_switch(&head.headers)
        && the_one(&head.headers, &SEC_WEBSOCKET_VERSION).is_some_and(|version| version == "13")
        && key(&head.headers).is_some()
}

/// The key, if there is one and it could be one.
pub(super) fn key(headers: &HeaderMap) -> Option<&HeaderValue> {
    the_one(headers, &SEC_WEBSOCKET_KEY).filter(|key| is_key(key))
}

/// Whether an upstream that answers 101 has switched to what was asked for. What it made of the key is for the caller to
/// see.
pub(crate) fn is_agreed_to<B>(response: &Response<B>) -> bool {
    response.version() == Version::HTTP_11 && is_switch(response.headers())
}

/// Says to the next one what was said to sidekey, when all that is between two ends alone has been taken off.
pub(crate) fn put_on(headers: &mut HeaderMap) {
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    // `Connection` would have to name it; and a 101 has no body (RFC 9110 8.6).
    headers.remove(TE);
    headers.remove(CONTENT_LENGTH);
}

fn is_switch(headers: &HeaderMap) -> bool {
    let protocol = the_one(headers, &UPGRADE);
    protocol.is_some_and(|protocol| protocol.as_bytes().eq_ignore_ascii_case(b"websocket"))
        && names_token(headers, &CONNECTION, "upgrade")
}

fn the_one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    single(headers, name).ok().flatten()
}

/// 16 bytes in base64.
fn is_key(key: &HeaderValue) -> bool {
    let digits = key.as_bytes().strip_suffix(b"==");
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    digits.is_some_and(|digits| digits.len() == 22 && digits.iter().all(is_digit))
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::is_asked_for;

    const ASKED: [(&str, &str); 4] = [
        ("connection", "Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];

    fn is_one(method: &str, fields: &[(&str, &str)]) -> bool {
        let request =
            fields.iter().fold(Request::builder().method(method), |asked, (name, value)| asked.header(*name, *value));
        is_asked_for(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn the_handshake_of_rfc_6455_is_one_however_it_is_written() {
        assert!(is_one("GET", &ASKED));
        for (at, value) in [(0, "keep-alive, upgrade"), (0, "UPGRADE"), (1, "WebSocket")] {
            let mut asked = ASKED;
            asked[at].1 = value;
            assert!(is_one("GET", &asked), "{value}");
        }
    }

    #[test]
    fn what_is_not_quite_one_is_none() {
        for missing in 0..ASKED.len() {
            let asked: Vec<_> =
                ASKED.iter().enumerate().filter(|(at, _)| *at != missing).map(|(_, field)| *field).collect();
            assert!(!is_one("GET", &asked), "{missing}");
            // Twice is once too often, but for `Connection`, which is a list.
            let asked = [&ASKED[..], &ASKED[missing..=missing]].concat();
            assert_eq!(is_one("GET", &asked), missing == 0, "{missing}");
        }
        for method in ["POST", "HEAD", "get"] {
            assert!(!is_one(method, &ASKED), "{method}");
        }
        for (at, value) in [
            (0, "close"),
            (0, "upgraded"),
            (1, "h2c"),
            (1, "TLS/1.0"),
            (1, "websocket, h2c"),
            (1, "h2c, websocket"),
            (1, "websocket/13"),
            (1, ""),
            (2, "8"),
            (2, "13, 8"),
            (3, ""),
            (3, "dGhlIHNhbXBsZSBub25jZQ"),
            (3, "dGhlIHNhbXBsZSBub25jZQ==="),
            (3, "dGhlIHNhbXBsZSBub25jZ ==="),
            (3, "x"),
        ] {
            let mut asked = ASKED;
            asked[at].1 = value;
            assert!(!is_one("GET", &asked), "{value}");
        }
    }
}
