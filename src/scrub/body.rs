//! A body that is cleaned as it passes. No more of it is held back than could be the beginning of a form.

use std::rc::Rc;

use bytes::{Bytes, BytesMut};

use super::search::{Scrubbed, Scrubber, Trails};

/// The state between two pieces of a body: at most one form, written as long as its escapes can be.
pub(crate) struct BodyScrubber {
    scrubber: Rc<Scrubber>,
    pub(super) held: Bytes,
    /// How far forms were followed in what is held: it is not read again for every piece.
    begun: Trails,
    found: u64,
}

impl BodyScrubber {
    pub(crate) fn new(scrubber: Rc<Scrubber>) -> Self {
        Self { scrubber, held: Bytes::new(), begun: Trails::new(), found: 0 }
    }

    /// What of the body can go on, now that `piece` has come: perhaps nothing. Without a finding it is not copied,
    /// unless something was held back.
    pub(crate) fn push(&mut self, piece: Bytes, is_last: bool) -> Bytes {
        let mut text = piece;
        if !self.held.is_empty() {
            let mut joined = BytesMut::with_capacity(self.held.len() + text.len());
            joined.extend_from_slice(&self.held);
            joined.extend_from_slice(&text);
            text = joined.freeze();
        }
        let begun = std::mem::take(&mut self.begun);
        let Scrubbed { replaced, settled, found, begun } = self.scrubber.go_on(&text, begun, is_last);
        self.begun = begun;
        // A copy: the piece's own memory need not wait for it.
        self.held = Bytes::copy_from_slice(text.get(settled..).unwrap_or_default());
        self.found += found;
        match replaced {
            Some(clean) => clean.into(),
            None => {
                text.truncate(settled);
                text
            }
        }
    }

    /// The body has ended: what was held back was no form, or a shorter one.
    pub(crate) fn finish(&mut self) -> Bytes {
        self.push(Bytes::new(), true)
    }

    /// Whether there is something that [`finish`](Self::finish) would give.
    pub(crate) fn holds_back(&self) -> bool {
        !self.held.is_empty()
    }

    /// How many forms were found.
    pub(crate) fn found(&self) -> u64 {
        self.found
    }
}
