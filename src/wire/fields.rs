//! Lines and field lines: what requests and responses share.
//!
//! Each byte of a header is looked at once, by [`Block`]; a line whose end has not come is begun again when it has.

mod framing;

use std::mem;

use bytes::BytesMut;

pub(super) use self::framing::FramingFields;
pub(crate) use self::framing::decimal;
use super::characters::{NAME, class};
use super::{MAX_FIELDS, MAX_HEADER_BYTES, Malformed};
use crate::fields::{Fields, Unread};
use crate::octets::{AT_ONCE, Octets};

const DELETE: u8 = 0x7f;

/// A block of lines that ends with an empty one: a header, or the trailers of a chunked body.
#[derive(Clone)]
pub(super) struct Block {
    /// So many bytes hold whole lines that were read.
    read: usize,
    /// So many bytes hold no further line end.
    scanned: usize,
    lines: Unread,
    pub(super) framing: FramingFields,
}

impl Block {
    pub(super) fn new() -> Self {
        Self { read: 0, scanned: 0, lines: Unread::default(), framing: FramingFields::default() }
    }

    /// The next line, without its CRLF, if all of it has come; the first line of a header is not a field.
    pub(super) fn line<'a>(&mut self, bytes: &'a [u8]) -> Result<Option<&'a [u8]>, Malformed> {
        if !self.has_line(bytes)? {
            return Ok(None);
        }
        let (line, rest) = split_line(bytes.get(self.read..).unwrap_or_default())?;
        self.read = bytes.len() - rest.len();
        Ok(Some(line))
    }

    /// Reads field lines up to the empty one: the length of the whole block, or `None` where there is more to come.
    pub(super) fn fields(&mut self, bytes: &[u8]) -> Result<Option<usize>, Malformed> {
        while self.has_line(bytes)? {
            let rest = bytes.get(self.read..).unwrap_or_default();
            if let [b'\r', b'\n', ..] = rest {
                self.read += 2;
                if self.framing.chunked && self.framing.content_length.is_some() {
                    return Err(Malformed::TwoFramings);
                }
                return Ok(Some(self.read));
            }
            if self.lines.len() >= MAX_FIELDS {
                return Err(Malformed::TooManyFields);
            }
            let (name, value, length) = field_line(rest)?;
            self.framing.note(name, value)?;
            self.lines.note(self.read, self.read + name.len(), value);
            self.read += length;
        }
        Ok(None)
    }

    /// The fields that were read, of which `text` is the whole block.
    pub(super) fn take(&mut self, text: BytesMut) -> Fields {
        mem::take(&mut self.lines).finish(text)
    }

    /// Whether a line end has come that was not read yet.
    fn has_line(&mut self, bytes: &[u8]) -> Result<bool, Malformed> {
        if self.read > MAX_HEADER_BYTES {
            return Err(Malformed::HeaderTooLarge);
        }
        self.scanned = self.scanned.max(self.read);
        // The usual case: everything has come at once, and its last byte ends a line.
        if bytes.len() > self.read && bytes.ends_with(b"\n") && bytes.len() <= MAX_HEADER_BYTES {
            return Ok(true);
        }
        match memchr::memchr(b'\n', bytes.get(self.scanned..).unwrap_or_default()) {
            Some(at) if self.scanned + at < MAX_HEADER_BYTES => {
                self.scanned += at;
                Ok(true)
            }
            Some(_) => Err(Malformed::HeaderTooLarge),
            None if bytes.len() > MAX_HEADER_BYTES => Err(Malformed::HeaderTooLarge),
            None => {
                self.scanned = bytes.len();
                Ok(false)
            }
        }
    }
}

/// Splits the first line off `block`, without its CRLF.
pub(super) fn split_line(block: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let end = memchr::memchr2(b'\n', b'\r', block).ok_or(Malformed::LineEnding)?;
    let (line, rest) = block.split_at_checked(end).ok_or(Malformed::LineEnding)?;
    let rest = rest.strip_prefix(b"\r\n").ok_or(Malformed::LineEnding)?;
    Ok((line, rest))
}

/// Reads `name: value CRLF`: both, and the length of the line with its end.
///
/// A line that begins with white space is obs-fold (RFC 9112 5.2): its name is no token.
fn field_line(bytes: &[u8]) -> Result<(&[u8], &[u8], usize), Malformed> {
    let (name, rest) = bytes.split_at_checked(name_length(bytes)).ok_or(Malformed::Field)?;
    let rest = rest.strip_prefix(b":").ok_or(Malformed::Field)?;
    let (value, end) = rest.split_at_checked(value_length(rest)).ok_or(Malformed::Field)?;
    match end {
        [b'\r', b'\n', ..] if !name.is_empty() => Ok((name, value, name.len() + 1 + value.len() + 2)),
        _ => Err(fault_after_name(name, rest)),
    }
}

/// So many bytes belong to a name (RFC 9110 5.6.2).
fn name_length(bytes: &[u8]) -> usize {
    let ends = |b: &u8| class(*b) & NAME == 0;
    let (chunks, rest) = bytes.as_chunks::<AT_ONCE>();
    for (index, chunk) in chunks.iter().enumerate() {
        if let Some(at) = chunk.iter().position(ends) {
            return index * AT_ONCE + at;
        }
    }
    bytes.len() - rest.len() + rest.iter().position(ends).unwrap_or(rest.len())
}

/// So many bytes may stand in a value (RFC 9110 5.5). The next one ends it, as CR does, or is illegal.
fn value_length(bytes: &[u8]) -> usize {
    let ends = |b: &u8| (*b < b' ' && *b != b'\t') || *b == DELETE;
    let (chunks, rest) = bytes.as_chunks();
    for (index, chunk) in chunks.iter().enumerate() {
        let octets = Octets::new(*chunk);
        let Some(found) = octets.below(b' ').or(octets.equal_to(DELETE)).first() else { continue };
        if chunk.get(found).is_some_and(ends) {
            return index * AT_ONCE + found;
        }
        // A tab is found, too, and legal: hardly any value has one.
        if let Some(at) = chunk.iter().position(ends) {
            return index * AT_ONCE + at;
        }
    }
    bytes.len() - rest.len() + rest.iter().position(ends).unwrap_or(rest.len())
}

/// What is wrong with a line that is wrong from its value on, or has no name.
#[cold]
fn fault_after_name(name: &[u8], rest: &[u8]) -> Malformed {
    let Some(value) = memchr::memchr(b'\r', rest).and_then(|end| rest.get(..end)) else { return Malformed::LineEnding };
    let is_legal = !name.is_empty() && value_length(value) == value.len();
    if is_legal || value.contains(&b'\n') { Malformed::LineEnding } else { Malformed::Field }
}

#[cfg(test)]
mod tests;
