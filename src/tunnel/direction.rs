//! One direction of a tunnel. Nothing is read before what was read has been taken, so that a side that reads slowly slows
//! down the other; and nothing is held while there is nothing to hold.

use std::io::{self, Error, ErrorKind};
use std::mem::{self, MaybeUninit};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// So much is read at once, and held at most.
const PIECE: usize = 16 * 1024;
/// So many pieces pass before the other direction has its turn.
const TURN: usize = 8;

/// Where a direction is.
#[derive(Default)]
pub(super) struct Direction {
    /// Read, and not taken at once.
    held: Vec<u8>,
    /// So much of it has been taken since.
    taken: usize,
    /// Whether what was taken may not have left.
    unflushed: bool,
    /// Since when its reader has taken nothing.
    stuck_since: Option<Instant>,
    /// Whether nothing more comes, and whether that was passed on.
    ended: bool,
    over: bool,
}

/// Which of its two ends failed.
pub(super) enum Failed {
    Reading(Error),
    Writing(Error),
}

impl Direction {
    pub(super) fn stuck_since(&self) -> Option<Instant> {
        self.stuck_since
    }

    /// Whether the sending side has ended; what it sent may still be on its way.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Passes what it can, and tells how much of it was taken. Ready: its end was passed on, too.
    pub(super) fn poll_pass(
        &mut self,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
        mut taken: impl FnMut(usize),
    ) -> Poll<Result<(), Failed>> {
        if self.over {
            return Poll::Ready(Ok(()));
        }
        for _ in 0..TURN {
            if !self.held.is_empty() {
                ready!(self.poll_rest(to, cx, &mut taken)).map_err(Failed::Writing)?;
            } else if self.ended {
                let closed = Pin::new(&mut *to).poll_shutdown(cx);
                ready!(self.note(closed)).map_err(Failed::Writing)?;
                self.over = true;
                return Poll::Ready(Ok(()));
            } else if self.poll_piece(from, to, cx, &mut taken)?.is_pending() {
                if self.unflushed {
                    let flushed = Pin::new(&mut *to).poll_flush(cx);
                    ready!(self.note(flushed)).map_err(Failed::Writing)?;
                    self.unflushed = false;
                }
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Reads a piece and passes it on, or notes the end. What is not taken at once is held.
    fn poll_piece(
        &mut self,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
        taken: &mut impl FnMut(usize),
    ) -> Poll<Result<(), Failed>> {
        let mut space = [MaybeUninit::uninit(); PIECE];
        let mut piece = ReadBuf::uninit(&mut space);
        match ready!(Pin::new(from).poll_read(cx, &mut piece)) {
            Ok(()) => {}
            // TLS without `close_notify`, as many end it: a WebSocket says for itself whether it is whole.
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {}
            Err(error) => return Poll::Ready(Err(Failed::Reading(error))),
        }
        let piece = piece.filled();
        self.ended = piece.is_empty();
        let given = self.give(piece, to, cx, taken).map_err(Failed::Writing)?;
        self.held.extend_from_slice(piece.get(given..).unwrap_or_default());
        Poll::Ready(Ok(()))
    }

    /// Passes on what is held.
    fn poll_rest(
        &mut self,
        to: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
        taken: &mut impl FnMut(usize),
    ) -> Poll<io::Result<()>> {
        let held = mem::take(&mut self.held);
        self.taken += self.give(held.get(self.taken..).unwrap_or_default(), to, cx, taken)?;
        if self.taken < held.len() {
            self.held = held;
            return Poll::Pending;
        }
        self.taken = 0;
        Poll::Ready(Ok(()))
    }

    /// Writes what is taken of `bytes`, and says how much that is. Less than all: the reader will be waited for.
    fn give(
        &mut self,
        bytes: &[u8],
        to: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
        taken: &mut impl FnMut(usize),
    ) -> io::Result<usize> {
        let mut given = 0;
        while let Some(rest) = bytes.get(given..).filter(|rest| !rest.is_empty()) {
            let wrote = Pin::new(&mut *to).poll_write(cx, rest)?;
            match self.note(wrote) {
                Poll::Pending => break,
                Poll::Ready(0) => return Err(ErrorKind::WriteZero.into()),
                Poll::Ready(length) => {
                    given += length;
                    self.unflushed = true;
                    taken(length);
                }
            }
        }
        Ok(given)
    }

    /// Notes since when the reader is waited for.
    fn note<T>(&mut self, polled: Poll<T>) -> Poll<T> {
        if polled.is_ready() {
            self.stuck_since = None;
        } else if self.stuck_since.is_none() {
            self.stuck_since = Some(Instant::now());
        }
        polled
    }
}
