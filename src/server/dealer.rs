//! The workers' threads: each is started here, told what is in force, and waited for at the end.

use std::num::NonZeroUsize;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::arrival::Arrival;
use super::blueprint::Blueprint;
use super::crew::Crew;
use super::pulse::{Pulse, Pulses};
use super::worker::{Order, Worker};
use super::{Drained, ServeError};
use crate::telemetry::metrics;
use crate::upstream::Network;

/// A way to tell all workers what is in force.
pub(super) struct Announcer(Arc<Crew>);

impl Announcer {
    pub(super) fn announce(&self, blueprint: &Arc<Blueprint>) {
        self.0.tell_all(|| Order::Adopt(Arc::clone(blueprint)));
    }
}

/// The workers at work. Dropped, it has them finish by themselves.
pub(super) struct Dealer {
    crew: Arc<Crew>,
    finished: Vec<oneshot::Receiver<()>>,
}

impl Dealer {
    pub(super) fn start(
        workers: NonZeroUsize,
        blueprint: &Arc<Blueprint>,
        network: &Network,
        pulses: &Pulses,
        max_connections: usize,
    ) -> Result<Self, ServeError> {
        let (crew, orders) = Crew::new(workers.get(), pulses.clone());
        let mut dealer = Self { crew, finished: Vec::with_capacity(workers.get()) };
        let headcounts = dealer.crew.headcounts(max_connections);
        for (number, (orders, headcount)) in orders.into_iter().zip(headcounts).enumerate() {
            let (finish, finished) = oneshot::channel();
            let (blueprint, network) = (Arc::clone(blueprint), network.clone());
            let pulse = pulses.pulse(number);
            let work = move || {
                metrics::begin_worker(number);
                let worker = Worker::new(&blueprint, network, number, headcount);
                // Its successor may come soon, and what this one holds should not outlive it.
                drop(blueprint);
                run_worker(pulse, worker, orders);
                // Nobody waits any more where the drain's time is over.
                let _ = finish.send(());
            };
            thread::Builder::new().name(format!("worker-{number}")).spawn(work).map_err(ServeError::Worker)?;
            dealer.finished.push(finished);
        }
        Ok(dealer)
    }

    pub(super) fn crew(&self) -> &Arc<Crew> {
        &self.crew
    }

    /// Has the worker that has the fewest connections serve it.
    pub(super) fn deal(&self, arrival: Arrival) {
        self.crew.deal(self.crew.choose(0), arrival);
    }

    pub(super) fn announcer(&self) -> Announcer {
        Announcer(Arc::clone(&self.crew))
    }

    /// From now on every answer is the last one on its connection.
    pub(super) fn take_leave(&self) {
        self.crew.tell_all(|| Order::TakeLeave);
    }

    /// Lets the workers finish what has begun.
    pub(super) async fn drain(mut self, limit: Duration) -> Drained {
        self.crew.tell_all(|| Order::Drain);
        let finished = std::mem::take(&mut self.finished);
        let all = async {
            for finished in finished {
                // A worker that panicked has finished, too.
                let _ = finished.await;
            }
        };
        match timeout(limit, all).await {
            Ok(()) => Drained::Whole,
            Err(_) => Drained::Cut(self.crew.load()),
        }
    }
}

impl Drop for Dealer {
    fn drop(&mut self) {
        self.crew.tell_all(|| Order::Drain);
    }
}

fn run_worker(pulse: Pulse, worker: Rc<Worker>, orders: mpsc::UnboundedReceiver<Order>) {
    match Builder::new_current_thread().enable_all().build_local(LocalOptions::default()) {
        Ok(runtime) => runtime.block_on(pulse.during(worker.run(orders))),
        Err(error) => tracing::error!(target: "server", %error, "cannot start a worker's runtime"),
    }
}
