//! Whether the upstream is still there. A connection on which requests wait and nothing comes is asked (PING), and closed
//! if nothing comes then either: a dead one costs a request seconds, not its whole patience.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use h2::{Ping, PingPong};
use tokio::time::{Sleep, sleep_until};

use super::greeting::Greeting;
use crate::config::Timeouts;

/// The longest silence before the first question.
const ASK_AFTER: Duration = Duration::from_secs(15);
/// The longest wait for its answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// How much longer the next silence may be: gRPC's servers take a client that asks often for an attack, and count until
/// they have sent something themselves.
const PATIENCE_GROWS: u32 = 4;

/// How long the last of what was sent may take to leave a connection that nobody needs.
const FAREWELL: Duration = Duration::from_secs(1);

/// What a connection's task, its socket and its requests tell one another.
pub(super) struct Pulse {
    under_way: Cell<usize>,
    heard: Cell<Instant>,
    greeting: Greeting,
    /// Since when nobody needs the connection any more.
    left: Cell<Option<Instant>>,
}

impl Pulse {
    pub(super) fn new() -> Self {
        Self {
            under_way: Cell::new(0),
            heard: Cell::new(Instant::now()),
            greeting: Greeting::default(),
            left: Cell::new(None),
        }
    }

    /// This came.
    pub(super) fn hear(&self, bytes: &[u8]) {
        self.heard.set(Instant::now());
        self.greeting.hear(bytes);
    }

    /// Nobody needs the connection any more: it ends when what was given to it has left.
    pub(super) fn leave(&self) {
        self.left.set(Some(Instant::now()));
    }

    pub(super) fn greeting(&self) -> &Greeting {
        &self.greeting
    }

    pub(super) fn under_way(&self) -> usize {
        self.under_way.get()
    }

    /// A request begins; says how many there were.
    pub(super) fn begin(&self) -> usize {
        self.under_way.replace(self.under_way.get() + 1)
    }

    /// A request has ended; says how many are left.
    pub(super) fn end(&self) -> usize {
        let left = self.under_way.get().saturating_sub(1);
        self.under_way.set(left);
        left
    }
}

/// Asks, and says when there is nobody.
pub(super) struct Watch {
    pings: Option<PingPong>,
    pulse: Rc<Pulse>,
    ask_after: Duration,
    answer_within: Duration,
    asked: Option<Instant>,
    /// When the last question was answered, and the silence after which the next one is due.
    answered: Option<Instant>,
    silence: Duration,
    /// Set anew only when it rings, or would ring too late.
    alarm: Pin<Box<Sleep>>,
}

impl Watch {
    /// A dead connection is found out before an exchange has lost its patience with it.
    pub(super) fn new(pings: Option<PingPong>, pulse: &Rc<Pulse>, timeouts: &Timeouts) -> Self {
        let patience = timeouts.response.min(timeouts.idle) / 4;
        let ask_after = ASK_AFTER.min(patience);
        Self {
            pings,
            pulse: Rc::clone(pulse),
            ask_after,
            answer_within: ANSWER_WITHIN.min(patience),
            asked: None,
            answered: None,
            silence: ask_after,
            alarm: Box::pin(sleep_until((Instant::now() + ask_after).into())),
        }
    }

    /// Ready when nobody is there any more, here or there. To be polled whenever the connection was.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(left) = self.pulse.left.get() {
            self.alarm.as_mut().reset((left + FAREWELL).into());
            return self.alarm.as_mut().poll(cx);
        }
        let Some(pings) = &mut self.pings else { return Poll::Pending };
        if self.asked.is_some() && pings.poll_pong(cx).is_ready() {
            (self.asked, self.answered) = (None, Some(Instant::now()));
            self.silence = self.silence.saturating_mul(PATIENCE_GROWS);
        }
        loop {
            // Whoever begins a request wakes this task.
            if self.asked.is_none() && self.pulse.under_way() == 0 {
                return Poll::Pending;
            }
            let heard = self.pulse.heard.get();
            if self.answered.is_some_and(|answered| heard > answered) {
                (self.answered, self.silence) = (None, self.ask_after);
            }
            let due = match self.asked {
                Some(asked) => asked.max(heard) + self.answer_within,
                None => heard + self.silence,
            };
            let now = Instant::now();
            if now < due {
                if self.alarm.deadline().into_std() > due || self.alarm.is_elapsed() {
                    self.alarm.as_mut().reset(due.into());
                }
                ready!(self.alarm.as_mut().poll(cx));
                continue;
            }
            if self.asked.is_some() || pings.send_ping(Ping::opaque()).is_err() {
                return Poll::Ready(());
            }
            self.asked = Some(now);
        }
    }
}
