//! An id, of ASCII: sidekey's own, or one that came.

use http::HeaderValue;

use crate::fields::FieldValue;

/// `LENGTH`: that of sidekey's own.
#[derive(Clone)]
pub(super) enum Id<const LENGTH: usize> {
    Own(Aligned<LENGTH>),
    TakenOver(HeaderValue),
}

/// A text that begins where a word does: so it is looked at by words, not by bytes.
#[derive(Clone)]
#[repr(align(8))]
pub(super) struct Aligned<const LENGTH: usize>([u8; LENGTH]);

impl<const LENGTH: usize> Id<LENGTH> {
    pub(super) fn own(text: [u8; LENGTH]) -> Self {
        Self::Own(Aligned(text))
    }

    /// `None`: it cannot stand in a field.
    pub(super) fn take_over(text: &[u8]) -> Option<Self> {
        HeaderValue::from_bytes(text).ok().map(Self::TakenOver)
    }

    /// That all of it is UTF-8 is seen in fewer looks than one a byte.
    pub(super) fn as_str(&self) -> &str {
        str::from_utf8(self.bytes()).unwrap_or_default()
    }
}

/// sidekey's own are of hexadecimal digits and hyphens.
impl<const LENGTH: usize> FieldValue for Id<LENGTH> {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Own(text) => &text.0,
            Self::TakenOver(value) => value.as_bytes(),
        }
    }
}
