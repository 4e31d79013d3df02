//! An answer's body as an HTTP/2 stream sends it, and how much of it the caller's windows have let through. hyper and h2 wait
//! for a window without end: what is written is known here, so that someone can lose patience.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Instant;

use bytes::{Buf, Bytes};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

use super::stream::Stream;
use crate::answer::AnswerBody;

/// An answer that is no longer than this ends with its last byte, and hyper is done with it, written or not. The end of a
/// longer one is held back until all before it is written: as long, its stream can be reset alone. No caller in good faith
/// has a smaller window (RFC 9113 6.9.2 begins with four times as much).
const AT_ONCE: usize = 16 * 1024;

/// The answer broke off. Why is for the log: a reset that an upstream sent is not the caller's.
#[derive(Debug, thiserror::Error)]
#[error("the answer broke off")]
pub(super) struct Cut;

/// What of one stream was given to hyper, and has not been written.
pub(super) struct Flow {
    unwritten: Cell<usize>,
    /// When something of it was last written, or given while there was nothing.
    moved: Cell<Instant>,
    /// Who waits for all of it to be written.
    waker: RefCell<Option<Waker>>,
}

impl Flow {
    pub(super) fn new() -> Rc<Self> {
        Rc::new(Self { unwritten: Cell::new(0), moved: Cell::new(Instant::now()), waker: RefCell::new(None) })
    }

    /// Since when the caller has taken nothing. `None`: it has taken everything.
    pub(super) fn stuck_since(&self) -> Option<Instant> {
        (self.unwritten.get() > 0).then(|| self.moved.get())
    }

    fn give(self: &Rc<Self>, bytes: Bytes) -> Piece {
        if self.unwritten.get() == 0 {
            self.moved.set(Instant::now());
        }
        self.unwritten.set(self.unwritten.get() + bytes.len());
        Piece { bytes, flow: Rc::clone(self) }
    }

    fn note_written(&self, length: usize) {
        if length == 0 {
            return;
        }
        self.unwritten.set(self.unwritten.get().saturating_sub(length));
        self.moved.set(Instant::now());
        if self.unwritten.get() == 0
            && let Some(waker) = self.waker.take()
        {
            waker.wake();
        }
    }

    fn poll_written(&self, cx: &Context<'_>) -> Poll<()> {
        if self.unwritten.get() == 0 {
            return Poll::Ready(());
        }
        self.waker.replace(Some(cx.waker().clone()));
        Poll::Pending
    }
}

/// A piece of an answer, which tells when it is written, or given up.
pub(super) struct Piece {
    bytes: Bytes,
    flow: Rc<Flow>,
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, length: usize) {
        self.bytes.advance(length);
        self.flow.note_written(length);
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.flow.note_written(self.bytes.len());
    }
}

/// The body of one stream's answer.
pub(super) struct Http2Body {
    answer: Box<AnswerBody>,
    stream: Rc<Stream>,
    given: usize,
    /// What comes when everything before it is written.
    end: Option<End>,
}

enum End {
    Trailers(HeaderMap),
    Nothing,
}

impl Http2Body {
    pub(super) fn new(answer: Box<AnswerBody>, stream: Rc<Stream>) -> Self {
        if answer.is_end_stream() {
            stream.settle();
        }
        Self { answer, stream, given: 0, end: None }
    }

    fn is_held_back(&self) -> bool {
        self.given > AT_ONCE
    }

    fn end_with(&mut self, end: End, cx: &Context<'_>) -> Poll<Option<Result<Frame<Piece>, Cut>>> {
        if self.is_held_back() && self.stream.flow().poll_written(cx).is_pending() {
            self.end = Some(end);
            return Poll::Pending;
        }
        self.stream.settle();
        Poll::Ready(match end {
            End::Trailers(trailers) => Some(Ok(Frame::trailers(trailers))),
            End::Nothing => None,
        })
    }
}

impl Body for Http2Body {
    type Data = Piece;
    type Error = Cut;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Piece>, Cut>>> {
        if let Some(end) = self.end.take() {
            return self.end_with(end, cx);
        }
        if self.given > 0 && self.answer.is_end_stream() {
            return self.end_with(End::Nothing, cx);
        }
        let frame = match ready!(Pin::new(&mut self.answer).poll_frame(cx)) {
            None => return self.end_with(End::Nothing, cx),
            Some(Ok(frame)) => frame,
            Some(Err(_)) => {
                self.stream.settle();
                return Poll::Ready(Some(Err(Cut)));
            }
        };
        match frame.into_data() {
            Ok(bytes) => {
                self.given += bytes.len();
                let piece = self.stream.flow().give(bytes);
                if self.is_end_stream() {
                    self.stream.settle();
                }
                Poll::Ready(Some(Ok(Frame::data(piece))))
            }
            Err(other) => {
                let end = other.into_trailers().map_or(End::Nothing, End::Trailers);
                self.end_with(end, cx)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.answer.is_end_stream() && !self.is_held_back() && self.end.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.answer.size_hint()
    }
}
