//! An upstream's socket, and what has come on it and is not used up. The pool looks here whether it is alive.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io;
use std::mem::{self, MaybeUninit};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::BytesMut;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, Interest, ReadBuf};
use tokio::task::unconstrained;
use tokio_util::either::Either;

use crate::wire::{Tcp, TlsStream};

/// A connected socket: without TLS, or with.
pub(super) type Wire = Either<Tcp, Box<TlsStream>>;

/// So much is read at once, the data of seven records of TLS. Less would make more writes to callers, which cost the most; and
/// 128 KiB is where C libraries begin to map and unmap memory for each.
const AT_ONCE: usize = 7 * 16 * 1024;
/// What came is copied to memory that fits it, unless it is more than this.
const MUCH: usize = 8 * 1024;

thread_local! {
    /// Where the next socket is read to. One worker rarely needs a second: what came has gone on before more is read.
    static SPARE: Cell<Option<BytesMut>> = const { Cell::new(None) };
    /// What held the last answer, which has gone on by the time that the next one comes, most often.
    static USED: Cell<Option<BytesMut>> = const { Cell::new(None) };
}

/// The socket, and what came from it.
pub(super) struct UpstreamSocket {
    wire: Wire,
    /// Read, and not used up. Holds no memory while the connection rests.
    incoming: BytesMut,
}

impl UpstreamSocket {
    pub(super) fn new(wire: Wire) -> Rc<RefCell<Self>> {
        Rc::new(RefCell::new(Self { wire, incoming: BytesMut::new() }))
    }

    /// What has come, to be taken off its front.
    pub(super) fn incoming(&mut self) -> &mut BytesMut {
        &mut self.incoming
    }

    /// Reads more, behind what has come. 0: nothing more will come.
    pub(super) fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut space = self.space();
        let polled = pin!(self.wire.read_buf(&mut space)).poll(cx);
        if space.len() > MUCH && self.incoming.is_empty() {
            self.incoming = space;
        } else {
            self.keep(&space);
            space.clear();
            SPARE.set(Some(space));
        }
        polled
    }

    /// Copies what came: a large piece of memory is not held for a few bytes.
    fn keep(&mut self, fresh: &[u8]) {
        if self.incoming.is_empty()
            && !fresh.is_empty()
            && let Some(used) = take_used(|used| used.try_reclaim(fresh.len()) && !used.try_reclaim(MUCH + 1))
        {
            self.incoming = used;
        }
        self.incoming.extend_from_slice(fresh);
    }

    /// Room to read to. Nothing is held while nothing comes.
    fn space(&mut self) -> BytesMut {
        if self.incoming.is_empty() {
            // What was taken out of it has gone on, most often.
            let mut used = mem::take(&mut self.incoming);
            if used.try_reclaim(AT_ONCE) {
                return used;
            }
        }
        let room = SPARE.take().or_else(|| take_used(|used| used.try_reclaim(AT_ONCE)));
        let mut room = room.unwrap_or_default();
        room.reserve(AT_ONCE);
        room
    }

    /// Reads what comes after HTTP: what was read of it with the last header comes first.
    pub(super) fn poll_read_other(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.incoming.is_empty() {
            return self.wire().poll_read(cx, buffer);
        }
        let length = self.incoming.len().min(buffer.remaining());
        buffer.put_slice(&self.incoming.split_to(length));
        Poll::Ready(Ok(()))
    }

    /// Where is written to.
    pub(super) fn wire(&mut self) -> Pin<&mut Wire> {
        Pin::new(&mut self.wire)
    }

    /// Whether nothing at all has come since the last answer, not even the end, as far as can be told without waiting. Nobody
    /// waits for it any longer, and the connection holds nothing.
    pub(super) fn is_at_rest(&mut self) -> bool {
        let held = mem::take(&mut self.incoming);
        if !held.is_empty() {
            return false;
        }
        USED.set(Some(held));
        // Whoever waited for more is told of it no more.
        let may_hold = !is_drained(&self.wire) || look(|cx| tcp(&self.wire).stream().poll_read_ready(cx)).is_ready();
        let has_come = may_hold && look(|cx| self.poll_more(cx)).is_ready();
        // The beginning of a record is not nothing.
        !has_come && is_drained(&self.wire)
    }

    /// Nothing more is sent on it. TLS says so: an upstream that is not told may take it for a cut, and forget the session that a
    /// later connection would resume. What the socket does not take at once is not waited for.
    pub(super) fn part(&mut self) {
        if let Either::Right(_) = self.wire {
            let _ = self.wire().poll_shutdown(&mut Context::from_waker(Waker::noop()));
        }
    }

    /// Whether nothing at all waits to be read. An idle connection on which something does was closed, or has said
    /// what nobody asked for: it is not worth a request that cannot be sent twice.
    pub(super) fn is_quiet(&self) -> bool {
        is_quiet(&self.wire)
    }

    /// Whether anything is known to wait to be read, its end included. Whoever waits for that goes on waiting.
    pub(super) fn has_stirred(&self) -> bool {
        // Nothing is read: what the kernel has told of is known to the runtime.
        let is_told = || tcp(&self.wire).stream().try_io(Interest::READABLE, || Ok(())).is_ok();
        !is_drained(&self.wire) || is_told()
    }
}

/// What held the last answer, if it serves. Else it is left for another.
fn take_used(serves: impl FnOnce(&mut BytesMut) -> bool) -> Option<BytesMut> {
    let mut used = USED.take()?;
    if serves(&mut used) {
        return Some(used);
    }
    USED.set(Some(used));
    None
}

/// Polls once, and lets nobody be woken. A task that has had its turn would be told to wait, whatever there is: that would be
/// taken for nothing.
fn look<T>(poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
    pin!(unconstrained(poll_fn(poll))).poll(&mut Context::from_waker(Waker::noop()))
}

/// Whether nothing waits to be read: not even that the other side has closed.
pub(super) fn is_quiet(wire: &Wire) -> bool {
    let peeked = SockRef::from(tcp(wire).stream()).peek(&mut [MaybeUninit::uninit()]);
    is_drained(wire) && matches!(peeked, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

/// Whether everything that was read has been asked for, and it was not the end.
fn is_drained(wire: &Wire) -> bool {
    match wire {
        Either::Left(tcp) => tcp.is_drained(),
        Either::Right(stream) => stream.is_drained(),
    }
}

fn tcp(wire: &Wire) -> &Tcp {
    match wire {
        Either::Left(tcp) => tcp,
        Either::Right(stream) => stream.get_ref().0,
    }
}

#[cfg(test)]
mod tests {
    use std::future::{Future, poll_fn};
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use bytes::{Bytes, BytesMut};
    use tokio::io::AsyncWriteExt;
    use tokio::net::{TcpListener, TcpStream};
    use tokio::task::coop::{consume_budget, has_budget_remaining};
    use tokio::task::yield_now;
    use tokio_util::either::Either;

    use super::{AT_ONCE, MUCH, SPARE, Tcp, USED, UpstreamSocket, tcp};

    /// A socket, and the upstream's side of it.
    async fn connected() -> (UpstreamSocket, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let wire = Either::Left(Tcp::new(stream));
        (UpstreamSocket { wire, incoming: BytesMut::new() }, listener.accept().await.unwrap().0)
    }

    async fn come((socket, upstream): &mut (UpstreamSocket, TcpStream), sent: &[u8]) {
        upstream.write_all(sent).await.unwrap();
        while socket.incoming().len() < sent.len() {
            poll_fn(|cx| socket.poll_more(cx)).await.unwrap();
        }
    }

    /// The next that comes, with the socket at rest behind it.
    async fn next(pair: &mut (UpstreamSocket, TcpStream), sent: &[u8]) -> Bytes {
        come(pair, sent).await;
        let piece = pair.0.incoming().split().freeze();
        assert!(pair.0.is_at_rest());
        piece
    }

    #[tokio::test]
    async fn what_held_an_answer_holds_another_when_nobody_has_the_first_any_more() {
        let (mut one, mut other) = (connected().await, connected().await);
        let first = next(&mut one, b"the first").await;
        let held = first.as_ptr();
        let second = next(&mut other, b"a second").await;
        assert_ne!(second.as_ptr(), held);
        assert_eq!((&*first, &*second), (&b"the first"[..], &b"a second"[..]));
        let held = second.as_ptr();
        drop(second);
        let third = next(&mut one, b"third").await;
        assert_eq!((&*third, third.as_ptr()), (&b"third"[..], held));
    }

    #[tokio::test]
    async fn a_few_bytes_hold_no_memory_that_held_many() {
        let (mut one, mut other) = (connected().await, connected().await);
        drop(next(&mut one, &[b'x'; MUCH + 1]).await);
        come(&mut other, b"few").await;
        assert!(other.0.incoming().capacity() < MUCH);
    }

    #[tokio::test]
    async fn a_task_that_has_had_its_turn_sees_all_the_same_that_a_connection_is_not_at_rest() {
        let (mut socket, mut upstream) = connected().await;
        assert!(socket.is_at_rest());
        upstream.write_all(b"more").await.unwrap();
        poll_fn(|cx| tcp(&socket.wire).stream().poll_read_ready(cx)).await.unwrap();
        poll_fn(|_| {
            while has_budget_remaining() {
                let _ = pin!(consume_budget()).poll(&mut Context::from_waker(Waker::noop()));
            }
            assert!(socket.has_stirred());
            assert!(!socket.is_at_rest());
            Poll::Ready(())
        })
        .await;
    }

    #[tokio::test]
    async fn a_room_is_read_to_again_once_all_that_came_by_it_has_gone_on() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut upstream, _) = listener.accept().await.unwrap();
        upstream.write_all(&[b'x'; MUCH + 1]).await.unwrap();
        while stream.peek(&mut [0; MUCH + 1]).await.unwrap() <= MUCH {
            yield_now().await;
        }
        let socket = UpstreamSocket::new(Either::Left(Tcp::new(stream)));
        poll_fn(|cx| socket.borrow_mut().poll_more(cx)).await.unwrap();
        let answer = socket.borrow_mut().incoming().split();
        assert!(socket.borrow_mut().is_at_rest());
        let mut used = USED.take().unwrap();
        assert!(!used.try_reclaim(AT_ONCE), "nobody writes over what has not");
        drop(answer);
        assert!(used.try_reclaim(AT_ONCE) && used.is_empty());
        USED.set(Some(used));
        assert!(SPARE.take().is_none());
        let room = socket.borrow_mut().space();
        assert!(room.capacity() >= AT_ONCE && USED.take().is_none(), "it was not made anew");
    }

    #[tokio::test]
    async fn what_came_behind_an_answer_is_not_at_rest_and_comes_to_nobody_else() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut upstream, _) = listener.accept().await.unwrap();
        upstream.write_all(&[b'x'; MUCH + 1]).await.unwrap();
        let socket = UpstreamSocket::new(Either::Left(Tcp::new(stream)));
        poll_fn(|cx| socket.borrow_mut().poll_more(cx)).await.unwrap();
        assert!(!socket.borrow_mut().is_at_rest());
        assert!([SPARE.take(), USED.take()].into_iter().flatten().all(|room| room.is_empty()));
    }
}
