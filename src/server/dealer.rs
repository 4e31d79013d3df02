//! The workers' threads: each is started here, dealt its connections, and waited for at the end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::worker::{Arrival, Worker};
use super::{Drained, ServeError};
use crate::config::Config;
use crate::upstream::{Network, tls};

/// Deals each connection to the worker that has the fewest.
pub(super) struct Dealer(Vec<Hand>);

struct Hand {
    arrivals: mpsc::UnboundedSender<Arrival>,
    load: Arc<AtomicUsize>,
    finished: oneshot::Receiver<()>,
}

impl Dealer {
    pub(super) fn start(
        config: &Arc<Config>,
        clients: &Arc<[Option<tls::Client>]>,
        network: &Network,
    ) -> Result<Self, ServeError> {
        let hands = (0..config.server.workers.get()).map(|number| {
            let (arrivals, receiver) = mpsc::unbounded_channel();
            let (finish, finished) = oneshot::channel();
            let load = Arc::new(AtomicUsize::new(0));
            let runtime = Builder::new_current_thread();
            let (config, clients) = (Arc::clone(config), Arc::clone(clients));
            let (network, worker_load) = (network.clone(), Arc::clone(&load));
            let work = move || run_worker(runtime, &config, &clients, &network, worker_load, receiver, finish);
            thread::Builder::new().name(format!("worker-{number}")).spawn(work).map_err(ServeError::Worker)?;
            Ok(Hand { arrivals, load, finished })
        });
        hands.collect::<Result<_, _>>().map(Self)
    }

    pub(super) fn deal(&self, arrival: Arrival) {
        if let Some(hand) = self.0.iter().min_by_key(|hand| hand.load.load(Ordering::Relaxed)) {
            hand.load.fetch_add(1, Ordering::Relaxed);
            // A worker that is gone cannot take it: it is closed.
            let _ = hand.arrivals.send(arrival);
        }
    }

    pub(super) async fn drain(self, limit: Duration) -> Drained {
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

fn run_worker(
    mut runtime: Builder,
    config: &Config,
    clients: &[Option<tls::Client>],
    network: &Network,
    load: Arc<AtomicUsize>,
    arrivals: mpsc::UnboundedReceiver<Arrival>,
    finish: oneshot::Sender<()>,
) {
    match runtime.enable_all().build_local(LocalOptions::default()) {
        Ok(runtime) => runtime.block_on(Worker::new(config, clients, network, load).run(arrivals)),
        Err(error) => tracing::error!(target: "server", %error, "cannot start a worker's runtime"),
    }
    // Nobody waits any more where the drain's time is over.
    let _ = finish.send(());
}
