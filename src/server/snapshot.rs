//! What is in force, as one worker has it. A request keeps the snapshot with which it began, whatever comes into force
//! meanwhile.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::blueprint::Blueprint;
use super::tls::TlsServer;
use crate::browser::Guard;
use crate::caller::Callers;
use crate::config;
use crate::route::Routes;
use crate::upstream::{Network, Upstream};

/// Everything that the request path asks of the config.
pub(crate) struct Snapshot {
    pub(crate) guard: Guard,
    pub(crate) routes: Routes,
    pub(crate) callers: Callers,
    pub(super) upstreams: Vec<Rc<Upstream>>,
    pub(super) limits: Limits,
    tls: Box<[Option<Arc<TlsServer>>]>,
}

/// The deadlines on a caller's side.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    pub(super) header_timeout: Duration,
    pub(super) keep_alive: Duration,
    pub(super) write_timeout: Duration,
    pub(super) drain: Duration,
}

impl Snapshot {
    /// A worker's own of `blueprint`. Of `previous`, it goes on using the connections that serve as well now.
    pub(super) fn new(blueprint: &Blueprint, network: &Network, previous: Option<&Self>) -> Rc<Self> {
        let known = |name: &str| previous?.upstreams.iter().find(|upstream| upstream.name() == name);
        let upstreams: Vec<_> = blueprint
            .each_upstream()
            .map(|(config, prepared)| {
                let previous = known(&config.name).map(|known| &**known);
                Rc::new(Upstream::new(config, prepared, network, previous))
            })
            .collect();
        let config = &blueprint.config;
        Rc::new(Self {
            guard: Guard::new(&config.browser),
            routes: Routes::new(config, upstreams.clone()),
            callers: Callers::new(config, &blueprint.callers),
            upstreams,
            limits: Limits::new(&config.server),
            tls: blueprint.tls.clone(),
        })
    }

    /// The TLS of a listener. `None`: HTTP in the clear.
    pub(super) fn tls(&self, listener: usize) -> Option<Arc<TlsServer>> {
        self.tls.get(listener).cloned().flatten()
    }
}

impl Limits {
    fn new(server: &config::Server) -> Self {
        let config::Server { header_timeout, keep_alive, write_timeout, drain, .. } = *server;
        Self { header_timeout, keep_alive, write_timeout, drain }
    }
}
