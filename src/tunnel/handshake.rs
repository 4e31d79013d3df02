//! What a request for a WebSocket is, and what an upstream that agrees says (RFC 6455 4). What is not quite one is a request
//! like any other, and loses its `Upgrade`: no other protocol is ever switched to.

use http::header::{
    CONNECTION, CONTENT_LENGTH, HeaderName, HeaderValue, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, TE, UPGRADE,
};
use http::{Method, Version};

use crate::fields::Fields;
use crate::headers::names_token;
use crate::message::{RequestHead, ResponseHead};

/// Whether a request, if it has no body, asks for a WebSocket and nothing else.
///
/// What the reader takes for one is more: it keeps back what comes after the header.
pub(crate) fn is_asked_for(head: &RequestHead) -> bool {
    head.method == Method::GET
        && head.version == Version::HTTP_11
        && is_switch(&head.fields)
        && the_one(&head.fields, &SEC_WEBSOCKET_VERSION).is_some_and(|version| version == b"13")
        && key(&head.fields).is_some()
}

/// The key, if there is one and it could be one.
pub(super) fn key(fields: &Fields) -> Option<&[u8]> {
    the_one(fields, &SEC_WEBSOCKET_KEY).filter(|key| is_key(key))
}

/// Whether an upstream that answers 101 has switched to what was asked for. What it made of the key is for the caller to
/// see.
pub(crate) fn is_agreed_to(answer: &ResponseHead) -> bool {
    answer.version == Version::HTTP_11 && is_switch(&answer.fields)
}

/// Says to the next one what was said to sidekey, when all that is between two ends alone has been taken off.
pub(crate) fn put_on(fields: &mut Fields) {
    fields.put(&CONNECTION, &HeaderValue::from_static("Upgrade"));
    fields.put(&UPGRADE, &HeaderValue::from_static("websocket"));
    // `Connection` would have to name it; and a 101 has no body (RFC 9110 8.6).
    fields.remove(&TE);
    fields.remove(&CONTENT_LENGTH);
}

fn is_switch(fields: &Fields) -> bool {
    let protocol = the_one(fields, &UPGRADE);
    protocol.is_some_and(|protocol| protocol.eq_ignore_ascii_case(b"websocket"))
        && names_token(fields, &CONNECTION, "upgrade")
}

fn the_one<'a>(fields: &'a Fields, name: &HeaderName) -> Option<&'a [u8]> {
    fields.single(name).ok().flatten()
}

/// 16 bytes in base64.
fn is_key(key: &[u8]) -> bool {
    let digits = key.strip_suffix(b"==");
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
        is_asked_for(&request.body(()).unwrap().into_parts().0.into())
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
