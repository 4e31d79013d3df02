//! A request on its way out: its head, and behind it the body, framed as the head says. One that is not as long as its head
//! says is never sent as if it were.

use std::io;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http_body::{Body, Frame};
use tokio::io::AsyncWrite;
use tokio_util::either::Either;

use super::Fault;
use crate::message::RequestHead;
use crate::upstream::body::RequestBody;
use crate::upstream::connection;
use crate::upstream::socket::Wire;
use crate::wire::fields::decimal;
use crate::wire::{Outbox, encode};

/// What has not left of a request.
pub(super) struct Sending {
    body: RequestBody,
    framing: Framing,
    /// What leaves next.
    out: Outbox,
    /// Whether a first piece was asked for, so that it leaves with the head.
    begun: bool,
    /// Whether something was taken out of the body.
    opened: bool,
    /// Whether something may have left.
    left: bool,
    /// Whether nothing more comes of the body.
    ended: bool,
    /// Whether all of it has left.
    over: bool,
}

/// How the body's end is told.
enum Framing {
    /// It is so much longer.
    Length(u64),
    Chunked,
}

impl Framing {
    /// What the head says, which is not asked where there is no body. A length that is none is none to fill.
    fn of(head: &RequestHead, body: &RequestBody) -> Self {
        if matches!(body, RequestBody::Empty) {
            return Self::Length(0);
        }
        if head.fields.has(&TRANSFER_ENCODING) {
            return Self::Chunked;
        }
        let length = head.fields.get(&CONTENT_LENGTH).and_then(decimal);
        Self::Length(length.unwrap_or(0))
    }
}

impl Sending {
    pub(super) fn new(head: &RequestHead, body: RequestBody) -> Self {
        let mut out = Outbox::default();
        encode::request_head(head, out.front());
        let ended = matches!(body, RequestBody::Empty);
        Self {
            framing: Framing::of(head, &body),
            body,
            out,
            begun: ended,
            opened: false,
            left: false,
            ended,
            over: false,
        }
    }

    /// Whether all of it has left.
    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// Whether something of it may have left.
    pub(super) fn has_left(&self) -> bool {
        self.left
    }

    /// The body, if all of it is still here and nothing has left.
    pub(super) fn untouched(self) -> Option<RequestBody> {
        match self.body {
            _ if self.left => None,
            body if body.can_be_repeated() => Some(body.repeat()),
            body => (!self.opened).then_some(body),
        }
    }

    /// Moves what can be moved. Ready: all of it has left. No piece is asked for before the last one has left.
    pub(super) fn poll(
        &mut self,
        mut wire: Pin<&mut Wire>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), connection::Fault>> {
        if !mem::replace(&mut self.begun, true) {
            // If there is none yet, the head leaves alone.
            let _ = self.poll_body(cx)?;
        }
        while !self.over {
            ready!(self.poll_leave(wire.as_mut(), cx)).map_err(Fault::Broken)?;
            self.over = self.ended;
            if !self.over {
                ready!(self.poll_body(cx))?;
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Takes the body's next piece.
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), connection::Fault>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        self.opened = true;
        let frame = frame.transpose()?;
        let taken = match frame.map(Frame::into_data) {
            // As a chunk, it would be the last.
            Some(Ok(piece)) if piece.is_empty() => Ok(()),
            Some(Ok(piece)) => self.take(piece),
            Some(Err(other)) => self.end(other.into_trailers().ok().as_ref()),
            None => self.end(None),
        };
        Poll::Ready(taken.map_err(Into::into))
    }

    fn take(&mut self, piece: Bytes) -> Result<(), Fault> {
        let is_last = self.body.is_end_stream();
        match &mut self.framing {
            Framing::Length(more) => {
                *more = more.checked_sub(piece.len() as u64).ok_or(Fault::Length)?;
                if is_last && *more > 0 {
                    return Err(Fault::Length);
                }
                self.out.push(piece);
            }
            Framing::Chunked => self.out.push_chunk(piece, is_last),
        }
        self.ended = is_last;
        Ok(())
    }

    fn end(&mut self, trailers: Option<&HeaderMap>) -> Result<(), Fault> {
        match self.framing {
            // There is no way to say trailers.
            Framing::Length(0) => {}
            Framing::Length(_) => return Err(Fault::Length),
            Framing::Chunked => self.out.push_last_chunk(trailers),
        }
        self.ended = true;
        Ok(())
    }

    /// Writes all that is to leave next.
    fn poll_leave(&mut self, mut wire: Pin<&mut Wire>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.out.is_empty() {
            // Of what TLS has taken, a part may have left although the rest failed.
            self.left |= matches!(*wire, Either::Right(_));
            ready!(self.out.poll_write(wire.as_mut(), cx))?;
            self.left = true;
        }
        wire.poll_flush(cx)
    }
}
