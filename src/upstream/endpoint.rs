//! What one upstream is besides its config, and all workers share: how it is connected to, and what is known of it.

use std::sync::Arc;

use super::{Shared, tls};
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

    pub(super) fn tls(&self) -> Option<tls::Client> {
        self.tls.clone()
    }
}
