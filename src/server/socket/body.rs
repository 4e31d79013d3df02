//! The body of the request that is being answered, read from the connection's socket as far as it is asked for.

use std::cell::RefCell;
use std::io;
use std::mem;
use std::pin::{Pin, pin};
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use tokio::io::AsyncReadExt;

use super::{CallerSocket, PIECE};
use crate::server::body::CallerFault;
use crate::wire::body::{Decoder, Piece};

/// A body of which more is to come than this is read straight into a buffer of its own,
const LONG: u64 = 8 * 1024;
/// which is no larger.
const MAX_BUFFER: u64 = 64 * 1024;

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// The body of the last request, as the socket knows it.
pub(super) struct Inbound {
    decoder: Decoder,
    /// Of which request it is: a body that was kept for too long cannot read another one's.
    number: u64,
    state: State,
    /// Whether the caller sends it only once it is asked to (RFC 9110 10.1.1).
    is_withheld: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Somebody may read it.
    Held,
    /// Nobody will read the rest.
    Left,
    /// It broke off, or broke the rules.
    Failed,
}

/// The body of one request. Dropping it leaves the rest to the connection.
pub(crate) struct Http1Body {
    socket: Weak<RefCell<CallerSocket>>,
    number: u64,
    ended: bool,
}

impl Inbound {
    pub(super) fn none() -> Self {
        Self { decoder: Decoder::empty(), number: 0, state: State::Left, is_withheld: false }
    }
}

impl CallerSocket {
    /// A request has come with this body, which is not empty. `is_withheld`: the caller waits to be asked for it.
    pub(in crate::server) fn begin_body(socket: &Rc<RefCell<Self>>, decoder: Decoder, is_withheld: bool) -> Http1Body {
        let mut this = socket.borrow_mut();
        let number = this.body.number + 1;
        this.body = Inbound { decoder, number, state: State::Held, is_withheld };
        Http1Body { socket: Rc::downgrade(socket), number, ended: false }
    }

    /// Its answer begins: from now on, the caller is not asked for its body.
    pub(in crate::server) fn begin_answer(&mut self) {
        self.body.is_withheld = false;
    }

    /// Whether the caller stopped (or broke the rules) between two requests, rather than inside one.
    pub(in crate::server) fn between_requests(&self) -> bool {
        self.body.decoder.is_end()
    }

    /// Whether another request can follow; pending for as long as somebody reads this one's body. What nobody will read is
    /// passed over if it has come: further than that, the connection is given up.
    pub(in crate::server) fn poll_settled(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        if self.between_requests() {
            return Poll::Ready(true);
        }
        match self.body.state {
            State::Held => Poll::Pending,
            State::Failed => Poll::Ready(false),
            State::Left => Poll::Ready(self.pass_over(cx)),
        }
    }

    /// Whether more of the request's body is to come, for sure, than would be passed over.
    pub(in crate::server) fn is_far_from_end(&self) -> bool {
        let most = self.bytes.len() + PIECE;
        self.body.decoder.remaining().is_some_and(|left| left > most as u64)
    }

    fn pass_over(&mut self, cx: &mut Context<'_>) -> bool {
        let mut has_read = false;
        loop {
            match self.body.decoder.read(&mut self.bytes) {
                Ok(Piece::Data(_)) => {}
                Ok(Piece::Trailers(_) | Piece::End) => return true,
                Ok(Piece::More) if self.between_requests() => return true,
                Ok(Piece::More) if !has_read && !self.ended => {
                    has_read = true;
                    if !matches!(self.poll_fill(cx), Poll::Ready(Ok(()))) {
                        return false;
                    }
                }
                Ok(Piece::More) | Err(_) => return self.fail(),
            }
        }
    }

    fn fail(&mut self) -> bool {
        self.body.state = State::Failed;
        false
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Inward, CallerFault>> {
        if mem::take(&mut self.body.is_withheld) {
            self.out.front().extend_from_slice(CONTINUE);
            // What does not leave now, the connection sends, in its own task.
            if self.poll_send(cx).is_pending() {
                self.wake();
            }
        }
        loop {
            let is_last = match self.body.decoder.read(&mut self.bytes)? {
                Piece::Data(bytes) => return Poll::Ready(Ok(Inward::Data(bytes))),
                Piece::Trailers(trailers) => return Poll::Ready(Ok(Inward::Trailers(trailers))),
                Piece::End => true,
                Piece::More => self.between_requests(),
            };
            if is_last {
                return Poll::Ready(Ok(Inward::End));
            }
            if self.ended {
                return Poll::Ready(Err(CallerFault::Ended));
            }
            ready!(self.poll_fill_body(cx))?;
        }
    }

    fn poll_fill_body(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(left @ LONG..) = self.body.decoder.remaining() else { return self.poll_fill(cx) };
        self.bytes.reserve(usize::try_from(left.min(MAX_BUFFER)).unwrap_or_default());
        let reading = pin!(self.stream.read_buf(&mut self.bytes));
        let Poll::Ready(read) = reading.poll(cx) else {
            if self.bytes.is_empty() {
                // A caller that takes its time holds no room.
                self.bytes = BytesMut::new();
            }
            return Poll::Pending;
        };
        self.note_read(read?);
        Poll::Ready(Ok(()))
    }
}

enum Inward {
    Data(Bytes),
    Trailers(HeaderMap),
    End,
}

impl Body for Http1Body {
    type Data = Bytes;
    type Error = CallerFault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let Some(socket) = self.socket.upgrade() else { return Poll::Ready(Some(Err(CallerFault::Ended))) };
        let mut socket = socket.borrow_mut();
        if socket.body.number != self.number || socket.body.state != State::Held {
            return Poll::Ready(Some(Err(CallerFault::Ended)));
        }
        let inward = match ready!(socket.poll_piece(cx)) {
            Ok(inward) => inward,
            Err(fault) => {
                socket.fail();
                return Poll::Ready(Some(Err(fault)));
            }
        };
        self.ended = socket.between_requests();
        // Whoever reads it in another task is not who reads on.
        if self.ended && socket.waker.as_ref().is_some_and(|waker| !waker.will_wake(cx.waker())) {
            socket.wake();
        }
        Poll::Ready(match inward {
            Inward::Data(bytes) => Some(Ok(Frame::data(bytes))),
            Inward::Trailers(trailers) => Some(Ok(Frame::trailers(trailers))),
            Inward::End => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }

    fn size_hint(&self) -> SizeHint {
        if self.ended {
            return SizeHint::with_exact(0);
        }
        let socket = self.socket.upgrade().filter(|socket| socket.borrow().body.number == self.number);
        let left = socket.and_then(|socket| socket.borrow().body.decoder.remaining());
        left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Drop for Http1Body {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        if let Some(socket) = self.socket.upgrade() {
            let mut socket = socket.borrow_mut();
            if socket.body.number == self.number && socket.body.state == State::Held {
                socket.body.state = State::Left;
                socket.wake();
            }
        }
    }
}
