//! What all workers know of one upstream, whichever of them found it out. It outlives the config that it began with: each
//! part is carried over to the next one, as long as nothing that it depends on has changed.

use std::sync::Arc;
use std::time::SystemTime;

use crate::config;
use crate::secret::Fingerprint;

/// An upstream's state. Whatever in it a request's path touches is atomic.
pub(crate) struct Shared {
    secret: SecretDates,
}

/// What is known of a secret, besides what it is.
#[derive(Clone, Copy)]
pub(crate) struct SecretDates {
    fingerprint: Fingerprint,
    /// When it was first read as it is now.
    pub(crate) since: SystemTime,
}

impl Shared {
    /// The state of `config`, which follows on `previous`: the state of the upstream of this name, if there was one.
    pub(crate) fn new(config: &config::Upstream, previous: Option<&Self>) -> Arc<Self> {
        let known = previous.map(|previous| previous.secret).filter(|known| known.fingerprint == config.secrets);
        let secret = known.unwrap_or_else(|| SecretDates { fingerprint: config.secrets, since: SystemTime::now() });
        Arc::new(Self { secret })
    }

    /// How old the credential is, as far as this process knows.
    pub(crate) fn secret(&self) -> SecretDates {
        self.secret
    }
}
