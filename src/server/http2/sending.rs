//! The sending half of a stream: never more than the caller's windows let through, so that what they hold up is held here, where
//! patience has an end, and the stream can be reset alone.

use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::{Reason, SendStream};
use http::HeaderMap;

use super::piece::Piece;
use super::stream::Stream;

/// The stream is no more: the caller has reset it, or is gone.
pub(super) struct Gone;

/// Dropped before its end, it resets the stream once what was sent has left.
pub(super) struct Sending {
    half: SendStream<Piece>,
    stream: Rc<Stream>,
}

impl Sending {
    pub(super) fn new(half: SendStream<Piece>, stream: &Rc<Stream>) -> Self {
        Self { half, stream: Rc::clone(stream) }
    }

    /// How much of so many bytes there is room for; at least one.
    pub(super) fn poll_room(&mut self, wanted: usize, cx: &mut Context<'_>) -> Poll<Result<usize, Gone>> {
        let mut room = self.half.capacity();
        if room < wanted {
            self.half.reserve_capacity(wanted);
            room = self.half.capacity();
        }
        while room == 0 {
            match self.half.poll_capacity(cx) {
                Poll::Ready(Some(Ok(_))) => room = self.half.capacity(),
                Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(Err(Gone)),
                Poll::Pending => {
                    self.stream.note_stuck();
                    return Poll::Pending;
                }
            }
        }
        self.stream.note_unstuck();
        Poll::Ready(Ok(room.min(wanted)))
    }

    /// Sends what there is room for. `ends`: nothing comes after it.
    pub(super) fn send(&mut self, bytes: Bytes, ends: bool) -> Result<(), Gone> {
        self.half.send_data(Piece::new(bytes, &self.stream), ends).map_err(|_| Gone)
    }

    /// Ends it.
    pub(super) fn send_trailers(&mut self, trailers: HeaderMap) -> Result<(), Gone> {
        self.half.reserve_capacity(0);
        self.half.send_trailers(trailers).map_err(|_| Gone)
    }

    /// Sends nothing more, nor what has not left.
    pub(super) fn reset(&mut self, reason: Reason) {
        self.half.send_reset(reason);
    }

    /// Ready when it is no more. To be waited for whenever nothing else tells.
    pub(super) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<Gone> {
        self.half.poll_reset(cx).map(|_| Gone)
    }
}
