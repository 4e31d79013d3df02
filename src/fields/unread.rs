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
        let after_blanks = value.trim_ascii_start();
        let blanks = value.len() - after_blanks.len();
        let length = after_blanks.trim_ascii_end().len();
        let at = colon + 1 + blanks;
        let is_usual = value.first() == Some(&b' ') && value.len() == 1 + length;
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
