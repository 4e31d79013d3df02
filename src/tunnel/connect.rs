//! A handshake as HTTP/2 says it to an upstream (RFC 8441 5): made an extended `CONNECT` of the path's own, and the answer made
//! what HTTP/1.1 would have said. What [`super::extended`] does for callers, from the other side.

use http::header::{CONNECTION, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use http::{Method, StatusCode};

use super::{handshake, key};
use crate::message::{RequestHead, ResponseHead};

/// Goes with a handshake that leaves as an extended `CONNECT`, and with no other request.
#[derive(Clone)]
pub(crate) struct Connect {
    /// What the caller's key is answered with: in HTTP/2, the upstream does not get it.
    accept: HeaderValue,
}

/// Makes an extended `CONNECT` of a handshake, before its credential goes on: what is signed is what leaves.
pub(crate) fn put_on(head: &mut RequestHead) {
    handshake::put_on(&mut head.fields);
    let accept = key::accept(head.fields.get(&SEC_WEBSOCKET_KEY).unwrap_or_default());
    for name in [CONNECTION, UPGRADE, SEC_WEBSOCKET_KEY] {
        head.fields.remove(&name);
    }
    head.method = Method::CONNECT;
    head.extensions.insert(Connect { accept });
}

impl Connect {
    /// Whether a status says that the WebSocket is open.
    pub(crate) fn is_agreed_to(status: StatusCode) -> bool {
        status.is_success()
    }

    /// Makes an answer that agrees what it is on the path.
    pub(crate) fn finish(self, answer: &mut ResponseHead) {
        answer.status = StatusCode::SWITCHING_PROTOCOLS;
        handshake::put_on(&mut answer.fields);
        answer.fields.put(&SEC_WEBSOCKET_ACCEPT, &self.accept);
    }
}

#[cfg(test)]
mod tests {
    use http::{Method, Request, Response, StatusCode};

    use http::header::{HeaderName, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION};

    use super::{Connect, put_on};
    use crate::message::{RequestHead, ResponseHead};

    #[test]
    fn a_handshake_leaves_without_what_only_http_1_1_says_and_comes_back_with_it() {
        let asked = Request::get("/socket?x")
            .header("connection", "Upgrade, TE")
            .header("te", "trailers")
            .header("upgrade", "websocket")
            .header("content-length", "0")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
            .header("sec-websocket-protocol", "chat");
        let mut head = RequestHead::from(asked.body(()).unwrap().into_parts().0);
        put_on(&mut head);
        assert_eq!((&head.method, head.path.path()), (&Method::CONNECT, "/socket"));
        assert_eq!(head.fields.len(), 2, "{:?}", head.fields);
        assert!(head.fields.has(&SEC_WEBSOCKET_VERSION));
        assert_eq!(head.fields.get(&SEC_WEBSOCKET_PROTOCOL), Some(&b"chat"[..]));

        let answer = Response::builder().header("content-length", "0").header("sec-websocket-accept", "theirs");
        let answer = answer.header("sec-websocket-protocol", "chat").body(()).unwrap();
        let mut answer = ResponseHead::from(answer.into_parts().0);
        head.extensions.remove::<Connect>().unwrap().finish(&mut answer);
        assert_eq!(answer.status, StatusCode::SWITCHING_PROTOCOLS);
        assert_eq!(answer.fields.len(), 4, "{:?}", answer.fields);
        for (name, value) in [
            ("connection", "Upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
            ("sec-websocket-protocol", "chat"),
        ] {
            assert_eq!(answer.fields.get(&HeaderName::from_static(name)), Some(value.as_bytes()));
        }
    }
}
