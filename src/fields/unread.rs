//! Fields that are being read: where they are is known before all of their text has come.

use bytes::BytesMut;

use super::Fields;
use super::text::{Place, Source};
use crate::octets::make_lowercase;

#[derive(Clone, Default)]
pub(crate) struct Unread(Fields);

impl Unread {
    /// How many have come.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// One more has come, whose line begins, and whose name ends, so far from the beginning of the block; `value` is what
    /// follows its colon. A block is never so long that this could not be told.
    pub(crate) fn note(&mut self, begin: usize, colon: usize, value: &[u8]) {
        let is_usual = is_usual(value);
        let (blanks, length) = if is_usual { (1, value.len() - 1) } else { trimmed(value) };
        let at = colon + 1 + blanks;
        let [begin, colon, value, end] = [begin, colon, at, at + length].map(|at| at as u32);
        self.0.settle_in();
        self.0.lines.push(Place { source: Source::Read, is_usual, begin, colon, value, end });
    }

    /// All have come, and `text` is the whole block.
    pub(crate) fn finish(self, mut text: BytesMut) -> Fields {
        let mut fields = self.0;
        for line in &fields.lines {
            if let Some(name) = text.get_mut(line.begin as usize..line.colon as usize) {
                make_lowercase(name);
            }
        }
        fields.texts.read = text.freeze();
        fields
    }
}

/// Whether a value stands behind one space, with none behind it.
fn is_usual(value: &[u8]) -> bool {
    let is_seen = |byte: Option<&u8>| byte.is_some_and(|byte| *byte > b' ');
    value.first() == Some(&b' ') && is_seen(value.get(1)) && is_seen(value.last())
}

/// How many blanks are before a value, and how long it is without those behind it.
fn trimmed(value: &[u8]) -> (usize, usize) {
    let text = value.trim_ascii_start();
    (value.len() - text.len(), text.trim_ascii_end().len())
}
