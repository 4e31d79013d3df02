//! A connection to an upstream, whichever version of HTTP was agreed on: what a request needs of it, and what differs
//! between the versions decided in one place.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::body::{CallerBodyError, RequestBody};
use super::exchange::{Exchange, Upload};
use super::http2::StreamError;
use super::{http1, http2};
use crate::config::Timeouts;
use crate::message::{RequestHead, Response};
use crate::wire::body::Decoder;

/// What one request goes on. Dropping it in the middle of an exchange closes an HTTP/1.1 connection; of HTTP/2 it resets
/// the one stream.
pub(super) enum Connection {
    Http1(Box<http1::Connection>),
    Http2(http2::Stream),
}

/// Why a connection gave no answer.
pub(super) enum Failed {
    /// It was waited too long for this.
    Overdue(Upload),
    Lost(Box<Lost>),
}

/// What is known of a request whose connection failed.
pub(super) struct Lost {
    pub(super) fault: Fault,
    /// The request's body, if nothing of the request can have been acted on and all of it is still here.
    pub(super) unwritten: Option<RequestBody>,
}

/// How a connection failed under an exchange.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error(transparent)]
    Http1(#[from] http1::Fault),
    #[error(transparent)]
    Http2(#[from] StreamError),
    /// Not the connection's: the caller's body failed while it was sent.
    #[error(transparent)]
    Caller(#[from] CallerBodyError),
}

impl Fault {
    /// Whether the upstream has said that it wants the request in HTTP/1.1.
    pub(super) fn requires_http1(&self) -> bool {
        matches!(self, Self::Http2(StreamError::Http1Required))
    }

    /// Whether the upstream has said that it did not look at the request, so that it may be sent again whatever it is.
    pub(super) fn is_unprocessed(&self) -> bool {
        match self {
            Self::Http2(error) => error.is_unprocessed(),
            Self::Http1(_) | Self::Caller(_) => false,
        }
    }

    /// Whether it is the socket that failed.
    pub(super) fn is_broken(&self) -> bool {
        matches!(self, Self::Http1(http1::Fault::Broken(_)))
    }
}

impl Connection {
    /// Whether the request may come back unprocessed after it was written, so that a copy is to be kept.
    pub(super) fn may_refuse(&self) -> bool {
        match self {
            Self::Http1(_) => false,
            Self::Http2(_) => true,
        }
    }

    /// Sends one request, as of `now`, and waits for the response's header as long as `timeouts` allow.
    ///
    /// Dropping the future leaves the connection in the middle of an exchange: it must be dropped too.
    pub(super) async fn exchange(
        &mut self,
        head: &RequestHead,
        body: RequestBody,
        exchange: &Exchange,
        timeouts: &Timeouts,
        now: Instant,
    ) -> Result<Response<Received>, Failed> {
        exchange.begin(&body, now);
        match self {
            Self::Http1(connection) => connection.exchange(head, body, exchange, timeouts).await,
            // Boxed: its state is larger than that of HTTP/1.1, which would be moved about with it.
            Self::Http2(stream) => Box::pin(stream.exchange(head, body, exchange, timeouts)).await,
        }
    }
}

impl Connection {
    /// Whether it can become another protocol's: all of the request has left, and no other is on it. Of HTTP/2: whether its
    /// stream has.
    pub(super) fn can_switch(&self) -> bool {
        match self {
            Self::Http1(connection) => connection.is_flushed(),
            Self::Http2(stream) => stream.is_bare(),
        }
    }

    /// The next piece of the answer whose header has come on it.
    pub(super) fn poll_answer(
        &mut self,
        received: &mut Received,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        match (self, received) {
            (Self::Http1(connection), Received::Http1(body)) => connection.poll_answer(body, cx),
            (Self::Http2(_), received) | (Self::Http1(_), received) => Pin::new(received).poll_frame(cx),
        }
    }
}

/// An answer's body as it comes from the upstream, framed by the version that was spoken.
pub(crate) enum Received {
    Http1(Decoder),
    Http2(http2::AnswerStream),
}

impl Body for Received {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        match self.get_mut() {
            // Without its connection, nothing more comes.
            Self::Http1(body) if body.is_end() => Poll::Ready(None),
            Self::Http1(_) => Poll::Ready(Some(Err(http1::Fault::Incomplete.into()))),
            Self::Http2(stream) => stream.poll_frame(cx).map_err(Fault::Http2),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Http1(body) => body.is_end(),
            Self::Http2(stream) => stream.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Http1(body) => body.remaining().map_or_else(SizeHint::default, SizeHint::with_exact),
            Self::Http2(stream) => stream.size_hint(),
        }
    }
}
