//! An upstream's socket, shared by hyper, which speaks HTTP on it, and by the pool, which looks whether it is alive.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;

use crate::wire::response_framing::ResponseFraming;
use crate::wire::{Screen, Tcp};

/// A connected socket: without TLS, or with.
pub(super) type Wire = Either<Tcp, Box<TlsStream<Tcp>>>;

/// The socket, and the screen before hyper.
pub(super) struct UpstreamSocket {
    wire: Wire,
    screen: Screen<ResponseFraming>,
    /// Whether all that was written has left.
    flushed: bool,
    /// Whether nothing was written since the last answer.
    resting: bool,
}

impl UpstreamSocket {
    pub(super) fn new(wire: Wire) -> Rc<RefCell<Self>> {
        let screen = Screen::new(ResponseFraming::new());
        Rc::new(RefCell::new(Self { wire, screen, flushed: true, resting: true }))
    }

    /// The exchange has ended. Until the next request is written, nothing is held back: what comes unasked, hyper is to
    /// see, and to close the connection for.
    pub(super) fn rest(&mut self) {
        self.resting = true;
    }

    /// Whether all that was written has left.
    pub(super) fn is_flushed(&self) -> bool {
        self.flushed
    }

    /// Reads what comes after HTTP.
    pub(super) fn poll_read_other(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.screen.poll_read_other(&mut self.wire, cx, buffer)
    }

    /// Where what comes after HTTP is written.
    pub(super) fn wire(&mut self) -> Pin<&mut Wire> {
        Pin::new(&mut self.wire)
    }

    fn note_write(&mut self) -> &mut Wire {
        if std::mem::take(&mut self.resting) {
            self.screen.framing().expect_header();
        }
        self.flushed = false;
        &mut self.wire
    }

    /// Whether nothing at all waits to be read. An idle connection on which something does was closed, or has said
    /// what nobody asked for: it is not worth a request that cannot be sent twice.
    pub(super) fn is_quiet(&self) -> bool {
        is_quiet(&self.wire)
    }

    /// Whether the kernel has told of anything to be read, its end included. Whoever waited for that waits no longer.
    pub(super) fn has_stirred(&self) -> bool {
        let tcp = tcp(&self.wire);
        !tcp.is_drained() || tcp.stream().poll_read_ready(&mut Context::from_waker(Waker::noop())).is_ready()
    }
}

/// Whether nothing waits to be read: not even that the other side has closed.
pub(super) fn is_quiet(wire: &Wire) -> bool {
    let tcp = tcp(wire);
    let peeked = SockRef::from(tcp.stream()).peek(&mut [MaybeUninit::uninit()]);
    tcp.is_drained() && matches!(peeked, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

fn tcp(wire: &Wire) -> &Tcp {
    match wire {
        Either::Left(tcp) => tcp,
        Either::Right(stream) => stream.get_ref().0,
    }
}

/// hyper's half of an [`UpstreamSocket`].
pub(super) struct UpstreamIo(pub(super) Rc<RefCell<UpstreamSocket>>);

impl AsyncRead for UpstreamIo {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let UpstreamSocket { wire, screen, .. } = &mut *self.0.borrow_mut();
        let before = buffer.filled().len();
        ready!(screen.poll_read(wire, cx, buffer))?;
        match screen.fault() {
            Some(fault) if buffer.filled().len() == before => {
                Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, fault)))
            }
            _ => Poll::Ready(Ok(())),
        }
    }
}

impl AsyncWrite for UpstreamIo {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(self.0.borrow_mut().note_write()).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(self.0.borrow_mut().note_write()).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let UpstreamSocket { wire, flushed, .. } = &mut *self.0.borrow_mut();
        let flush = Pin::new(wire).poll_flush(cx);
        *flushed |= matches!(flush, Poll::Ready(Ok(())));
        flush
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.borrow_mut().wire).poll_shutdown(cx)
    }
}
