//! A header field whose value is the same for every request.

use std::time::SystemTime;

use http::{HeaderName, HeaderValue};
use zeroize::Zeroizing;

use super::{PlaceError, offer};
use crate::Secret;
use crate::fields::Fields;
use crate::message::RequestHead;
use crate::scrub::Forms;

/// Name and value, made once, and how they could come back.
pub(crate) struct StaticField {
    name: HeaderName,
    value: HeaderValue,
    /// So many bytes of the value go before the key.
    prefix: usize,
    forms: Forms,
}

impl StaticField {
    /// The value is `prefix`, then `key`. `None`: it is not legal in a header field.
    pub(super) fn new(name: HeaderName, prefix: &str, key: &[u8]) -> Option<Self> {
        // As long as it gets: growing would leave a copy behind.
        let mut value = Zeroizing::new(Vec::with_capacity(prefix.len() + key.len()));
        value.extend_from_slice(prefix.as_bytes());
        value.extend_from_slice(key);
        let forms = Forms::none().value(&value);
        Some(Self { name, value: Secret::header_value(value)?, prefix: prefix.len(), forms })
    }

    /// What the caller put where the key would stand.
    pub(super) fn offered<'a>(&self, fields: &'a Fields) -> Option<&'a [u8]> {
        offer::after(fields, &self.name, self.value.as_bytes().get(..self.prefix).unwrap_or_default())
    }

    /// Adds to the forms in which it could be echoed, of which the whole value is one.
    pub(super) fn echoed_as(self, add: impl FnOnce(Forms) -> Forms) -> Self {
        Self { forms: add(self.forms), ..self }
    }

    pub(super) fn owned_headers(&self) -> &[HeaderName] {
        std::slice::from_ref(&self.name)
    }

    pub(super) fn is_signature(&self) -> bool {
        false
    }

    /// It is the same in every version of HTTP.
    pub(super) fn signs_request_line(&self) -> bool {
        false
    }

    pub(super) fn signs_body(&self) -> Option<u64> {
        None
    }

    /// Puts it on a request, in place of any other; nothing is allocated for the value.
    pub(super) fn place(&self, head: &mut RequestHead, _: &[u8], _: fn() -> SystemTime) -> Result<(), PlaceError> {
        head.fields.put(&self.name, &self.value);
        Ok(())
    }

    pub(super) fn forms(&self) -> &Forms {
        &self.forms
    }

    pub(super) fn fresh_forms(&self, _: &RequestHead) -> Forms {
        Forms::none()
    }

    /// A copy with its own memory.
    pub(super) fn replica(&self) -> Self {
        let copy = Secret::header_value(Zeroizing::new(self.value.as_bytes().to_vec()));
        // The copies are as legal as their originals; were they not, sharing would serve.
        let name = HeaderName::from_bytes(self.name.as_str().as_bytes()).unwrap_or_else(|_| self.name.clone());
        let value = copy.unwrap_or_else(|| self.value.clone());
        Self { name, value, prefix: self.prefix, forms: self.forms.replica() }
    }
}
