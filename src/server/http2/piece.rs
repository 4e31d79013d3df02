//! A piece of an answer that was given to `h2`, which waits for windows and for the socket without end: what is written is
//! known here, so that someone can lose patience.

use std::rc::Rc;

use bytes::{Buf, Bytes};

use super::stream::Stream;

/// It tells its stream when it is written, or given up.
pub(super) struct Piece {
    bytes: Bytes,
    stream: Rc<Stream>,
}

impl Piece {
    pub(super) fn new(bytes: Bytes, stream: &Rc<Stream>) -> Self {
        stream.note_given(bytes.len());
        Self { bytes, stream: Rc::clone(stream) }
    }
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, length: usize) {
        self.bytes.advance(length);
        self.stream.note_written(length);
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.stream.note_written(self.bytes.len());
    }
}
