//! Binds, accepts, deals connections to workers, and drains. All spawning lives here.

mod connection;
mod listen;
mod refusal;
mod socket;
mod visit;
mod worker;

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

pub use self::listen::BoundAddress;
use self::listen::Listening;
pub(crate) use self::visit::Visit;
use self::worker::{Arrival, Worker};
use crate::config::{self, Config};
use crate::upstream::resolve::{self, Lookups, SystemFiles};
use crate::upstream::{Network, OwnListeners, TlsSetupError, tls};

/// Why the server does not run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A listener's address cannot be had.
    #[error("cannot listen on `{address}` (`listen.{listener}`)")]
    Bind {
        /// The listener's name in the config.
        listener: Box<str>,
        /// The address in the config.
        address: String,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// What `tls` says of an upstream cannot be used.
    #[error("the TLS of `upstream.{upstream}` cannot be set up")]
    Tls {
        /// The upstream's name in the config.
        upstream: Box<str>,
        /// What is wrong.
        #[source]
        source: UpstreamTlsError,
    },
    /// The system gives no thread, or no runtime for it.
    #[error("cannot start a worker")]
    Worker(#[source] io::Error),
}

/// What is wrong with an upstream's TLS settings.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct UpstreamTlsError(TlsSetupError);

/// A server that is bound, and has not begun to accept.
pub struct Server {
    config: Arc<Config>,
    clients: Arc<[Option<tls::Client>]>,
    listeners: Vec<Listening>,
    /// As they are while every file can still be read.
    system_files: SystemFiles,
}

/// How a drain ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// Everything that had begun was finished.
    Whole,
    /// So many connections were cut, because they took longer than `drain`.
    Cut(usize),
}

impl Server {
    /// Binds every listener of `config`. Connections wait from now on.
    ///
    /// # Errors
    /// An address cannot be had, or a client certificate cannot be used.
    pub fn bind(config: Config) -> Result<Self, ServeError> {
        let clients = tls_clients(&config)?;
        let mut listeners = Vec::with_capacity(config.listeners.len());
        for listener in &config.listeners {
            let bound = Listening::bind(&listener.address).map_err(|source| ServeError::Bind {
                listener: listener.name.clone(),
                address: listener.address.to_string(),
                source,
            })?;
            listeners.push(bound);
        }
        let system_files = SystemFiles::read(&config.server.lookup);
        Ok(Self { config: Arc::new(config), clients: clients.into(), listeners, system_files })
    }

    /// Finds out what [`bind`](Self::bind) would, without taking an address.
    ///
    /// # Errors
    /// A client certificate cannot be used.
    pub fn check(config: &Config) -> Result<(), ServeError> {
        tls_clients(config).map(drop)
    }

    /// Where it is bound, in the order of the config.
    pub fn addresses(&self) -> Vec<BoundAddress> {
        self.listeners.iter().map(|listening| listening.address().clone()).collect()
    }

    /// Serves until `stop`, then finishes what has begun, for as long as the config's `drain` allows.
    ///
    /// Accepts on the runtime that polls it; the workers are threads of their own. Dropping the future stops
    /// accepting, and leaves the workers to finish by themselves.
    ///
    /// # Errors
    /// A worker could not be started.
    pub async fn serve(self, stop: impl Future<Output = ()>) -> Result<Drained, ServeError> {
        let (resolver, lookups) = resolve::resolver(self.config.server.lookup.clone(), self.system_files);
        let own = OwnListeners::new(self.listeners.iter().filter_map(|listening| listening.address().tcp()));
        let network = Network { resolver, own };
        let dealer = Dealer::start(&self.config, &self.clients, &network)?;
        drop(network);
        let lookups = spawn_lookups(lookups);
        {
            let mut accepting: FuturesUnordered<_> = self
                .listeners
                .iter()
                .enumerate()
                .map(|(index, listening)| listening.accept(index, |arrival| dealer.deal(arrival)))
                .collect();
            tokio::select! {
                () = stop => {}
                Some(outcome) = accepting.next() => outcome.map_err(ServeError::Worker)?,
            }
        }
        drop(self.listeners);
        let drained = dealer.drain(self.config.server.drain).await;
        lookups.abort();
        Ok(drained)
    }
}

fn tls_clients(config: &Config) -> Result<Vec<Option<tls::Client>>, ServeError> {
    // Reading the system's roots takes milliseconds, which a config without TLS need not spend.
    let mut roots = None;
    let mut client = |upstream: &config::Upstream| {
        if !upstream.origin.tls() {
            return Ok(None);
        }
        let roots = match &roots {
            Some(roots) => roots,
            None => roots.insert(tls::SystemRoots::load()?),
        };
        tls::Client::new(upstream, roots).map(Some)
    };
    let named = |upstream: &config::Upstream, source| ServeError::Tls {
        upstream: upstream.name.clone(),
        source: UpstreamTlsError(source),
    };
    config.upstreams.iter().map(|upstream| client(upstream).map_err(|source| named(upstream, source))).collect()
}

/// Deals each connection to the worker that has the fewest.
struct Dealer(Vec<Hand>);

struct Hand {
    arrivals: mpsc::UnboundedSender<Arrival>,
    load: Arc<AtomicUsize>,
    finished: oneshot::Receiver<()>,
}

impl Dealer {
    fn start(
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

    fn deal(&self, arrival: Arrival) {
        if let Some(hand) = self.0.iter().min_by_key(|hand| hand.load.load(Ordering::Relaxed)) {
            hand.load.fetch_add(1, Ordering::Relaxed);
            // A worker that is gone cannot take it: it is closed.
            let _ = hand.arrivals.send(arrival);
        }
    }

    async fn drain(self, limit: std::time::Duration) -> Drained {
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

/// Starts a task on the worker that calls.
#[expect(clippy::disallowed_methods, reason = "the one place that spawns on a worker")]
pub(crate) fn spawn(task: impl Future<Output = ()> + 'static) -> JoinHandle<()> {
    tokio::task::spawn_local(task)
}

/// Starts one name's look-up beside the others.
#[expect(clippy::disallowed_methods, reason = "the one place that spawns on the main thread")]
pub(crate) fn spawn_lookup(lookup: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(lookup);
}

#[expect(clippy::disallowed_methods, reason = "the one place that spawns on the main thread")]
fn spawn_lookups(lookups: Lookups) -> JoinHandle<()> {
    tokio::spawn(lookups.serve())
}
