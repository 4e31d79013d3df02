//! What an upstream says first: its SETTINGS, whole (RFC 9113 3.4). `h2` says what is in them, and not that they have come: so
//! what comes is counted until then. Only WebSockets have to know it (RFC 8441 3): other requests leave before.

use std::cell::Cell;

use tokio::sync::Notify;

/// The header of a frame, which begins with the payload's length (RFC 9113 4.1).
const FRAME_HEADER: usize = 9;
const LENGTH: usize = 3;

#[derive(Default)]
pub(super) struct Greeting {
    /// How much of anything has come.
    came: Cell<usize>,
    /// As much of the first frame's length as has come.
    length: Cell<usize>,
    /// Whether nothing more comes.
    over: Cell<bool>,
    told: Notify,
}

impl Greeting {
    /// Counts what came. Whoever waits looks when `h2` has had it, too: on the one thread that there is, not before.
    pub(super) fn hear(&self, bytes: &[u8]) {
        let came = self.came.get();
        if self.is_whole() {
            return;
        }
        for byte in bytes.iter().take(LENGTH.saturating_sub(came)) {
            self.length.set((self.length.get() << 8) | usize::from(*byte));
        }
        self.came.set(came + bytes.len());
        if self.is_whole() {
            self.told.notify_waiters();
        }
    }

    /// Nothing more comes.
    pub(super) fn end(&self) {
        self.over.set(true);
        self.told.notify_waiters();
    }

    /// Waits until the upstream has said what it can do, or the connection is over.
    ///
    /// Dropping the future changes nothing.
    pub(super) async fn wait(&self) {
        while !self.is_whole() && !self.over.get() {
            self.told.notified().await;
        }
    }

    fn is_whole(&self) -> bool {
        self.came.get() >= FRAME_HEADER + self.length.get()
    }
}

#[cfg(test)]
mod tests {
    use super::Greeting;

    #[test]
    fn it_is_whole_with_the_last_byte_of_the_first_frame_however_it_comes() {
        let frame = [&[0, 1, 2, 4, 0, 0, 0, 0, 0][..], &[7; 0x102]].concat();
        for piece in [1, 2, 5, 9, 100, 0x10a] {
            let greeting = Greeting::default();
            let (last, others) = frame.split_last().unwrap();
            others.chunks(piece).for_each(|piece| greeting.hear(piece));
            assert!(!greeting.is_whole(), "{piece}");
            greeting.hear(&[*last]);
            assert!(greeting.is_whole(), "{piece}");
        }
        let greeting = Greeting::default();
        greeting.hear(&[0, 0, 0, 4, 0, 0, 0, 0]);
        assert!(!greeting.is_whole());
        greeting.hear(&[0, 9, 9, 9, 9]);
        assert!(greeting.is_whole(), "without any settings, and with more behind");
    }
}
