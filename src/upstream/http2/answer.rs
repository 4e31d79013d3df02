//! An answer's body as it comes out of a stream. What was handed on makes room for as much again, so that an upstream
//! sends no faster than the caller reads.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{Reason, RecvStream};
use http::header::CONTENT_LENGTH;
use http_body::{Frame, SizeHint};

use super::StreamError;
use crate::fields::{Fields, Repeated};
use crate::wire::fields::decimal;
use crate::wire::{MAX_FIELDS, Malformed};

/// The body of an answer. Dropping it before its end resets the stream.
pub(crate) struct AnswerStream {
    stream: RecvStream,
    /// What is left of a length that was announced.
    left: Option<u64>,
    /// Whether the request had not left whole when the answer came.
    is_early: bool,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Body,
    Trailers,
    Ended,
}

impl AnswerStream {
    /// `fields`: those of the answer; `is_early`: the request has not left whole.
    pub(super) fn new(stream: RecvStream, fields: &Fields, is_early: bool) -> Result<Self, Malformed> {
        let left = match fields.single(&CONTENT_LENGTH) {
            Ok(length) => length.map(|length| decimal(length).ok_or(Malformed::ContentLength)).transpose()?,
            Err(Repeated) => return Err(Malformed::ContentLength),
        };
        let state = if stream.is_end_stream() { State::Ended } else { State::Body };
        Ok(Self { stream, left, is_early, state })
    }

    /// What comes in a body's place when the stream carries no more HTTP. Its header says nothing of it (RFC 9110 9.3.6).
    pub(super) fn bare(stream: RecvStream) -> Self {
        Self { stream, left: None, is_early: false, state: State::Body }
    }

    pub(super) fn into_stream(self) -> RecvStream {
        self.stream
    }

    pub(in crate::upstream) fn is_end_stream(&self) -> bool {
        self.state == State::Ended
    }

    pub(in crate::upstream) fn size_hint(&self) -> SizeHint {
        match (self.state, self.left) {
            (State::Ended, _) => SizeHint::with_exact(0),
            (State::Body | State::Trailers, Some(left)) => SizeHint::with_exact(left),
            (State::Body | State::Trailers, None) => SizeHint::default(),
        }
    }

    pub(in crate::upstream) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StreamError>>> {
        if self.state == State::Body {
            match ready!(self.stream.poll_data(cx)) {
                Some(Ok(piece)) => return Poll::Ready(Some(self.hand_on(piece, cx).map(Frame::data))),
                Some(Err(error)) => return Poll::Ready(self.end_or(error)),
                None => self.state = State::Trailers,
            }
        }
        if self.state == State::Trailers {
            let trailers = ready!(self.stream.poll_trailers(cx));
            self.state = State::Ended;
            return match trailers {
                Ok(Some(trailers)) if trailers.len() > MAX_FIELDS => {
                    Poll::Ready(Some(Err(Malformed::TooManyFields.into())))
                }
                Ok(Some(trailers)) => Poll::Ready(Some(Ok(Frame::trailers(trailers)))),
                Ok(None) => Poll::Ready(None),
                Err(error) => Poll::Ready(self.end_or(error)),
            };
        }
        Poll::Ready(None)
    }

    /// Behind the last byte of an announced length nobody may ask for more: so whether the end has come is looked for at once, or
    /// the stream would be reset for want of it.
    fn hand_on(&mut self, piece: Bytes, cx: &mut Context<'_>) -> Result<Bytes, StreamError> {
        self.stream.flow_control().release_capacity(piece.len())?;
        self.left = self.left.map(|left| left.saturating_sub(piece.len() as u64));
        while self.left == Some(0) && !self.stream.is_end_stream() {
            match self.stream.poll_data(cx) {
                Poll::Ready(Some(Ok(more))) if more.is_empty() => {}
                // Trailers; or what is wrong comes up again.
                Poll::Ready(_) | Poll::Pending => break,
            }
        }
        if self.stream.is_end_stream() {
            self.state = State::Ended;
        }
        Ok(piece)
    }

    /// An upstream that has answered without waiting for the whole request resets the stream once its answer is
    /// complete (RFC 9113 8.1), and `h2` may forget the one for the other. Any other reset is a cut.
    fn end_or<T>(&mut self, error: h2::Error) -> Option<Result<T, StreamError>> {
        self.state = State::Ended;
        let is_whole = self.left.is_none_or(|left| left == 0);
        if self.is_early
            && is_whole
            && error.is_remote()
            && error.reason() == Some(Reason::NO_ERROR)
            && error.is_reset()
        {
            return None;
        }
        Some(Err(error.into()))
    }
}
