//! The algorithms, and a key that is ready to sign: nothing is derived for a request.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Sha256, Sha384, Sha512};

use crate::Secret;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Algorithm {
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

pub(super) const ALGORITHMS: [(&str, Algorithm); 4] = [
    (Algorithm::Sha1.name(), Algorithm::Sha1),
    (Algorithm::Sha256.name(), Algorithm::Sha256),
    (Algorithm::Sha384.name(), Algorithm::Sha384),
    (Algorithm::Sha512.name(), Algorithm::Sha512),
];

impl Algorithm {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "hmac-sha1",
            Self::Sha256 => "hmac-sha256",
            Self::Sha384 => "hmac-sha384",
            Self::Sha512 => "hmac-sha512",
        }
    }
}

/// The state of a MAC that has taken in the key, which is the raw secret. It is wiped when it is dropped.
#[derive(Clone)]
pub(super) enum Key {
    Sha1(Hmac<Sha1>),
    Sha256(Hmac<Sha256>),
    Sha384(Hmac<Sha384>),
    Sha512(Hmac<Sha512>),
}

impl Key {
    /// The length of the longest signature: 64 bytes in base64.
    pub(super) const MAX_SIGNATURE: usize = 88;

    /// `None` for no key, as a MAC takes one of any length.
    pub(super) fn new(algorithm: Algorithm, secret: &Secret) -> Option<Self> {
        let key = secret.expose();
        match algorithm {
            Algorithm::Sha1 => Hmac::new_from_slice(key).map(Self::Sha1),
            Algorithm::Sha256 => Hmac::new_from_slice(key).map(Self::Sha256),
            Algorithm::Sha384 => Hmac::new_from_slice(key).map(Self::Sha384),
            Algorithm::Sha512 => Hmac::new_from_slice(key).map(Self::Sha512),
        }
        .ok()
    }

    /// Appends the signature of `text`, in base64.
    pub(super) fn sign(&self, text: &[u8], signature: &mut Vec<u8>) {
        match self {
            Self::Sha1(key) => append(key, text, signature),
            Self::Sha256(key) => append(key, text, signature),
            Self::Sha384(key) => append(key, text, signature),
            Self::Sha512(key) => append(key, text, signature),
        }
    }
}

fn append<M: Mac + Clone>(key: &M, text: &[u8], signature: &mut Vec<u8>) {
    let tag = key.clone().chain_update(text).finalize().into_bytes();
    let mut encoded = [0; Key::MAX_SIGNATURE];
    // No tag is longer than the buffer.
    let length = STANDARD.encode_slice(&tag, &mut encoded).unwrap_or_default();
    signature.extend_from_slice(encoded.get(..length).unwrap_or_default());
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use hmac::{Hmac, KeyInit};
    use sha1::Sha1;
    use sha2::{Sha256, Sha384, Sha512};

    use crate::secret::memory::assert_wiped;

    fn assert_state_wiped<M: KeyInit>() {
        let state = Box::new(M::new_from_slice(b"the secret").unwrap());
        let address = (&raw const *state).addr();
        assert_wiped(state, address, size_of::<M>());
    }

    #[test]
    fn the_state_of_every_mac_is_wiped_when_it_is_dropped() {
        assert_state_wiped::<Hmac<Sha1>>();
        assert_state_wiped::<Hmac<Sha256>>();
        assert_state_wiped::<Hmac<Sha384>>();
        assert_state_wiped::<Hmac<Sha512>>();
    }
}
