//! A request's body on its way to the upstream.

mod streamed;

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

pub(crate) use self::streamed::{CallerBodyError, CollectError, Streamed};
use super::Upstream;
use super::exchange::{Exchange, Upload};
use super::tape::Player;
use crate::server::CallerBody;

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

impl RequestBody {
    /// A body that streams from the caller; `expects`: only once the upstream wants it, which its account is told.
    pub(crate) fn streamed(incoming: CallerBody, upstream: &Rc<Upstream>, expects: bool) -> (Self, Rc<Exchange>) {
        let exchange = Exchange::new();
        (Self::Streamed(Box::new(Streamed::new(incoming, &exchange, upstream, expects))), exchange)
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
