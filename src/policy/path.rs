//! A path as rules see it: one that every origin reads alike, or none. Nothing is normalised: what could be read in two
//! ways is refused, and what passes goes upstream byte for byte.

use std::borrow::Cow;

/// Why a path could be read in more than one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AmbiguousPath {
    #[error("the path does not begin with a slash")]
    NotRooted,
    #[error("the path has an empty segment, `//`")]
    EmptySegment,
    #[error("the path has a segment `.` or `..`")]
    DotSegment,
    #[error("the path holds a `;`, `?`, `#`, a backslash or a control character")]
    Syntax,
    #[error("the path holds a `%` without two hexadecimal digits")]
    Encoding,
    #[error("the path holds an encoded `/`, `\\`, `.`, `;`, `?`, `#`, control character or percent-encoding")]
    EncodedSyntax,
    #[error("the path is not UTF-8 once it is decoded")]
    NotUtf8,
}

/// A path whose reading is beyond doubt, decoded.
#[derive(Debug)]
pub(crate) struct PlainPath<'a>(Cow<'a, str>);

impl<'a> PlainPath<'a> {
    /// Reads the path of a request, or of a pattern.
    pub(crate) fn read(path: &'a str) -> Result<Self, AmbiguousPath> {
        let rest = path.strip_prefix('/').ok_or(AmbiguousPath::NotRooted)?;
        if path.bytes().any(|b| b.is_ascii_control() || matches!(b, b';' | b'\\' | b'?' | b'#')) {
            return Err(AmbiguousPath::Syntax);
        }
        if path.contains("//") {
            return Err(AmbiguousPath::EmptySegment);
        }
        if rest.split('/').any(|segment| matches!(segment, "." | "..")) {
            return Err(AmbiguousPath::DotSegment);
        }
        if path.contains('%') { decode(path).map(Cow::Owned).map(Self) } else { Ok(Self(Cow::Borrowed(path))) }
    }

    /// The parts between slashes; of `/` there is one, which is empty.
    pub(super) fn segments(&self) -> impl Iterator<Item = &str> {
        self.0.strip_prefix('/').unwrap_or(&self.0).split('/')
    }
}

fn decode(path: &str) -> Result<String, AmbiguousPath> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        if *first != b'%' {
            decoded.push(*first);
            continue;
        }
        let [high, low, after @ ..] = rest else { return Err(AmbiguousPath::Encoding) };
        let byte = hex(*high).zip(hex(*low)).map(|(high, low)| high << 4 | low).ok_or(AmbiguousPath::Encoding)?;
        if byte.is_ascii_control() || matches!(byte, b'/' | b'\\' | b'.' | b';' | b'?' | b'#') {
            return Err(AmbiguousPath::EncodedSyntax);
        }
        decoded.push(byte);
        rest = after;
    }
    // Whoever decodes twice would read it again.
    if decoded.windows(3).any(|part| matches!(part, [b'%', a, b] if hex(*a).is_some() && hex(*b).is_some())) {
        return Err(AmbiguousPath::EncodedSyntax);
    }
    // Of overlong forms, some readers make the slash or dot that they stand for.
    String::from_utf8(decoded).map_err(|_| AmbiguousPath::NotUtf8)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::{AmbiguousPath, PlainPath};

    #[test]
    fn a_plain_path_is_decoded_into_its_segments() {
        for (path, segments) in [
            ("/", &[""][..]),
            ("/v2/tags", &["v2", "tags"]),
            ("/v2/tags/", &["v2", "tags", ""]),
            ("/v2/t%61gs", &["v2", "tags"]),
            ("/a%20b/%C3%A9/%25", &["a b", "é", "%"]),
            ("/.well-known/a..b/...", &[".well-known", "a..b", "..."]),
            ("/%2525", &[]),
        ] {
            match PlainPath::read(path) {
                Ok(plain) => assert_eq!(plain.segments().collect::<Vec<_>>(), segments, "{path}"),
                Err(error) => assert!(segments.is_empty(), "{path}: {error}"),
            }
        }
    }

    #[test]
    fn a_path_that_two_origins_could_read_differently_is_none() {
        for (path, error) in [
            ("", AmbiguousPath::NotRooted),
            ("v2", AmbiguousPath::NotRooted),
            ("//v2", AmbiguousPath::EmptySegment),
            ("/v2//tags", AmbiguousPath::EmptySegment),
            ("/v2/./tags", AmbiguousPath::DotSegment),
            ("/v2/..", AmbiguousPath::DotSegment),
            ("/..", AmbiguousPath::DotSegment),
            ("/v2;x=1/tags", AmbiguousPath::Syntax),
            ("/v2?x", AmbiguousPath::Syntax),
            ("/v2\\tags", AmbiguousPath::Syntax),
            ("/v2\0", AmbiguousPath::Syntax),
            ("/v2/%", AmbiguousPath::Encoding),
            ("/v2/%2", AmbiguousPath::Encoding),
            ("/v2/%zz", AmbiguousPath::Encoding),
            ("/v2/%+1", AmbiguousPath::Encoding),
            ("/v2%2Ftags", AmbiguousPath::EncodedSyntax),
            ("/v2%5ctags", AmbiguousPath::EncodedSyntax),
            ("/v2/%2e%2E/x", AmbiguousPath::EncodedSyntax),
            ("/v2/a%2eb", AmbiguousPath::EncodedSyntax),
            ("/v2/%3b", AmbiguousPath::EncodedSyntax),
            ("/v2/keys%3F", AmbiguousPath::EncodedSyntax),
            ("/v2/keys%23/x", AmbiguousPath::EncodedSyntax),
            ("/v2/%00", AmbiguousPath::EncodedSyntax),
            ("/v2/%0d%0a", AmbiguousPath::EncodedSyntax),
            ("/v2/%252e", AmbiguousPath::EncodedSyntax),
            ("/v2/%25%32%65", AmbiguousPath::EncodedSyntax),
            ("/v2/%c0%af", AmbiguousPath::NotUtf8),
            ("/v2/%ff", AmbiguousPath::NotUtf8),
        ] {
            assert_eq!(PlainPath::read(path).map(|_| ()), Err(error), "{path}");
        }
    }
}
