//! Fields as `http` has them, which HTTP/2 is spoken in, and sidekey's own answers.

use http::{HeaderMap, HeaderName, HeaderValue};
use zeroize::Zeroizing;

use super::Fields;
use super::text::Source;
use crate::Secret;

impl From<&HeaderMap> for Fields {
    fn from(map: &HeaderMap) -> Self {
        let mut fields = Self::default();
        for (name, value) in map {
            fields.append(name, value);
        }
        fields
    }
}

/// Changes a map as if it were fields: trailers, which are rare.
pub(crate) fn change<T>(map: &mut HeaderMap, change: impl FnOnce(&mut Fields) -> T) -> T {
    let mut fields = Fields::from(&*map);
    let changed = change(&mut fields);
    *map = fields.to_map();
    changed
}

impl Fields {
    pub(crate) fn to_map(&self) -> HeaderMap {
        let mut map = HeaderMap::with_capacity(self.len());
        // All of them are legal.
        let named = |line| Some((HeaderName::from_bytes(self.texts.name(line)).ok()?, line));
        for (name, line) in self.lines.iter().filter_map(named) {
            let value = match line.source {
                Source::Read | Source::Put => HeaderValue::from_maybe_shared(self.texts.share(line)).ok(),
                Source::Secret => Secret::header_value(Zeroizing::new(self.texts.value(line).to_vec())),
            };
            value.map(|value| map.append(name, value));
        }
        map
    }
}
