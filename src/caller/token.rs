//! A caller's token. Only its digest is kept, and digests are compared in constant time: neither a look into memory nor
//! at a clock tells a token.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use sha2::{Digest, Sha256};
use smallvec::SmallVec;

use crate::Secret;

/// The shortest token that is taken: fewer bytes could be guessed.
const MIN_TOKEN_BYTES: usize = 16;

/// SHA-256 of a token, and how long that is. What was drawn at random needs no slower hash.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Token {
    digest: [u8; 32],
    length: usize,
}

/// Why a secret cannot be a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenError {
    #[error("the token is shorter than {MIN_TOKEN_BYTES} bytes, so it could be guessed")]
    Short,
    #[error("the token holds a character other than letters, digits and `-._~+/=`")]
    Character,
}

impl Token {
    /// The digest of a token that fits wherever a caller may put it: the `token68` of RFC 9110 11.2.
    pub(crate) fn new(secret: &Secret) -> Result<Self, TokenError> {
        let token = secret.expose();
        if !token.iter().all(may_be_in_token) {
            return Err(TokenError::Character);
        }
        if token.len() < MIN_TOKEN_BYTES {
            return Err(TokenError::Short);
        }
        Ok(Self { digest: Sha256::digest(token).into(), length: token.len() })
    }

    /// Whether a word of `text`, or what follows its last `=`, is the token. Only what is as long is hashed.
    pub(super) fn is_in(&self, text: &[u8]) -> bool {
        let mut words = text.split(|b| !may_be_in_token(b)).filter(|word| word.len() >= self.length);
        words.any(|word| {
            let (before, last) = word.split_at(word.len() - self.length);
            matches!(before, [] | [.., b'=']) && self.is(&Sha256::digest(last).into())
        })
    }

    fn is(&self, digest: &[u8; 32]) -> bool {
        verify_slices_are_equal(digest, &self.digest).is_ok()
    }
}

fn may_be_in_token(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~+/=".contains(byte)
}

/// The digests of what a request brought where a token may stand.
#[derive(Default)]
pub(super) struct Presented(SmallVec<[[u8; 32]; 4]>);

impl Presented {
    pub(super) fn add(&mut self, text: &[u8]) {
        if text.len() >= MIN_TOKEN_BYTES {
            self.0.push(Sha256::digest(text).into());
        }
    }

    pub(super) fn contains(&self, token: &Token) -> bool {
        self.0.iter().fold(false, |found, digest| found | token.is(digest))
    }
}

#[cfg(test)]
mod tests {
    use super::{Presented, Token, TokenError};
    use crate::Secret;

    fn token(text: &str) -> Result<Token, TokenError> {
        Token::new(&Secret::new(text.as_bytes().to_vec()))
    }

    #[test]
    fn a_token_that_could_be_guessed_or_does_not_fit_is_none() {
        assert!(token("0123456789abcdef").is_ok() && token("AZaz09-._~+/====").is_ok());
        assert_eq!(token("0123456789abcde").err(), Some(TokenError::Short));
        for text in ["0123456789abcdef ", "0123456789abcde:", "0123456789abcdé", "0123456789abcde\""] {
            assert_eq!(token(text).err(), Some(TokenError::Character), "{text}");
        }
    }

    #[test]
    fn a_token_is_found_among_other_words() {
        let known = token("0123456789abcdef").ok().unwrap();
        let other = token("=0123456789abcd=").ok().unwrap();
        for text in [
            "0123456789abcdef",
            "Key 0123456789abcdef",
            "a=b; t=0123456789abcdef;",
            "\"0123456789abcdef\"",
            "t==0123456789abcdef",
        ] {
            assert!(known.is_in(text.as_bytes()) && !other.is_in(text.as_bytes()), "{text}");
        }
        for text in ["", "0123456789abcde", "x0123456789abcdef", "0123456789abcdefx", "0123456789ABCDEF"] {
            assert!(!known.is_in(text.as_bytes()), "{text}");
        }
        assert!(other.is_in(b"x =0123456789abcd="));
    }

    #[test]
    fn only_the_whole_token_is_the_token() {
        let known = token("0123456789abcdef").ok().unwrap();
        let found = |texts: &[&str]| {
            let mut presented = Presented::default();
            texts.iter().for_each(|text| presented.add(text.as_bytes()));
            presented.contains(&known)
        };
        assert!(found(&["0123456789abcdef"]) && found(&["x", "0123456789abcdeX", "0123456789abcdef"]));
        assert!(!found(&[]) && !found(&["0123456789abcde", "0123456789abcdef0", "0123456789ABCDEF"]));
    }
}
