//! The upstreams without a server: `check --live` asks them itself. They are those of the path, made the same way.

use std::rc::Rc;

use tokio::runtime::{Builder, LocalOptions};

use super::blueprint::Blueprint;
use super::{ServeError, spawn_lookups};
use crate::config::{Config, ListenAddress};
use crate::upstream::resolve::{self, SystemFiles};
use crate::upstream::{Network, OwnListeners, Upstream};

/// Runs `work` with the upstreams of `config`, in its order, on a runtime such as a worker has, on this thread.
///
/// # Errors
/// What serving would have found; or the system gives no runtime.
pub(crate) fn with_upstreams<T>(
    config: &Config,
    work: impl AsyncFnOnce(Vec<Rc<Upstream>>) -> T,
) -> Result<T, ServeError> {
    let prepared = Blueprint::prepare(config, None)?;
    let lookup = &config.server.lookup;
    let (resolver, lookups) = resolve::resolver(lookup.clone(), SystemFiles::read(lookup));
    // The server that the config is for may be running: what it would not dial is not dialled here either.
    let listening = config.listeners.iter().filter_map(|listener| match &listener.address {
        ListenAddress::Tcp(address) => Some(*address),
        ListenAddress::Unix { .. } | ListenAddress::Systemd(_) => None,
    });
    let network = Network { resolver, own: OwnListeners::new(listening) };
    let runtime =
        Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).map_err(ServeError::Worker)?;
    Ok(runtime.block_on(async {
        let lookups = spawn_lookups(lookups);
        let upstreams = config.upstreams.iter().zip(&prepared);
        let upstreams =
            upstreams.map(|(upstream, prepared)| Rc::new(Upstream::new(upstream, prepared, &network, None))).collect();
        let result = work(upstreams).await;
        lookups.abort();
        result
    }))
}
