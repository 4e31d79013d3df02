//! `sidekey token`.

use std::io::{self, Write};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

/// By this, those who look through code for secrets find one.
const PREFIX: &str = "sidekey_";

/// Prints a token of 256 random bits, for a caller.
///
/// # Errors
/// The system has no randomness, or nothing can be written.
pub fn token(out: &mut dyn Write) -> Result<(), TokenError> {
    let mut random = Zeroizing::new([0; 32]);
    aws_lc_rs::rand::fill(&mut *random).map_err(|_| TokenError::Randomness)?;
    let encoded = Zeroizing::new(URL_SAFE_NO_PAD.encode(*random));
    writeln!(out, "{PREFIX}{}", *encoded)?;
    Ok(())
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// It would not be a secret.
    #[error("the system gives no random bytes")]
    Randomness,
    /// It cannot be written.
    #[error("cannot write the token")]
    Write(#[from] io::Error),
}
