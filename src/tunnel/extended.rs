//! A WebSocket as HTTP/2 asks for one (RFC 8441 5): made a handshake of HTTP/1.1 before the request path, which knows no other,
//! and its answer made HTTP/2's after it. So whatever holds for one, holds for the other.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use http::{Method, Request, Response, StatusCode, Version, header};
use hyper::ext::Protocol;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use sha1::{Digest, Sha1};

use super::handshake;
use crate::headers::single;
use crate::random;

/// What a key is answered with (RFC 6455 1.3).
const MARK: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// A handshake that HTTP/2 knows as an extended `CONNECT`.
pub(crate) struct Extended {
    /// The caller's stream, when the answer has gone out.
    stream: OnUpgrade,
    /// What the upstream has to make of the key, which is sidekey's own.
    accept: HeaderValue,
}

impl Extended {
    /// Makes a handshake of a request that is one in HTTP/2. `None`: it is none, and is left as it is.
    pub(crate) fn read<B>(request: &mut Request<B>) -> Option<Self> {
        let protocol = request.extensions().get::<Protocol>()?;
        let is_handshake = request.method() == Method::CONNECT
            && request.version() == Version::HTTP_2
            && protocol.as_str() == "websocket";
        if !is_handshake {
            return None;
        }
        // It finds out who does not speak the protocol, and is no secret.
        let key = STANDARD.encode(random::number().to_ne_bytes());
        let accept = HeaderValue::try_from(accept(key.as_bytes())).ok()?;
        let stream = hyper::upgrade::on(&mut *request);
        *request.method_mut() = Method::GET;
        *request.version_mut() = Version::HTTP_11;
        handshake::put_on(request.headers_mut());
        request.headers_mut().insert(SEC_WEBSOCKET_KEY, HeaderValue::try_from(key).ok()?);
        Some(Self { stream, accept })
    }

    /// Makes the answer what HTTP/2 has for it. `false`: the upstream has made something else of the key, and its tunnel is
    /// not to be used (RFC 6455 4.1).
    pub(crate) fn answer<B>(&self, response: &mut Response<B>) -> bool {
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return true;
        }
        let accepted = single(response.headers(), &SEC_WEBSOCKET_ACCEPT).ok().flatten() == Some(&self.accept);
        for name in [header::CONNECTION, UPGRADE, SEC_WEBSOCKET_ACCEPT] {
            response.headers_mut().remove(name);
        }
        *response.status_mut() = StatusCode::OK;
        accepted
    }

    /// The caller's side of the tunnel.
    pub(crate) async fn into_stream(self) -> hyper::Result<TokioIo<Upgraded>> {
        self.stream.await.map(TokioIo::new)
    }
}

/// What an upstream that knows WebSocket makes of `key`.
fn accept(key: &[u8]) -> String {
    STANDARD.encode(Sha1::new().chain_update(key).chain_update(MARK).finalize())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::header::{HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
    use http::{Method, Request, Response, StatusCode};
    use http_body_util::Empty;
    use hyper::body::Incoming;
    use hyper::client::conn::http2 as client;
    use hyper::ext::Protocol;
    use hyper::server::conn::http2 as server;
    use hyper::service::service_fn;
    use hyper_util::rt::{TokioExecutor, TokioIo};
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::runtime::Builder;
    use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

    use super::{Extended, accept};
    use crate::tunnel::handshake;

    #[test]
    fn a_key_is_answered_as_in_rfc_6455() {
        assert_eq!(accept(b"dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    /// Answers as the request path and an upstream would, and hands on what comes of it.
    fn answer(mut request: Request<Incoming>, opened: &UnboundedSender<Extended>) -> Response<Empty<Bytes>> {
        let mut response = Response::new(Empty::new());
        let Some(extended) = Extended::read(&mut request) else { return response };
        let (head, _) = request.into_parts();
        assert!(handshake::is_asked_for(&head), "{head:?}");
        assert_eq!((head.uri.path(), &head.headers["x-kept"]), ("/socket", &HeaderValue::from_static("1")));
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        handshake::put_on(response.headers_mut());
        let wrong = head.uri.query() == Some("wrong");
        let key = if wrong { b"another" } else { head.headers[SEC_WEBSOCKET_KEY].as_bytes() };
        response.headers_mut().insert(SEC_WEBSOCKET_ACCEPT, accept(key).parse().unwrap());
        assert_eq!(extended.answer(&mut response), !wrong);
        opened.send(extended).unwrap();
        response
    }

    #[test]
    fn an_extended_connect_is_a_handshake_on_the_path_and_a_stream_after_it() {
        let test = async {
            let (near, far) = duplex(65_536);
            let (opened, mut streams) = unbounded_channel();
            let service = service_fn(move |request| {
                let response = answer(request, &opened);
                async { Ok::<_, std::convert::Infallible>(response) }
            });
            let mut http = server::Builder::new(TokioExecutor::new());
            let serving = http.enable_connect_protocol().serve_connection(TokioIo::new(far), service);
            let (mut sender, asking) = client::handshake(TokioExecutor::new(), TokioIo::new(near)).await.unwrap();
            let asked = |method, target: &str| {
                Request::builder().method(method).uri(format!("http://api.localhost{target}")).header("x-kept", "1")
            };
            let calls = async {
                // Others are left as they are.
                let plain = asked(Method::GET, "/socket").body(Empty::<Bytes>::new()).unwrap();
                assert_eq!(sender.send_request(plain).await.unwrap().status(), StatusCode::OK);
                for (target, protocol) in [("/socket?wrong", "websocket"), ("/socket", "websocket")] {
                    let request = asked(Method::CONNECT, target)
                        .header("sec-websocket-version", "13")
                        .extension(Protocol::from_static(protocol));
                    let response = sender.send_request(request.body(Empty::new()).unwrap()).await.unwrap();
                    assert_eq!(response.status(), StatusCode::OK);
                    assert!(!response.headers().contains_key(UPGRADE));
                    assert!(!response.headers().contains_key(SEC_WEBSOCKET_ACCEPT));
                    let mut stream = streams.recv().await.unwrap().into_stream().await.unwrap();
                    let mut caller = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
                    caller.write_all(b"hello").await.unwrap();
                    let mut heard = [0; 5];
                    stream.read_exact(&mut heard).await.unwrap();
                    stream.write_all(&heard).await.unwrap();
                    stream.shutdown().await.unwrap();
                    let mut echoed = Vec::new();
                    caller.read_to_end(&mut echoed).await.unwrap();
                    assert_eq!(echoed, b"hello");
                }
            };
            tokio::select! {
                served = serving => panic!("it ended: {served:?}"),
                asked = asking => panic!("it ended: {asked:?}"),
                () = calls => {}
            }
        };
        Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
    }
}
