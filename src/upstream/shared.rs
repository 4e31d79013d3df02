//! What all workers know of one upstream, whichever of them found it out. It outlives the config that it began with: each
//! part is carried over to the next one, as long as nothing that it depends on has changed.

use std::sync::Arc;

use super::rejected::Rejections;
use crate::config;
use crate::secret::Fingerprint;
use crate::telemetry::Moment;

/// An upstream's state. Whatever in it a request's path touches is atomic.
pub(crate) struct Shared {
    secret: Arc<SecretState>,
}

/// What is known of a secret, besides what it is.
pub(crate) struct SecretState {
    fingerprint: Fingerprint,
    /// How often the vendor refused it.
    pub(super) rejections: Rejections,
}

impl Shared {
    /// The state of `config`, which follows on `previous`: the state of the upstream of this name, if there was one.
    pub(crate) fn new(config: &config::Upstream, previous: Option<&Self>) -> Arc<Self> {
        let known = previous.map(|previous| &previous.secret).filter(|known| known.fingerprint == config.secrets);
        Arc::new(Self { secret: known.map_or_else(|| SecretState::new(config.secrets), Arc::clone) })
    }

    pub(crate) fn secret(&self) -> &SecretState {
        &self.secret
    }
}

impl SecretState {
    fn new(fingerprint: Fingerprint) -> Arc<Self> {
        Arc::new(Self { fingerprint, rejections: Rejections::new(Moment::now()) })
    }

    /// When it was first read as it is now.
    pub(crate) fn since(&self) -> &Moment {
        self.rejections.read()
    }
}
