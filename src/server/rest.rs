//! Rest: a connection that waits for its caller's next request gives up what only a request needs, its buffers above
//! all. Rounds find those on which nothing has moved for a while: one that is busy pays nothing, not even a timer.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use tokio::time::sleep;

use super::roster::{Place, Roster};
use super::socket::CallerSocket;

/// How far a round is from the next. A new connection is at rest after one to two of them, which is soon enough that callers who
/// come and stay, one after another, hold no more than a few full buffers at any time.
const ROUND: Duration = Duration::from_millis(25);
/// How far it may be where nobody has come: those that are awake are busy, and each round wakes the worker.
const RARE_ROUND: Duration = Duration::from_millis(200);

/// A worker's connections that are not at rest.
#[derive(Default)]
pub(super) struct Wakeful {
    sockets: Rc<Roster>,
    in_rounds: Cell<bool>,
    /// Whether one has come since the last round.
    entered: Cell<bool>,
}

impl Wakeful {
    /// Has rounds look at the connection, until what is returned is dropped.
    pub(super) fn enter(self: &Rc<Self>, socket: &Rc<RefCell<CallerSocket>>) -> Place {
        if !self.in_rounds.replace(true) {
            super::spawn(Rc::clone(self).go_round());
        }
        self.entered.set(true);
        self.sockets.enter(socket)
    }

    /// Goes on for as long as a connection is awake.
    async fn go_round(self: Rc<Self>) {
        let mut pause = ROUND;
        while !self.sockets.is_empty() {
            sleep(pause).await;
            self.sockets.each(CallerSocket::pass_round);
            pause = if self.entered.take() { ROUND } else { RARE_ROUND.min(2 * pause) };
        }
        self.in_rounds.set(false);
    }
}
