//! The HTTP/2 connections of one upstream, on one worker, and whose turn it is to open another: requests that come
//! together share one as soon as it is known that it can be shared.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;

use super::http2::{Line, Stream};
use super::tls::Version;
use super::unread::{MAX_STREAMS, Share, Unread};

/// More connections than these are not opened, whatever the upstream's limit of streams: requests wait for one another.
const MAX_LINES: usize = 64;
/// How long a request waits for another's connection that it can share, or may be able to: one that comes about at all
/// rarely takes longer. What HTTP/1.1 loses by that is one handshake, once: from then on it is known.
const SHARE_WAIT: Duration = Duration::from_secs(1);

pub(super) struct Lines {
    open: RefCell<Vec<Rc<Line>>>,
    room: Rc<Room>,
    /// What was last agreed on. `None`: nothing was, yet.
    agreed: Cell<Option<Version>>,
    dialling: Cell<usize>,
    /// As many streams as the upstream took last time: a new connection is not given more until it says otherwise.
    usual: Cell<usize>,
    unread: Rc<Unread>,
    idle_limit: Duration,
}

/// Where requests wait that found no room.
#[derive(Default)]
pub(super) struct Room {
    made: Notify,
    waiting: Cell<usize>,
}

impl Room {
    /// A place has become free.
    pub(super) fn tell_one(&self) {
        if self.waiting.get() > 0 {
            self.made.notify_one();
        }
    }

    /// It has become known how things are.
    fn tell_all(&self) {
        self.made.notify_waiters();
    }
}

/// What a request does that found no room.
pub(super) enum Turn<'a> {
    /// It opens a connection.
    Dial(Dialling<'a>),
    /// It waits for others, at most so long, and asks again.
    Wait(Duration),
    /// It has waited for long enough, and nothing more may be opened.
    GiveUp,
}

/// A connection that is being opened. Dropping it tells those who wait for it.
pub(super) struct Dialling<'a>(&'a Lines);

impl Drop for Dialling<'_> {
    fn drop(&mut self) {
        self.0.dialling.set(self.0.dialling.get().saturating_sub(1));
        self.0.room.tell_all();
    }
}

/// A request's place among those who wait.
struct Waiter<'a>(&'a Room);

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.0.waiting.set(self.0.waiting.get().saturating_sub(1));
    }
}

impl Lines {
    /// `known`: what will be agreed on, where there is no choice.
    pub(super) fn new(known: Option<Version>, idle_limit: Duration) -> Self {
        Self {
            open: RefCell::default(),
            room: Rc::default(),
            agreed: Cell::new(known),
            dialling: Cell::new(0),
            usual: Cell::new(MAX_STREAMS),
            unread: Rc::default(),
            idle_limit,
        }
    }

    /// A place on an open connection. The first that has room is filled first, so that a quiet hour lets the others go.
    /// `must_be_quiet`: a request whose loss cannot be mended, so of an idle one the kernel is asked, too.
    pub(super) fn take(&self, must_be_quiet: bool) -> Option<Stream> {
        let mut open = self.open.borrow_mut();
        if open.is_empty() {
            return None;
        }
        open.retain(|line| !line.is_closed());
        self.usual.set(open.last().map_or(self.usual.get(), |line| line.limit().max(1)));
        let line = open.iter().find(|line| {
            line.has_room()
                && !line.is_idle_for(self.idle_limit)
                && !(must_be_quiet && line.is_idle() && !line.is_quiet())
        });
        line.map(Line::begin)
    }

    /// What a request does that has found no room and has `waited` so long, and would wait for its `patience`.
    pub(super) fn turn(&self, waited: Duration, patience: Duration) -> Turn<'_> {
        let dialling = self.dialling.get();
        let is_full = self.open.borrow().len() + dialling >= MAX_LINES;
        let wait = match self.agreed.get() {
            Some(Version::Http1) => Duration::ZERO,
            None | Some(Version::Http2) if is_full && waited >= patience => return Turn::GiveUp,
            None | Some(Version::Http2) if is_full => patience,
            None if dialling > 0 => SHARE_WAIT,
            // Those who wait will have room on what is being opened, each of which brings one of its own.
            Some(Version::Http2) if self.room.waiting.get() + dialling < dialling * self.usual.get() => SHARE_WAIT,
            None | Some(Version::Http2) => Duration::ZERO,
        };
        if waited < wait {
            return Turn::Wait(wait - waited);
        }
        self.dialling.set(dialling + 1);
        Turn::Dial(Dialling(self))
    }

    /// Waits for room, or for what would make some, at most so long.
    ///
    /// Dropping the future leaves the turn to another.
    pub(super) async fn wait(&self, limit: Duration) {
        self.room.waiting.set(self.room.waiting.get() + 1);
        let _waiter = Waiter(&self.room);
        // In time or not: whoever has waited looks again.
        let _ = timeout(limit, self.room.made.notified()).await;
    }

    /// This was agreed on.
    pub(super) fn agree(&self, version: Version) {
        self.agreed.set(Some(version));
    }

    /// What a new connection has of the room for answers that nobody has read.
    pub(super) fn share(&self) -> Share {
        self.unread.share(self.usual.get())
    }

    pub(super) fn room(&self) -> &Rc<Room> {
        &self.room
    }

    /// Takes in a connection that is new.
    pub(super) fn add(&self, line: Rc<Line>) {
        self.open.borrow_mut().push(line);
    }

    /// Lets go of what has been idle for too long, or was closed. What is under way on it goes on.
    pub(super) fn sweep(&self) {
        self.open.borrow_mut().retain(|line| !line.is_closed() && !line.is_idle_for(self.idle_limit));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Lines, MAX_LINES, MAX_STREAMS, SHARE_WAIT, Turn, Version};

    const PATIENCE: Duration = Duration::from_secs(60);

    fn lines(known: Option<Version>) -> Lines {
        Lines::new(known, Duration::from_secs(50))
    }

    fn dials(turn: &Turn<'_>) -> bool {
        matches!(turn, Turn::Dial(_))
    }

    #[test]
    fn where_nothing_is_known_one_dials_and_the_others_wait_for_a_moment() {
        let lines = lines(None);
        let first = lines.turn(Duration::ZERO, PATIENCE);
        assert!(dials(&first));
        assert!(matches!(lines.turn(Duration::ZERO, PATIENCE), Turn::Wait(limit) if limit == SHARE_WAIT));
        assert!(dials(&lines.turn(SHARE_WAIT, PATIENCE)));
        lines.agree(Version::Http1);
        assert!(dials(&lines.turn(Duration::ZERO, PATIENCE)), "HTTP/1.1 has nothing to wait for");
    }

    #[test]
    fn where_http2_is_known_as_many_wait_as_will_have_room() {
        let lines = lines(Some(Version::Http2));
        let first = lines.turn(Duration::ZERO, PATIENCE);
        assert!(dials(&first));
        lines.room.waiting.set(MAX_STREAMS - 2);
        assert!(matches!(lines.turn(Duration::ZERO, PATIENCE), Turn::Wait(limit) if limit == SHARE_WAIT));
        lines.room.waiting.set(MAX_STREAMS - 1);
        assert!(dials(&lines.turn(Duration::ZERO, PATIENCE)));
        drop(first);
        lines.room.waiting.set(0);
        assert!(dials(&lines.turn(Duration::ZERO, PATIENCE)), "whoever has failed is waited for no longer");
    }

    #[test]
    fn more_connections_than_the_bound_are_waited_for_and_given_up() {
        let lines = lines(Some(Version::Http2));
        let all: Vec<_> = (0..MAX_LINES).map(|_| lines.turn(SHARE_WAIT, PATIENCE)).collect();
        assert!(all.iter().all(dials));
        assert!(matches!(lines.turn(SHARE_WAIT, PATIENCE), Turn::Wait(limit) if limit == PATIENCE - SHARE_WAIT));
        assert!(matches!(lines.turn(PATIENCE, PATIENCE), Turn::GiveUp));
    }
}
