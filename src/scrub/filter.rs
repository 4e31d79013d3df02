//! Where in a text a form could begin: two table look-ups a byte, whatever the number of forms.

use super::escape::{self, Escaped, INTRODUCERS, Read, SECONDS};
use super::follow::Case;

/// Tells at two bytes of a text which forms could begin with them.
#[derive(Clone)]
pub(super) struct Filter {
    begins: [u16; 256],
    follows: [u16; 256],
}

/// Stands for every form: what an escape is of is not in its first byte.
const ESCAPE: u16 = 1 << 15;

/// Forms beyond the number of bits share theirs.
pub(super) fn bit(form: usize) -> u16 {
    1 << (form % 15)
}

impl Filter {
    pub(super) fn new() -> Self {
        let mut filter = Self { begins: [0; 256], follows: [0; 256] };
        INTRODUCERS.iter().for_each(|&byte| mark(&mut filter.begins, byte, ESCAPE));
        SECONDS.iter().for_each(|&byte| mark(&mut filter.follows, byte, ESCAPE));
        filter
    }

    pub(super) fn add(&mut self, index: usize, form: &[u8], case: Case) {
        let bit = bit(index);
        for (table, byte) in [&mut self.begins, &mut self.follows].into_iter().zip(form) {
            mark(table, *byte, bit);
            if case == Case::Folded {
                mark(table, byte.to_ascii_lowercase(), bit);
                mark(table, byte.to_ascii_uppercase(), bit);
            }
            if *byte == b' ' {
                mark(table, b'+', bit);
            }
        }
        INTRODUCERS.iter().for_each(|&byte| mark(&mut self.follows, byte, bit));
    }

    pub(super) fn may_begin(&self, byte: u8) -> bool {
        look_up(&self.begins, byte) != 0
    }

    /// The next place, from `from` on, at which a form could begin, and which.
    pub(super) fn next(&self, text: &[u8], from: usize) -> Option<(usize, u16)> {
        let mut from = from;
        loop {
            let rest = text.get(from..)?;
            let mut pairs = rest.iter().zip(rest.get(1..)?);
            // Few bytes could begin anything.
            let at = pairs.position(|(&one, &two)| match look_up(&self.begins, one) {
                0 => false,
                forms => forms & look_up(&self.follows, two) != 0,
            })?;
            let (&one, &two) = (rest.get(at)?, rest.get(at + 1)?);
            let forms = look_up(&self.begins, one) & look_up(&self.follows, two);
            let forms = if forms & ESCAPE == 0 { forms } else { forms | self.escaped(rest.get(at..)?) };
            if forms & !ESCAPE != 0 {
                return Some((from + at, forms));
            }
            from += at + 1;
        }
    }

    /// The forms that could begin with the escape that `text` begins with.
    fn escaped(&self, text: &[u8]) -> u16 {
        match escape::read(text) {
            Read::Nothing => 0,
            Read::Cut => u16::MAX,
            Read::Something(Escaped { byte, character, .. }) => {
                let byte = byte.map_or(0, |byte| look_up(&self.begins, byte));
                let character = character.map_or(0, |character| look_up(&self.begins, first_byte(character)));
                byte | character
            }
        }
    }
}

fn mark(table: &mut [u16; 256], byte: u8, bits: u16) {
    if let Some(entry) = table.get_mut(usize::from(byte)) {
        *entry |= bits;
    }
}

fn look_up(table: &[u16; 256], byte: u8) -> u16 {
    table.get(usize::from(byte)).copied().unwrap_or_default()
}

fn first_byte(character: char) -> u8 {
    character.encode_utf8(&mut [0; 4]).bytes().next().unwrap_or_default()
}
