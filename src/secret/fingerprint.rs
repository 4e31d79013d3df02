//! Whether what was read is still the same: told without keeping what it was. It is keyed with bytes that this process
//! made up and tells to nobody, so that it is worth nothing elsewhere.

use std::sync::OnceLock;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Of everything that was read in one go. It has no `Debug`, and is never shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fingerprint([u8; 32]);

/// Makes a [`Fingerprint`] of what it is fed, piece by piece.
#[derive(Clone)]
pub(crate) struct Fingerprinter(Hmac<Sha256>);

impl Fingerprinter {
    pub(crate) fn new() -> Self {
        static KEY: OnceLock<[u8; 64]> = OnceLock::new();
        let key = KEY.get_or_init(|| {
            let mut key = [0; 64];
            // Without randomness it is as good as a plain digest, which never leaves the process either.
            let _ = getrandom::fill(&mut key);
            key
        });
        Self(Hmac::new(key.into()))
    }

    /// Adds a piece. Where one ends and the next begins counts, too.
    pub(crate) fn add(&mut self, piece: &[u8]) {
        self.0.update(&(piece.len() as u64).to_le_bytes());
        self.0.update(piece);
    }

    pub(crate) fn finish(self) -> Fingerprint {
        Fingerprint(self.0.finalize().into_bytes().into())
    }
}

#[cfg(test)]
mod tests {
    use super::{Fingerprint, Fingerprinter};

    fn of(pieces: &[&str]) -> Fingerprint {
        let mut fingerprinter = Fingerprinter::new();
        pieces.iter().for_each(|piece| fingerprinter.add(piece.as_bytes()));
        fingerprinter.finish()
    }

    #[test]
    fn it_is_the_same_for_the_same_pieces_and_for_no_others() {
        assert!(of(&["ab", "c"]) == of(&["ab", "c"]));
        for others in [&["a", "bc"][..], &["abc"], &["ab", "c", ""], &["ab", "d"], &[]] {
            assert!(of(&["ab", "c"]) != of(others), "{others:?}");
        }
    }
}
