//! A body that streams, and is kept as it passes: up to a limit it can be sent again. Nothing waits for it; whoever plays
//! it again goes on with what the caller sends, as soon as what was kept is out.

use std::cell::{Cell, RefCell};
use std::mem;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Frame, SizeHint};

use super::body::{CallerBodyError, PIECE, Streamed};
use super::exchange::Upload;
use crate::limits::Buffer;

/// What is kept of a body, and where the rest comes from.
struct Tape {
    live: RefCell<Streamed>,
    /// As long as the caller said, if it did.
    length: Option<u64>,
    limit: usize,
    kept: RefCell<Kept>,
    /// Who plays it: a later one silences those before.
    turn: Cell<u32>,
}

struct Kept {
    /// One buffer, as a caller may send a byte at a time.
    bytes: Buffer,
    trailers: Option<HeaderMap>,
    /// The caller has sent all of it.
    ended: bool,
    /// What has passed was more than may be kept, here or in all, or the caller's body failed: it cannot be sent again.
    lost: bool,
}

/// One playing of a tape, from its beginning.
pub(crate) struct Player {
    tape: Rc<Tape>,
    /// So many bytes are out.
    at: u64,
    gave_trailers: bool,
    turn: u32,
}

impl Player {
    /// Keeps up to `limit` bytes of `live`.
    pub(super) fn new(live: Streamed, limit: usize) -> Self {
        let length = live.size_hint().exact();
        let kept = Kept { bytes: Buffer::new(live.buffers()), trailers: None, ended: false, lost: false };
        let (live, kept, turn) = (RefCell::new(live), RefCell::new(kept), Cell::new(0));
        Self::begin(Rc::new(Tape { live, length, limit, kept, turn }))
    }

    fn begin(tape: Rc<Tape>) -> Self {
        let turn = tape.turn.get();
        Self { tape, at: 0, gave_trailers: false, turn }
    }

    /// Another playing from the beginning, which is the one that counts from now on.
    pub(super) fn repeat(&self) -> Self {
        self.tape.turn.set(self.tape.turn.get() + 1);
        Self::begin(Rc::clone(&self.tape))
    }

    pub(super) fn can_be_repeated(&self) -> bool {
        !self.tape.kept.borrow().lost
    }

    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, CallerBodyError>>> {
        if self.turn != self.tape.turn.get() {
            // Its connection is being closed. An end would look like the body's.
            return Poll::Pending;
        }
        if let Some(again) = self.play_kept() {
            return Poll::Ready(again.map(Ok));
        }
        let polled = ready!(self.tape.live.borrow_mut().poll_frame(cx));
        // With nobody else at the tape, it will not be played again.
        let limit = if Rc::strong_count(&self.tape) > 1 { self.tape.limit } else { 0 };
        self.tape.kept.borrow_mut().keep(&polled, limit);
        if let Some(Ok(frame)) = &polled {
            self.at += frame.data_ref().map_or(0, Bytes::len) as u64;
            self.gave_trailers |= frame.is_trailers();
        }
        Poll::Ready(polled)
    }

    /// The next frame of what passed before. `None`: all of it is out, and the caller's next is next; `Some(None)`: so
    /// is the caller's end.
    fn play_kept(&mut self) -> Option<Option<Frame<Bytes>>> {
        let (live, kept) = (self.tape.live.borrow(), self.tape.kept.borrow());
        let rest = usize::try_from(self.at).ok().and_then(|at| kept.bytes.as_ref().get(at..)).unwrap_or_default();
        if let Some(piece) = rest.get(..PIECE.min(rest.len())).filter(|piece| !piece.is_empty()) {
            let is_last = piece.len() == rest.len() && kept.trailers.is_none() && (kept.ended || live.is_end_stream());
            live.note(if is_last { Upload::Finished } else { Upload::Upstream }, piece.len());
            self.at += piece.len() as u64;
            return Some(Some(Frame::data(Bytes::copy_from_slice(piece))));
        }
        if !kept.ended {
            return None;
        }
        live.note(Upload::Finished, 0);
        let trailers = kept.trailers.as_ref().filter(|_| !mem::replace(&mut self.gave_trailers, true));
        Some(trailers.map(|trailers| Frame::trailers(trailers.clone())))
    }

    pub(super) fn is_end_stream(&self) -> bool {
        let kept = self.tape.kept.borrow();
        let all_is_out = kept.lost || self.at >= kept.bytes.len() as u64;
        let trailers_are_out = kept.trailers.is_none() || self.gave_trailers;
        all_is_out && trailers_are_out && (kept.ended || self.tape.live.borrow().is_end_stream())
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        let left = self.tape.length.map(|length| length.saturating_sub(self.at));
        left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Kept {
    /// Keeps what has come, up to `limit` bytes in all. The one place where the memory for a body that passes grows.
    fn keep(&mut self, polled: &Option<Result<Frame<Bytes>, CallerBodyError>>, limit: usize) {
        match polled {
            Some(Ok(frame)) => {
                if let Some(piece) = frame.data_ref().filter(|_| !self.lost) {
                    self.lost = self.bytes.len() + piece.len() > limit || self.bytes.push(piece, limit).is_err();
                }
                if let Some(trailers) = frame.trailers_ref() {
                    self.trailers = Some(trailers.clone());
                    self.ended = true;
                }
            }
            Some(Err(_)) => self.lost = true,
            None => self.ended = true,
        }
        if self.lost {
            self.bytes.clear();
        }
    }
}
