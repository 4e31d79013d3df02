//! Sends an authorised request, and says what may be sent twice.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use http::{Method, Request, Response, StatusCode, request, response};
use hyper::body::Incoming;
use tokio::sync::Notify;
use tokio::time::sleep_until;

use super::answer::Lease;
use super::body::{Exchange, RequestBody, Upload};
use super::connect::ConnectError;
use super::connection::Connection;
use super::{StreamedBody, Upstream};
use crate::config::Timeouts;
use crate::credential::{Authorized, PlaceError};
use crate::headers::Outgoing;
use crate::route::{Spoken, Target};
use crate::wire::Malformed;

/// What the upstream said, before anything was done about it.
pub(crate) struct Answer {
    pub(crate) head: response::Parts,
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
    #[error("the caller's body broke off")]
    CallerBody(#[source] hyper::Error),
    #[error("the caller stopped sending its body")]
    CallerTimeout,
    #[error("no response in time")]
    ResponseTimeout,
    #[error("the upstream stopped taking the body")]
    UploadTimeout,
    #[error("the upstream closed the connection before its response")]
    Incomplete(#[source] hyper::Error),
    #[error("the upstream's connection failed")]
    Terminated(#[source] hyper::Error),
    #[error("the upstream's response is malformed")]
    Malformed(#[source] hyper::Error),
    #[error("the upstream switched protocols though nobody asked")]
    UnaskedUpgrade,
}

/// Sends the request, on a pooled connection or a new one, and waits for the response's header.
///
/// A request that met a closed connection is sent once more, on a new one, if none of it can have been acted on: it
/// was not written at all, or its method is idempotent and its body can be repeated.
///
/// Dropping the future cancels the request: its connection is closed.
pub(crate) async fn send(authorized: Authorized) -> Result<Answer, SendError> {
    let (target, outgoing) = authorized.into_parts();
    let Target { upstream, spoken, .. } = target;
    let (head, body) = exchange(&upstream, outgoing).await?;
    Ok(Answer { head, body, upstream, spoken })
}

async fn exchange(upstream: &Rc<Upstream>, outgoing: Outgoing) -> Result<(response::Parts, StreamedBody), SendError> {
    let Outgoing { head, body, exchange, wants_body } = outgoing;
    let idempotent = is_idempotent(&head.method);
    if let Some(mut connection) = upstream.pool.take(!idempotent) {
        let spare = if idempotent { body.replay().map(|body| (head.clone(), body)) } else { None };
        let request = request(head, body, wants_body.clone());
        match exchange_once(&mut connection, request, &exchange, upstream.timeouts()).await {
            Ok(response) => return answer(response, upstream, connection, exchange),
            Err(lost) => {
                drop(connection);
                let (mut head, body) = lost.unwritten.or(spare.filter(|_| lost.raced)).ok_or(lost.error)?;
                // Signed afresh: what dates the request must not be older than the request.
                upstream.credential.place(&mut head, body.held(), SystemTime::now())?;
                return Box::pin(send_on_new(upstream, head, body, exchange, wants_body)).await;
            }
        }
    }
    Box::pin(send_on_new(upstream, head, body, exchange, wants_body)).await
}

/// Boxed by its callers: a handshake's state is large, and would be moved about with every request that needs none.
async fn send_on_new(
    upstream: &Rc<Upstream>,
    head: request::Parts,
    body: RequestBody,
    exchange: Rc<Exchange>,
    wants_body: Option<Arc<Notify>>,
) -> Result<(response::Parts, StreamedBody), SendError> {
    let mut connection = Connection::open(&upstream.dialer).await?;
    let request = request(head, body, wants_body);
    match exchange_once(&mut connection, request, &exchange, upstream.timeouts()).await {
        Ok(response) => answer(response, upstream, connection, exchange),
        Err(lost) => Err(lost.error),
    }
}

/// RFC 9110 9.2.2.
fn is_idempotent(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE)
}

fn request(head: request::Parts, body: RequestBody, wants_body: Option<Arc<Notify>>) -> Request<RequestBody> {
    let mut request = Request::from_parts(head, body);
    if let Some(signal) = wants_body {
        hyper::ext::on_informational(&mut request, move |interim| {
            if interim.status() == StatusCode::CONTINUE {
                signal.notify_one();
            }
        });
    }
    request
}

/// An exchange that failed.
struct Lost {
    error: SendError,
    /// The request, if nothing of it was written.
    unwritten: Option<(request::Parts, RequestBody)>,
    /// Whether the connection was closed under the request, which no answer had begun to.
    raced: bool,
}

impl From<SendError> for Lost {
    fn from(error: SendError) -> Self {
        Self { error, unwritten: None, raced: false }
    }
}

async fn exchange_once(
    connection: &mut Connection,
    request: Request<RequestBody>,
    exchange: &Exchange,
    timeouts: &Timeouts,
) -> Result<Response<Incoming>, Lost> {
    exchange.touch();
    let response = connection.exchange(request);
    tokio::select! {
        biased;
        outcome = response => outcome.map_err(|mut refused| {
            let unwritten = refused.take_message().map(Request::into_parts);
            let error = classify(refused.into_error(), exchange);
            let raced = matches!(error, SendError::Incomplete(_) | SendError::Terminated(_));
            Lost { error, unwritten, raced }
        }),
        error = overdue(exchange, timeouts) => Err(error.into()),
    }
}

/// Waits until the exchange has waited too long for one of its sides.
async fn overdue(exchange: &Exchange, timeouts: &Timeouts) -> SendError {
    // The body may go from one phase to the next meanwhile: no phase is slept through for longer than its own limit.
    let nap = timeouts.response.min(timeouts.idle);
    let mut woken = exchange.moved();
    loop {
        let (limit, error) = match exchange.upload() {
            Upload::Finished | Upload::Broken => (timeouts.response, SendError::ResponseTimeout),
            Upload::Upstream => (timeouts.idle, SendError::UploadTimeout),
            Upload::Caller => (timeouts.idle, SendError::CallerTimeout),
        };
        let deadline = exchange.moved() + limit;
        if woken >= deadline {
            return error;
        }
        sleep_until(deadline.min(woken + nap).into()).await;
        woken = Instant::now();
    }
}

fn answer(
    response: Response<Incoming>,
    upstream: &Rc<Upstream>,
    connection: Connection,
    exchange: Rc<Exchange>,
) -> Result<(response::Parts, StreamedBody), SendError> {
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return Err(SendError::UnaskedUpgrade);
    }
    let (head, incoming) = response.into_parts();
    Ok((head, StreamedBody::new(incoming, Lease::new(Rc::clone(upstream), connection, exchange))))
}

fn classify(error: hyper::Error, exchange: &Exchange) -> SendError {
    if exchange.upload() == Upload::Broken {
        SendError::CallerBody(error)
    } else if error.is_parse() || cause::<Malformed>(&error).is_some() {
        SendError::Malformed(error)
    } else if error.is_incomplete_message() || error.is_canceled() {
        SendError::Incomplete(error)
    } else {
        SendError::Terminated(error)
    }
}

/// The error of type `E` that lies under `error`, if any: an I/O error wraps what it was made from.
fn cause<E: std::error::Error + 'static>(error: &hyper::Error) -> Option<&E> {
    let mut next = std::error::Error::source(error);
    while let Some(error) = next {
        let wrapped = error.downcast_ref::<std::io::Error>().and_then(|io| io.get_ref());
        if let Some(found) = error.downcast_ref().or_else(|| wrapped?.downcast_ref()) {
            return Some(found);
        }
        next = error.source();
    }
    None
}
