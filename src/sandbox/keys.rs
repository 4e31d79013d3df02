//! The secrets of one run: made up at start, in each vendor's look, never written anywhere but where
//! [`Sandbox::write_secrets`](super::Sandbox::write_secrets) is told to.

use crate::Secret;

/// What the vendors would have on file for one customer. It has no `Debug`, since its parts have none.
pub(super) struct Keys {
    pub(super) imagga: Pair,
    pub(super) resci: Secret,
    pub(super) imagior: Secret,
    pub(super) imagine: Secret,
    pub(super) hub_hmac: Pair,
    pub(super) hub_basic: Pair,
}

/// A user or key, and its secret.
pub(super) struct Pair {
    pub(super) name: Secret,
    pub(super) secret: Secret,
}

const HEX: &[u8] = b"0123456789abcdef";
const LETTERS_AND_DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

impl Keys {
    /// `None`: the operating system gave no random bytes.
    pub(super) fn make_up() -> Option<Self> {
        let hub_pair =
            || Some(Pair { name: token("", 20, LETTERS_AND_DIGITS)?, secret: token("", 30, LETTERS_AND_DIGITS)? });
        Some(Self {
            imagga: Pair { name: token("acc_", 15, HEX)?, secret: token("", 32, HEX)? },
            resci: token("", 32, HEX)?,
            imagior: token("", 40, LETTERS_AND_DIGITS)?,
            imagine: token("vk-", 43, HEX)?,
            hub_hmac: hub_pair()?,
            hub_basic: hub_pair()?,
        })
    }

    /// Every secret, with the name of the file that it is written to.
    pub(super) fn files(&self) -> [(&'static str, &Secret); 9] {
        [
            ("imagga-key", &self.imagga.name),
            ("imagga-secret", &self.imagga.secret),
            ("resci-key", &self.resci),
            ("imagior-token", &self.imagior),
            ("imagine-token", &self.imagine),
            ("hub-hmac-key", &self.hub_hmac.name),
            ("hub-hmac-secret", &self.hub_hmac.secret),
            ("hub-basic-key", &self.hub_basic.name),
            ("hub-basic-secret", &self.hub_basic.secret),
        ]
    }
}

/// `prefix` and then `length` letters of `alphabet`, by the operating system's generator.
fn token(prefix: &str, length: usize, alphabet: &[u8]) -> Option<Secret> {
    let mut random = [0u8; 64];
    aws_lc_rs::rand::fill(&mut random).ok()?;
    // The slight bias of the remainder does not matter for keys that open nothing but this sandbox.
    let letters = random.iter().take(length).filter_map(|byte| alphabet.get(usize::from(*byte) % alphabet.len()));
    Some(Secret::new(prefix.bytes().chain(letters.copied()).collect()))
}

#[cfg(test)]
mod tests {
    use super::Keys;

    #[test]
    fn no_two_runs_share_a_secret_and_each_has_its_vendors_look() {
        let (one, other) = (Keys::make_up().unwrap(), Keys::make_up().unwrap());
        for ((name, secret), (_, second)) in one.files().into_iter().zip(other.files()) {
            assert!(secret.expose() != second.expose(), "{name}");
        }
        assert!(one.imagga.name.expose().starts_with(b"acc_"));
        assert_eq!(one.imagga.secret.expose().len(), 32);
        assert!(one.imagine.expose().starts_with(b"vk-"));
        assert_eq!(one.hub_hmac.name.expose().len(), 20);
        assert!(one.hub_hmac.secret.expose() != one.hub_basic.secret.expose());
    }
}
