//! An answer on its way to the caller: its head with what is there of its body, and each further piece as it comes. Nothing
//! more is asked for before what there was has left.

use std::cell::RefCell;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HOST, HeaderName,
    MAX_FORWARDS, SET_COOKIE, TE, TRAILER, TRANSFER_ENCODING,
};
use http_body::{Body, Frame};

use super::head::{Framing, Terms};
use crate::answer::AnswerBody;
use crate::message::{Response, ResponseHead};
use crate::server::socket::CallerSocket;
use crate::upstream::BrokenAnswer;
use crate::wire::Outbox;

/// An answer that has not left whole.
pub(super) struct Answer {
    terms: Terms,
    /// Until it is written.
    head: Option<ResponseHead>,
    /// Until its end is.
    body: Option<Box<AnswerBody>>,
    framing: Framing,
    is_last: bool,
}

/// It broke off, or the caller takes it no more: what has left must not look whole.
pub(super) struct Unsent;

/// What becomes of an answer's body.
enum Then {
    GoesOn,
    HasEnded,
}

impl Answer {
    /// `is_last`: the connection ends with it, unless it is the one that switches to another protocol.
    pub(super) fn new(terms: Terms, response: Response<Box<AnswerBody>>, is_last: bool) -> Self {
        let Response { head, body } = response;
        Self { terms, head: Some(head), body: Some(body), framing: Framing::Nothing, is_last }
    }

    /// Whether nothing may follow it. Known when it has left.
    pub(super) fn is_last(&self) -> bool {
        self.is_last
    }

    /// Sends it. What of it is there leaves at once.
    pub(super) fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        socket: &RefCell<CallerSocket>,
    ) -> Poll<Result<(), Unsent>> {
        if let Some(head) = self.head.take() {
            self.begin(head, cx, &mut socket.borrow_mut());
        }
        loop {
            // Bound first: what was borrowed may not be while the body is polled, or dropped.
            let is_blocked = socket.borrow().is_blocked();
            let waits = !is_blocked && self.poll_pieces(cx, socket)?.is_pending();
            let sent = socket.borrow_mut().poll_send(cx);
            ready!(sent).map_err(|_| Unsent)?;
            if self.body.is_none() {
                self.end(&mut socket.borrow_mut());
                return Poll::Ready(Ok(()));
            }
            if waits {
                return Poll::Pending;
            }
        }
    }

    fn begin(&mut self, mut head: ResponseHead, cx: &mut Context<'_>, socket: &mut CallerSocket) {
        let Some(body) = &mut self.body else { return };
        socket.begin_answer();
        // What nobody will read of the request may be here, and is passed over. Else its end will never be found.
        let follows = match socket.poll_settled(cx) {
            Poll::Ready(follows) => follows,
            // Whoever refuses in the middle of a long upload does not take the rest: it is said in time (RFC 9112 9.6).
            Poll::Pending => head.status.is_success() || !socket.is_far_from_end(),
        };
        let is_last = self.is_last || !follows;
        (self.framing, self.is_last) = self.terms.write_head(&mut head, body, is_last, socket.out().front());
        match self.framing {
            Framing::Nothing => body.leave_out_own(),
            // Whatever ends the connection before, a timeout or sidekey's own end, must not look like the body's end.
            Framing::UntilClose => socket.stream().reset_on_close(),
            Framing::Length(_) | Framing::Chunked(_) => {}
        }
    }

    /// All of it has left.
    fn end(&self, socket: &mut CallerSocket) {
        match self.framing {
            Framing::UntilClose => socket.stream().end_on_close(),
            Framing::Nothing | Framing::Length(_) | Framing::Chunked(_) => {}
        }
    }

    /// Puts what is there of the body with what is to leave. Pending: the upstream is waited for.
    fn poll_pieces(&mut self, cx: &mut Context<'_>, socket: &RefCell<CallerSocket>) -> Poll<Result<(), Unsent>> {
        while let Some(body) = &mut self.body {
            let then = match &self.framing {
                Framing::Nothing => Then::HasEnded,
                Framing::Length(0) if body.is_end_stream() => Then::HasEnded,
                Framing::Length(_) | Framing::Chunked(_) | Framing::UntilClose => {
                    if socket.borrow_mut().out().is_full() {
                        return Poll::Ready(Ok(()));
                    }
                    match (Pin::new(&mut *body).poll_frame(cx), &self.framing) {
                        // It is whole, even if the upstream does not say so now.
                        (Poll::Pending, Framing::Length(0)) => Then::HasEnded,
                        (Poll::Pending, _) => return Poll::Pending,
                        (Poll::Ready(frame), _) => {
                            let ends = body.is_end_stream();
                            self.framing.put(frame, ends, socket.borrow_mut().out())?
                        }
                    }
                }
            };
            match then {
                Then::GoesOn => {}
                Then::HasEnded => self.body = None,
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl Framing {
    /// Puts one frame of a body with what is to leave. `ends`: there are no more.
    fn put(
        &mut self,
        frame: Option<Result<Frame<Bytes>, BrokenAnswer>>,
        ends: bool,
        out: &mut Outbox,
    ) -> Result<Then, Unsent> {
        let frame = frame.transpose().map_err(|_| Unsent)?;
        match frame.map(Frame::into_data) {
            Some(Ok(piece)) if !piece.is_empty() => self.put_piece(piece, ends, out),
            Some(Ok(_)) if !ends => Ok(Then::GoesOn),
            None | Some(Ok(_)) => self.put_end(None, out),
            Some(Err(other)) => self.put_end(other.into_trailers().ok().as_ref(), out),
        }
    }

    fn put_piece(&mut self, mut piece: Bytes, ends: bool, out: &mut Outbox) -> Result<Then, Unsent> {
        match self {
            Self::Nothing => {}
            Self::Length(left) => {
                piece.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= piece.len() as u64;
                out.push(piece);
            }
            Self::Chunked(_) => {
                out.push_chunk(piece, ends);
                return Ok(if ends { Then::HasEnded } else { Then::GoesOn });
            }
            Self::UntilClose => out.push(piece),
        }
        if ends { self.put_end(None, out) } else { Ok(Then::GoesOn) }
    }

    fn put_end(&self, trailers: Option<&HeaderMap>, out: &mut Outbox) -> Result<Then, Unsent> {
        match self {
            Self::Nothing | Self::UntilClose | Self::Length(0) => {}
            Self::Length(_) => return Err(Unsent),
            Self::Chunked(announced) => {
                let passing = trailers.map(|trailers| passing(trailers, announced));
                out.push_last_chunk(passing.as_ref());
            }
        }
        Ok(Then::HasEnded)
    }
}

/// Those of `trailers` that were announced, and say nothing of how the message is read (RFC 9110 6.5.1).
fn passing(trailers: &HeaderMap, announced: &[HeaderName]) -> HeaderMap {
    let may_pass = |name: &HeaderName| announced.contains(name) && !KEPT.contains(name);
    trailers.iter().filter(|(name, _)| may_pass(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// What only a header says.
const KEPT: [HeaderName; 12] = [
    AUTHORIZATION,
    CACHE_CONTROL,
    CONTENT_ENCODING,
    CONTENT_LENGTH,
    CONTENT_RANGE,
    CONTENT_TYPE,
    HOST,
    MAX_FORWARDS,
    SET_COOKIE,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
];
