//! What has come over TLS and is not deciphered yet: in the worker's spare room while more comes, and in a room that fits
//! while it is waited for.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, ReadBuf};

use crate::wire::tcp::{give_back, spare};

/// The type, the version and the length of a record.
const HEADER: usize = 5;
/// A record holds at least so much more than its data: the tag, and in TLS 1.3 the type (RFC 8446 5.2).
const LEAST_OVERHEAD: usize = 17;

#[derive(Default)]
pub(super) struct Incoming {
    /// Held only while there is something in it.
    room: Option<Box<[u8]>>,
    start: usize,
    end: usize,
    /// What is there while nothing more comes: the beginning of a record. The room is held then by whoever needs it.
    partial: Vec<u8>,
    /// Whether something has come that the session has not looked at.
    fresh: bool,
}

impl Incoming {
    /// All of it, for the session to decipher where it is.
    pub(super) fn held(&mut self) -> &mut [u8] {
        match &mut self.room {
            Some(room) => room.get_mut(self.start..self.end).unwrap_or_default(),
            None => &mut self.partial,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.room.is_none() && self.partial.is_empty()
    }

    #[cfg(test)]
    pub(super) fn holds_no_room(&self) -> bool {
        self.room.is_none()
    }

    pub(super) fn is_fresh(&self) -> bool {
        self.fresh
    }

    /// The session can do nothing without more.
    pub(super) fn exhaust(&mut self) {
        self.fresh = false;
    }

    /// Takes `length` bytes off the front, or whatever there is.
    pub(super) fn discard(&mut self, length: usize) {
        if self.room.is_some() {
            self.start = self.start.saturating_add(length).min(self.end);
            if self.start == self.end {
                give_back(self.room.take());
            }
        } else if length < self.partial.len() {
            self.partial.drain(..length);
        } else {
            self.partial = Vec::new();
        }
        self.fresh &= !self.is_empty();
    }

    /// Whether the whole of the next record has come, and its data surely fits into `room`. Only a hint: while a message
    /// of a handshake is put together, it is not a record that is in front.
    pub(super) fn next_fits(&mut self, room: usize) -> bool {
        let held = self.held();
        let Some(&[_, _, _, high, low]) = held.first_chunk::<HEADER>() else { return false };
        let length = usize::from(u16::from_be_bytes([high, low]));
        held.len() >= HEADER + length && length <= room + LEAST_OVERHEAD
    }

    /// Reads what has come, behind what is there. 0: the end.
    pub(super) fn poll_fill<S: AsyncRead + Unpin>(
        &mut self,
        socket: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let room = self.room.get_or_insert_with(|| {
            let mut room = spare();
            (self.start, self.end) = (0, self.partial.len());
            if let Some(front) = room.get_mut(..self.end) {
                front.copy_from_slice(&std::mem::take(&mut self.partial));
            }
            room
        });
        if self.start > 0 {
            room.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        let free = room.get_mut(self.end..).unwrap_or_default();
        // No record is as long: it is a message of a handshake, and rustls itself holds no longer ones.
        if free.is_empty() {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "message buffer full")));
        }
        let mut fresh = ReadBuf::new(free);
        let read = Pin::new(socket).poll_read(cx, &mut fresh);
        let length = fresh.filled().len();
        self.end += length;
        self.fresh |= length > 0;
        if length == 0 {
            self.rest();
        }
        read.map_ok(|()| length)
    }

    /// Nothing more comes for now: what is there is kept, the room is not.
    fn rest(&mut self) {
        self.partial = self.held().to_vec();
        give_back(self.room.take());
    }
}
