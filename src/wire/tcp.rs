//! A TCP socket that reads and writes in as few and as cheap system calls as it can.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::gather::write_as_one;

/// As much is read at once where little is asked for: rustls asks for 4 KiB at a time, a quarter of a record. Seven records
/// with all that they take, so that the beginning of one that is cut off is rarely there to be moved.
const AHEAD: usize = 116 * 1024;

thread_local! {
    /// Where the next socket reads ahead to. One worker rarely needs a second: what is read is used up at once.
    static SPARE: Cell<Option<Box<[u8]>>> = const { Cell::new(None) };
}

/// The worker's spare room to read into. Whoever takes it gives it back as soon as nothing is in it.
pub(super) fn spare() -> Box<[u8]> {
    SPARE.take().unwrap_or_else(|| vec![0; AHEAD].into_boxed_slice())
}

/// The next will need it.
pub(super) fn give_back(room: Option<Box<[u8]>>) {
    SPARE.set(room);
}

/// A TCP socket. One piece goes out by send(2), which is cheaper than writev(2) for the same bytes.
pub(crate) struct Tcp {
    stream: TcpStream,
    ahead: Option<Ahead>,
}

/// What was read and not asked for yet.
#[derive(Default)]
struct Ahead {
    /// Held only while there is something in it.
    space: Option<Box<[u8]>>,
    start: usize,
    end: usize,
}

impl Tcp {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self { stream, ahead: None }
    }

    /// The same, for a reader that asks for less than there is.
    pub(crate) fn into_reading_ahead(self) -> Self {
        Self { ahead: Some(self.ahead.unwrap_or_default()), ..self }
    }

    pub(crate) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Whether everything that was read has been asked for.
    pub(crate) fn is_drained(&self) -> bool {
        self.ahead.as_ref().is_none_or(|ahead| ahead.space.is_none())
    }
}

impl Ahead {
    fn poll_read(
        &mut self,
        stream: &mut TcpStream,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.space.is_none() {
            let mut space = spare();
            let mut fresh = ReadBuf::new(&mut space);
            let read = Pin::new(stream).poll_read(cx, &mut fresh);
            (self.start, self.end) = (0, fresh.filled().len());
            self.space = Some(space);
            if !matches!(read, Poll::Ready(Ok(()))) {
                self.recycle();
                return read;
            }
        }
        let waiting = self.space.as_ref().and_then(|space| space.get(self.start..self.end)).unwrap_or_default();
        let length = waiting.len().min(buffer.remaining());
        buffer.put_slice(waiting.get(..length).unwrap_or_default());
        self.start += length;
        if self.start == self.end {
            self.recycle();
        }
        Poll::Ready(Ok(()))
    }

    fn recycle(&mut self) {
        give_back(self.space.take());
    }
}

impl AsyncRead for Tcp {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Self { stream, ahead } = self.get_mut();
        match ahead {
            Some(ahead) => ahead.poll_read(stream, cx, buffer),
            None => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Tcp {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut stream = Pin::new(&mut self.get_mut().stream);
        let written = write_as_one(slices, |bytes| stream.as_mut().poll_write(cx, bytes));
        written.unwrap_or_else(|| stream.poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
