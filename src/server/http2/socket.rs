//! The socket of an HTTP/2 caller, shared by `h2`, which speaks on it, and by the connection, which watches over it.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The preface (RFC 9113 3.4), and the header of the SETTINGS that must follow it.
const BEGINNING: usize = 24 + 9;

/// A connected socket, and what is known about it.
pub(super) struct Http2Socket<S> {
    stream: S,
    /// Read before it was known that this is HTTP/2.
    unread: Vec<u8>,
    /// How much of the beginning has not come.
    awaited: usize,
    /// When something last came.
    heard: Instant,
    /// When writing last stopped because the caller does not read.
    blocked_since: Option<Instant>,
}

impl<S> Http2Socket<S> {
    pub(super) fn new(stream: S, unread: Vec<u8>) -> Rc<RefCell<Self>> {
        Rc::new(RefCell::new(Self { stream, unread, awaited: BEGINNING, heard: Instant::now(), blocked_since: None }))
    }

    /// Whether the caller has said enough to be one that speaks HTTP/2.
    pub(super) fn has_begun(&self) -> bool {
        self.awaited == 0
    }

    pub(super) fn blocked_since(&self) -> Option<Instant> {
        self.blocked_since
    }

    /// When something last came.
    pub(super) fn heard(&self) -> Instant {
        self.heard
    }

    /// The rest of the connection, when `h2` is done with it.
    pub(super) fn into_stream(self) -> S {
        self.stream
    }

    fn note<T>(&mut self, done: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        self.blocked_since = match done {
            Poll::Pending => Some(self.blocked_since.unwrap_or_else(Instant::now)),
            Poll::Ready(_) => None,
        };
        done
    }
}

/// `h2`'s half of it. Shutting it down does nothing: the connection closes the socket.
pub(super) struct Http2Io<S>(pub(super) Rc<RefCell<Http2Socket<S>>>);

impl<S: AsyncRead + Unpin> AsyncRead for Http2Io<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut socket = self.0.borrow_mut();
        let before = buffer.filled().len();
        let read = if socket.unread.is_empty() {
            Pin::new(&mut socket.stream).poll_read(cx, buffer)
        } else {
            let length = socket.unread.len().min(buffer.remaining());
            buffer.put_slice(socket.unread.get(..length).unwrap_or_default());
            socket.unread.drain(..length);
            Poll::Ready(Ok(()))
        };
        let came = buffer.filled().len() - before;
        if came > 0 {
            socket.awaited = socket.awaited.saturating_sub(came);
            socket.heard = Instant::now();
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Http2Io<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut socket = self.0.borrow_mut();
        let wrote = Pin::new(&mut socket.stream).poll_write(cx, bytes);
        socket.note(wrote)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut socket = self.0.borrow_mut();
        let wrote = Pin::new(&mut socket.stream).poll_write_vectored(cx, slices);
        socket.note(wrote)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.borrow().stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut socket = self.0.borrow_mut();
        // What TLS has taken may not have left.
        let flushed = Pin::new(&mut socket.stream).poll_flush(cx);
        socket.note(flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx)
    }
}
