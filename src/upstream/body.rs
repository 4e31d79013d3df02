//! A request's body on its way to the upstream, and the account of how far it has come.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{sleep, timeout};

use super::Upstream;
use super::phases::Phases;
use super::tape::Player;
use crate::headers;
use crate::limits::{Account, Buffer, OutOfMemory};
use crate::server::{CallerBody, CallerFault};

/// How long a caller that expects `100 (Continue)` waits for an upstream that never says it (RFC 9110 10.1.1).
const CONTINUE_WAIT: Duration = Duration::from_secs(1);

/// What is sent after the header.
pub(crate) enum RequestBody {
    Empty,
    /// In memory, because it was signed: can be sent again.
    Whole(Whole),
    /// Passes through as the caller sends it.
    Streamed(Box<Streamed>),
    /// The same, and is kept as it passes: can be sent again, as long as it is not too long.
    Taped(Box<Player>),
    /// Was sent.
    Gone,
}

/// A body that is held, and how far it has been sent.
pub(crate) struct Whole {
    bytes: Bytes,
    sent: usize,
    exchange: Rc<Exchange>,
}

/// What is held goes out in pieces, so that it is known how far it has come.
pub(super) const PIECE: usize = 64 * 1024;

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

/// The account of one exchange, kept by the request's body and read by whoever waits for the answer.
pub(crate) struct Exchange {
    upload: Cell<Upload>,
    sent: Cell<u64>,
    /// `None`: the request has not left yet.
    moved: Cell<Option<Instant>>,
    /// Whether the upstream has said that it wants the body.
    wants_body: Cell<bool>,
    /// Whether the caller was told to send the body that it holds back.
    has_asked: Cell<bool>,
    phases: Phases,
}

/// What the request's body is waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Upload {
    /// For the upstream to take what it was given, or to say that it wants it.
    Upstream,
    /// For the caller to send more.
    Caller,
    /// For nothing: all of it was sent.
    Finished,
    /// For nothing: the caller's body failed.
    Broken,
}

impl Exchange {
    /// An account of a request that has not left yet.
    pub(crate) fn new() -> Rc<Self> {
        Rc::new(Self {
            upload: Cell::new(Upload::Finished),
            sent: Cell::new(0),
            moved: Cell::new(None),
            wants_body: Cell::new(false),
            has_asked: Cell::new(false),
            phases: Phases::default(),
        })
    }

    /// The request leaves now, perhaps not for the first time: what was counted until here does not count.
    pub(super) fn begin(&self, body: &RequestBody) {
        self.upload.set(if body.is_end_stream() { Upload::Finished } else { Upload::Upstream });
        self.sent.set(0);
        self.phases.leave();
        self.touch();
    }

    /// More has been sent, through a tunnel.
    pub(crate) fn count(&self, bytes: usize) {
        self.sent.set(self.sent.get() + bytes as u64);
    }

    /// The bytes of the body that were sent to the upstream: what was only read, to be signed, was not.
    pub(crate) fn sent(&self) -> u64 {
        if self.phases.has_left() { self.sent.get() } else { 0 }
    }

    /// The upstream wants the body, which the caller may hold back.
    pub(super) fn want_body(&self) {
        self.wants_body.set(true);
    }

    /// Whether a caller that holds its body back was told to send it.
    pub(crate) fn has_asked(&self) -> bool {
        self.has_asked.get()
    }

    /// How long what took.
    pub(crate) fn phases(&self) -> &Phases {
        &self.phases
    }

    /// The wait for an answer's header is over, whatever came.
    pub(super) fn stop_waiting(&self) {
        self.phases.waited(self.moved().elapsed());
    }

    pub(super) fn upload(&self) -> Upload {
        self.upload.get()
    }

    /// When the body last moved, or was finished.
    pub(super) fn moved(&self) -> Instant {
        self.moved.get().unwrap_or_else(Instant::now)
    }

    fn touch(&self) {
        self.moved.set(Some(Instant::now()));
    }

    /// The caller is waited for, as of now if it was not before.
    fn wait_for_caller(&self) {
        if self.upload.replace(Upload::Caller) != Upload::Caller {
            self.touch();
        }
    }

    fn note(&self, upload: Upload, bytes: usize) {
        self.upload.set(upload);
        self.sent.set(self.sent.get() + bytes as u64);
        self.touch();
    }
}

impl RequestBody {
    /// A body that streams from the caller; `expects`: only once the upstream wants it, which its account is told.
    pub(crate) fn streamed(incoming: CallerBody, upstream: &Rc<Upstream>, expects: bool) -> (Self, Rc<Exchange>) {
        let exchange = Exchange::new();
        let timeouts = upstream.timeouts();
        let wait = CONTINUE_WAIT.min(timeouts.idle / 2).min(timeouts.response / 2);
        // An upstream that does not know the expectation just waits for the body.
        let gate = expects.then(|| -> Gate { Box::pin(async move { sleep(wait).await }) });
        let body = Streamed { incoming, exchange: Rc::clone(&exchange), upstream: Rc::clone(upstream), gate };
        (Self::Streamed(Box::new(body)), exchange)
    }

    /// A body that is in memory.
    pub(crate) fn whole(bytes: Bytes, exchange: &Rc<Exchange>) -> Self {
        Self::Whole(Whole { bytes, sent: 0, exchange: Rc::clone(exchange) })
    }

    /// What of it is in memory.
    pub(crate) fn held(&self) -> &[u8] {
        match self {
            Self::Whole(whole) => &whole.bytes,
            Self::Empty | Self::Streamed(_) | Self::Taped(_) | Self::Gone => &[],
        }
    }

    /// Another one of the same; of one that streams, nothing is left to repeat.
    pub(crate) fn repeat(&self) -> Self {
        match self {
            Self::Empty => Self::Empty,
            Self::Whole(Whole { bytes, exchange, .. }) => Self::whole(bytes.clone(), exchange),
            Self::Taped(player) => Self::Taped(Box::new(player.repeat())),
            Self::Streamed(_) | Self::Gone => Self::Gone,
        }
    }

    /// Keeps up to `limit` bytes of it as it passes, unless it is known to be longer.
    pub(crate) fn taped(self, limit: usize) -> Self {
        match self {
            Self::Streamed(body) if body.size_hint().lower() <= limit as u64 => {
                Self::Taped(Box::new(Player::new(*body, limit)))
            }
            other @ (Self::Empty | Self::Whole(_) | Self::Streamed(_) | Self::Taped(_) | Self::Gone) => other,
        }
    }

    /// Whether there is nothing more to come of it.
    pub(crate) fn is_in_memory(&self) -> bool {
        match self {
            Self::Empty | Self::Whole(_) => true,
            Self::Streamed(_) | Self::Taped(_) | Self::Gone => false,
        }
    }

    /// Whether there will be something to repeat, whatever becomes of the one before.
    pub(crate) fn can_be_repeated(&self) -> bool {
        match self {
            Self::Empty | Self::Whole(_) => true,
            Self::Taped(player) => player.can_be_repeated(),
            Self::Streamed(_) | Self::Gone => false,
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = CallerBodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        match self.get_mut() {
            Self::Empty | Self::Gone => Poll::Ready(None),
            Self::Whole(whole) => Poll::Ready(whole.next_piece().map(|piece| Ok(Frame::data(piece)))),
            Self::Streamed(body) => body.poll_frame(cx),
            Self::Taped(player) => player.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty | Self::Gone => true,
            Self::Whole(whole) => whole.sent == whole.bytes.len(),
            Self::Streamed(body) => body.is_end_stream(),
            Self::Taped(player) => player.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty | Self::Gone => SizeHint::with_exact(0),
            Self::Whole(whole) => SizeHint::with_exact((whole.bytes.len() - whole.sent) as u64),
            Self::Streamed(body) => body.size_hint(),
            Self::Taped(player) => player.size_hint(),
        }
    }
}

impl Whole {
    fn next_piece(&mut self) -> Option<Bytes> {
        let end = self.bytes.len().min(self.sent + PIECE);
        let piece = self.bytes.slice(self.sent..end);
        self.sent = end;
        let next = if end == self.bytes.len() { Upload::Finished } else { Upload::Upstream };
        self.exchange.note(next, piece.len());
        (!piece.is_empty()).then_some(piece)
    }
}

impl Streamed {
    /// The account of what is held of it.
    pub(super) fn buffers(&self) -> &Arc<Account> {
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
        self.exchange.has_asked.set(true);
    }

    pub(super) fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }

    /// Tells the account of what went out that does not come from here.
    pub(super) fn note(&self, upload: Upload, bytes: usize) {
        self.exchange.note(upload, bytes);
    }

    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, CallerBodyError>>> {
        if let Some(gate) = &mut self.gate {
            if !self.exchange.wants_body.get() {
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
                    headers::clean_request_trailers(trailers, self.upstream.managed());
                }
                Poll::Ready(Some(Ok(frame)))
            }
        }
    }
}
