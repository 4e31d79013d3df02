//! A request on its way out: its head, and behind it the body, framed as the head says. One that is not as long as its head
//! says is never sent as if it were.

use std::cell::Cell;
use std::io::{self, ErrorKind, IoSlice};
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, request};
use http_body::{Body, Frame};
use tokio::io::AsyncWrite;
use tokio_util::either::Either;

use super::Fault;
use crate::upstream::body::RequestBody;
use crate::upstream::connection;
use crate::upstream::socket::Wire;
use crate::wire::encode;

/// What is together no longer than this is copied into one: the copy costs less than a vectored call.
const GATHER: usize = 4096;
/// A buffer that has become larger is not kept.
const MAX_SPARE: usize = 16 * 1024;

thread_local! {
    /// Where the next head is written to: it has left before the next request comes, nearly always.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// What has not left of a request.
pub(super) struct Sending {
    body: RequestBody,
    framing: Framing,
    /// What leaves next: this, of which so much has left, then the piece, then what frames its end.
    before: Vec<u8>,
    gone: usize,
    piece: Bytes,
    after: &'static [u8],
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

const CHUNK_END: &[u8] = b"\r\n";
const LAST_CHUNK_END: &[u8] = b"\r\n0\r\n\r\n";

impl Framing {
    /// What the head says, which is not asked where there is no body. A length that is none is none to fill.
    fn of(head: &request::Parts, body: &RequestBody) -> Self {
        if matches!(body, RequestBody::Empty) {
            return Self::Length(0);
        }
        if head.headers.contains_key(TRANSFER_ENCODING) {
            return Self::Chunked;
        }
        let length = head.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        Self::Length(length.unwrap_or(0))
    }
}

impl Sending {
    pub(super) fn new(head: &request::Parts, body: RequestBody) -> Self {
        let mut before = SPARE.take();
        encode::request_head(head, &mut before);
        let ended = matches!(body, RequestBody::Empty);
        Self {
            framing: Framing::of(head, &body),
            body,
            before,
            gone: 0,
            piece: Bytes::new(),
            after: &[],
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
            if self.ended {
                self.finish();
            } else {
                ready!(self.poll_body(cx))?;
            }
        }
        Poll::Ready(Ok(()))
    }

    fn finish(&mut self) {
        self.over = true;
        let mut spare = mem::take(&mut self.before);
        if spare.capacity() <= MAX_SPARE {
            spare.clear();
            SPARE.set(spare);
        }
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
            }
            Framing::Chunked => {
                encode::chunk(piece.len(), &mut self.before);
                self.after = if is_last { LAST_CHUNK_END } else { CHUNK_END };
            }
        }
        self.ended = is_last;
        if self.before.len() + piece.len() + self.after.len() <= GATHER {
            self.before.extend_from_slice(&piece);
            self.before.extend_from_slice(mem::take(&mut self.after));
        } else {
            self.piece = piece;
        }
        Ok(())
    }

    fn end(&mut self, trailers: Option<&HeaderMap>) -> Result<(), Fault> {
        match self.framing {
            // There is no way to say trailers.
            Framing::Length(0) => {}
            Framing::Length(_) => return Err(Fault::Length),
            Framing::Chunked => encode::last_chunk(trailers, &mut self.before),
        }
        self.ended = true;
        Ok(())
    }

    /// Writes all that is to leave next.
    fn poll_leave(&mut self, mut wire: Pin<&mut Wire>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let before = self.before.get(self.gone..).unwrap_or_default();
            let written = match (before, &*self.piece, self.after) {
                ([], [], []) => break,
                (alone, [], []) | ([], alone, []) => wire.as_mut().poll_write(cx, alone),
                (before, piece, after) => {
                    wire.as_mut().poll_write_vectored(cx, &[before, piece, after].map(IoSlice::new))
                }
            };
            // Of what TLS has taken, a part may have left although the rest failed.
            self.left |= matches!(*wire, Either::Right(_));
            match ready!(written)? {
                0 => return Poll::Ready(Err(ErrorKind::WriteZero.into())),
                length => self.pass(length),
            }
        }
        wire.poll_flush(cx)
    }

    /// So much has left.
    fn pass(&mut self, length: usize) {
        self.left = true;
        let of_before = length.min(self.before.len() - self.gone);
        let of_piece = (length - of_before).min(self.piece.len());
        self.gone += of_before;
        self.piece.advance(of_piece);
        self.after = self.after.get(length - of_before - of_piece..).unwrap_or_default();
        if self.gone == self.before.len() {
            self.gone = 0;
            // The credential was among it, and its room is the next head's.
            self.before.fill(0);
            self.before.clear();
        }
    }
}
