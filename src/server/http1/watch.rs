//! The watch over one connection: what ends it, or what is done on it, because of the time or the server.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::time::Sleep;

use crate::server::alarm::poll_due;
use crate::server::socket::CallerSocket;
use crate::server::visit::{Stage, Visit};

/// A caller that has closed its side may be gone, or may be reading still: it is asked after so long.
const PROBE_INTERVAL: Duration = Duration::from_millis(500);
/// What it is asked with. One that reads on must skip it (RFC 9110 15.2); the kernel of one that is gone refuses it.
const PROBE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Why a watch ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Watched {
    /// The caller is gone, or might as well be; or it has not begun another request, and the server drains.
    Gone,
    /// It has not asked for anything for a long time.
    Idle,
    /// It began a header, and did not end it.
    SlowHeader,
    /// The upstream stopped in the middle of its body, or the whole request took too long.
    Stalled,
    /// The whole request took too long, and nothing of its answer has gone.
    Overdue,
    /// Nothing has moved for a while: all that is waited for is the next request.
    Quiet,
}

/// What the connection is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// It waits for a request,
    Waits,
    /// or does so with nothing but the socket.
    Rests,
    /// It works on one.
    Works,
}

/// What a deadline stands for.
enum Due {
    Watched(Watched),
    /// It is time to ask whether the caller is still there.
    Probe,
}

/// Watches over one connection while something is done on it.
pub(super) struct Watch<'a> {
    visit: &'a Visit,
    socket: &'a RefCell<CallerSocket>,
    /// When to ask next whether a caller that closed its side is still there, and how often that was done.
    probe_at: Option<Instant>,
    probes: u32,
}

impl<'a> Watch<'a> {
    pub(super) fn new(visit: &'a Visit, socket: &'a RefCell<CallerSocket>) -> Self {
        Self { visit, socket, probe_at: None, probes: 0 }
    }

    pub(super) fn first_alarm(&self) -> Instant {
        self.visit.idle_since() + self.visit.worker().limits().keep_alive
    }

    /// Ready when something has to be done about the connection.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, phase: Phase, mut alarm: Pin<&mut Sleep>) -> Poll<Watched> {
        if let Some(watched) = self.look(cx, phase) {
            return Poll::Ready(watched);
        }
        loop {
            match ready!(poll_due(alarm.as_mut(), cx, || self.deadline())) {
                Due::Watched(watched) => return Poll::Ready(watched),
                Due::Probe if self.probe().is_err() => return Poll::Ready(Watched::Gone),
                Due::Probe => {}
            }
        }
    }

    fn look(&mut self, cx: &mut Context<'_>, phase: Phase) -> Option<Watched> {
        let mut socket = self.socket.borrow_mut();
        socket.note_waker(cx);
        let stage = self.visit.stage();
        // What has been sent has begun: it is served.
        if phase != Phase::Works && self.visit.worker().draining() && !socket.has_begun() {
            return Some(Watched::Gone);
        }
        if phase == Phase::Waits && socket.is_quiet() {
            return Some(Watched::Quiet);
        }
        // Nobody else looks at the socket between the end of a request and that of its answer.
        if stage != Stage::Idle && socket.between_requests() && socket.poll_gone(cx).is_ready() {
            return Some(Watched::Gone);
        }
        // Nothing tells of a caller that is gone but a look at the socket's error, now and then.
        let may_be_gone = match stage {
            Stage::Idle => false,
            Stage::Asked => socket.caller_closed() || socket.is_unread(),
            Stage::Answered => socket.is_unread(),
        };
        if may_be_gone != self.probe_at.is_some() {
            self.probe_at = may_be_gone.then(|| Instant::now() + PROBE_INTERVAL);
            self.probes = 0;
        }
        None
    }

    /// What is waited for, and until when.
    fn deadline(&self) -> Option<(Instant, Due)> {
        let limits = self.visit.worker().limits();
        let socket = self.socket.borrow();
        let blocked = socket.blocked_since().map(|since| (since + limits.write_timeout, Watched::Gone));
        let waiting = match self.visit.stage() {
            // The end of the last answer is still going out.
            Stage::Idle if blocked.is_some() => None,
            Stage::Idle => Some(match socket.header_since() {
                Some(since) => (since + limits.header_timeout, Watched::SlowHeader),
                None => {
                    let since = socket.unblocked_at().max(Some(self.visit.idle_since()));
                    (since.unwrap_or_else(Instant::now) + limits.keep_alive, Watched::Idle)
                }
            }),
            Stage::Asked => self.visit.due().map(|at| (at, Watched::Overdue)),
            Stage::Answered => {
                let deadlines = [self.visit.waiting_until(), self.visit.due()];
                deadlines.into_iter().flatten().min().map(|at| (at, Watched::Stalled))
            }
        };
        let over = |(at, watched)| (at, Due::Watched(watched));
        let probe = self.probe_at.map(|at| (at, Due::Probe));
        [waiting.map(over), probe, blocked.map(over)].into_iter().flatten().min_by_key(|(deadline, _)| *deadline)
    }

    /// Asks whether anyone is still there. An error: no.
    fn probe(&mut self) -> io::Result<()> {
        let mut socket = self.socket.borrow_mut();
        socket.stream().take_error()?;
        self.probe_at = Some(Instant::now() + PROBE_INTERVAL);
        self.probes += 1;
        // Less and less often, and never between the bytes of an answer.
        let may_ask = self.visit.stage() == Stage::Asked && socket.caller_closed() && !socket.is_blocked();
        if may_ask && self.probes.is_power_of_two() && self.visit.takes_interim() {
            socket.stream().try_write(PROBE)?;
        }
        Ok(())
    }
}
