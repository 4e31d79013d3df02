//! One reading of the config, made ready to be served: each worker builds its [`Snapshot`](super::snapshot::Snapshot)
//! from it.

use std::sync::Arc;

use super::tls::TlsServer;
use super::{ServeError, UpstreamTlsError};
use crate::config::{self, Config};
use crate::limits::{Account, Limiter};
use crate::upstream::{Endpoint, Prepared, Shared, tls};

/// What all workers have in common while this config is in force.
pub(crate) struct Blueprint {
    pub(crate) config: Config,
    /// In the order of the config's upstreams.
    pub(crate) upstreams: Box<[Prepared]>,
    /// In the order of the config's callers.
    pub(crate) callers: Box<[Arc<Limiter>]>,
    /// The TLS of the config's listeners, in their order. `None`: HTTP in the clear.
    pub(crate) tls: Box<[Option<Arc<TlsServer>>]>,
}

impl Blueprint {
    /// Makes `config` ready, which comes after `previous`: what has not changed is carried over.
    pub(super) fn new(config: Config, previous: Option<&Self>) -> Result<Self, ServeError> {
        let upstreams = Self::prepare(&config, previous)?;
        let tls = Self::listeners(&config, previous)?;
        let callers = config.callers.iter().map(|caller| {
            let previous = previous.and_then(|previous| previous.caller(&caller.name));
            Limiter::of_caller(caller, previous)
        });
        let callers = callers.collect();
        Ok(Self { config, upstreams, callers, tls })
    }

    /// As [`new`](Self::new), of a config that stays where it is.
    pub(super) fn prepare(config: &Config, previous: Option<&Self>) -> Result<Box<[Prepared]>, ServeError> {
        // Reading the system's roots takes milliseconds, which a config without TLS need not spend.
        let mut roots = None;
        let buffers = Account::new(config.server.max_buffered, previous.and_then(Self::buffers));
        let upstreams = config.upstreams.iter().map(|upstream| {
            let previous = previous.and_then(|previous| previous.upstream(&upstream.name));
            let endpoint = match previous.filter(|(known, _)| known.connects_like(upstream)) {
                Some((_, prepared)) => Arc::clone(&prepared.endpoint),
                None => Endpoint::new(tls_client(upstream, &mut roots)?),
            };
            let shared = Shared::new(upstream, previous.map(|(_, prepared)| &*prepared.shared));
            Ok(Prepared { endpoint, shared, buffers: Arc::clone(&buffers) })
        });
        upstreams.collect()
    }

    /// The TLS of its listeners. What has not changed is carried over.
    pub(super) fn listeners(
        config: &Config,
        previous: Option<&Self>,
    ) -> Result<Box<[Option<Arc<TlsServer>>]>, ServeError> {
        let listeners = config.listeners.iter().map(|listener| {
            let Some(settings) = &listener.tls else { return Ok(None) };
            let known = previous.and_then(|previous| previous.tls_of(&listener.name));
            let named = |source| ServeError::ListenTls { listener: listener.name.clone(), source };
            TlsServer::new(&listener.name, settings, known).map(Some).map_err(named)
        });
        listeners.collect()
    }

    fn tls_of(&self, listener: &str) -> Option<&Arc<TlsServer>> {
        let mut listeners = self.config.listeners.iter().zip(&self.tls);
        listeners.find(|(known, _)| *known.name == *listener).and_then(|(_, tls)| tls.as_ref())
    }

    /// The upstream of this name.
    fn upstream(&self, name: &str) -> Option<(&config::Upstream, &Prepared)> {
        self.each_upstream().find(|(upstream, _)| *upstream.name == *name)
    }

    /// The limits of the caller of this name.
    fn caller(&self, name: &str) -> Option<&Limiter> {
        self.each_caller().find(|(caller, _)| *caller.name == *name).map(|(_, limiter)| limiter)
    }

    /// The account of the bodies that are held in memory, which all upstreams share.
    pub(crate) fn buffers(&self) -> Option<&Arc<Account>> {
        self.upstreams.first().map(|prepared| &prepared.buffers)
    }

    /// Every caller, in the order of the config.
    pub(crate) fn each_caller(&self) -> impl Iterator<Item = (&config::Caller, &Limiter)> {
        self.config.callers.iter().zip(self.callers.iter().map(|limiter| &**limiter))
    }

    /// Every upstream, in the order of the config.
    pub(crate) fn each_upstream(&self) -> impl Iterator<Item = (&config::Upstream, &Prepared)> {
        self.config.upstreams.iter().zip(&self.upstreams)
    }
}

fn tls_client(
    upstream: &config::Upstream,
    roots: &mut Option<tls::SystemRoots>,
) -> Result<Option<tls::Client>, ServeError> {
    if !upstream.origin.tls() {
        return Ok(None);
    }
    let named = |source| ServeError::Tls { upstream: upstream.name.clone(), source: UpstreamTlsError(source) };
    let roots = match roots {
        Some(roots) => roots,
        None => roots.insert(tls::SystemRoots::load().map_err(named)?),
    };
    tls::Client::new(upstream, roots).map(Some).map_err(named)
}
