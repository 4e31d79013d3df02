//! The fields of a header, in the order in which they came: the text that was read, what was put on, and where in the two
//! each field is. A message has few of them: looking at all their names costs less than hashing the one that is sought.
//!
//! A credential may be in what is put on. That memory is wiped, and used again for the next message.

mod map;
mod room;
mod text;
mod unread;

use std::collections::BTreeSet;
use std::{fmt, mem};

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};

pub(crate) use self::map::change;
use self::room::Room;
use self::text::{Place, Source, Texts};
pub(crate) use self::unread::Unread;
use crate::wire::encode::field_line;

/// Fields, all of them legal: no value holds a line end. Their names are in lower case.
#[derive(Default)]
pub(crate) struct Fields {
    texts: Texts,
    lines: Vec<Place>,
}

/// One of them.
#[derive(Clone, Copy)]
pub(crate) struct FieldLine<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) value: &'a [u8],
    /// Whether it is a credential.
    pub(crate) is_secret: bool,
}

/// What can be a field's value: it holds no line end.
pub(crate) trait FieldValue {
    fn bytes(&self) -> &[u8];

    /// Whether it is a credential.
    fn is_secret(&self) -> bool {
        false
    }
}

impl FieldValue for HeaderValue {
    fn bytes(&self) -> &[u8] {
        self.as_bytes()
    }

    fn is_secret(&self) -> bool {
        self.is_sensitive()
    }
}

/// A field is there more than once, where readers would differ in which they take.
pub(crate) struct Repeated;

impl Fields {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.lines.len()
    }

    /// What they were read from: the whole block, and the line before it.
    pub(crate) fn text(&self) -> &Bytes {
        &self.texts.read
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = FieldLine<'_>> + Clone {
        self.lines.iter().map(|line| self.texts.field(line))
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.lines.iter().map(|line| self.texts.name(line))
    }

    pub(crate) fn has(&self, name: &HeaderName) -> bool {
        self.lines_of(name).next().is_some()
    }

    /// The first value of `name`.
    pub(crate) fn get(&self, name: &HeaderName) -> Option<&[u8]> {
        self.get_all(name).next()
    }

    pub(crate) fn get_all(&self, name: &HeaderName) -> impl Iterator<Item = &[u8]> {
        self.lines_of(name).map(|line| self.texts.value(line))
    }

    /// The one value of `name`, if it is there at all.
    pub(crate) fn single(&self, name: &HeaderName) -> Result<Option<&[u8]>, Repeated> {
        let mut values = self.get_all(name);
        match (values.next(), values.next()) {
            (first, None) => Ok(first),
            (_, Some(_)) => Err(Repeated),
        }
    }

    /// The first value of `name`, to be kept for longer than this is. What was read is not copied.
    pub(crate) fn share(&self, name: &HeaderName) -> Option<Bytes> {
        self.lines_of(name).next().map(|line| self.texts.share(line))
    }

    /// Puts a field on, in place of all of its name.
    pub(crate) fn put(&mut self, name: &HeaderName, value: &impl FieldValue) {
        self.put_bytes(name, value.bytes(), Source::of(value));
    }

    /// The same with a number, which is legal however it is written.
    pub(crate) fn put_number(&mut self, name: &HeaderName, number: u64) {
        self.put_bytes(name, itoa::Buffer::new().format(number).as_bytes(), Source::Put);
    }

    /// Puts a field on, beside those of its name.
    pub(crate) fn append(&mut self, name: &HeaderName, value: &HeaderValue) {
        self.settle_in();
        let line = self.texts.write(name.as_str().as_bytes(), value.as_bytes(), Source::of(value));
        self.lines.push(line);
    }

    /// Takes off all fields of this name, and says whether there was one.
    pub(crate) fn remove(&mut self, name: &HeaderName) -> bool {
        let name = name.as_str().as_bytes();
        self.wipe(name);
        let (before, texts) = (self.lines.len(), &self.texts);
        self.lines.retain(|line| !texts.is_named(line, name));
        self.lines.len() < before
    }

    /// Keeps the fields for which `keep` holds, and says whether there were others.
    pub(crate) fn retain(&mut self, keep: impl Fn(FieldLine<'_>) -> bool) -> bool {
        let (before, texts) = (self.lines.len(), &self.texts);
        self.lines.retain(|line| keep(texts.field(line)));
        self.lines.len() < before
    }

    /// Takes off all fields of each name of which one is such that `drops` holds, and says how many names those were.
    pub(crate) fn remove_names_of(&mut self, drops: impl Fn(FieldLine<'_>) -> bool) -> usize {
        let texts = &self.texts;
        let doomed = self.lines.iter().filter(|line| drops(texts.field(line))).map(|line| texts.name(line).to_vec());
        // Each line is asked about once, however many there are.
        let doomed: BTreeSet<Vec<u8>> = doomed.collect();
        if !doomed.is_empty() {
            self.retain(|line| !doomed.contains(line.name));
        }
        doomed.len()
    }

    /// Puts another value in place of each for which there is one. One that is not legal is left empty.
    pub(crate) fn replace(&mut self, mut other: impl FnMut(&[u8]) -> Option<Vec<u8>>) {
        for line in &mut self.lines {
            let Some(value) = other(self.texts.value(line)) else { continue };
            let value = HeaderValue::try_from(value).unwrap_or(HeaderValue::from_static(""));
            let name = self.texts.name(line).to_vec();
            *line = self.texts.write(&name, value.as_bytes(), Source::Put);
        }
    }

    /// Writes all of them, as lines.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        // With the empty line that ends them: what has been written does not move, as it may hold a credential.
        out.reserve(self.written_length() + 2);
        let mut lines = self.lines.iter().peekable();
        while let Some(line) = lines.next() {
            if !line.is_usual {
                field_line(self.texts.name(line), self.texts.value(line), out);
                continue;
            }
            // Most stand one behind the other, and are copied at once.
            let mut last = line;
            while let Some(next) = lines.next_if(|next| next.is_usual && next.follows(last)) {
                last = next;
            }
            out.extend_from_slice(self.texts.whole_lines(line, last));
        }
    }

    /// No less than what [`write`](Self::write) writes, and mostly just that.
    pub(crate) fn written_length(&self) -> usize {
        self.lines.iter().map(Place::written_length).sum()
    }

    fn lines_of(&self, name: &HeaderName) -> impl Iterator<Item = &Place> {
        let name = name.as_str().as_bytes();
        self.lines.iter().filter(move |line| self.texts.is_named(line, name))
    }

    fn put_bytes(&mut self, name: &HeaderName, value: &[u8], source: Source) {
        self.settle_in();
        let name = name.as_str().as_bytes();
        self.wipe(name);
        let line = self.texts.write(name, value, source);
        let texts = &self.texts;
        let mut others = self.lines.iter_mut().filter(|other| texts.is_named(other, name));
        match (others.next(), others.next()) {
            (None, _) => self.lines.push(line),
            (Some(first), None) => *first = line,
            (Some(first), Some(_)) => {
                *first = line;
                let mut is_first = true;
                self.lines.retain(|other| !texts.is_named(other, name) || mem::take(&mut is_first));
            }
        }
    }

    /// Wipes the credentials of this name, which are not used again.
    fn wipe(&mut self, name: &[u8]) {
        for line in self.lines.iter().filter(|line| line.source == Source::Secret) {
            if self.texts.is_named(line, name) {
                self.texts.wipe(line);
            }
        }
    }

    /// Takes room, if it has none.
    fn settle_in(&mut self) {
        if self.lines.capacity() == 0 {
            self.move_in(Room::take());
        }
    }

    #[inline(never)]
    fn move_in(&mut self, room: Room) {
        (self.texts.put, self.lines) = (room.put, room.lines);
    }
}

/// A value as a text, if it is one that everybody reads alike.
pub(crate) fn ascii(value: &[u8]) -> Option<&str> {
    str::from_utf8(value).ok().filter(|text| text.is_ascii())
}

impl Clone for Fields {
    fn clone(&self) -> Self {
        let mut clone = Self::default();
        clone.settle_in();
        clone.texts.copy(&self.texts);
        clone.lines.extend_from_slice(&self.lines);
        clone
    }
}

impl fmt::Debug for Fields {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown =
            |line: FieldLine<'_>| if line.is_secret { "...".into() } else { line.value.escape_ascii().to_string() };
        out.debug_map().entries(self.iter().map(|line| (String::from_utf8_lossy(line.name), shown(line)))).finish()
    }
}

impl Drop for Fields {
    fn drop(&mut self) {
        if self.lines.capacity() > 0 {
            Room { put: mem::take(&mut self.texts.put), lines: mem::take(&mut self.lines) }.give_back();
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
