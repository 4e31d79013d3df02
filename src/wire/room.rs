//! Room for the fields of what comes: the maps of headers that have been written are read into again.

use std::cell::RefCell;

use http::HeaderMap;

/// A map with more room is not kept,
const MAX_CAPACITY: usize = 64;
/// nor are more of them: a request and its answer have one each.
const MAX_KEPT: usize = 8;

thread_local! {
    static KEPT: RefCell<Vec<HeaderMap>> = const { RefCell::new(Vec::new()) };
}

/// An empty map, with room if there is some.
pub(super) fn take() -> HeaderMap {
    KEPT.with_borrow_mut(Vec::pop).unwrap_or_default()
}

/// Keeps the room that `headers` took, and nothing of what they said: a credential may have been among it.
pub(crate) fn recycle(mut headers: HeaderMap) {
    headers.clear();
    KEPT.with_borrow_mut(|kept| {
        if headers.capacity() <= MAX_CAPACITY && kept.len() < MAX_KEPT {
            kept.push(headers);
        }
    });
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use http::header::{AUTHORIZATION, HeaderValue};

    use super::{MAX_CAPACITY, MAX_KEPT, recycle, take};

    #[test]
    fn nothing_is_kept_of_a_header_but_room() {
        let mut headers = HeaderMap::with_capacity(16);
        headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer s3cr3t"));
        headers.append(AUTHORIZATION, HeaderValue::from_static("Bearer s3cr3t"));
        recycle(headers);
        let room = take();
        assert!(room.capacity() >= 16 && room.is_empty() && !room.contains_key(AUTHORIZATION));
    }

    #[test]
    fn what_is_kept_is_bounded() {
        recycle(HeaderMap::with_capacity(2 * MAX_CAPACITY));
        assert_eq!(take().capacity(), 0);
        (0..2 * MAX_KEPT).for_each(|_| recycle(HeaderMap::with_capacity(16)));
        assert_eq!(std::iter::repeat_with(take).take_while(|map| map.capacity() > 0).count(), MAX_KEPT);
    }
}
