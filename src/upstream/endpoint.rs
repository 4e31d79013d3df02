//! What one upstream is besides its config: how it is connected to, which all workers share, and what one of them has
//! open.

use std::rc::Rc;
use std::sync::Arc;

use super::connect::{Dialer, Network};
use super::pool::Pool;
use super::{Shared, tls};
use crate::config;
use crate::limits::Account;

/// What an upstream has beyond its config, for all workers.
pub(crate) struct Prepared {
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) shared: Arc<Shared>,
    /// Of the bodies that are held for it, as for all others.
    pub(crate) buffers: Arc<Account>,
}

/// What settings came to. The same endpoint means the same settings: connections made by it may be kept when another
/// config comes into force.
pub(crate) struct Endpoint {
    /// `None`: there is no TLS.
    tls: Option<tls::Client>,
}

impl Endpoint {
    pub(crate) fn new(tls: Option<tls::Client>) -> Arc<Self> {
        Arc::new(Self { tls })
    }
}

/// A worker's connections to one endpoint: those that are kept, and how more are made.
pub(super) struct Connections {
    endpoint: Arc<Endpoint>,
    pub(super) dialer: Dialer,
    pub(super) pool: Pool,
}

impl Connections {
    pub(super) fn new(config: &config::Upstream, endpoint: &Arc<Endpoint>, network: &Network) -> Rc<Self> {
        Rc::new(Self {
            endpoint: Arc::clone(endpoint),
            dialer: Dialer::new(config, endpoint.tls.clone(), network.clone()),
            pool: Pool::new(config.pool),
        })
    }

    pub(super) fn lead_to(&self, endpoint: &Arc<Endpoint>) -> bool {
        Arc::ptr_eq(&self.endpoint, endpoint)
    }
}
