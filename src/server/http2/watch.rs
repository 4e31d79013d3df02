//! The watch over one connection: what ends it, or is done on it, because of the time, the server or the caller's manners.

use std::cell::RefCell;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::time::Sleep;

use super::MAX_STREAMS;
use super::pings::Pings;
use super::socket::Http2Socket;
use super::streams::Streams;
use crate::server::alarm::poll_due;
use crate::server::worker::Worker;

/// The caller may cancel so many requests more than it lets come to their end: all at once, twice. Whoever cancels always
/// makes work that nobody waits for, here and at the upstream.
const MAX_CANCELLED: usize = 2 * MAX_STREAMS as usize;
/// How long a caller that has been told to go has for a request that was on its way, and one that is sent away to hear of it.
const PARTING: Duration = Duration::from_secs(1);

/// Why a connection's watch ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Watched {
    /// No further request: it has been idle for long, or callers should go elsewhere.
    Part,
    /// It makes work that nobody waits for: it is told, and nothing of it goes on.
    Expel,
    /// The caller is gone, or might as well be.
    Close,
}

/// What a deadline stands for.
#[derive(Clone, Copy)]
enum Due {
    Watched(Watched),
    /// It is time to ask whether the caller is still there.
    Ping,
}

/// Watches over one connection while `h2` works on it.
pub(super) struct Watch<'a, S> {
    worker: &'a Worker,
    streams: &'a Streams,
    socket: &'a RefCell<Http2Socket<S>>,
    began: Instant,
    /// It came when callers were told to go already: it is served once, as one that speaks HTTP/1.1 is.
    came_late: bool,
    /// When the caller was told that there will be no further request.
    told: Option<Instant>,
    /// When it was sent away.
    expelled: Option<Instant>,
}

impl<'a, S> Watch<'a, S> {
    pub(super) fn new(worker: &'a Worker, streams: &'a Streams, socket: &'a RefCell<Http2Socket<S>>) -> Self {
        let (began, came_late) = (Instant::now(), worker.leaving());
        Self { worker, streams, socket, began, came_late, told: None, expelled: None }
    }

    pub(super) fn first_alarm(&self) -> Instant {
        self.began + self.worker.limits().header_timeout
    }

    /// Ready when something has to be done about the connection. To be polled whenever that was. `pings`: once it is open.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        mut alarm: Pin<&mut Sleep>,
        mut pings: Option<&mut Pings>,
    ) -> Poll<Watched> {
        self.streams.note_waker(cx);
        if let Some(watched) = self.look() {
            return Poll::Ready(watched);
        }
        if let Some(pings) = &mut pings {
            pings.hear(cx);
        }
        loop {
            match ready!(poll_due(alarm.as_mut(), cx, || self.deadline(pings.as_deref()))) {
                Due::Watched(watched) => return Poll::Ready(self.note(watched)),
                // A connection that takes no question ends by itself.
                Due::Ping => {
                    if let Some(pings) = &mut pings {
                        pings.ask();
                    }
                }
            }
        }
    }

    fn look(&mut self) -> Option<Watched> {
        if self.streams.cancelled() > MAX_CANCELLED && self.expelled.is_none() {
            tracing::debug!(target: "server", "a caller cancels one request after the other: its connection is closed");
            return Some(self.note(Watched::Expel));
        }
        let must_go = self.worker.leaving() && (!self.came_late || self.streams.have_begun());
        let parts = self.told.is_none() && (self.worker.draining() || must_go);
        parts.then(|| self.note(Watched::Part))
    }

    fn note(&mut self, watched: Watched) -> Watched {
        match watched {
            Watched::Part => self.told = Some(Instant::now()),
            Watched::Expel => self.expelled = Some(Instant::now()),
            Watched::Close => {}
        }
        watched
    }

    /// What is waited for, and until when.
    fn deadline(&self, pings: Option<&Pings>) -> Option<(Instant, Due)> {
        let limits = self.worker.limits();
        let socket = self.socket.borrow();
        let over = |(at, watched)| (at, Due::Watched(watched));
        let stuck = [socket.blocked_since(), self.streams.stuck_since()].into_iter().flatten().min();
        let stuck = stuck.map(|since| (since + limits.write_timeout, Watched::Close));
        let expelled = self.expelled.map(|since| (since + PARTING, Watched::Close));
        let idle =
            self.streams.idle_since().filter(|_| socket.blocked_since().is_none()).map(|since| match self.told {
                Some(told) => (since.max(told) + PARTING, Watched::Close),
                None => (since + limits.keep_alive, Watched::Part),
            });
        let silent = (!socket.has_begun()).then(|| (self.began + limits.header_timeout, Watched::Close));
        let absent = pings.map(|pings| match pings.answer_due(socket.heard()) {
            Some(at) => (at, Due::Watched(Watched::Close)),
            None => (pings.due(socket.heard()), Due::Ping),
        });
        let others = [stuck, expelled, idle, silent].into_iter().flatten().map(over);
        others.chain(absent).min_by_key(|(deadline, _)| *deadline)
    }
}
