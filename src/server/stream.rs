//! What a caller's bytes come by: a socket of either family, with TLS on it or without.

use std::io::{self, BufRead, IoSlice, Write};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll};

use rustls::ServerConnection;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;

use crate::wire::Tcp;

/// A connected socket of either family.
pub(super) type Socket = Either<Tcp, UnixStream>;

/// What a caller's bytes come by.
pub(super) enum Stream {
    Plain(Socket),
    Tls(Box<TlsStream<Socket>>),
}

/// The same socket, for TLS, which asks for a part of what there is.
pub(super) fn read_ahead(socket: Socket) -> Socket {
    match socket {
        Either::Left(tcp) => Either::Left(tcp.into_reading_ahead()),
        Either::Right(stream) => Either::Right(stream),
    }
}

impl Stream {
    /// Whether nobody reads any more: an error that the kernel has noted, such as the answer to a write.
    pub(super) fn take_error(&self) -> io::Result<()> {
        match self.socket() {
            Either::Left(tcp) => tcp.stream().take_error(),
            Either::Right(stream) => stream.take_error(),
        }
        .and_then(|error| error.map_or(Ok(()), Err))
    }

    /// Writes at once: only ever what is smaller than a socket's empty buffer.
    pub(super) fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => AtOnce(socket).write(bytes),
            Self::Tls(tls) => {
                let (socket, session) = tls.get_mut();
                let written = session.writer().write(bytes)?;
                send_at_once(socket, session)?;
                Ok(written)
            }
        }
    }

    /// Tells a caller that speaks TLS that its connection ends as it should (RFC 8446 6.1), as far as that can be told at
    /// once.
    pub(super) fn say_goodbye(&mut self) {
        if let Self::Tls(tls) = self {
            let (socket, session) = tls.get_mut();
            session.send_close_notify();
            // Whoever does not read, or is gone, misses nothing.
            let _ = send_at_once(socket, session);
        }
    }

    /// Makes closing the socket look like the failure that it is: a reset, which no caller takes for an end.
    pub(super) fn reset_on_close(&self) {
        if let Either::Left(tcp) = self.socket() {
            // Best effort: without it the caller sees a message that is cut short by its own framing.
            let _ = tcp.stream().set_zero_linger();
        }
    }

    /// Takes that back: what was written is whole, and closing may say so.
    pub(super) fn end_on_close(&self) {
        if let Either::Left(tcp) = self.socket() {
            // Where that fails, the caller sees a failure that is none: better than the other way round.
            let _ = SockRef::from(tcp.stream()).set_linger(None);
        }
    }

    /// Whether what was written may not have left: then it has to be flushed.
    pub(super) fn may_hold_back(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(_) => true,
        }
    }

    fn socket(&self) -> &Socket {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(tls) => tls.get_ref().0,
        }
    }

    /// Whether something has come that nobody has read, deciphered or not.
    pub(super) fn has_unread(&mut self) -> bool {
        if let Self::Tls(tls) = self {
            let (socket, session) = tls.get_mut();
            let is_drained = match socket {
                Either::Left(tcp) => tcp.is_drained(),
                Either::Right(_) => true,
            };
            if !is_drained || session.reader().fill_buf().is_ok_and(|bytes| !bytes.is_empty()) {
                return true;
            }
        }
        let mut byte = [MaybeUninit::uninit()];
        let peeked = match self.socket() {
            Either::Left(tcp) => SockRef::from(tcp.stream()).peek(&mut byte),
            Either::Right(stream) => SockRef::from(stream).peek(&mut byte),
        };
        matches!(peeked, Ok(1..))
    }
}

/// Writes what the session has to send. What the socket does not take now goes before whatever comes next.
fn send_at_once(socket: &Socket, session: &mut ServerConnection) -> io::Result<()> {
    while session.wants_write() {
        match session.write_tls(&mut AtOnce(socket)) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Writes to a socket without waiting.
struct AtOnce<'a>(&'a Socket);

impl Write for AtOnce<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.0 {
            Either::Left(tcp) => tcp.stream().try_write(bytes),
            Either::Right(stream) => stream.try_write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_read(cx, buffer),
            Self::Tls(tls) => Pin::new(tls).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_write(cx, bytes),
            Self::Tls(tls) => Pin::new(tls).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_write_vectored(cx, slices),
            Self::Tls(tls) => Pin::new(tls).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_flush(cx),
            Self::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    /// TLS says its goodbye before (RFC 8446 6.1).
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_shutdown(cx),
            Self::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}
