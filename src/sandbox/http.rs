//! What the stand-ins share: a request read whole, JSON answers, and the loop that serves them over TLS.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderValue, Request, Response, StatusCode, request};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::{StandIn, leftover};

/// Bodies are held whole, to be hashed and looked into; a larger one is answered 413.
const MAX_BODY: usize = 64 * 1024 * 1024;
/// For a handshake, and again for a request's body.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a stand-in says.
pub(super) type Answer = Response<Full<Bytes>>;

/// A request as it came off the wire, whole.
pub(super) struct Arrived {
    pub(super) parts: request::Parts,
    pub(super) body: Bytes,
    /// When it arrived. A test may say otherwise.
    pub(super) now: SystemTime,
}

impl Arrived {
    /// Method and path, to match a route by.
    pub(super) fn route(&self) -> (&str, &str) {
        (self.parts.method.as_str(), self.parts.uri.path())
    }

    /// The target as it stood in the request line.
    pub(super) fn target(&self) -> &str {
        self.parts.uri.path_and_query().map_or("", |target| target.as_str())
    }

    /// The value of a query parameter, as it was written (escapes and all).
    pub(super) fn query(&self, name: &str) -> Option<&str> {
        let pairs = self.parts.uri.query()?.split('&').filter_map(|pair| pair.split_once('='));
        pairs.into_iter().find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    pub(super) fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }
}

/// An answer with a JSON body.
pub(super) fn json_answer(status: StatusCode, body: &Value) -> Answer {
    // For a person at a terminal, the line ends: JSON does not mind.
    let mut answer = Response::new(Full::from(format!("{body}\n")));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

/// A 401 that says which scheme would have done.
pub(super) fn challenge(scheme: &'static str, body: &Value) -> Answer {
    let mut answer = json_answer(StatusCode::UNAUTHORIZED, body);
    answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(scheme));
    answer
}

/// Accepts connections and answers requests. Does not end by itself; dropping it ends every connection that it has.
pub(super) async fn serve(listener: std::net::TcpListener, acceptor: TlsAcceptor, stand_in: Arc<StandIn>) {
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    let Ok(port) = listener.local_addr().map(|address| address.port()) else { return };
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((socket, _)) => {
                    connections.spawn(serve_connection(socket, acceptor.clone(), port, Arc::clone(&stand_in)));
                }
                // Out of file descriptors, mostly: the next moment may be better.
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve_connection(socket: TcpStream, acceptor: TlsAcceptor, port: u16, stand_in: Arc<StandIn>) {
    let Ok(Ok(stream)) = timeout(PATIENCE, acceptor.accept(socket)).await else { return };
    let service = service_fn(|request| {
        let stand_in = Arc::clone(&stand_in);
        async move { Ok::<_, Infallible>(receive(request, port, &stand_in).await) }
    });
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(PATIENCE).half_close(true);
    // How a caller's connection ends is the caller's affair.
    let _ended = server.serve_connection(TokioIo::new(stream), service).await;
}

async fn receive(request: Request<Incoming>, port: u16, stand_in: &StandIn) -> Answer {
    let (parts, body) = request.into_parts();
    let body = match timeout(PATIENCE, Limited::new(body, MAX_BODY).collect()).await {
        Ok(Ok(whole)) => {
            if let Some(field) = whole.trailers().and_then(leftover::in_trailers) {
                return leftover::refusal(&field);
            }
            whole.to_bytes()
        }
        Ok(Err(_)) => return json_answer(StatusCode::PAYLOAD_TOO_LARGE, &json!({ "message": "body too large" })),
        Err(_) => return json_answer(StatusCode::REQUEST_TIMEOUT, &json!({ "message": "body too slow" })),
    };
    let request = Arrived { parts, body, now: SystemTime::now() };
    leftover::refuse(&request, port).unwrap_or_else(|| stand_in.answer(&request))
}
