//! What is on its way to the caller: short pieces are put together and leave by one call, a long one leaves as it is.

use std::cell::Cell;
use std::io::{self, ErrorKind, IoSlice};
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::{Buf, Bytes};
use tokio::io::AsyncWrite;

use super::CallerSocket;
use crate::server::stream::Stream;

/// A longer piece is not copied.
const SHORT: usize = 4096;
/// With so many bytes of short ones, it is time to send them.
const FULL: usize = 16 * 1024;

thread_local! {
    /// Where the next answer is put together: a worker rarely needs a second, as what is written mostly leaves at once.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Bytes that have not left.
#[derive(Default)]
pub(in crate::server) struct Outbox {
    front: Vec<u8>,
    /// So many of those have left.
    sent: usize,
    long: Bytes,
    /// What ends the long piece.
    back: &'static [u8],
    /// Whether the last of them may be with TLS still.
    unflushed: bool,
}

impl CallerSocket {
    /// Sends all that is to leave. An error: the caller takes nothing any more.
    pub(in crate::server) fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.out.has_unsent() {
            let wrote = self.out.poll_send(&mut self.stream, cx);
            ready!(self.note_write(wrote))?;
        }
        Poll::Ready(Ok(()))
    }

    /// What is to leave. Nothing is added while [`is_blocked`](Self::is_blocked).
    pub(in crate::server) fn out(&mut self) -> &mut Outbox {
        &mut self.out
    }

    /// Whether the caller has not taken what was given to it before.
    pub(in crate::server) fn is_blocked(&self) -> bool {
        self.blocked_since.is_some()
    }

    fn note_write(&mut self, wrote: Poll<io::Result<()>>) -> Poll<io::Result<()>> {
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

    pub(in crate::server) fn blocked_since(&self) -> Option<Instant> {
        self.blocked_since
    }

    pub(in crate::server) fn unblocked_at(&self) -> Option<Instant> {
        self.unblocked_at
    }
}

impl Outbox {
    pub(in crate::server) fn has_unsent(&self) -> bool {
        self.unflushed || !self.is_empty()
    }

    /// Whether what is there is to leave before more is added.
    pub(in crate::server) fn is_full(&self) -> bool {
        !self.long.is_empty() || !self.back.is_empty() || self.front.len() >= FULL
    }

    /// Where short pieces are put. There is no long one.
    pub(in crate::server) fn front(&mut self) -> &mut Vec<u8> {
        if self.front.capacity() == 0 {
            self.front = SPARE.take();
        }
        &mut self.front
    }

    /// Adds a piece, and what comes behind it.
    pub(in crate::server) fn push(&mut self, piece: Bytes, back: &'static [u8]) {
        if piece.len() > SHORT {
            (self.long, self.back) = (piece, back);
        } else {
            let front = self.front();
            front.extend_from_slice(&piece);
            front.extend_from_slice(back);
        }
    }

    /// Sends a part of what is there, or sees to it that TLS has sent it.
    fn poll_send(&mut self, stream: &mut Stream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut stream = Pin::new(stream);
        if self.is_empty() {
            ready!(stream.poll_flush(cx))?;
            self.unflushed = false;
            return Poll::Ready(Ok(()));
        }
        let front = self.front.get(self.sent..).unwrap_or_default();
        let sent = match (front.is_empty(), self.long.is_empty()) {
            (false, true) => stream.as_mut().poll_write(cx, front),
            (true, true) => stream.as_mut().poll_write(cx, self.back),
            (true, false) if self.back.is_empty() => stream.as_mut().poll_write(cx, &self.long),
            (_, false) => {
                let slices = [front, &self.long, self.back].map(IoSlice::new);
                stream.as_mut().poll_write_vectored(cx, &slices)
            }
        };
        match ready!(sent)? {
            0 => return Poll::Ready(Err(ErrorKind::WriteZero.into())),
            sent => self.advance(sent),
        }
        self.unflushed = stream.may_hold_back();
        Poll::Ready(Ok(()))
    }

    fn is_empty(&self) -> bool {
        self.sent == self.front.len() && self.long.is_empty() && self.back.is_empty()
    }

    fn advance(&mut self, mut sent: usize) {
        let of_front = sent.min(self.front.len() - self.sent);
        self.sent += of_front;
        sent -= of_front;
        let of_long = sent.min(self.long.len());
        self.long.advance(of_long);
        sent -= of_long;
        self.back = self.back.get(sent..).unwrap_or_default();
        if self.sent == self.front.len() && self.sent > 0 {
            self.sent = 0;
            self.front.clear();
            SPARE.set(mem::take(&mut self.front));
        }
        if self.long.is_empty() {
            // Else it would keep the buffer that it is a part of.
            self.long = Bytes::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use bytes::Bytes;
    use tokio::io::AsyncReadExt;
    use tokio::net::UnixStream;
    use tokio::runtime::Builder;
    use tokio_util::either::Either;

    use super::{CallerSocket, FULL, SHORT};
    use crate::server::stream::Stream;

    /// Bytes of which no two stretches are alike.
    fn bytes(from: usize, length: usize) -> Vec<u8> {
        (from..from + length).flat_map(|number| (number as u32).to_le_bytes()).take(length).collect()
    }

    #[test]
    fn everything_leaves_in_order_however_little_is_taken_at_once() {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (near, mut far) = UnixStream::pair().unwrap();
            let mut socket = CallerSocket::new(Stream::Plain(Either::Right(near)));
            let mut expected = Vec::new();
            let sending = async {
                for (number, length) in [1, SHORT, SHORT + 1, 300_000, FULL, 7, 1_000_000].into_iter().enumerate() {
                    let (head, piece) = (bytes(number, 10), bytes(number, length));
                    expected.extend([&head[..], &piece, b"\r\n"].concat());
                    socket.out().front().extend_from_slice(&head);
                    socket.out().push(Bytes::from(piece), b"\r\n");
                    assert_eq!(socket.out().is_full(), length > SHORT);
                    poll_fn(|cx| socket.poll_send(cx)).await.unwrap();
                    assert!(!socket.out().has_unsent() && !socket.is_blocked());
                }
                drop(socket);
            };
            let receiving = async {
                let mut received = Vec::new();
                let mut space = [0; 997];
                while let read @ 1.. = far.read(&mut space).await.unwrap() {
                    received.extend_from_slice(&space[..read]);
                    tokio::task::yield_now().await;
                }
                received
            };
            let ((), received) = tokio::join!(sending, receiving);
            assert!(received == expected, "{} bytes instead of {}", received.len(), expected.len());
        });
    }
}
