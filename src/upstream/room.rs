//! The room that a request's fields took, which nobody needs once it is answered: the next answer's are read into it, and the
//! next request's into what this answer's took.

use std::cell::Cell;

use http::HeaderMap;

use crate::wire::fields::recycle;

thread_local! {
    static LEFT: Cell<Option<HeaderMap>> = const { Cell::new(None) };
}

/// Keeps the room that `headers` took, and nothing of what they said: the credential was among it.
pub(super) fn leave(mut headers: HeaderMap) {
    headers.clear();
    LEFT.set(Some(headers));
}

/// An answer is about to be read.
pub(super) fn offer() {
    if let Some(room) = LEFT.take() {
        recycle(room);
    }
}

#[cfg(test)]
mod tests {
    use http::header::{AUTHORIZATION, HeaderMap, HeaderValue};

    use super::{LEFT, leave};

    #[test]
    fn nothing_is_kept_of_a_request_but_room() {
        let mut headers = HeaderMap::with_capacity(16);
        headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer s3cr3t"));
        headers.append(AUTHORIZATION, HeaderValue::from_static("Bearer s3cr3t"));
        leave(headers);
        let room = LEFT.take().unwrap();
        assert!(room.capacity() >= 16 && room.is_empty() && !room.contains_key(AUTHORIZATION));
    }
}
