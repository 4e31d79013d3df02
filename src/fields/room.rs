//! Room for fields, which is used again.

use std::cell::RefCell;

use zeroize::Zeroize;

use super::text::Place;

/// Room for more is not kept,
const MAX_PUT: usize = 4096;
const MAX_LINES: usize = 64;
/// nor is more of it. A request has one for as long as it is under way, and its answer one, too: of many that begin and end together,
/// most should find what others have left.
const MAX_KEPT: usize = 64;
/// So many fields a message usually has at most, with those that sidekey puts on.
const USUALLY: usize = 24;

thread_local! {
    static KEPT: RefCell<Vec<Room>> = const { RefCell::new(Vec::new()) };
}

/// What fields are put in.
pub(super) struct Room {
    /// Kept, it holds nothing but zeros.
    pub(super) put: Vec<u8>,
    pub(super) lines: Vec<Place>,
}

impl Room {
    /// Empty room.
    pub(super) fn take() -> Self {
        let kept = KEPT.try_with(|kept| kept.borrow_mut().pop()).ok().flatten();
        let mut room = kept.unwrap_or_else(|| Self { put: Vec::new(), lines: Vec::with_capacity(USUALLY) });
        room.put.clear();
        room
    }

    /// Keeps it, and nothing of what was in it: a credential may have been.
    pub(super) fn give_back(mut self) {
        if self.put.capacity() > MAX_PUT || self.lines.capacity() > MAX_LINES {
            return self.put.zeroize();
        }
        self.put.fill(0);
        self.lines.clear();
        // Where the thread ends, it ends with that.
        let _ = KEPT.try_with(|kept| {
            let mut kept = kept.borrow_mut();
            if kept.len() < MAX_KEPT {
                kept.push(self);
            } else {
                self.put.zeroize();
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use http::header::{AUTHORIZATION, HeaderValue};

    use super::{KEPT, MAX_KEPT, MAX_LINES, MAX_PUT, Room};
    use crate::fields::Fields;

    #[test]
    fn nothing_is_kept_of_fields_but_room() {
        drop(KEPT.take());
        let mut fields = Fields::default();
        fields.put(&AUTHORIZATION, &HeaderValue::from_static("s3cr3t"));
        let length = fields.written_length();
        drop(fields);
        let kept = KEPT.take();
        assert!(kept.len() == 1 && kept[0].lines.is_empty());
        assert_eq!(kept[0].put, vec![0; length]);
        KEPT.set(kept);
        let fields = Fields::default().clone();
        assert!(fields.len() == 0 && fields.lines.capacity() > 0 && fields.texts.put.is_empty());
    }

    #[test]
    fn what_is_kept_is_bounded() {
        drop(KEPT.take());
        Room { put: Vec::with_capacity(MAX_PUT + 1), lines: Vec::new() }.give_back();
        Room { put: Vec::new(), lines: Vec::with_capacity(MAX_LINES + 1) }.give_back();
        assert!(KEPT.take().is_empty());
        (0..2 * MAX_KEPT).for_each(|_| Room { put: Vec::new(), lines: Vec::new() }.give_back());
        assert_eq!(KEPT.take().len(), MAX_KEPT);
    }
}
