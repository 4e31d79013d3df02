//! How much of an upstream's answers may be here that no caller has read, on one worker: what its HTTP/2 connections promise by
//! their windows, of which no vendor can send more.

use std::cell::Cell;
use std::rc::Rc;

/// So many requests go on one connection at once, if the upstream lets them; and until it has said how many it does
/// (RFC 9113 6.5.2 recommends no less).
pub(super) const MAX_STREAMS: usize = 100;
/// Of one answer, on the first connections: 10 MB/s at 50 ms between the two.
const WIDE: u32 = 512 * 1024;
/// Of one answer, on those beyond: as much as RFC 9113 begins with.
const NARROW: u32 = 64 * 1024;
/// What is promised before windows are narrow.
const PROMISED: u64 = WIDE as u64 * 2 * MAX_STREAMS as u64;

/// What the connections to one upstream have promised.
#[derive(Default)]
pub(super) struct Unread(Cell<u64>);

/// What one of them has. Dropping it takes the promise back: its connection is closed.
pub(super) struct Share {
    unread: Rc<Unread>,
    streams: u32,
    stream_window: u32,
}

impl Unread {
    /// The share of a connection with so many streams, or fewer.
    pub(super) fn share(self: &Rc<Self>, streams: usize) -> Share {
        let streams = u32::try_from(streams.clamp(1, MAX_STREAMS)).unwrap_or(1);
        let left = PROMISED.saturating_sub(self.0.get()) / u64::from(streams);
        let stream_window = u32::try_from(left).unwrap_or(WIDE).clamp(NARROW, WIDE);
        let share = Share { unread: Rc::clone(self), streams, stream_window };
        self.0.set(self.0.get() + u64::from(share.connection_window()));
        share
    }
}

impl Share {
    /// How many there may be at once.
    pub(super) fn streams(&self) -> usize {
        self.streams as usize
    }

    /// What an upstream may send of one body before its caller has read any of it.
    pub(super) fn stream_window(&self) -> u32 {
        self.stream_window
    }

    /// As much as all streams together: callers that do not read can fill their own windows, and never the connection's,
    /// so that none of them holds up another's answer.
    pub(super) fn connection_window(&self) -> u32 {
        self.stream_window * self.streams
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.unread.0.set(self.unread.0.get() - u64::from(self.connection_window()));
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::{MAX_STREAMS, NARROW, PROMISED, Unread, WIDE};

    #[test]
    fn the_first_connections_have_wide_windows_and_no_number_of_them_much_more() {
        let unread = Rc::<Unread>::default();
        let mut shares: Vec<_> = (0..64).map(|_| unread.share(MAX_STREAMS)).collect();
        let windows: Vec<_> = shares.iter().map(super::Share::stream_window).collect();
        assert_eq!(windows[..3], [WIDE, WIDE, NARROW]);
        assert!(windows[3..].iter().all(|window| *window == NARROW));
        assert_eq!(unread.0.get(), PROMISED + 62 * u64::from(NARROW) * MAX_STREAMS as u64);
        shares.remove(0);
        assert_eq!(unread.share(1).stream_window(), NARROW, "the others have more than there is");
        shares.clear();
        assert_eq!(unread.0.get(), 0);
        assert_eq!(unread.share(usize::MAX).stream_window(), WIDE);
    }

    #[test]
    fn where_an_upstream_takes_few_streams_more_connections_have_wide_windows() {
        let unread = Rc::<Unread>::default();
        let first = unread.share(MAX_STREAMS);
        let shares: Vec<_> = (0..MAX_STREAMS).map(|_| unread.share(1)).collect();
        assert!(shares.iter().all(|share| share.stream_window() == WIDE && share.connection_window() == WIDE));
        assert_eq!(unread.share(0).stream_window(), NARROW);
        drop(first);
        assert_eq!(unread.0.get(), PROMISED / 2);
    }
}
