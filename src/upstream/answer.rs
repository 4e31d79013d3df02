//! An upstream's body on its way to the caller, and the connection that it comes from.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::Upstream;
use super::body::{Exchange, Upload};
use super::connection::Connection;
use crate::headers;

/// The upstream's body broke off: the caller's message is cut, too.
#[derive(Debug, thiserror::Error)]
#[error("the upstream's body broke off")]
pub(crate) struct BrokenAnswer(#[source] hyper::Error);

/// A body that passes through. When it has ended, its connection goes back to the pool; dropped before, it is closed.
pub(crate) struct StreamedBody {
    incoming: Incoming,
    lease: Option<Lease>,
    exchange: Rc<Exchange>,
    idle_limit: Duration,
}

/// A connection that is out of its pool.
pub(super) struct Lease {
    upstream: Rc<Upstream>,
    connection: Connection,
    exchange: Rc<Exchange>,
    /// Whether the answer came before the whole request had left.
    early: bool,
}

impl Lease {
    /// To be made when the answer's header has come.
    pub(super) fn new(upstream: Rc<Upstream>, connection: Connection, exchange: Rc<Exchange>) -> Self {
        let early = exchange.upload() != Upload::Finished || !connection.is_flushed();
        Self { upstream, connection, exchange, early }
    }

    /// The exchange has ended as it should. One whose answer came before the request was sent leaves doubt about
    /// where the next request would begin: its connection is closed.
    fn give_back(self) {
        if !self.early {
            self.upstream.pool.put(self.connection);
        }
    }
}

impl StreamedBody {
    pub(super) fn new(incoming: Incoming, lease: Lease) -> Self {
        let exchange = Rc::clone(&lease.exchange);
        let idle_limit = lease.upstream.timeouts().idle;
        let mut body = Self { incoming, lease: Some(lease), exchange, idle_limit };
        body.note_end();
        body
    }

    /// The bytes of the request's body that were sent.
    pub(crate) fn sent(&self) -> u64 {
        self.exchange.sent()
    }

    /// How long the upstream may pause between two pieces.
    pub(crate) fn idle_limit(&self) -> Duration {
        self.idle_limit
    }

    fn note_end(&mut self) {
        if self.incoming.is_end_stream()
            && let Some(lease) = self.lease.take()
        {
            lease.give_back();
        }
    }
}

impl Body for StreamedBody {
    type Data = Bytes;
    type Error = BrokenAnswer;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        match ready!(Pin::new(&mut self.incoming).poll_frame(cx)) {
            Some(Ok(mut frame)) => {
                if let Some(trailers) = frame.trailers_mut() {
                    headers::clean_answer_trailers(trailers);
                }
                self.note_end();
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(error)) => {
                self.lease = None;
                Poll::Ready(Some(Err(BrokenAnswer(error))))
            }
            None => {
                if let Some(lease) = self.lease.take() {
                    lease.give_back();
                }
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
