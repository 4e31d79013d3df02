//! The forms in which an upstream could echo a credential. Each scheme says its own, when its secrets are read.

use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use base64::{Engine, engine::GeneralPurpose};
use zeroize::Zeroizing;

/// A shorter secret would be found everywhere, and is soon guessed.
const LEAST_SECRET: usize = 6;
/// A user name tells less than a secret, and may be a word.
const LEAST_USERNAME: usize = 8;

/// What is looked for in answers. Like a secret, it cannot be printed, and is wiped when it is dropped.
pub(crate) struct Forms {
    forms: Vec<Form>,
    leaves_out: bool,
}

/// One of them, as it is before anyone escapes a byte of it.
pub(super) struct Form {
    pub(super) bytes: Zeroizing<Vec<u8>>,
    /// It is base64: as many `=` as may follow belong to it.
    pub(super) is_padded: bool,
}

impl Forms {
    pub(crate) const fn none() -> Self {
        Self { forms: Vec::new(), leaves_out: false }
    }

    /// The secret by itself, and its base64; neither if it is too short.
    pub(crate) fn secret(mut self, secret: &[u8]) -> Self {
        if secret.len() < LEAST_SECRET {
            self.leaves_out = true;
            return self;
        }
        self.add(secret, false);
        self.encoded(secret)
    }

    /// The user name by itself, if it is long enough to be nobody else's.
    pub(crate) fn username(mut self, username: &[u8]) -> Self {
        if username.len() >= LEAST_USERNAME {
            self.add(username, false);
        }
        self
    }

    /// `user:password`, and its base64.
    pub(crate) fn pair(mut self, pair: &[u8]) -> Self {
        self.add(pair, false);
        self.encoded(pair)
    }

    /// The whole value of the header field. One that is no more than a short secret is as short.
    pub(crate) fn value(mut self, value: &[u8]) -> Self {
        if value.len() >= LEAST_SECRET {
            self.add(value, false);
        }
        self
    }

    /// What is base64 already, with its padding or without.
    pub(crate) fn base64(mut self, encoded: &[u8]) -> Self {
        let length = encoded.iter().rposition(|&byte| byte != b'=').map_or(0, |last| last + 1);
        self.add(encoded.get(..length).unwrap_or_default(), true);
        self
    }

    /// Both alphabets, which mostly write alike.
    fn encoded(mut self, bytes: &[u8]) -> Self {
        for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
            if let Some(encoded) = encode(&engine, bytes) {
                self.add(&encoded, true);
            }
        }
        self
    }

    fn add(&mut self, bytes: &[u8], is_padded: bool) {
        if !self.knows(bytes, is_padded) {
            self.forms.push(Form { bytes: Zeroizing::new(bytes.to_vec()), is_padded });
        }
    }

    fn knows(&self, bytes: &[u8], is_padded: bool) -> bool {
        self.forms.iter().any(|form| form.is_padded == is_padded && **form.bytes == *bytes)
    }

    /// Adds those of `more` that are not here yet.
    pub(crate) fn extend(&mut self, more: Self) {
        self.leaves_out |= more.leaves_out;
        for form in more.forms {
            if !self.knows(&form.bytes, form.is_padded) {
                self.forms.push(form);
            }
        }
    }

    /// Whether there is a secret that is too short to be looked for by itself.
    pub(crate) fn leaves_out(&self) -> bool {
        self.leaves_out
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Form> {
        self.forms.iter()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.forms.is_empty()
    }

    /// A copy with its own memory.
    pub(crate) fn replica(&self) -> Self {
        Self { forms: self.forms.iter().map(Form::replica).collect(), leaves_out: self.leaves_out }
    }
}

impl Form {
    pub(super) fn replica(&self) -> Self {
        Self { bytes: self.bytes.clone(), is_padded: self.is_padded }
    }
}

fn encode(engine: &GeneralPurpose, bytes: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut encoded = Zeroizing::new(vec![0; base64::encoded_len(bytes.len(), false)?]);
    let length = engine.encode_slice(bytes, &mut encoded).ok()?;
    encoded.truncate(length);
    Some(encoded)
}
