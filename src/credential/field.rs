//! A header field whose value is the same for every request.

use std::time::SystemTime;

use http::{HeaderName, HeaderValue, request};
use zeroize::Zeroizing;

use super::PlaceError;
use crate::Secret;

/// Name and value, made once.
pub(crate) struct StaticField {
    name: HeaderName,
    value: HeaderValue,
}

impl StaticField {
    /// The value is `parts` one after the other. `None`: it is not legal in a header field.
    pub(super) fn new(name: HeaderName, parts: &[&[u8]]) -> Option<Self> {
        // As long as it gets: growing would leave a copy behind.
        let mut value = Zeroizing::new(Vec::with_capacity(parts.iter().map(|part| part.len()).sum()));
        for part in parts {
            value.extend_from_slice(part);
        }
        Some(Self { name, value: Secret::header_value(value)? })
    }

    pub(super) fn owned_headers(&self) -> &[HeaderName] {
        std::slice::from_ref(&self.name)
    }

    pub(super) fn signs_body(&self) -> Option<u64> {
        None
    }

    /// Puts it on a request, in place of any other; nothing is allocated for the value.
    pub(super) fn place(&self, head: &mut request::Parts, _: &[u8], _: SystemTime) -> Result<(), PlaceError> {
        head.headers.insert(self.name.clone(), self.value.clone());
        Ok(())
    }

    /// A copy with its own memory.
    pub(super) fn replica(&self) -> Self {
        let copy = Secret::header_value(Zeroizing::new(self.value.as_bytes().to_vec()));
        // The copies are as legal as their originals; were they not, sharing would serve.
        let name = HeaderName::from_bytes(self.name.as_str().as_bytes()).unwrap_or_else(|_| self.name.clone());
        Self { name, value: copy.unwrap_or_else(|| self.value.clone()) }
    }
}
