//! Binds, has workers accept and serve, and drains. All spawning lives here.

mod admin;
mod alarm;
mod alone;
mod arrival;
mod blueprint;
mod body;
mod connection;
mod crew;
mod curfew;
mod date;
mod dealer;
pub(crate) mod descriptors;
mod entrance;
mod error;
mod http1;
mod http2;
mod inherited;
mod linger;
mod listen;
mod near;
mod pulse;
mod refusal;
mod reload;
mod rest;
mod roster;
mod snapshot;
mod socket;
mod spawn;
pub(crate) mod state;
mod stream;
mod tls;
mod turn;
mod visit;
mod worker;

use std::future::Future;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread;

use tokio::time::sleep;

use self::admin::AdminListening;
pub(crate) use self::alone::with_upstreams;
pub(crate) use self::blueprint::Blueprint;
pub(crate) use self::body::{CallerBody, CallerFault};
use self::dealer::Dealer;
use self::entrance::Entrance;
pub use self::error::ServeError;
use self::error::UpstreamTlsError;
pub use self::inherited::{InheritError, InheritedSockets};
pub use self::listen::BoundAddress;
use self::listen::Listening;
pub(crate) use self::pulse::Pulses;
pub use self::reload::Reloads;
use self::reload::{Reloader, Requests};
pub(crate) use self::snapshot::Snapshot;
pub(crate) use self::spawn::{spawn, spawn_lookup};
use self::spawn::{spawn_admin, spawn_lookups, start_reloader};
pub(crate) use self::state::State;
use self::turn::Turn;
pub(crate) use self::visit::Visit;
use crate::admin::Admin;
use crate::config::Config;
use crate::telemetry::metrics::ProcessFiles;
use crate::upstream::resolve::{self, SystemFiles};
use crate::upstream::{Network, OwnListeners};

/// A server that is bound, and has not begun to accept.
pub struct Server {
    blueprint: Arc<Blueprint>,
    workers: NonZeroUsize,
    listeners: Vec<Listening>,
    reloads: (Reloads, Requests),
    pulses: Pulses,
    admin: Option<AdminListening>,
    process_files: ProcessFiles,
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
        Self::bind_with(config, InheritedSockets::default())
    }

    /// As [`bind`](Self::bind), where the service manager may have opened sockets already.
    ///
    /// # Errors
    /// An address cannot be had, or a client certificate cannot be used; or it and the config do not mean the same sockets.
    pub fn bind_with(mut config: Config, mut inherited: InheritedSockets) -> Result<Self, ServeError> {
        let mut listeners = Vec::with_capacity(config.listeners.len());
        for (index, listener) in config.listeners.iter_mut().enumerate() {
            let (name, address) = (listener.name.clone(), listener.address.to_string());
            match Listening::bind(index, &listener.address, &mut inherited) {
                Ok(bound) if bound.is_empty() => return Err(ServeError::NotPassed { listener: name, address }),
                Ok(bound) => {
                    listener.open = bound.iter().any(Listening::is_open);
                    listeners.extend(bound);
                }
                Err(source) => return Err(ServeError::Bind { listener: name, address, source }),
            }
        }
        if let Some(name) = inherited.unclaimed() {
            return Err(ServeError::NotTaken(name.into()));
        }
        if let Some(open) = config.open_to_anyone() {
            return Err(ServeError::Open(open.name.clone()));
        }
        let blueprint = Blueprint::new(config, None)?;
        let config = &blueprint.config;
        let admin = config.admin.as_ref().map(|admin| {
            let address = || admin.address.to_string();
            AdminListening::bind(admin).map_err(|source| ServeError::BindAdmin { address: address(), source })
        });
        let admin = admin.transpose()?;
        let (process_files, system_files) = (ProcessFiles::open(), SystemFiles::read(&config.server.lookup));
        // `available_parallelism` counts affinity and the cgroup's quota, which may be out of reach later.
        let usable = || thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let workers = config.server.workers.unwrap_or_else(usable);
        let pulses = Pulses::of(workers.get());
        let reloads = reload::requests();
        Ok(Self {
            blueprint: Arc::new(blueprint),
            workers,
            listeners,
            admin,
            reloads,
            pulses,
            process_files,
            system_files,
        })
    }

    /// Finds out what [`bind`](Self::bind) would, without taking an address.
    ///
    /// # Errors
    /// A client certificate cannot be used.
    pub fn check(config: &Config) -> Result<(), ServeError> {
        Blueprint::listeners(config, None)?;
        Blueprint::prepare(config, None).map(drop)
    }

    /// Where it is bound, in the order of the config.
    pub fn addresses(&self) -> Vec<BoundAddress> {
        self.listeners.iter().map(|listening| listening.address().clone()).collect()
    }

    /// The addresses that it has bound itself, and gives up when it ends.
    pub(crate) fn own_addresses(&self) -> Vec<BoundAddress> {
        let own = self.listeners.iter().filter(|listening| !listening.is_inherited());
        own.map(|listening| listening.address().clone()).chain(self.admin_address()).collect()
    }

    /// Whether the workers are at work.
    pub(crate) fn pulses(&self) -> Pulses {
        self.pulses.clone()
    }

    /// A way to have config and secrets read again at once.
    pub fn reloads(&self) -> Reloads {
        self.reloads.0.clone()
    }

    /// Where the admin listener is bound.
    pub fn admin_address(&self) -> Option<BoundAddress> {
        self.admin.as_ref().map(|admin| admin.address().clone())
    }

    /// Serves until `stop`, then goes on accepting for `drain_delay`, and finishes what has begun, for as long as `drain`
    /// allows. Config and secrets are read again meanwhile.
    ///
    /// The workers, which accept, are threads of their own. Dropping the future stops accepting, and leaves them to finish
    /// by themselves.
    ///
    /// # Errors
    /// A worker could not be started.
    pub async fn serve(self, stop: impl Future<Output = ()>) -> Result<Drained, ServeError> {
        let pulses = self.pulses();
        tokio::select! {
            drained = self.serve_watched(stop) => drained,
            never = pulses.watch() => match never {},
        }
    }

    async fn serve_watched(self, stop: impl Future<Output = ()>) -> Result<Drained, ServeError> {
        let (resolver, lookups) = resolve::resolver(self.blueprint.config.server.lookup.clone(), self.system_files);
        let admin_address = self.admin.as_ref().map(AdminListening::address);
        let bound = self.listeners.iter().map(Listening::address).chain(admin_address);
        let own = OwnListeners::new(bound.filter_map(BoundAddress::tcp));
        let network = Network { resolver, own };
        let max_connections = descriptors::provide_for(self.blueprint.config.server.max_connections);
        let dealer = Dealer::start(self.workers, &self.blueprint, &network, &self.pulses, max_connections)?;
        let state = State::new(self.blueprint, max_connections);
        let (reloads, requests) = self.reloads;
        start_reloader(
            Reloader {
                path: state.in_force().config.path.clone(),
                state: Arc::clone(&state),
                workers: dealer.announcer(),
            },
            requests,
        )?;
        drop(network);
        let lookups = spawn_lookups(lookups);
        // Kept for no longer than it is read: what is in force later is another, and this one's secrets go with it.
        let first = state.in_force();
        let admin = self.admin.zip(first.config.admin.as_ref()).map(|(listening, config)| {
            spawn_admin(listening.serve(Admin::new(config, Arc::clone(&state), self.pulses, self.process_files)))
        });
        drop(first);
        let mut turn = Turn::begin(Entrance::new(dealer.crew(), &state), dealer.crew(), &self.listeners);
        tokio::select! {
            () = leave(stop, &dealer, &state) => {}
            never = turn.watch() => match never {},
        }
        turn.end().await;
        for listening in &self.listeners {
            listening.accept_waiting(|arrival| dealer.deal(arrival));
        }
        drop(self.listeners);
        let drained = dealer.drain(state.in_force().config.server.drain).await;
        drop(reloads);
        lookups.abort();
        // Last, so that whoever asks is told that it drains for as long as it does.
        if let Some(admin) = admin {
            admin.abort();
        }
        Ok(drained)
    }
}

/// Waits until `stop`, and for as long afterwards as others may take to notice.
async fn leave(stop: impl Future<Output = ()>, dealer: &Dealer, state: &State) {
    stop.await;
    state.drain();
    dealer.take_leave();
    sleep(state.in_force().config.server.drain_delay).await;
}
