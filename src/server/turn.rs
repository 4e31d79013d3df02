//! Whose turn it is to accept. Workers accept themselves, so that a connection need not change threads; one at a time, as
//! the kernel would wake all of them for each connection that one will take. Who has the turn hands a connection over where
//! another worker has fewer; whoever may be stuck loses the turn, while callers wait in the listening socket.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::crew::Crew;
use super::entrance::Entrance;
use super::listen::Listening;
use super::worker::Order;

/// How often it is looked whether who has the turn is at work.
const LOOK: Duration = Duration::from_secs(1);
/// How long a worker may take to step down. A stuck one takes longer, and accepts nothing meanwhile.
const STEP_DOWN: Duration = Duration::from_secs(1);

/// The turn to accept.
pub(super) struct Turn<'a> {
    entrance: Arc<Entrance>,
    crew: &'a Arc<Crew>,
    listeners: &'a [Listening],
    holder: usize,
}

impl<'a> Turn<'a> {
    /// Has the first worker accept.
    pub(super) fn begin(entrance: Entrance, crew: &'a Arc<Crew>, listeners: &'a [Listening]) -> Self {
        let turn = Self { entrance: Arc::new(entrance), crew, listeners, holder: 0 };
        turn.give();
        turn
    }

    /// Gives the turn to another worker whenever the one that has it may be stuck.
    pub(super) async fn watch(&mut self) -> Infallible {
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            look.tick().await;
            self.look();
        }
    }

    fn look(&mut self) {
        let next = self.crew.choose(self.holder);
        if !self.crew.is_late(self.holder) || self.crew.is_late(next) {
            return;
        }
        tracing::warn!(target: "server", worker = self.holder, next, "a worker that does not move accepts no more");
        // When it moves again. Until then the other one need not wait.
        drop(self.take());
        self.holder = next;
        self.give();
    }

    fn give(&self) {
        let doors = self.listeners.iter().map(Listening::door).collect();
        self.crew.tell(self.holder, Order::Attend(Arc::clone(&self.entrance), doors));
    }

    fn take(&self) -> oneshot::Receiver<()> {
        let (done, stepped_down) = oneshot::channel();
        self.crew.tell(self.holder, Order::StepDown(done));
        stepped_down
    }

    /// Has no worker accept any more.
    pub(super) async fn end(self) {
        // A worker that is gone accepts nothing.
        let _ = timeout(STEP_DOWN, self.take()).await;
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use tokio::sync::mpsc::UnboundedReceiver;

    use super::{Crew, Entrance, Order, Turn};
    use crate::config::file::parse_with;
    use crate::secret::source::Source;
    use crate::server::{Blueprint, Pulses, State};

    fn told(orders: &mut UnboundedReceiver<Order>) -> Vec<&'static str> {
        let name = |order| match order {
            Order::Attend(..) => "attend",
            Order::StepDown(_) => "step down",
            Order::Serve(_) | Order::Adopt(_) | Order::TakeLeave | Order::Drain => "other",
        };
        std::iter::from_fn(|| orders.try_recv().ok()).map(name).collect()
    }

    #[test]
    fn who_may_be_stuck_loses_the_turn_to_one_that_is_at_work() {
        let pulses = Pulses::of(2);
        let (crew, mut orders) = Crew::new(2, pulses.clone());
        let text = "[upstream.x]\nurl = 'https://x.test'\nauth.bearer.token = 'env:KEY'\n";
        let config = parse_with(Path::new("sidekey.toml"), text, Source::Given(&[("env:KEY", b"k3y-k3y")])).unwrap();
        let blueprint = Blueprint { config, upstreams: Box::default(), callers: Box::default(), tls: Box::default() };
        let state = State::new(Arc::new(blueprint), 10);
        let mut turn = Turn::begin(Entrance::new(&crew, &state), &crew, &[]);
        turn.look();
        assert_eq!((told(&mut orders[0]), told(&mut orders[1])), (vec!["attend"], vec![]));
        (0..10).for_each(|_| pulses.tick());
        // Nobody could do better.
        turn.look();
        assert_eq!((told(&mut orders[0]), told(&mut orders[1])), (vec![], vec![]));
        pulses.pulse(1).catch_up();
        turn.look();
        turn.look();
        assert_eq!((told(&mut orders[0]), told(&mut orders[1])), (vec!["step down"], vec!["attend"]));
        // It keeps the turn, though the other one moves again.
        pulses.pulse(0).catch_up();
        turn.look();
        assert_eq!((told(&mut orders[0]), told(&mut orders[1])), (vec![], vec![]));
    }
}
