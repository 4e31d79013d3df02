//! `traceparent`, as W3C Trace Context has it: a caller's own if it is valid, or one that begins a trace.

use std::io::Write;

use uuid::Uuid;
use uuid::fmt::Simple;

use super::id::Id;
use crate::fields::FieldValue;
use crate::random;

/// A valid `traceparent`.
#[derive(Clone)]
pub(crate) struct TraceParent(Id<LENGTH>);

/// So long is one of version 00: `00-TRACE-PARENT-FLAGS`.
const LENGTH: usize = 2 + 1 + 32 + 1 + 16 + 1 + 2;

impl TraceParent {
    /// A new trace that nobody has decided to sample. Its parent is the request itself, of which there is no span.
    pub(super) fn begin() -> Self {
        let (mut trace, mut parent) = ([0; Simple::LENGTH], [0; Simple::LENGTH]);
        // An id of nothing but zeros is none.
        let trace = Uuid::from_u128(random::number() | 1).simple().encode_lower(&mut trace);
        let parent = Uuid::from_u128(random::number() | 1).simple().encode_lower(&mut parent);
        let mut text = [0; LENGTH];
        let mut room = text.as_mut_slice();
        for part in ["00-", trace, "-", parent.get(16..).unwrap_or_default(), "-00"] {
            // There is room for all of them.
            let _ = room.write_all(part.as_bytes());
        }
        Self(Id::own(text))
    }

    /// `None`: it is not valid (Trace Context 3.2.2, and 3.2.4 for versions to come).
    pub(super) fn valid(value: &[u8]) -> Option<Self> {
        let (known, more) = value.split_at_checked(LENGTH)?;
        let mut parts = known.split(|&b| b == b'-');
        let (version, trace, parent, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let lengths = [version.len(), trace.len(), parent.len(), flags.len()];
        let is_hex = |b: &u8| matches!(b, b'0'..=b'9' | b'a'..=b'f' | b'-');
        let names_one = |id: &[u8]| id.iter().any(|&b| b != b'0');
        let may_go_on = match version {
            b"ff" => return None,
            b"00" => more.is_empty(),
            _ => matches!(more, [] | [b'-', ..]),
        };
        let valid = lengths == [2, 32, 16, 2] && known.iter().all(is_hex) && names_one(trace) && names_one(parent);
        if valid && may_go_on { Id::take_over(value).map(Self) } else { None }
    }

    /// The trace's id: 32 hexadecimal digits.
    pub(crate) fn id(&self) -> &str {
        self.0.as_str().get(3..35).unwrap_or_default()
    }
}

impl FieldValue for TraceParent {
    fn bytes(&self) -> &[u8] {
        self.0.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::{FieldValue, TraceParent};

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const PARENT: &str = "b7ad6b7169203331";

    fn valid(text: &str) -> Option<TraceParent> {
        TraceParent::valid(text.as_bytes())
    }

    #[test]
    fn a_valid_one_is_taken_as_it_is() {
        for (version, more) in [
            ("00", "01"),
            ("00", "00"),
            ("00", "ff"),
            // Versions to come: what is known of them comes first.
            ("01", "01"),
            ("cc", "01-what-the-future-will-be-like"),
            ("cc", "01-"),
        ] {
            let text = format!("{version}-{TRACE}-{PARENT}-{more}");
            let taken = valid(&text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!((taken.id(), str::from_utf8(taken.bytes()).unwrap()), (TRACE, text.as_str()));
        }
    }

    #[test]
    fn what_is_not_valid_is_none() {
        let zeros = "0".repeat(32);
        for text in [
            String::new(),
            "00".into(),
            TRACE.into(),
            // Upper case, and what is no digit.
            format!("00-{}-{PARENT}-01", TRACE.to_uppercase()),
            format!("00-{TRACE}-{}-01", PARENT.to_uppercase()),
            format!("00-{TRACE}-{PARENT}-0A"),
            format!("00-{}-{PARENT}-01", TRACE.replace('0', "g")),
            format!("00-{TRACE}-{PARENT}-.0"),
            format!(".0-{TRACE}-{PARENT}-01"),
            // Ids of zeros.
            format!("00-{zeros}-{PARENT}-01"),
            format!("00-{TRACE}-{}-01", PARENT.replace(|_: char| true, "0")),
            // The version that is none, and lengths that are none.
            format!("ff-{TRACE}-{PARENT}-01"),
            format!("0-{TRACE}-{PARENT}-01"),
            format!("000-{TRACE}-{PARENT}-01"),
            format!("00-{}-{PARENT}-01", TRACE.trim_start_matches('0')),
            format!("00-{TRACE}-{}-01", PARENT.trim_start_matches('b')),
            format!("00-{}-{PARENT}a-01", TRACE.trim_start_matches('0')),
            format!("00-{TRACE}-{PARENT}-1"),
            format!("00-{TRACE}-{PARENT}"),
            // Version 00 ends here, and others go on after a dash.
            format!("00-{TRACE}-{PARENT}-01-"),
            format!("00-{TRACE}-{PARENT}-01-more"),
            format!("cc-{TRACE}-{PARENT}-01.more"),
            format!("cc-{TRACE}-{PARENT}-010"),
            // Dashes and blanks elsewhere.
            format!("00_{TRACE}_{PARENT}_01"),
            format!("00-{TRACE}-{PARENT}-0-"),
            format!(" 00-{TRACE}-{PARENT}-01"),
            format!("00-{TRACE}-{PARENT}-01,00-{TRACE}-{PARENT}-01"),
        ] {
            assert!(valid(&text).is_none(), "{text}");
        }
    }

    #[test]
    fn one_that_is_begun_is_valid_and_not_sampled() {
        let (first, second) = (TraceParent::begin(), TraceParent::begin());
        for begun in [&first, &second] {
            let text = str::from_utf8(begun.bytes()).unwrap();
            assert!(text.starts_with("00-") && text.ends_with("-00") && valid(text).is_some(), "{text}");
        }
        assert_ne!(first.id(), second.id());
    }
}
