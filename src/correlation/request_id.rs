//! `X-Request-Id`: a caller's own, or a UUIDv7.

use std::time::Instant;

use http::HeaderValue;
use uuid::Builder;
use uuid::fmt::Hyphenated;

use super::id::Id;
use crate::byte_set::ByteSet;
use crate::fields::FieldValue;
use crate::random;
use crate::telemetry::clock;

/// Room for a UUID with words around it.
const LONGEST: usize = 128;

static IN_ID: ByteSet = ByteSet::of(b"-._~+/=0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");

/// An id that can stand in a log line, a header field or JSON as it is.
#[derive(Clone)]
pub(crate) struct RequestId(Id<{ Hyphenated::LENGTH }>);

impl RequestId {
    /// A new one (RFC 9562 5.7), which sorts by time.
    pub(super) fn new(at: Instant) -> Self {
        let millis = clock::unix_millis_at(at);
        let random = random::number().to_ne_bytes().first_chunk().copied().unwrap_or_default();
        let mut text = [0; Hyphenated::LENGTH];
        Builder::from_unix_timestamp_millis(millis, &random).into_uuid().hyphenated().encode_lower(&mut text);
        Self(Id::own(text))
    }

    /// `None`: it is too long, or holds what could be taken for more than an id somewhere.
    pub(super) fn sane(text: &[u8]) -> Option<Self> {
        let sane = matches!(text.len(), 1..=LONGEST) && IN_ID.has_all(text);
        if sane { Id::take_over(text).map(Self) } else { None }
    }

    pub(crate) fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// For answers that are not passed on.
    pub(crate) fn header_value(&self) -> HeaderValue {
        HeaderValue::from_str(self.as_str()).unwrap_or(HeaderValue::from_static("-"))
    }
}

impl FieldValue for RequestId {
    fn bytes(&self) -> &[u8] {
        self.0.bytes()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::thread;
    use std::time::Instant;

    use proptest::prelude::{any, proptest};

    use super::RequestId;

    #[test]
    fn a_new_id_is_a_uuid_of_version_7_and_no_other_thread_has_it() {
        let draw = || (0..10_000).map(|_| RequestId::new(Instant::now()).as_str().to_owned()).collect::<Vec<_>>();
        let threads: Vec<_> = (0..4).map(|_| thread::spawn(draw)).collect();
        let ids: Vec<_> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len());
        for id in ids {
            let parsed = uuid::Uuid::parse_str(&id).unwrap();
            assert_eq!((parsed.get_version_num(), parsed.get_variant()), (7, uuid::Variant::RFC4122), "{id}");
            assert!(RequestId::sane(id.as_bytes()).is_some());
        }
    }

    #[test]
    fn an_id_is_taken_over_if_it_is_one_word_of_at_most_128_bytes() {
        let longest = "x".repeat(128);
        for sane in ["1", "0199a1b2-7c3d", "a/b+c==", "req_1".replace('_', "~").as_str(), &longest] {
            assert_eq!(RequestId::sane(sane.as_bytes()).unwrap().as_str(), sane);
        }
        for odd in
            ["", "a b", "a,b", "\"a\"", "a\\b", "{a}", "<a>", "a:b", "a;b", "a'b", "%41", "a\tb", &"x".repeat(129)]
        {
            assert!(RequestId::sane(odd.as_bytes()).is_none(), "{odd}");
        }
        assert!(RequestId::sane(b"\xc3\xa9").is_none());
    }

    proptest! {
        #[test]
        fn whatever_is_taken_over_is_json_as_it_is(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Some(id) = RequestId::sane(&bytes) {
                let quoted = format!("\"{}\"", id.as_str());
                assert_eq!(serde_json::from_str::<String>(&quoted).unwrap().as_bytes(), bytes);
            }
        }
    }
}
