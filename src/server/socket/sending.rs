//! How what there is for a caller leaves, and for how long the caller has not taken it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use tokio::io::AsyncWrite;

use super::CallerSocket;
use crate::wire::Outbox;

impl CallerSocket {
    /// What is to leave. Nothing is added while [`is_blocked`](Self::is_blocked).
    pub(in crate::server) fn out(&mut self) -> &mut Outbox {
        &mut self.out
    }

    /// Sends all that is to leave. An error: the caller takes nothing any more.
    pub(in crate::server) fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.unflushed || !self.out.is_empty() {
            let wrote = self.poll_write(cx);
            ready!(self.note_write(wrote))?;
        }
        Poll::Ready(Ok(()))
    }

    /// Writes a part of it, or sees to it that TLS has sent it.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.out.is_empty() {
            ready!(self.stream().poll_flush(cx))?;
            self.unflushed = false;
        } else {
            ready!(self.out.poll_write(Pin::new(&mut self.stream), cx))?;
            self.unflushed = self.stream.may_hold_back();
        }
        Poll::Ready(Ok(()))
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

    /// Whether the caller has not taken what was given to it before.
    pub(in crate::server) fn is_blocked(&self) -> bool {
        self.blocked_since.is_some()
    }

    pub(in crate::server) fn blocked_since(&self) -> Option<Instant> {
        self.blocked_since
    }

    pub(in crate::server) fn unblocked_at(&self) -> Option<Instant> {
        self.unblocked_at
    }
}
