//! What a request asks for: byte for byte as it was written, and never parsed into anything else.

use std::fmt;

use bytes::Bytes;
use http::uri::PathAndQuery;

/// A path, and perhaps a query. Empty: there is none.
#[derive(Clone, Debug, Default)]
pub(crate) struct Path {
    text: Bytes,
    /// Where the query begins, with its question mark.
    query: usize,
}

impl Path {
    /// `text` is legal in a request line.
    pub(crate) fn new(text: Bytes) -> Self {
        let query = memchr::memchr(b'?', &text).unwrap_or(text.len());
        Self { text, query }
    }

    /// With its query.
    pub(crate) fn as_str(&self) -> &str {
        str::from_utf8(&self.text).unwrap_or_default()
    }

    /// Without its query.
    pub(crate) fn path(&self) -> &str {
        str::from_utf8(self.text.get(..self.query).unwrap_or_default()).unwrap_or_default()
    }

    pub(crate) fn text(&self) -> &Bytes {
        &self.text
    }

    /// What follows so many bytes of it, which are all of the path.
    pub(crate) fn after(&self, length: usize) -> Self {
        Self::new(self.text.slice(length.min(self.text.len())..))
    }
}

impl fmt::Display for Path {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

impl From<String> for Path {
    fn from(text: String) -> Self {
        Self::new(text.into())
    }
}

impl From<&PathAndQuery> for Path {
    fn from(path: &PathAndQuery) -> Self {
        Self::new(Bytes::copy_from_slice(path.as_str().as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::Path;

    #[test]
    fn a_query_is_no_part_of_the_path() {
        for (text, path) in [("/a?b?c", "/a"), ("/a", "/a"), ("/?", "/"), ("?b", ""), ("", "")] {
            let read = Path::from(text.to_owned());
            assert_eq!((read.as_str(), read.path()), (text, path));
        }
        let whole = Path::from("/a/b?c".to_owned());
        assert_eq!((whole.after(2).as_str(), whole.after(2).path()), ("/b?c", "/b"));
        assert_eq!(whole.after(99).as_str(), "");
    }
}
