//! Fields as `http` has them, which HTTP/2 is spoken in, and sidekey's own answers.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::Fields;
use super::text::Source;

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
        for line in &self.lines {
            let (name, value) = (HeaderName::from_bytes(self.texts.name(line)), self.texts.share(line));
            // Whoever read them, or put them on, has seen to it that they are legal.
            if let (Ok(name), Ok(mut value)) = (name, HeaderValue::from_maybe_shared(value)) {
                value.set_sensitive(line.source == Source::Secret);
                map.append(name, value);
            }
        }
        map
    }
}
