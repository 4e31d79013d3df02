//! What is on its way out in HTTP/1.1, either way: short pieces are put together and leave by one call, a long one leaves as it
//! is.

use std::cell::Cell;
use std::io::{self, ErrorKind, IoSlice};
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::HeaderMap;
use tokio::io::AsyncWrite;
use zeroize::Zeroize;

use super::encode;

/// A longer piece is not copied.
const SHORT: usize = 4096;
/// With so many bytes of short ones, it is time to send them.
const FULL: usize = 16 * 1024;
/// Room that has become larger is not kept.
const MAX_SPARE: usize = 4 * FULL;

thread_local! {
    /// Where the next head is written to: a worker rarely needs a second, as what is written mostly leaves at once. Holds
    /// nothing but zeros.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Bytes that have not left.
#[derive(Default)]
pub(crate) struct Outbox {
    front: Vec<u8>,
    /// So many of those have left.
    sent: usize,
    long: Bytes,
    /// What ends the long piece.
    back: &'static [u8],
}

impl Outbox {
    pub(crate) fn is_empty(&self) -> bool {
        self.front.is_empty() && self.long.is_empty() && self.back.is_empty()
    }

    /// Whether what is there is to leave before more is added.
    pub(crate) fn is_full(&self) -> bool {
        !self.long.is_empty() || !self.back.is_empty() || self.front.len() >= FULL
    }

    /// Where a head is put. There is no long piece.
    pub(crate) fn front(&mut self) -> &mut Vec<u8> {
        if self.front.capacity() == 0 {
            self.front = SPARE.take();
            self.front.clear();
        }
        &mut self.front
    }

    /// Adds a piece of a body. There is no long one.
    pub(crate) fn push(&mut self, piece: Bytes) {
        self.add(piece, b"");
    }

    /// Adds it as a chunk (RFC 9112 7.1). It is not empty: that would end the body, as `is_last` does.
    pub(crate) fn push_chunk(&mut self, piece: Bytes, is_last: bool) {
        encode::chunk(piece.len(), self.room(encode::LONGEST_SIZE_LINE));
        self.add(piece, if is_last { b"\r\n0\r\n\r\n" } else { b"\r\n" });
    }

    /// Adds the end of a chunked body.
    pub(crate) fn push_last_chunk(&mut self, trailers: Option<&HeaderMap>) {
        encode::last_chunk(trailers, self.room(encode::last_chunk_length(trailers)));
    }

    fn add(&mut self, piece: Bytes, back: &'static [u8]) {
        if piece.len() > SHORT {
            (self.long, self.back) = (piece, back);
        } else {
            let front = self.room(piece.len() + back.len());
            front.extend_from_slice(&piece);
            front.extend_from_slice(back);
        }
    }

    /// The front, with room for so many bytes more. If it has to move, nothing of it stays behind: the head may be there.
    fn room(&mut self, more: usize) -> &mut Vec<u8> {
        let front = self.front();
        if front.capacity() - front.len() < more {
            let mut larger = Vec::with_capacity((front.len() + more).next_power_of_two());
            larger.extend_from_slice(front);
            mem::replace(front, larger).zeroize();
        }
        front
    }

    /// Writes a part of what is there, which is not nothing.
    pub(crate) fn poll_write<S: AsyncWrite>(
        &mut self,
        stream: Pin<&mut S>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let front = self.front.get(self.sent..).unwrap_or_default();
        let written = match (front, &*self.long, self.back) {
            (alone, [], []) | ([], alone, []) | ([], [], alone) => stream.poll_write(cx, alone),
            (front, long, back) => stream.poll_write_vectored(cx, &[front, long, back].map(IoSlice::new)),
        };
        match ready!(written)? {
            0 => return Poll::Ready(Err(ErrorKind::WriteZero.into())),
            written => self.advance(written),
        }
        Poll::Ready(Ok(()))
    }

    fn advance(&mut self, written: usize) {
        let of_front = written.min(self.front.len() - self.sent);
        let of_long = (written - of_front).min(self.long.len());
        self.sent += of_front;
        self.long.advance(of_long);
        self.back = self.back.get(written - of_front - of_long..).unwrap_or_default();
        if of_front > 0 && self.sent == self.front.len() {
            self.give_back();
        }
        if of_long > 0 && self.long.is_empty() {
            // Else it would keep the buffer that it is a part of.
            self.long = Bytes::new();
        }
    }

    /// All of the front has left, and its room is the next one's: a credential may have been in it.
    fn give_back(&mut self) {
        self.sent = 0;
        if self.front.capacity() <= MAX_SPARE {
            self.front.fill(0);
            SPARE.set(mem::take(&mut self.front));
        } else {
            self.front.zeroize();
            self.front = Vec::new();
        }
    }
}

impl Drop for Outbox {
    /// So may one be in what did not leave.
    fn drop(&mut self) {
        self.front.as_mut_slice().zeroize();
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::io;
    use std::pin::Pin;
    use std::task::{Context, Poll, Waker};

    use bytes::Bytes;
    use tokio::io::{AsyncReadExt, AsyncWrite};
    use tokio::net::UnixStream;

    use super::{FULL, MAX_SPARE, Outbox, SHORT, SPARE, encode};

    /// Bytes of which no two stretches are alike.
    fn bytes(from: usize, length: usize) -> Vec<u8> {
        (from..from + length).flat_map(|number| (number as u32).to_le_bytes()).take(length).collect()
    }

    #[tokio::test]
    async fn everything_leaves_in_order_however_little_is_taken_at_once() {
        let (mut near, mut far) = UnixStream::pair().unwrap();
        let mut expected = Vec::new();
        let sending = async {
            let mut out = Outbox::default();
            for (number, length) in [1, SHORT, SHORT + 1, 300_000, FULL, 7, 1_000_000].into_iter().enumerate() {
                let (head, piece) = (bytes(number, 10), bytes(number, length));
                let line = format!("{length:x}\r\n").into_bytes();
                expected.extend([&head[..], &line, &piece, b"\r\n", &head, b"0\r\n\r\n"].concat());
                out.front().extend_from_slice(&head);
                out.push_chunk(Bytes::from(piece), false);
                assert_eq!(out.is_full(), length > SHORT);
                while !out.is_empty() {
                    poll_fn(|cx| out.poll_write(Pin::new(&mut near), cx)).await.unwrap();
                }
                out.push(Bytes::from(head));
                out.push_last_chunk(None);
            }
            while !out.is_empty() {
                poll_fn(|cx| out.poll_write(Pin::new(&mut near), cx)).await.unwrap();
            }
            drop(near);
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
    }

    /// Takes so much at once.
    struct Takes(usize);

    impl AsyncWrite for Takes {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(bytes.len().min(self.0)))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    fn write(out: &mut Outbox, at_once: usize) -> Poll<io::Result<()>> {
        out.poll_write(Pin::new(&mut Takes(at_once)), &mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn nothing_of_what_has_left_is_in_the_room_that_is_used_again() {
        let mut out = Outbox::default();
        out.front().extend_from_slice(b"authorization: Bearer s3cr3t\r\n");
        assert!(matches!(write(&mut out, 20), Poll::Ready(Ok(()))));
        assert!(!out.is_empty() && SPARE.take().capacity() == 0);
        assert!(matches!(write(&mut out, 20), Poll::Ready(Ok(()))));
        assert!(out.is_empty() && out.front.capacity() == 0);
        let room = SPARE.take();
        assert_eq!(room, [0; 30]);
        SPARE.set(room);
        assert!(out.front().is_empty() && out.front().capacity() >= 30);
    }

    #[test]
    fn what_leaves_with_a_head_takes_no_more_room_than_was_made_for_it() {
        let trailers = [("a".parse().unwrap(), "b".parse().unwrap())].into_iter().collect();
        let mut out = Outbox::default();
        out.front().extend_from_slice(b"head ");
        for _ in 0..3 {
            out.push_chunk(Bytes::from(vec![b'x'; SHORT]), false);
            let before = out.front.len();
            out.push_last_chunk(Some(&trailers));
            assert_eq!(out.front.len() - before, encode::last_chunk_length(Some(&trailers)));
        }
        let body = ["1000\r\n", &"x".repeat(SHORT), "\r\n0\r\na: b\r\n\r\n"].concat();
        assert!(out.front == format!("head {body}{body}{body}").into_bytes());
    }

    #[test]
    fn room_that_has_become_large_is_not_kept() {
        let mut out = Outbox::default();
        out.front().resize(MAX_SPARE + 1, b'x');
        assert!(matches!(write(&mut out, usize::MAX), Poll::Ready(Ok(()))));
        assert!(out.is_empty() && out.front.capacity() == 0 && SPARE.take().capacity() == 0);
    }

    #[test]
    fn a_stream_that_takes_nothing_is_broken() {
        let mut out = Outbox::default();
        out.push(Bytes::from_static(b"x"));
        assert!(matches!(write(&mut out, 0), Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::WriteZero));
    }
}
