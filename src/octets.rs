//! Eight bytes at once: what is looked for in every byte of a header, or of a log line, is looked for without a branch a byte.

/// So many are looked at together.
pub(crate) const AT_ONCE: usize = 8;

/// One in each byte.
const ONES: u64 = u64::MAX / 255;
/// The highest bit of each byte.
const HIGHEST: u64 = ONES * 0x80;

/// Bytes, the first of which is the lowest.
#[derive(Clone, Copy)]
pub(crate) struct Octets(u64);

/// Which of them are looked for: up to the first one of those, and it included, exactly; beyond it perhaps more.
#[derive(Clone, Copy)]
pub(crate) struct Found(u64);

impl Octets {
    pub(crate) fn new(bytes: [u8; AT_ONCE]) -> Self {
        Self(u64::from_le_bytes(bytes))
    }

    /// Finds the bytes that are less than `least`, which is at most 128.
    pub(crate) fn below(self, least: u8) -> Found {
        // Such a byte borrows from its highest bit, unless it had that. A borrow reaches the next byte only from one that is
        // itself found.
        Found(self.0.wrapping_sub(ONES * u64::from(least)) & !self.0 & HIGHEST)
    }

    /// The same letters in lower case. No byte may be beyond ASCII.
    fn lowercase(self) -> [u8; AT_ONCE] {
        let at_least = |least: u8| self.0 + ONES * u64::from(0x80 - least);
        let is_upper = (at_least(b'A') ^ at_least(b'Z' + 1)) & HIGHEST;
        (self.0 | is_upper >> 2).to_le_bytes()
    }

    /// Finds the bytes that are `byte`.
    pub(crate) fn equal_to(self, byte: u8) -> Found {
        Self(self.0 ^ (ONES * u64::from(byte))).below(1)
    }
}

/// Writes letters of ASCII in lower case. No byte may be beyond ASCII.
pub(crate) fn make_lowercase(text: &mut [u8]) {
    match text.len() {
        ..AT_ONCE => text.make_ascii_lowercase(),
        length => {
            // The last eight may have been among the others.
            let (chunks, _) = text.split_at_mut(length - 1);
            for chunk in chunks.as_chunks_mut().0 {
                *chunk = Octets::new(*chunk).lowercase();
            }
            if let Some(chunk) = text.last_chunk_mut() {
                *chunk = Octets::new(*chunk).lowercase();
            }
        }
    }
}

impl Found {
    /// What either has found.
    pub(crate) fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) fn any(self) -> bool {
        self.0 != 0
    }

    /// Where the first one is, if there is one.
    pub(crate) fn first(self) -> Option<usize> {
        (self.0 != 0).then(|| (self.0.trailing_zeros() / u8::BITS) as usize)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::proptest;

    use super::{Octets, make_lowercase};

    proptest! {
        #[test]
        fn the_first_is_found_where_it_is(mut bytes: [u8; 8], least in 0..=128u8, byte: u8, at in 0..8usize, same: bool) {
            if same {
                bytes[at] = byte;
            }
            let octets = Octets::new(bytes);
            let (below, equal) = (octets.below(least), octets.equal_to(byte));
            let first_below = bytes.iter().position(|b| *b < least);
            let first_equal = bytes.iter().position(|b| *b == byte);
            assert_eq!((below.first(), equal.first()), (first_below, first_equal));
            assert_eq!((below.any(), equal.any()), (first_below.is_some(), first_equal.is_some()));
            assert_eq!(below.or(equal).first(), bytes.iter().position(|b| *b < least || *b == byte));
        }

        #[test]
        fn letters_are_lowered_and_nothing_else(text in "[ -~]{0,40}") {
            let mut lower = text.clone().into_bytes();
            make_lowercase(&mut lower);
            assert_eq!(lower, text.to_ascii_lowercase().into_bytes());
        }

        #[test]
        fn neighbours_of_what_is_found_do_not_hide_it(bytes in proptest::collection::vec(0x1eu8..0x22, 8)) {
            let octets = Octets::new(bytes.clone().try_into().unwrap());
            assert_eq!(octets.below(b' ').first(), bytes.iter().position(|b| *b < b' '));
        }
    }
}
