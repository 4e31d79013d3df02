//! Whether the caller is still there: after a silence it is asked (PING). A connection of which the other end has vanished would
//! be kept for as long as one stream waits.

use std::task::Context;
use std::time::{Duration, Instant};

use h2::{Ping, PingPong};

/// How long a silence may be,
const SILENCE: Duration = Duration::from_secs(20);
/// and how long a caller has that is asked then.
const PATIENCE: Duration = Duration::from_secs(10);

/// The questions on one connection.
pub(super) struct Pings {
    /// `None`: someone else asks, and nobody does.
    pings: Option<PingPong>,
    /// When it was asked what it has not answered.
    asked: Option<Instant>,
}

impl Pings {
    pub(super) fn new(pings: Option<PingPong>) -> Self {
        Self { pings, asked: None }
    }

    /// Takes the answer to the last question, or wakes whoever asks when it comes.
    pub(super) fn hear(&mut self, cx: &mut Context<'_>) {
        if self.asked.is_some()
            && let Some(pings) = &mut self.pings
            && pings.poll_pong(cx).is_ready()
        {
            self.asked = None;
        }
    }

    /// When the next question is due of a caller that was last `heard` then.
    pub(super) fn due(&self, heard: Instant) -> Instant {
        heard + SILENCE
    }

    /// Until when a caller that was asked has to say something, be it no answer.
    pub(super) fn answer_due(&self, heard: Instant) -> Option<Instant> {
        self.asked.map(|asked| asked.max(heard) + PATIENCE)
    }

    pub(super) fn ask(&mut self) {
        if let Some(pings) = &mut self.pings {
            // It fails on a connection that has come to its end, which says so itself.
            let _ = pings.send_ping(Ping::opaque());
        }
        self.asked = Some(Instant::now());
    }
}
