//! The workers' threads: each is started here, dealt its connections, and waited for at the end.

use std::num::NonZeroUsize;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::blueprint::Blueprint;
use super::pulse::{Pulse, Pulses};
use super::worker::{Arrival, Order, Worker};
use super::{Drained, ServeError};
use crate::telemetry::metrics;
use crate::upstream::Network;

/// A way to tell all workers what is in force.
pub(super) struct Announcer(Vec<mpsc::UnboundedSender<Order>>);

impl Announcer {
    pub(super) fn announce(&self, blueprint: &Arc<Blueprint>) {
        for orders in &self.0 {
            // A worker that is gone serves nobody.
            let _ = orders.send(Order::Adopt(Arc::clone(blueprint)));
        }
    }
}

/// Deals each connection to the worker that has the fewest.
pub(super) struct Dealer(Vec<Hand>);

struct Hand {
    orders: mpsc::UnboundedSender<Order>,
    load: Arc<AtomicUsize>,
    finished: oneshot::Receiver<()>,
}

impl Dealer {
    pub(super) fn start(
        workers: NonZeroUsize,
        blueprint: &Arc<Blueprint>,
        network: &Network,
        pulses: &Pulses,
    ) -> Result<Self, ServeError> {
        let hands = (0..workers.get()).map(|number| {
            let (orders, receiver) = mpsc::unbounded_channel();
            let (finish, finished) = oneshot::channel();
            let load = Arc::new(AtomicUsize::new(0));
            let (blueprint, network, worker_load) = (Arc::clone(blueprint), network.clone(), Arc::clone(&load));
            let pulse = pulses.pulse(number);
            let work = move || {
                metrics::begin_worker(number);
                let worker = Worker::new(&blueprint, network, worker_load);
                // Its successor may come soon, and what this one holds should not outlive it.
                drop(blueprint);
                run_worker(pulse, worker, receiver);
                // Nobody waits any more where the drain's time is over.
                let _ = finish.send(());
            };
            thread::Builder::new().name(format!("worker-{number}")).spawn(work).map_err(ServeError::Worker)?;
            Ok(Hand { orders, load, finished })
        });
        hands.collect::<Result<_, _>>().map(Self)
    }

    pub(super) fn deal(&self, arrival: Arrival) {
        if let Some(hand) = self.0.iter().min_by_key(|hand| hand.load.load(Ordering::Relaxed)) {
            hand.load.fetch_add(1, Ordering::Relaxed);
            // A worker that is gone cannot take it: it is closed.
            let _ = hand.orders.send(Order::Serve(arrival));
        }
    }

    /// How many connections there are.
    pub(super) fn load(&self) -> usize {
        self.0.iter().map(|hand| hand.load.load(Ordering::Relaxed)).sum()
    }

    pub(super) fn announcer(&self) -> Announcer {
        Announcer(self.0.iter().map(|hand| hand.orders.clone()).collect())
    }

    /// From now on every answer is the last one on its connection.
    pub(super) fn take_leave(&self) {
        for hand in &self.0 {
            // A worker that is gone has left already.
            let _ = hand.orders.send(Order::TakeLeave);
        }
    }

    /// Lets the workers finish what has begun.
    pub(super) async fn drain(self, limit: Duration) -> Drained {
        for hand in &self.0 {
            let _ = hand.orders.send(Order::Drain);
        }
        let (finished, loads): (Vec<_>, Vec<_>) = self.0.into_iter().map(|hand| (hand.finished, hand.load)).unzip();
        let all = async {
            for finished in finished {
                // A worker that panicked has finished, too.
                let _ = finished.await;
            }
        };
        match timeout(limit, all).await {
            Ok(()) => Drained::Whole,
            Err(_) => Drained::Cut(loads.iter().map(|load| load.load(Ordering::Relaxed)).sum()),
        }
    }
}

fn run_worker(pulse: Pulse, worker: Rc<Worker>, orders: mpsc::UnboundedReceiver<Order>) {
    match Builder::new_current_thread().enable_all().build_local(LocalOptions::default()) {
        Ok(runtime) => runtime.block_on(pulse.during(worker.run(orders))),
        Err(error) => tracing::error!(target: "server", %error, "cannot start a worker's runtime"),
    }
}
