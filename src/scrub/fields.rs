//! The fields of an answer, and what a message has to say of itself for its body to be cleaned.

use std::rc::Rc;

use http::header::{
    ACCEPT_ENCODING, ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_LENGTH, HeaderName, HeaderValue, IF_RANGE, RANGE,
};
use http::{HeaderMap, StatusCode};
use http_body::Body;
use hyper::ext::ReasonPhrase;

use super::search::Scrubber;
use crate::headers::remove_if;
use crate::upstream::Answer;

/// Why a body cannot be cleaned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ScrubError {
    #[error("the answer is compressed, though sidekey asked that it be not")]
    ContentCoding,
    #[error("the answer is a part of something, though sidekey asked for the whole")]
    Partial,
}

/// What speaks of the bytes that the upstream sent, which are not those that the caller gets.
const OF_ITS_BYTES: [HeaderName; 6] = [
    CONTENT_LENGTH,
    ACCEPT_RANGES,
    HeaderName::from_static("content-md5"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
];

/// Asks for a body in which a secret can be seen, and for all of it: a part could begin in the middle of one.
pub(crate) fn ask_for_identity(headers: &mut HeaderMap) {
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.remove(RANGE);
    headers.remove(IF_RANGE);
}

/// Takes its credential out of an upstream's answer: out of its header now, out of its body, if the config says so, and
/// its trailers as they come.
pub(crate) fn clean(answer: &mut Answer) -> Result<(), ScrubError> {
    let scrubber = Rc::clone(answer.body.scrubber());
    let mut found = scrubber.clean_fields(&mut answer.head.headers);
    let reason = answer.head.extensions.get::<ReasonPhrase>();
    if reason.is_some_and(|reason| scrubber.finds_in(reason.as_bytes())) {
        answer.head.extensions.remove::<ReasonPhrase>();
        found += 1;
    }
    answer.body.note_scrubbed(found);
    if !answer.upstream.scrubs_body() {
        return Ok(());
    }
    // Also where there is no body: the answer to a HEAD says what that to a GET would say.
    let has_body = !answer.body.is_end_stream();
    for name in OF_ITS_BYTES {
        answer.head.headers.remove(name);
    }
    if !has_body {
        return Ok(());
    }
    if answer.head.status == StatusCode::PARTIAL_CONTENT {
        return Err(ScrubError::Partial);
    }
    if is_coded(&answer.head.headers) {
        return Err(ScrubError::ContentCoding);
    }
    answer.body.scrub();
    Ok(())
}

fn is_coded(headers: &HeaderMap) -> bool {
    let codings = headers.get_all(CONTENT_ENCODING).iter().flat_map(|value| value.as_bytes().split(|&b| b == b','));
    codings.map(<[u8]>::trim_ascii).any(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity"))
}

impl Scrubber {
    /// A text from the upstream that is not a field.
    pub(crate) fn clean_text(&self, text: &str) -> String {
        let replaced = self.scrub(text.as_bytes()).replaced;
        replaced.map_or_else(|| text.to_owned(), |clean| String::from_utf8_lossy(&clean).into_owned())
    }

    /// Cleans a header or trailers, and says how much was found. A field whose name holds a form is dropped.
    pub(crate) fn clean_fields(&self, fields: &mut HeaderMap) -> u64 {
        let holds = |(name, value): (&HeaderName, &HeaderValue)| {
            self.finds_in_name(name.as_str().as_bytes()) || self.finds_in(value.as_bytes())
        };
        if fields.iter().any(holds) { self.replace_in_fields(fields) } else { 0 }
    }

    #[cold]
    fn replace_in_fields(&self, fields: &mut HeaderMap) -> u64 {
        let mut found = remove_if(fields, |name, _| self.finds_in_name(name.as_str().as_bytes())) as u64;
        for value in fields.values_mut() {
            let scrubbed = self.scrub(value.as_bytes());
            if let Some(clean) = scrubbed.replaced {
                // What is put in is as legal as what stays.
                *value =
                    HeaderValue::from_maybe_shared(bytes::Bytes::from(clean)).unwrap_or(HeaderValue::from_static(""));
                found += scrubbed.found;
            }
        }
        found
    }
}
