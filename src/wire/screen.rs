//! Lets a socket's bytes through to hyper as far as a [`Framing`] vouches for them.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

use super::Malformed;

/// Follows the messages on a stream of bytes.
pub(crate) trait Framing {
    /// How many of `bytes` are complete and sound, and what is wrong after them.
    ///
    /// `bytes` begins where the last call stopped: what it did not admit comes again, with more behind it. Before a fault,
    /// fewer may be admitted than are sound: what came with it is in doubt.
    fn admit(&mut self, bytes: &[u8]) -> (usize, Option<Malformed>);
}

/// The bytes of one direction of a connection, on their way to hyper.
pub(crate) struct Screen<F> {
    framing: F,
    /// Read, and not yet passed on.
    held: Vec<u8>,
    /// So many of the held bytes may be passed on.
    admitted: usize,
    /// Nothing after this is passed on.
    fault: Option<Malformed>,
    ended: bool,
}

impl<F: Framing> Screen<F> {
    pub(crate) fn new(framing: F) -> Self {
        Self { framing, held: Vec::new(), admitted: 0, fault: None, ended: false }
    }

    pub(crate) fn framing(&mut self) -> &mut F {
        &mut self.framing
    }

    /// What is wrong with the message after those that were passed on.
    pub(crate) fn fault(&self) -> Option<Malformed> {
        self.fault
    }

    /// Reads what is no message, because the two sides speak another protocol now: what was held back comes first.
    pub(crate) fn poll_read_other<S: AsyncRead + Unpin>(
        &mut self,
        socket: &mut S,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.held.is_empty() {
            self.admitted = self.held.len();
            self.deliver(buffer);
            return Poll::Ready(Ok(()));
        }
        if self.ended { Poll::Ready(Ok(())) } else { Pin::new(socket).poll_read(cx, buffer) }
    }

    /// Reads what may be passed on. Ready without a byte: the end, or a fault.
    pub(crate) fn poll_read<S: AsyncRead + Unpin>(
        &mut self,
        socket: &mut S,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            if self.admitted > 0 {
                self.deliver(buffer);
                return Poll::Ready(Ok(()));
            }
            if self.ended || self.fault.is_some() {
                return Poll::Ready(Ok(()));
            }
            if self.held.is_empty() {
                if ready!(self.poll_read_through(socket, cx, buffer))? {
                    return Poll::Ready(Ok(()));
                }
            } else {
                ready!(self.poll_hold_more(socket, cx))?;
            }
        }
    }

    /// The common case: a whole header, or a piece of a body, straight into hyper's buffer. `true`: bytes were read.
    fn poll_read_through<S: AsyncRead + Unpin>(
        &mut self,
        socket: &mut S,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<bool>> {
        let before = buffer.filled().len();
        ready!(Pin::new(socket).poll_read(cx, buffer))?;
        let fresh = buffer.filled().get(before..).unwrap_or_default();
        if fresh.is_empty() {
            self.ended = true;
            return Poll::Ready(Ok(false));
        }
        let (admitted, fault) = self.framing.admit(fresh);
        self.fault = fault;
        if admitted < fresh.len() {
            self.held.extend_from_slice(fresh.get(admitted..).unwrap_or_default());
            buffer.set_filled(before + admitted);
        }
        Poll::Ready(Ok(admitted > 0))
    }

    fn poll_hold_more<S: AsyncRead + Unpin>(&mut self, socket: &mut S, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut space = [MaybeUninit::uninit(); 4096];
        let mut buffer = ReadBuf::uninit(&mut space);
        ready!(Pin::new(socket).poll_read(cx, &mut buffer))?;
        if buffer.filled().is_empty() {
            self.ended = true;
            return Poll::Ready(Ok(()));
        }
        self.held.extend_from_slice(buffer.filled());
        self.admit_held();
        Poll::Ready(Ok(()))
    }

    fn admit_held(&mut self) {
        let (admitted, fault) = self.framing.admit(self.held.get(self.admitted..).unwrap_or_default());
        self.admitted += admitted;
        self.fault = fault;
    }

    fn deliver(&mut self, buffer: &mut ReadBuf<'_>) {
        let length = self.admitted.min(buffer.remaining());
        buffer.put_slice(self.held.get(..length).unwrap_or_default());
        self.held.drain(..length);
        self.admitted -= length;
        if self.held.is_empty() {
            // A connection that once had a long header does not keep the room for another.
            self.held = Vec::new();
        }
    }
}
