//! Sets of bytes, made by the compiler: whether a text holds nothing else is seen without a branch a byte.

pub(crate) struct ByteSet([bool; 256]);

impl ByteSet {
    #[expect(clippy::indexing_slicing, reason = "evaluated by the compiler: an index out of bounds would not build")]
    pub(crate) const fn of(bytes: &[u8]) -> Self {
        let mut set = [false; 256];
        let mut at = 0;
        while at < bytes.len() {
            set[bytes[at] as usize] = true;
            at += 1;
        }
        Self(set)
    }

    #[expect(clippy::indexing_slicing, reason = "a byte is less than 256")]
    fn has(&self, byte: u8) -> bool {
        self.0[usize::from(byte)]
    }

    pub(crate) fn has_all(&self, bytes: &[u8]) -> bool {
        bytes.iter().fold(true, |all, byte| all & self.has(*byte))
    }
}

#[cfg(test)]
mod tests {
    use super::ByteSet;

    #[test]
    fn a_set_has_what_it_is_made_of() {
        static SET: ByteSet = ByteSet::of(b"a\x00\xff");
        assert!(SET.has_all(b"") && SET.has_all(b"a\xff\x00a"));
        for byte in 0..=u8::MAX {
            assert_eq!(SET.has_all(&[b'a', byte, b'a']), [b'a', 0, 0xff].contains(&byte), "{byte}");
        }
    }
}
