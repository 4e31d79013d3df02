//! One attempt: sends an authorised request, once more if its connection had been closed before it.

use std::rc::Rc;

use http::{Request, Response, StatusCode, response};
use hyper::body::Incoming;

use super::answer::Lease;
use super::body::{Exchange, RequestBody, Upload};
use super::breaker::LeftAlone;
use super::connect::ConnectError;
use super::http1::{Connection, Failed};
use super::{StreamedBody, Upstream};
use crate::credential::{Authorized, PlaceError};
use crate::route::Spoken;
use crate::wire::Malformed;

/// What the upstream said, before anything was done about it. Boxed: it is handed on by everyone who sent.
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
    #[error(transparent)]
    LeftAlone(#[from] LeftAlone),
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
/// was not written at all, or doing it twice is doing it once and its body can be repeated.
///
/// Dropping the future cancels the request: its connection is closed.
pub(super) async fn send_once(authorized: &mut Authorized) -> Result<Box<Answer>, SendError> {
    let survives_loss = authorized.can_be_repeated();
    match authorized.upstream().connections.pool.take(!survives_loss) {
        Some(connection) => match send_on_pooled(connection, authorized, survives_loss).await {
            Err(Unsent::Again) => {
                authorized.exchange().phases().retry();
                authorized.renew()?;
                Box::pin(send_on_new(authorized)).await
            }
            Ok(answer) => Ok(answer),
            Err(Unsent::Never(error)) => Err(error),
        },
        None => Box::pin(send_on_new(authorized)).await,
    }
}

/// What becomes of a request that a pooled connection did not serve.
enum Unsent {
    /// It may be sent once more.
    Again,
    /// It may not.
    Never(SendError),
}

async fn send_on_pooled(
    mut connection: Box<Connection>,
    authorized: &mut Authorized,
    survives_loss: bool,
) -> Result<Box<Answer>, Unsent> {
    authorized.exchange().phases().reuse();
    let keep = survives_loss || authorized.upstream().replays();
    match exchange_once(&mut connection, authorized, keep).await {
        Ok(response) => answer(response, authorized, connection).map_err(Unsent::Never),
        Err(lost) => match *lost {
            Lost { unwritten: Some(request), .. } => {
                authorized.put_back(request);
                Err(Unsent::Again)
            }
            Lost { raced: true, .. } if survives_loss && authorized.can_be_replayed() => Err(Unsent::Again),
            Lost { error, .. } => Err(Unsent::Never(error)),
        },
    }
}

/// Boxed by its callers: a handshake's state is large, and would be moved about with every request that needs none.
async fn send_on_new(authorized: &mut Authorized) -> Result<Box<Answer>, SendError> {
    let mut connection =
        Connection::open(&authorized.upstream().connections.dialer, authorized.exchange().phases()).await?;
    tracing::debug!(target: "upstream", upstream = authorized.upstream().name(), "connected");
    let keep = authorized.upstream().replays();
    match exchange_once(&mut connection, authorized, keep).await {
        Ok(response) => answer(response, authorized, connection),
        Err(lost) => Err(lost.error),
    }
}

/// An exchange that failed.
struct Lost {
    error: SendError,
    /// The request, if nothing of it was written.
    unwritten: Option<Request<RequestBody>>,
    /// Whether the connection was closed under the request, before a whole answer's header.
    raced: bool,
}

async fn exchange_once(
    connection: &mut Connection,
    authorized: &mut Authorized,
    keep: bool,
) -> Result<Response<Incoming>, Box<Lost>> {
    let request = authorized.take(keep);
    let exchange = authorized.exchange();
    let outcome = connection.exchange(request, exchange, authorized.upstream().timeouts()).await;
    exchange.stop_waiting();
    outcome.map_err(|failed| {
        Box::new(match failed {
            Failed::Overdue(waiting) => Lost {
                error: match waiting {
                    Upload::Finished | Upload::Broken => SendError::ResponseTimeout,
                    Upload::Upstream => SendError::UploadTimeout,
                    Upload::Caller => SendError::CallerTimeout,
                },
                unwritten: None,
                raced: false,
            },
            Failed::Http(mut refused) => {
                let unwritten = refused.take_message();
                let error = classify(refused.into_error(), exchange);
                let raced = matches!(error, SendError::Incomplete(_) | SendError::Terminated(_));
                Lost { error, unwritten, raced }
            }
        })
    })
}

fn answer(
    response: Response<Incoming>,
    authorized: &Authorized,
    connection: Box<Connection>,
) -> Result<Box<Answer>, SendError> {
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return Err(SendError::UnaskedUpgrade);
    }
    authorized.upstream().answered(response.status(), authorized.which());
    let (head, incoming) = response.into_parts();
    authorized.upstream().shared().limiter().heed(head.status, &head.headers);
    let upstream = Rc::clone(authorized.upstream());
    let lease = Lease::new(Rc::clone(&upstream), connection, authorized.exchange());
    let body = StreamedBody::new(incoming, lease, authorized.scrubber());
    Ok(Box::new(Answer { head, body, upstream, spoken: authorized.spoken().clone() }))
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
