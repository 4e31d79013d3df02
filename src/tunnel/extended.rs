//! A WebSocket as HTTP/2 asks for one (RFC 8441 5): made a handshake of HTTP/1.1 before the request path, which knows no other,
//! and its answer made HTTP/2's at the end of it. So whatever holds for one, holds for the other.

use h2::ext::Protocol;
use http::header::{CONNECTION, CONTENT_LENGTH, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use http::{Method, StatusCode, Version};

use super::{handshake, key};
use crate::message::{RequestHead, ResponseHead};

/// Why an extended `CONNECT` comes to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ExtendedError {
    #[error("`:protocol` is not `websocket`")]
    Protocol,
    #[error("the upstream took the request for a WebSocket for an ordinary one")]
    Ordinary,
    #[error("the upstream's `Sec-WebSocket-Accept` is not what the key asks for")]
    Key,
}

/// A handshake that came as an extended `CONNECT`.
pub(crate) struct Extended {
    /// What the upstream has to make of the key.
    accept: HeaderValue,
    /// Whether that is the caller's, which then sees what became of it. It need not have sent one; undici does, and checks.
    is_callers: bool,
}

impl Extended {
    /// Makes a handshake of a request that is one in HTTP/2. `None`: it is no extended `CONNECT`, and is left as it is.
    pub(crate) fn read(head: &mut RequestHead) -> Result<Option<Self>, ExtendedError> {
        if head.method != Method::CONNECT {
            return Ok(None);
        }
        let Some(protocol) = head.extensions.get::<Protocol>() else { return Ok(None) };
        if !protocol.as_str().eq_ignore_ascii_case("websocket") {
            return Err(ExtendedError::Protocol);
        }
        let callers = handshake::key(&head.fields).and_then(|key| HeaderValue::from_bytes(key).ok());
        let is_callers = callers.is_some();
        let key = callers.unwrap_or_else(key::fresh);
        let accept = key::accept(key.as_bytes());
        head.method = Method::GET;
        head.version = Version::HTTP_11;
        handshake::put_on(&mut head.fields);
        head.fields.put(&SEC_WEBSOCKET_KEY, &key);
        Ok(Some(Self { accept, is_callers }))
    }

    /// Makes the answer what HTTP/2 has for it. To its caller, any 2xx says that the WebSocket is open: so one that comes
    /// with something else does not pass, nor does one for another key (RFC 6455 4.1).
    pub(crate) fn finish(&self, answer: &mut ResponseHead, switched: bool) -> Result<(), ExtendedError> {
        if !switched {
            return if answer.status.is_success() { Err(ExtendedError::Ordinary) } else { Ok(()) };
        }
        if answer.fields.single(&SEC_WEBSOCKET_ACCEPT).ok().flatten() != Some(self.accept.as_bytes()) {
            return Err(ExtendedError::Key);
        }
        for name in [CONNECTION, CONTENT_LENGTH, UPGRADE] {
            answer.fields.remove(&name);
        }
        if !self.is_callers {
            answer.fields.remove(&SEC_WEBSOCKET_ACCEPT);
        }
        answer.status = StatusCode::OK;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use h2::ext::Protocol;
    use http::header::{SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY};
    use http::{Method, Request, Response, StatusCode, Version};

    use super::{Extended, ExtendedError};
    use crate::message::{RequestHead, ResponseHead};
    use crate::tunnel::handshake;
    use crate::tunnel::key::accept;

    fn asked(method: Method, protocol: Option<&'static str>) -> RequestHead {
        let mut request = Request::builder().method(method).version(Version::HTTP_2).uri("http://a/socket?x");
        request = request.header("sec-websocket-version", "13").header("sec-websocket-key", "the caller's");
        if let Some(protocol) = protocol {
            request = request.extension(Protocol::from_static(protocol));
        }
        request.body(()).unwrap().into_parts().0.into()
    }

    #[test]
    fn an_extended_connect_is_a_handshake_on_the_path_and_any_other_request_is_left_alone() {
        let mut request = asked(Method::CONNECT, Some("websocket"));
        let Ok(Some(extended)) = Extended::read(&mut request) else { panic!("{request:?}") };
        assert_eq!((request.authority.as_ref().unwrap().as_str(), request.path.as_str()), ("a", "/socket?x"));
        assert_eq!(accept(request.fields.get(&SEC_WEBSOCKET_KEY).unwrap()), extended.accept);
        assert!(handshake::is_asked_for(&request));
        // A key that could be one goes as it is, and what becomes of it is told.
        let mut request = asked(Method::CONNECT, Some("websocket"));
        let key = http::HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ==");
        request.fields.put(&SEC_WEBSOCKET_KEY, &key);
        let Ok(Some(extended)) = Extended::read(&mut request) else { panic!("{request:?}") };
        assert!(extended.is_callers && request.fields.get(&SEC_WEBSOCKET_KEY) == Some(key.as_bytes()));
        for (method, protocol) in [(Method::CONNECT, None), (Method::GET, None), (Method::GET, Some("websocket"))] {
            let mut request = asked(method.clone(), protocol);
            assert!(matches!(Extended::read(&mut request), Ok(None)));
            assert_eq!((request.method, request.version, request.fields.len()), (method, Version::HTTP_2, 2));
        }
        for protocol in ["connect-udp", "websocket, x", ""] {
            let read = Extended::read(&mut asked(Method::CONNECT, Some(protocol)));
            assert_eq!(read.err(), Some(ExtendedError::Protocol), "{protocol}");
        }
    }

    #[test]
    fn no_answer_looks_like_an_open_websocket_that_is_none() {
        let mut extended = Extended { accept: accept(b"key"), is_callers: false };
        let finish = |extended: &Extended, status: u16, accepts: &[&str], switched| {
            let mut answer = Response::builder().status(status).header("content-length", "0");
            for key in accepts {
                answer = answer.header(SEC_WEBSOCKET_ACCEPT, accept(key.as_bytes()));
            }
            let mut head = ResponseHead::from(answer.body(()).unwrap().into_parts().0);
            extended.finish(&mut head, switched).map(|()| (head.status, head.fields.len()))
        };
        assert_eq!(finish(&extended, 101, &["key"], true), Ok((StatusCode::OK, 0)));
        extended.is_callers = true;
        assert_eq!(finish(&extended, 101, &["key"], true), Ok((StatusCode::OK, 1)));
        for accepts in [&[][..], &["another"], &["key", "key"], &["another", "key"]] {
            assert_eq!(finish(&extended, 101, accepts, true), Err(ExtendedError::Key), "{accepts:?}");
        }
        for status in [200, 204, 299] {
            assert_eq!(finish(&extended, status, &["key"], false), Err(ExtendedError::Ordinary), "{status}");
        }
        for status in [302, 426, 503] {
            assert_eq!(finish(&extended, status, &[], false), Ok((StatusCode::from_u16(status).unwrap(), 1)));
        }
    }
}
