//! One attempt: sends an authorised request, once more if its connection had been closed before it.

use std::pin::pin;
use std::rc::Rc;
use std::time::Instant;

use http::StatusCode;

use super::answer::Lease;
use super::breaker::LeftAlone;
use super::connect::ConnectError;
use super::connection::{Connection, Failed, Fault, Received};
use super::exchange::Upload;
use super::http2::StreamError;
use super::tls::{Purpose, Version};
use super::{StreamedBody, Upstream, http1};
use crate::credential::{Authorized, PlaceError};
use crate::message::{Response, ResponseHead};
use crate::route::Spoken;
use crate::tunnel::handshake;

/// What the upstream said, before anything was done about it. Boxed: it is handed on by everyone who sent.
pub(crate) struct Answer {
    pub(crate) head: ResponseHead,
    pub(crate) body: StreamedBody,
    pub(crate) upstream: Rc<Upstream>,
    /// How the caller named the upstream.
    pub(crate) spoken: Spoken,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Sign(#[from] PlaceError),
    #[error(transparent)]
    LeftAlone(#[from] LeftAlone),
    #[error("the caller's body broke off")]
    CallerBody(#[source] Fault),
    #[error("the caller stopped sending its body")]
    CallerTimeout,
    #[error("no response in time")]
    ResponseTimeout,
    #[error("the upstream stopped taking the body")]
    UploadTimeout,
    #[error("the upstream closed the connection before its response")]
    Incomplete(#[source] Fault),
    #[error("the upstream's connection failed")]
    Terminated(#[source] Fault),
    #[error("the upstream's response is malformed")]
    Malformed(#[source] Fault),
    #[error("the upstream switched to a protocol that nobody asked for")]
    UnaskedUpgrade,
    #[error("the upstream has no WebSockets in HTTP/2")]
    NoTunnels(#[source] Fault),
}

/// Sends the request, on a pooled connection or a new one, and waits for the response's header.
///
/// A request that met a closed connection is sent once more, on another, if none of it can have been acted on: it was not
/// written at all, or the upstream says that it has not looked at it, or it had gone on a pooled connection, doing it
/// twice is doing it once, and its body can be repeated.
///
/// Dropping the future cancels the request: its connection is closed, or of HTTP/2 its stream.
pub(super) async fn send_once(authorized: &mut Authorized) -> Result<Box<Answer>, SendError> {
    let survives_loss = authorized.can_be_repeated();
    let connections = &authorized.upstream().connections;
    let now = Instant::now();
    let first = match connections.take(purpose(authorized), !survives_loss, now) {
        Some(connection) => {
            authorized.exchange().phases().reuse();
            // Pinned where it is made: to be awaited, its state would be moved first.
            pin!(send_on(connection, authorized, survives_loss, now)).await
        }
        None => Box::pin(send_on_new(authorized)).await,
    };
    match first {
        Err(Unsent::Again(_)) => {
            authorized.exchange().phases().retry();
            authorized.renew()?;
            Box::pin(send_on_new(authorized)).await.map_err(Unsent::into_error)
        }
        Ok(answer) => Ok(answer),
        Err(Unsent::Never(error)) => Err(error),
    }
}

/// What becomes of a request that a connection did not serve.
enum Unsent {
    /// It may be sent once more.
    Again(SendError),
    /// It may not.
    Never(SendError),
}

impl Unsent {
    fn into_error(self) -> SendError {
        match self {
            Self::Again(error) | Self::Never(error) => error,
        }
    }
}

fn purpose(authorized: &Authorized) -> Purpose {
    let upstream = authorized.upstream();
    let needs_http1 = authorized.wants_tunnel() && upstream.tunnels() == Version::Http1;
    if needs_http1 || upstream.connections.requires_http1() { Purpose::Http1 } else { Purpose::Any }
}

/// Boxed by its callers: a handshake's state is large, and would be moved about with every request that needs none.
async fn send_on_new(authorized: &mut Authorized) -> Result<Box<Answer>, Unsent> {
    let connections = &authorized.upstream().connections;
    let opened = connections.open(purpose(authorized), authorized.exchange().phases()).await;
    let connection = opened.map_err(|error| Unsent::Never(error.into()))?;
    tracing::debug!(target: "upstream", upstream = authorized.upstream().name(), "connected");
    send_on(connection, authorized, false, Instant::now()).await
}

/// `survives_loss`: it may be sent again if the connection was closed under it.
async fn send_on(
    mut connection: Connection,
    authorized: &mut Authorized,
    survives_loss: bool,
    now: Instant,
) -> Result<Box<Answer>, Unsent> {
    let keep = survives_loss || connection.may_refuse() || authorized.upstream().replays();
    let body = authorized.take_body(keep);
    let exchange = authorized.exchange();
    let timeouts = authorized.upstream().timeouts();
    let outcome = connection.exchange(authorized.head(), body, exchange, timeouts, now).await;
    exchange.stop_waiting();
    match outcome {
        Ok(response) => answer(response, authorized, connection).map_err(Unsent::Never),
        Err(Failed::Overdue(waiting)) => Err(Unsent::Never(match waiting {
            Upload::Finished | Upload::Broken => SendError::ResponseTimeout,
            Upload::Upstream => SendError::UploadTimeout,
            Upload::Caller => SendError::CallerTimeout,
        })),
        Err(Failed::Lost(lost)) => {
            let is_unprocessed = lost.fault.is_unprocessed();
            if lost.fault.requires_http1() {
                authorized.upstream().connections.require_http1();
            }
            let error = classify(lost.fault);
            let raced = matches!(error, SendError::Incomplete(_) | SendError::Terminated(_));
            if let Some(body) = lost.unwritten {
                authorized.put_back(body);
                return Err(Unsent::Again(error));
            }
            let may = is_unprocessed || (raced && survives_loss);
            Err(if may && authorized.can_be_replayed() { Unsent::Again(error) } else { Unsent::Never(error) })
        }
    }
}

fn answer(
    Response { head, body: incoming }: Response<Received>,
    authorized: &Authorized,
    connection: Connection,
) -> Result<Box<Answer>, SendError> {
    let switched = head.status == StatusCode::SWITCHING_PROTOCOLS;
    let agreed = authorized.wants_tunnel() && handshake::is_agreed_to(&head) && connection.can_switch();
    if switched && !agreed {
        return Err(SendError::UnaskedUpgrade);
    }
    authorized.upstream().answered(head.status, authorized.which());
    authorized.upstream().shared().limiter().heed(head.status, &head.fields);
    let upstream = Rc::clone(authorized.upstream());
    let lease = Lease::new(Rc::clone(&upstream), connection);
    let body = match switched {
        true => StreamedBody::switched(incoming, lease, authorized.scrubber()),
        false => StreamedBody::new(incoming, lease, authorized.scrubber()),
    };
    Ok(Box::new(Answer { head, body, upstream, spoken: authorized.spoken().clone() }))
}

fn classify(fault: Fault) -> SendError {
    match &fault {
        Fault::Caller(_) | Fault::Http1(http1::Fault::Length) => SendError::CallerBody(fault),
        Fault::Http1(http1::Fault::Malformed(_)) => SendError::Malformed(fault),
        Fault::Http1(http1::Fault::Incomplete) => SendError::Incomplete(fault),
        Fault::Http1(http1::Fault::Broken(_)) => SendError::Terminated(fault),
        Fault::Http2(StreamError::NoTunnels) => SendError::NoTunnels(fault),
        Fault::Http2(error) if error.is_malformed() => SendError::Malformed(fault),
        Fault::Http2(_) => SendError::Incomplete(fault),
    }
}
