//! Stage 8, the vendor's side: [`send()`] takes only what is `Authorized`, and answers with what the vendor said.

pub(crate) mod address;
mod answer;
mod body;
mod connect;
mod connection;
mod origin;
mod own;
mod pool;
pub(crate) mod resolve;
mod send;
mod socket;
pub(crate) mod tls;

use std::rc::Rc;

use http::HeaderName;
use http::header::{AUTHORIZATION, PROXY_AUTHORIZATION};

pub(crate) use self::answer::{BrokenAnswer, StreamedBody};
pub(crate) use self::body::{CollectError, Exchange, RequestBody};
use self::connect::Dialer;
pub(crate) use self::connect::{ConnectError, Network, TlsSetupError};
pub(crate) use self::origin::{Host, Origin};
pub(crate) use self::own::OwnListeners;
use self::pool::Pool;
use self::resolve::SystemFiles;
pub(crate) use self::send::{Answer, SendError, send};
use crate::alias;
use crate::config::{self, Config};
use crate::credential::Credential;
use crate::policy::Mode;
use crate::policy::rules::Rules;
use crate::scrub::Scrubber;

/// One vendor's API, as one worker sees it: nothing in it is shared with another worker or another upstream.
pub(crate) struct Upstream {
    name: Box<str>,
    origin: Origin,
    credential: Credential,
    managed: Box<[HeaderName]>,
    rules: Rules,
    mode: Mode,
    scrubber: Rc<Scrubber>,
    scrubs_body: bool,
    timeouts: config::Timeouts,
    dialer: Dialer,
    pool: Pool,
}

impl Upstream {
    /// Builds what a worker needs from what the config says.
    pub(crate) fn new(config: &config::Upstream, tls: Option<tls::Client>, network: Network) -> Self {
        let mut managed = vec![AUTHORIZATION, PROXY_AUTHORIZATION];
        managed.extend_from_slice(config.credential.owned_headers());
        managed.extend_from_slice(config.strip);
        Self {
            name: config.name.clone(),
            origin: config.origin.clone(),
            credential: config.credential.replica(),
            managed: managed.iter().map(alias::fold).collect(),
            rules: config.rules.clone(),
            mode: config.mode,
            scrubber: Rc::new(Scrubber::new(&config.name, config.credential.forms())),
            scrubs_body: config.scrub == config::Scrub::Body,
            timeouts: config.timeouts,
            dialer: Dialer::new(config, tls, network),
            pool: Pool::new(config.pool),
        }
    }

    /// The upstreams of `config`, for whoever says what would be sent, and sends nothing: they cannot connect.
    pub(crate) fn offline(config: &Config) -> Vec<Rc<Self>> {
        let (resolver, _) = resolve::resolver(config.server.lookup.clone(), SystemFiles::default());
        let network = Network { resolver, own: OwnListeners::default() };
        config.upstreams.iter().map(|upstream| Rc::new(Self::new(upstream, None, network.clone()))).collect()
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn origin(&self) -> &Origin {
        &self.origin
    }

    pub(crate) fn credential(&self) -> &Credential {
        &self.credential
    }

    /// The fields that a caller never has a say in, here: credentials, and what this vendor would take for one. Folded.
    pub(crate) fn managed(&self) -> &[HeaderName] {
        &self.managed
    }

    /// What may be asked of it, whoever asks.
    pub(crate) fn rules(&self) -> &Rules {
        &self.rules
    }

    /// What becomes of a request that rules refuse.
    pub(crate) fn mode(&self) -> Mode {
        self.mode
    }

    /// Finds the credential in answers, in any form that does not depend on the request.
    pub(crate) fn scrubber(&self) -> &Rc<Scrubber> {
        &self.scrubber
    }

    /// Whether the credential is taken out of bodies, too.
    pub(crate) fn scrubs_body(&self) -> bool {
        self.scrubs_body
    }

    pub(crate) fn timeouts(&self) -> &config::Timeouts {
        &self.timeouts
    }

    /// Closes the pooled connections that have been idle for too long.
    pub(crate) fn sweep_pool(&self) {
        self.pool.sweep();
    }
}
