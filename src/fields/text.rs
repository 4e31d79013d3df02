//! What the fields stand in: lines, as they were read or as they were put on.

use bytes::Bytes;
use zeroize::{Zeroize, Zeroizing};

use super::{FieldLine, FieldValue};
use crate::wire::encode::field_line;

/// Room for what is usually put on.
const USUALLY: usize = 512;

#[derive(Default)]
pub(super) struct Texts {
    pub(super) read: Bytes,
    pub(super) put: Vec<u8>,
}

/// Where a field is.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) source: Source,
    /// Whether the line is as it would be written.
    pub(super) is_usual: bool,
    pub(super) begin: u32,
    /// Where its name ends,
    pub(super) colon: u32,
    /// and where its value is.
    pub(super) value: u32,
    pub(super) end: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    Read,
    Put,
    /// Put on, and a credential.
    Secret,
}

impl Source {
    /// That of a value that is put on.
    pub(super) fn of(value: &impl FieldValue) -> Self {
        if value.is_secret() { Self::Secret } else { Self::Put }
    }
}

impl Place {
    pub(super) fn written_length(&self) -> usize {
        (self.colon - self.begin) as usize + b": ".len() + (self.end - self.value) as usize + b"\r\n".len()
    }

    /// Whether it stands behind `other`, which is written as usual.
    pub(super) fn follows(&self, other: &Self) -> bool {
        (self.source == Source::Read) == (other.source == Source::Read) && self.begin == other.end + 2
    }
}

impl Texts {
    pub(super) fn field(&self, line: &Place) -> FieldLine<'_> {
        FieldLine { name: self.name(line), value: self.value(line), is_secret: line.source == Source::Secret }
    }

    pub(super) fn name(&self, line: &Place) -> &[u8] {
        self.part(line, line.begin, line.colon)
    }

    pub(super) fn is_named(&self, line: &Place, name: &[u8]) -> bool {
        // Most names differ in their length.
        (line.colon - line.begin) as usize == name.len() && self.name(line) == name
    }

    pub(super) fn value(&self, line: &Place) -> &[u8] {
        self.part(line, line.value, line.end)
    }

    /// A value, to be kept.
    pub(super) fn share(&self, line: &Place) -> Bytes {
        match line.source {
            Source::Read => self.read.slice(line.value as usize..line.end as usize),
            Source::Put => Bytes::copy_from_slice(self.value(line)),
            Source::Secret => Bytes::from_owner(Zeroizing::new(self.value(line).to_vec())),
        }
    }

    /// From one line to another of the same text.
    pub(super) fn whole_lines(&self, first: &Place, last: &Place) -> &[u8] {
        self.part(first, first.begin, last.end + 2)
    }

    /// Writes a line, all of whose parts are legal.
    pub(super) fn write(&mut self, name: &[u8], value: &[u8], source: Source) -> Place {
        self.make_room(name.len() + value.len() + 4);
        let begin = self.put.len();
        field_line(name, value, &mut self.put);
        let colon = begin + name.len();
        let at = [begin, colon, colon + 2, colon + 2 + value.len()];
        // Nobody puts on four gigabytes.
        let [begin, colon, value, end] = at.map(|at| at as u32);
        Place { source, is_usual: true, begin, colon, value, end }
    }

    /// Leaves nothing of a value that was put on.
    pub(super) fn wipe(&mut self, line: &Place) {
        if let Some(value) = self.put.get_mut(line.value as usize..line.end as usize) {
            value.zeroize();
        }
    }

    /// Becomes a copy of another.
    pub(super) fn copy(&mut self, other: &Self) {
        self.make_room(other.put.len());
        self.read.clone_from(&other.read);
        self.put.extend_from_slice(&other.put);
    }

    /// If what was put on has to move, nothing of it stays behind.
    fn make_room(&mut self, more: usize) {
        if self.put.capacity() - self.put.len() < more {
            let mut larger = Vec::with_capacity((self.put.len() + more).next_power_of_two().max(USUALLY));
            larger.extend_from_slice(&self.put);
            std::mem::replace(&mut self.put, larger).zeroize();
        }
    }

    fn part(&self, line: &Place, from: u32, to: u32) -> &[u8] {
        let text = match line.source {
            Source::Read => &*self.read,
            Source::Put | Source::Secret => &*self.put,
        };
        text.get(from as usize..to as usize).unwrap_or_default()
    }
}
