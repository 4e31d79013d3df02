//! A message's body, taken out of its framing (RFC 9112 6 and 7): so many bytes, chunks, or all until the close.

mod chunk;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;

use self::chunk::chunk_size;
use super::Malformed;
use super::fields::{Block, split_line};

/// A chunk's size line may not be longer. Extensions are checked, and go no further.
const MAX_CHUNK_LINE: usize = 4096;

/// Follows one body.
#[derive(Clone)]
pub(crate) struct Decoder {
    state: State,
    /// Whether blanks may follow a chunk's size, as old servers have it.
    takes_padding: bool,
}

#[derive(Clone)]
enum State {
    /// Nothing more comes.
    End,
    Length {
        remaining: u64,
    },
    ChunkSize,
    ChunkData {
        remaining: u64,
    },
    /// Boxed: hardly any body has trailers.
    Trailers(Box<Block>),
    UntilClose,
}

/// What comes next of a body.
#[derive(Debug)]
pub(crate) enum Piece {
    /// Nothing yet: more bytes are needed.
    More,
    Data(Bytes),
    /// The body's end, with fields.
    Trailers(HeaderMap),
    /// The body's end.
    End,
}

/// What so many bytes are.
enum Step {
    More,
    /// Framing, to be passed over.
    Framing(usize),
    Data(usize),
    /// The last chunk's trailers, of which there may be none: the body's end.
    Trailers(usize, Box<Block>),
    End,
}

impl Decoder {
    pub(crate) fn empty() -> Self {
        Self::new(State::End)
    }

    pub(crate) fn length(length: u64) -> Self {
        Self::new(if length == 0 { State::End } else { State::Length { remaining: length } })
    }

    pub(crate) fn chunked() -> Self {
        Self::new(State::ChunkSize)
    }

    pub(crate) fn until_close() -> Self {
        Self::new(State::UntilClose)
    }

    /// The same, of a server that may be old.
    pub(super) fn lenient(self) -> Self {
        Self { takes_padding: true, ..self }
    }

    fn new(state: State) -> Self {
        Self { state, takes_padding: false }
    }

    /// Whether nothing more comes of it.
    pub(crate) fn is_end(&self) -> bool {
        matches!(self.state, State::End)
    }

    /// How much is still to come, where that is known.
    pub(crate) fn remaining(&self) -> Option<u64> {
        match self.state {
            State::End => Some(0),
            State::Length { remaining } => Some(remaining),
            State::ChunkSize | State::ChunkData { .. } | State::Trailers(_) | State::UntilClose => None,
        }
    }

    /// The other side sends no more. `true`: so the body has ended, whole.
    pub(crate) fn close(&mut self) -> bool {
        if let State::UntilClose = self.state {
            self.state = State::End;
        }
        self.is_end()
    }

    /// Takes the next piece off the front of `bytes`.
    pub(crate) fn read(&mut self, bytes: &mut BytesMut) -> Result<Piece, Malformed> {
        loop {
            match self.step(bytes)? {
                Step::More => return Ok(Piece::More),
                Step::Framing(length) => drop(bytes.split_to(length)),
                Step::Data(length) => return Ok(Piece::Data(bytes.split_to(length).freeze())),
                Step::Trailers(length, mut block) => {
                    let trailers = block.take(bytes.split_to(length)).to_map();
                    return Ok(if trailers.is_empty() { Piece::End } else { Piece::Trailers(trailers) });
                }
                Step::End => return Ok(Piece::End),
            }
        }
    }

    /// Passes over what `bytes` hold of the body. `Some`: all of it, which is so long.
    pub(super) fn skip(&mut self, bytes: &[u8]) -> Result<Option<usize>, Malformed> {
        let mut passed = 0;
        loop {
            match self.step(bytes.get(passed..).unwrap_or_default())? {
                Step::More => return Ok(None),
                Step::Framing(length) | Step::Data(length) | Step::Trailers(length, _) => passed += length,
                Step::End => return Ok(Some(passed)),
            }
        }
    }

    /// Says what `bytes` begin with, and moves on past that.
    fn step(&mut self, bytes: &[u8]) -> Result<Step, Malformed> {
        match &mut self.state {
            State::End => Ok(Step::End),
            State::UntilClose => Ok(data(bytes.len())),
            State::Length { remaining } => {
                let length = take(bytes, remaining);
                if *remaining == 0 {
                    self.state = State::End;
                }
                Ok(data(length))
            }
            State::ChunkSize => self.chunk_line(bytes),
            State::ChunkData { remaining: 0 } => match bytes {
                [b'\r', b'\n', ..] => {
                    self.state = State::ChunkSize;
                    Ok(Step::Framing(2))
                }
                [] | [b'\r'] => Ok(Step::More),
                _ => Err(Malformed::Chunk),
            },
            State::ChunkData { remaining } => Ok(data(take(bytes, remaining))),
            State::Trailers(block) => {
                let Some(end) = block.fields(bytes)? else { return Ok(Step::More) };
                let block = std::mem::replace(block, Box::new(Block::new()));
                self.state = State::End;
                Ok(Step::Trailers(end, block))
            }
        }
    }

    fn chunk_line(&mut self, bytes: &[u8]) -> Result<Step, Malformed> {
        let line = bytes.get(..bytes.len().min(MAX_CHUNK_LINE)).unwrap_or_default();
        let Some(end) = memchr::memchr(b'\n', line) else {
            return if bytes.len() >= MAX_CHUNK_LINE { Err(Malformed::Chunk) } else { Ok(Step::More) };
        };
        let (line, _) = split_line(bytes).map_err(|_| Malformed::Chunk)?;
        let line = if self.takes_padding { line.trim_ascii_end() } else { line };
        let (state, length) = match chunk_size(line).ok_or(Malformed::Chunk)? {
            0 if bytes.get(end + 1..end + 3) == Some(b"\r\n") => (State::End, end + 3),
            0 => (State::Trailers(Box::new(Block::new())), end + 1),
            remaining => (State::ChunkData { remaining }, end + 1),
        };
        self.state = state;
        Ok(Step::Framing(length))
    }
}

fn data(length: usize) -> Step {
    if length == 0 { Step::More } else { Step::Data(length) }
}

/// How many of `bytes` belong to what remains, from which they are taken.
fn take(bytes: &[u8], remaining: &mut u64) -> usize {
    let length = usize::try_from(*remaining).map_or(bytes.len(), |remaining| remaining.min(bytes.len()));
    *remaining -= length as u64;
    length
}

#[cfg(test)]
mod tests;
