//! A caller's socket in HTTP/1.1: what has come by it and was not taken yet, what is to leave by it, and what is known of
//! both. The connection, the request's body and the watch share it.

mod body;
mod sending;

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Instant;

use bytes::BytesMut;
use tokio::io::{AsyncRead, ReadBuf};

pub(super) use self::body::Http1Body;
use super::stream::Stream;
use crate::wire::request::{FramedRequest, RequestReader, fault_behind};
use crate::wire::{Malformed, Outbox};

/// A connection is quiet when nothing has moved for so many rounds: the last byte may have come just before the first.
const QUIET: u8 = 2;
/// So much is read at once where a head is due, and no one knows of how much more.
const PIECE: usize = 8 * 1024;
/// How far the reading ahead goes while a request is being answered.
const AHEAD: usize = 16 * 1024;

/// The socket and what is known about it.
pub(super) struct CallerSocket {
    stream: Stream,
    /// Read, and not taken.
    bytes: BytesMut,
    reader: RequestReader,
    /// Whether nothing in `bytes` is malformed, as far as that can be told.
    is_sound: bool,
    body: body::Inbound,
    /// Whether the caller will send nothing more.
    ended: bool,
    out: Outbox,
    /// Whether the last of what has left it may be with TLS still.
    unflushed: bool,
    /// When writing last stopped because the caller does not read.
    blocked_since: Option<Instant>,
    /// When a write last went through that had stopped.
    unblocked_at: Option<Instant>,
    /// When the first byte of a head was seen whose end has not come.
    header_since: Option<Instant>,
    /// So many rounds have passed since a byte moved, either way.
    quiet_rounds: u8,
    /// Wakes the connection's task, for those that are not its sockets: the drain, the rounds, and the request's body.
    waker: Option<Waker>,
}

/// Why no request has come where one is due.
#[derive(Clone, Copy)]
pub(super) enum NoRequest {
    /// The caller has closed its side, or is gone.
    End,
    Fault(Malformed),
}

impl CallerSocket {
    pub(super) fn new(stream: Stream) -> Self {
        Self {
            stream,
            bytes: BytesMut::new(),
            reader: RequestReader::new(),
            is_sound: false,
            body: body::Inbound::none(),
            ended: false,
            out: Outbox::default(),
            unflushed: false,
            blocked_since: None,
            unblocked_at: None,
            header_since: None,
            quiet_rounds: 0,
            waker: None,
        }
    }

    /// The next request's head. What has come behind it is looked at before: if that is malformed, nobody knows whether it was
    /// a body that the head says nothing of, so both are refused.
    pub(super) fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<FramedRequest, NoRequest>> {
        loop {
            match self.take_head() {
                Ok(Some(head)) => return Poll::Ready(Ok(head)),
                Ok(None) if self.ended => return Poll::Ready(Err(NoRequest::End)),
                Ok(None) => {}
                Err(fault) => return Poll::Ready(Err(NoRequest::Fault(fault))),
            }
            let Poll::Ready(filled) = self.poll_fill(cx) else {
                // Empty lines are no head yet (RFC 9112 2.2).
                let has_begun = self.bytes.iter().any(|&b| b != b'\r' && b != b'\n');
                self.header_since = has_begun.then(|| self.header_since.unwrap_or_else(Instant::now));
                return Poll::Pending;
            };
            if filled.is_err() {
                return Poll::Ready(Err(NoRequest::End));
            }
        }
    }

    fn take_head(&mut self) -> Result<Option<FramedRequest>, Malformed> {
        if self.bytes.is_empty() {
            return Ok(None);
        }
        let Some(head) = self.reader.read(&mut self.bytes)? else { return Ok(None) };
        if head.asks_for_websocket {
            // What comes after it is a request only if no WebSocket comes about, and is looked at then.
            self.is_sound = false;
        } else if !self.bytes.is_empty() && !self.is_sound {
            if let Some(fault) = fault_behind(head.body.clone(), &self.bytes) {
                return Err(fault);
            }
            // Until more comes: so requests that came together are looked at once, not once for each before them.
            self.is_sound = true;
        }
        self.header_since = None;
        Ok(Some(head))
    }

    /// Whether the caller has closed its side. It may still be reading.
    pub(super) fn caller_closed(&self) -> bool {
        self.ended
    }

    pub(super) fn header_since(&self) -> Option<Instant> {
        self.header_since
    }

    /// Whether a part of a request has come, be it that nobody has read it.
    pub(super) fn has_begun(&mut self) -> bool {
        self.header_since.is_some() || self.stream.has_unread()
    }

    /// Whether something has come that will not be answered.
    pub(super) fn has_leftovers(&mut self) -> bool {
        !self.bytes.is_empty() || self.stream.has_unread()
    }

    /// Whether nobody reads, for now, what the caller sends: so nobody would notice that it is gone.
    pub(super) fn is_unread(&self) -> bool {
        !self.between_requests() || self.bytes.len() >= AHEAD
    }

    /// Reads a little ahead while a request is being answered, so that a caller that goes away is noticed. Ready: the
    /// connection is broken.
    pub(super) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        while !self.ended && self.bytes.len() < AHEAD {
            if let Err(error) = ready!(self.poll_fill(cx)) {
                return Poll::Ready(error);
            }
        }
        Poll::Pending
    }

    /// A round of the worker: one that has become quiet is told.
    pub(super) fn pass_round(&mut self) {
        self.quiet_rounds = self.quiet_rounds.saturating_add(1);
        if self.quiet_rounds == QUIET {
            self.wake();
        }
    }

    /// Whether the caller has not sent anything after its last request, whose answer has gone; and not just now.
    pub(super) fn is_quiet(&self) -> bool {
        let has_gone = self.quiet_rounds >= QUIET && self.blocked_since.is_none();
        has_gone && self.bytes.is_empty() && !self.ended && self.between_requests()
    }

    /// Waits with nothing but the socket for the caller to send something, or to close. What it sends is kept.
    pub(super) fn poll_begun(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.bytes.is_empty() && !self.ended {
            // The room for the last request, if there was one, is given back.
            self.bytes = BytesMut::new();
            return self.poll_fill(cx);
        }
        Poll::Ready(Ok(()))
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

    /// The socket itself, for what goes past HTTP.
    pub(super) fn stream(&mut self) -> Pin<&mut Stream> {
        Pin::new(&mut self.stream)
    }

    /// The rest of the connection, and what was read of it and not taken.
    pub(super) fn into_parts(self) -> (Stream, BytesMut) {
        (self.stream, self.bytes)
    }

    /// Reads what comes after HTTP: what was read already comes first.
    pub(super) fn poll_read_other(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.bytes.is_empty() {
            let piece = self.bytes.split_to(self.bytes.len().min(buffer.remaining()));
            buffer.put_slice(&piece);
            return Poll::Ready(Ok(()));
        }
        if self.ended { Poll::Ready(Ok(())) } else { self.stream().poll_read(cx, buffer) }
    }

    /// Reads a piece, or notes the end.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut space = [MaybeUninit::uninit(); PIECE];
        let mut fresh = ReadBuf::uninit(&mut space);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut fresh))?;
        self.bytes.extend_from_slice(fresh.filled());
        self.note_read(fresh.filled().len());
        Poll::Ready(Ok(()))
    }

    fn note_read(&mut self, length: usize) {
        self.ended = length == 0;
        self.is_sound = false;
        self.quiet_rounds = 0;
    }
}
