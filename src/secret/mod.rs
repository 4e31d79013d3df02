//! What must never be seen. A [`Secret`] cannot be printed, cloned, compared or serialised, has one accessor, and
//! wipes its memory when it is dropped. [`source`] is the only place that reads one.

pub(crate) mod command;
mod fingerprint;
#[cfg(test)]
#[cfg(target_os = "linux")]
pub(crate) mod memory;
mod reference;
pub(crate) mod source;

use bytes::Bytes;
use http::HeaderValue;
use zeroize::Zeroizing;

pub(crate) use self::fingerprint::{Fingerprint, Fingerprinter};

/// A credential, or a part of one, in memory.
///
/// It has one accessor, [`expose`](Self::expose), so that every use of a secret can be found by its name:
///
/// ```
/// let secret = sidekey::Secret::new(b"acc_key".to_vec());
/// assert_eq!(secret.expose().len(), 7);
/// ```
///
/// What would let it out, or leave a second copy behind, does not compile. It cannot be printed:
///
/// ```compile_fail,E0277
/// let secret = sidekey::Secret::new(b"acc_key".to_vec());
/// println!("{secret:?}");
/// ```
/// ```compile_fail,E0277
/// let secret = sidekey::Secret::new(b"acc_key".to_vec());
/// println!("{secret}");
/// ```
///
/// Nor can whatever owns one derive `Debug`:
///
/// ```compile_fail,E0277
/// #[derive(Debug)]
/// struct Owner {
///     secret: sidekey::Secret,
/// }
/// ```
///
/// It cannot be cloned, nor compared (`==` takes longer the more of a guess is right):
///
/// ```compile_fail,E0599
/// let secret = sidekey::Secret::new(b"acc_key".to_vec());
/// let copy = secret.clone();
/// ```
/// ```compile_fail,E0369
/// let secret = sidekey::Secret::new(b"acc_key".to_vec());
/// let same = secret == sidekey::Secret::new(b"acc_key".to_vec());
/// ```
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes `bytes` over; they are wiped when the secret is dropped.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes themselves: to be placed or signed with, never to be kept or shown.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// A sensitive header value that holds `bytes` and wipes them when its last copy is dropped.
    ///
    /// `None`: the bytes are not legal in a field value.
    pub(crate) fn header_value(bytes: Zeroizing<Vec<u8>>) -> Option<HeaderValue> {
        let mut value = HeaderValue::from_maybe_shared(Bytes::from_owner(bytes)).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use zeroize::Zeroizing;

    use super::Secret;
    use super::memory::assert_wiped;

    #[test]
    fn a_secret_is_wiped_when_it_is_dropped() {
        let secret = Secret::new(vec![0xa5_u8; 600]);
        let address = secret.expose().as_ptr().addr();
        assert_wiped(secret, address, 600);
    }

    #[test]
    #[should_panic(expected = "it is still there")]
    fn what_is_not_wiped_would_be_noticed() {
        let bytes = vec![0xa5_u8; 600];
        let address = bytes.as_ptr().addr();
        assert_wiped(bytes, address, 600);
    }

    #[test]
    fn a_header_value_is_wiped_with_its_last_copy() {
        let value = Secret::header_value(Zeroizing::new(vec![b'k'; 600])).unwrap();
        let address = value.as_bytes().as_ptr().addr();
        let copy = value.clone();
        drop(value);
        assert_wiped(copy, address, 600);
    }
}
