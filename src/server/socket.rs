//! A caller's socket, shared by hyper, which speaks HTTP on it, and by the connection, which watches over it.

use std::cell::RefCell;
use std::io::{self, BufRead, IoSlice, Write};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use rustls::ServerConnection;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;

use crate::wire::request_framing::RequestFraming;
use crate::wire::{Malformed, Screen, Tcp};

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

/// The socket and what is known about it.
pub(super) struct CallerSocket {
    stream: Stream,
    screen: Screen<RequestFraming>,
    /// When writing last stopped because the caller does not read.
    blocked_since: Option<Instant>,
    /// When a write last went through that had stopped.
    unblocked_at: Option<Instant>,
    /// When the first byte of a header came whose end has not.
    header_since: Option<Instant>,
    /// Whether hyper has read up to the fault: everything that is due before it has been answered.
    fault_reached: bool,
    /// Whether hyper has asked for more, and there is none.
    awaited: bool,
    /// So many rounds have passed since a byte moved, either way.
    quiet_rounds: u8,
    /// Wakes the connection's task, for those that are not its sockets: the drain, and the rounds.
    waker: Option<Waker>,
}

/// A connection is quiet when nothing has moved for so many rounds: the last byte may have come just before the first.
const QUIET: u8 = 2;

impl CallerSocket {
    pub(super) fn new(stream: Stream) -> Self {
        let screen = Screen::new(RequestFraming::new());
        Self {
            stream,
            screen,
            blocked_since: None,
            unblocked_at: None,
            header_since: None,
            fault_reached: false,
            awaited: false,
            quiet_rounds: 0,
            waker: None,
        }
    }

    /// What is wrong with the request after those that hyper has seen.
    pub(super) fn fault(&self) -> Option<Malformed> {
        self.screen.fault()
    }

    /// Whether hyper stopped for the fault, and not before it: for an answer that said `close`, say.
    pub(super) fn fault_reached(&self) -> bool {
        self.fault_reached
    }

    /// Lets the request through for which hyper must make room.
    pub(super) fn make_room(&mut self) {
        self.screen.framing().make_room();
        self.screen.resume();
        self.fault_reached = false;
    }

    /// Whether the caller stopped (or broke the rules) between two requests, rather than inside one.
    pub(super) fn between_requests(&mut self) -> bool {
        self.screen.framing().between_requests()
    }

    /// Whether the answer to the last request decides what is spoken after it.
    pub(super) fn asks_for_tunnel(&mut self) -> bool {
        self.screen.framing().is_undecided()
    }

    /// Whether the caller has closed its side. It may still be reading.
    pub(super) fn caller_closed(&self) -> bool {
        self.screen.ended()
    }

    pub(super) fn header_since(&self) -> Option<Instant> {
        self.header_since
    }

    /// Whether a part of a request has come, be it that nobody has read it.
    pub(super) fn has_begun(&mut self) -> bool {
        self.header_since.is_some() || self.stream.has_unread()
    }

    pub(super) fn blocked_since(&self) -> Option<Instant> {
        self.blocked_since
    }

    pub(super) fn unblocked_at(&self) -> Option<Instant> {
        self.unblocked_at
    }

    /// Whether nobody reads, for now, what the caller sends: so nobody would notice that it is gone.
    pub(super) fn is_unread(&mut self) -> bool {
        !self.between_requests() || self.screen.is_full_ahead()
    }

    /// Reads ahead while a request is being answered. Ready: the connection is broken.
    pub(super) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.screen.poll_ahead(&mut self.stream, cx)
    }

    /// A round of the worker: one that has become quiet is told.
    pub(super) fn pass_round(&mut self) {
        self.quiet_rounds = self.quiet_rounds.saturating_add(1);
        if self.quiet_rounds == QUIET {
            self.wake();
        }
    }

    /// Whether the caller has not sent anything after its last request, all of which hyper has used up, and whose answer has
    /// gone; and not just now.
    pub(super) fn is_quiet(&mut self) -> bool {
        let has_gone = self.quiet_rounds >= QUIET && self.blocked_since.is_none();
        has_gone && self.awaited && self.screen.is_empty() && self.between_requests()
    }

    /// Waits without hyper for the caller to send something, or to close. What it sends is kept for hyper.
    pub(super) fn poll_begun(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.awaited = false;
        let broken = self.screen.poll_ahead(&mut self.stream, cx);
        if self.screen.is_empty() { broken } else { Poll::Ready(Ok(())) }
    }

    /// Remembers whom to wake when the server drains, or a round finds it quiet.
    pub(super) fn note_waker(&mut self, cx: &Context<'_>) {
        match &mut self.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            None => self.waker = Some(cx.waker().clone()),
        }
    }

    pub(super) fn wake(&self) {
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }

    /// Whether nobody reads any more: an error that the kernel has noted, such as the answer to a write.
    pub(super) fn take_error(&self) -> io::Result<()> {
        match self.stream.socket() {
            Either::Left(tcp) => tcp.stream().take_error(),
            Either::Right(stream) => stream.take_error(),
        }
        .and_then(|error| error.map_or(Ok(()), Err))
    }

    /// Writes at once, past hyper: only ever what is smaller than a socket's empty buffer.
    pub(super) fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.stream {
            Stream::Plain(socket) => AtOnce(socket).write(bytes),
            Stream::Tls(tls) => {
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
        if let Stream::Tls(tls) = &mut self.stream {
            let (socket, session) = tls.get_mut();
            session.send_close_notify();
            // Whoever does not read, or is gone, misses nothing.
            let _ = send_at_once(socket, session);
        }
    }

    /// The rest of the connection, when hyper is done with it.
    pub(super) fn into_stream(self) -> Stream {
        self.stream
    }

    /// The same, with what was read and must be read by other rules.
    pub(super) fn into_unread(self) -> (Stream, Vec<u8>) {
        (self.stream, self.screen.into_held())
    }

    /// Makes closing the socket look like the failure that it is: a reset, which no caller takes for an end.
    pub(super) fn reset_on_close(&self) {
        if let Either::Left(tcp) = self.stream.socket() {
            // Best effort: without it the caller sees a message that is cut short by its own framing.
            let _ = tcp.stream().set_zero_linger();
        }
    }

    /// Reads what comes after HTTP.
    pub(super) fn poll_read_other(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.screen.poll_read_other(&mut self.stream, cx, buffer)
    }

    /// Where what comes after HTTP is written.
    pub(super) fn stream(&mut self) -> Pin<&mut Stream> {
        Pin::new(&mut self.stream)
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        // hyper reads on: no WebSocket has come of the last request.
        if self.screen.framing().is_undecided() && !self.screen.has_admitted() {
            self.screen.framing().stay();
            self.screen.resume();
        }
        let before = buffer.filled().len();
        let read = self.screen.poll_read(&mut self.stream, cx, buffer);
        let passed = buffer.filled().len() > before;
        self.awaited = read.is_pending();
        if passed {
            self.quiet_rounds = 0;
        }
        self.fault_reached |= read.is_ready() && !passed && self.screen.fault().is_some();
        // Empty lines are no header yet (RFC 9112 2.2). What is held behind bytes that went on has only just begun.
        let in_header = self.screen.partial().iter().any(|&b| b != b'\r' && b != b'\n') && self.between_requests();
        if in_header != self.header_since.is_some() || passed {
            self.header_since = in_header.then(Instant::now);
        }
        read
    }

    fn note_write<T>(&mut self, wrote: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        self.quiet_rounds = 0;
        match (&wrote, self.blocked_since) {
            (Poll::Pending, None) => self.blocked_since = Some(Instant::now()),
            (Poll::Ready(_), Some(_)) => {
                self.blocked_since = None;
                self.unblocked_at = Some(Instant::now());
            }
            (Poll::Pending, Some(_)) | (Poll::Ready(_), None) => {}
        }
        wrote
    }
}

impl Stream {
    fn socket(&self) -> &Socket {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(tls) => tls.get_ref().0,
        }
    }

    /// Whether something has come that nobody has read, deciphered or not.
    fn has_unread(&mut self) -> bool {
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

/// hyper's half of a [`CallerSocket`]. Shutting it down only sends what is left: the connection closes the socket.
pub(super) struct CallerIo(pub(super) Rc<RefCell<CallerSocket>>);

impl AsyncRead for CallerIo {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.0.borrow_mut().poll_read(cx, buffer)
    }
}

impl AsyncWrite for CallerIo {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut socket = self.0.borrow_mut();
        let wrote = Pin::new(&mut socket.stream).poll_write(cx, bytes);
        socket.note_write(wrote)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut socket = self.0.borrow_mut();
        let wrote = Pin::new(&mut socket.stream).poll_write_vectored(cx, slices);
        socket.note_write(wrote)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// What TLS has taken may not have left: only then is there something to flush.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut socket = self.0.borrow_mut();
        match &mut socket.stream {
            Stream::Plain(_) => Poll::Ready(Ok(())),
            Stream::Tls(tls) => {
                let flushed = Pin::new(tls).poll_flush(cx);
                socket.note_write(flushed)
            }
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx)
    }
}
