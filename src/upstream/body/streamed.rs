//! A request's body that passes through as the caller sends it, or is read whole to be signed.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{sleep, timeout};

use crate::limits::{Account, Buffer, OutOfMemory};
use crate::server::{CallerBody, CallerFault};
use crate::upstream::Upstream;
use crate::upstream::exchange::{Exchange, Upload};
use crate::{fields, headers};

/// How long a caller that expects `100 (Continue)` waits for an upstream that never says it (RFC 9110 10.1.1).
const CONTINUE_WAIT: Duration = Duration::from_secs(1);

/// A body that is not held.
pub(crate) struct Streamed {
    incoming: CallerBody,
    exchange: Rc<Exchange>,
    upstream: Rc<Upstream>,
    gate: Option<Gate>,
}

/// Opens when the upstream has been waited for long enough, if it has not said before that it wants the body.
type Gate = Pin<Box<dyn Future<Output = ()>>>;

/// The caller's body broke off, or broke the rules.
#[derive(Debug, thiserror::Error)]
#[error("the caller's body ended before its time")]
pub(crate) struct CallerBodyError(#[source] CallerFault);

/// Why a body could not be read into memory.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CollectError {
    #[error("the body is larger than what may be signed")]
    TooLarge,
    #[error(transparent)]
    Caller(#[from] CallerBodyError),
    #[error("the caller stopped sending its body")]
    Timeout,
    #[error(transparent)]
    OutOfMemory(#[from] OutOfMemory),
}

impl Streamed {
    /// `expects`: the caller holds it back until it is wanted.
    pub(super) fn new(incoming: CallerBody, exchange: &Rc<Exchange>, upstream: &Rc<Upstream>, expects: bool) -> Self {
        let timeouts = upstream.timeouts();
        let wait = CONTINUE_WAIT.min(timeouts.idle / 2).min(timeouts.response / 2);
        // An upstream that does not know the expectation just waits for the body.
        let gate = expects.then(|| -> Gate { Box::pin(async move { sleep(wait).await }) });
        Self { incoming, exchange: Rc::clone(exchange), upstream: Rc::clone(upstream), gate }
    }

    /// The account of what is held of it.
    pub(in crate::upstream) fn buffers(&self) -> &Arc<Account> {
        self.upstream.buffers()
    }

    /// Reads the whole body, if it is no longer than `limit`; `idle` is how long the caller may pause.
    pub(crate) async fn collect(mut self, limit: u64, idle: Duration) -> Result<Bytes, CollectError> {
        let announced = self.incoming.size_hint();
        if announced.lower() > limit {
            return Err(CollectError::TooLarge);
        }
        // It is wanted here, whatever the upstream will say.
        self.open();
        let mut held = Buffer::new(self.upstream.buffers());
        held.expect(announced.lower())?;
        let whole = usize::try_from(announced.exact().unwrap_or(limit)).unwrap_or(usize::MAX);
        loop {
            let next = poll_fn(|cx| self.poll_frame(cx));
            let Some(frame) = timeout(idle, next).await.map_err(|_| CollectError::Timeout)? else {
                return Ok(held.freeze());
            };
            // Trailers are dropped: they were never part of what is signed.
            if let Ok(piece) = frame?.into_data() {
                if held.len() as u64 + piece.len() as u64 > limit {
                    return Err(CollectError::TooLarge);
                }
                held.push(&piece, whole)?;
            }
        }
    }

    /// What is read from now on is what makes the connection ask for it.
    fn open(&mut self) {
        self.gate = None;
        self.exchange.note_asked();
    }

    pub(in crate::upstream) fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    pub(in crate::upstream) fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }

    /// Tells the account of what went out that does not come from here.
    pub(in crate::upstream) fn note(&self, upload: Upload, bytes: usize) {
        self.exchange.note(upload, bytes);
    }

    pub(in crate::upstream) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, CallerBodyError>>> {
        if let Some(gate) = &mut self.gate {
            if !self.exchange.wants_body() {
                ready!(gate.as_mut().poll(cx));
            }
            self.open();
        }
        match Pin::new(&mut self.incoming).poll_frame(cx) {
            Poll::Pending => {
                self.exchange.wait_for_caller();
                Poll::Pending
            }
            Poll::Ready(None) => {
                self.exchange.note(Upload::Finished, 0);
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(error))) => {
                self.exchange.note(Upload::Broken, 0);
                Poll::Ready(Some(Err(CallerBodyError(error))))
            }
            Poll::Ready(Some(Ok(mut frame))) => {
                // Nothing comes after trailers, and nobody asks for it.
                let is_last = frame.is_trailers() || self.incoming.is_end_stream();
                let next = if is_last { Upload::Finished } else { Upload::Upstream };
                self.exchange.note(next, frame.data_ref().map_or(0, Bytes::len));
                if let Some(trailers) = frame.trailers_mut() {
                    fields::change(trailers, |trailers| {
                        headers::clean_request_trailers(trailers, self.upstream.managed());
                    });
                }
                Poll::Ready(Some(Ok(frame)))
            }
        }
    }
}
