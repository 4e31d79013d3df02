//! The fields of an answer, and what a message has to say of itself for its body to be cleaned.

use std::rc::Rc;

use http::StatusCode;
use http::header::{
    ACCEPT_ENCODING, ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_LENGTH, HeaderName, HeaderValue, IF_RANGE, RANGE,
};
use http_body::Body;

use super::search::Scrubber;
use crate::fields::{FieldLine, Fields};
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
pub(crate) fn ask_for_identity(fields: &mut Fields) {
    fields.put(&ACCEPT_ENCODING, &HeaderValue::from_static("identity"));
    fields.remove(&RANGE);
    fields.remove(&IF_RANGE);
}

/// Takes its credential out of an upstream's answer: out of its header now, out of its body, if the config says so, and
/// its trailers as they come.
pub(crate) fn clean(answer: &mut Answer) -> Result<(), ScrubError> {
    let scrubber = Rc::clone(answer.body.scrubber());
    let mut found = scrubber.clean_fields(&mut answer.head.fields);
    if answer.head.reason.take_if(|reason| scrubber.finds_in(reason.as_bytes())).is_some() {
        found += 1;
    }
    answer.body.note_scrubbed(found);
    if !answer.upstream.scrubs_body() {
        return Ok(());
    }
    // Also where there is no body: the answer to a HEAD says what that to a GET would say.
    let has_body = !answer.body.is_end_stream();
    for name in OF_ITS_BYTES {
        answer.head.fields.remove(&name);
    }
    if !has_body {
        return Ok(());
    }
    if answer.head.status == StatusCode::PARTIAL_CONTENT {
        return Err(ScrubError::Partial);
    }
    if is_coded(&answer.head.fields) {
        return Err(ScrubError::ContentCoding);
    }
    answer.body.scrub();
    Ok(())
}

fn is_coded(fields: &Fields) -> bool {
    let codings = fields.get_all(&CONTENT_ENCODING).flat_map(|value| value.split(|&b| b == b','));
    let mut codings = codings.map(<[u8]>::trim_ascii);
    codings.any(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity"))
}

impl Scrubber {
    /// A text from the upstream that is not a field.
    pub(crate) fn clean_text(&self, text: &str) -> String {
        let replaced = self.scrub(text.as_bytes()).replaced;
        replaced.map_or_else(|| text.to_owned(), |clean| String::from_utf8_lossy(&clean).into_owned())
    }

    /// Cleans a header or trailers, and says how much was found. A field whose name holds a form is dropped.
    pub(crate) fn clean_fields(&self, fields: &mut Fields) -> u64 {
        let holds = |line: FieldLine<'_>| self.finds_in_name(line.name) || self.finds_in(line.value);
        if fields.iter().any(holds) { self.replace_in_fields(fields) } else { 0 }
    }

    #[cold]
    fn replace_in_fields(&self, fields: &mut Fields) -> u64 {
        let mut found = fields.remove_names_of(|line| self.finds_in_name(line.name)) as u64;
        fields.replace(|value| {
            let scrubbed = self.scrub(value);
            found += if scrubbed.replaced.is_some() { scrubbed.found } else { 0 };
            scrubbed.replaced
        });
        found
    }
}
