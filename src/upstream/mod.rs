//! Stage 8, the vendor's side: [`send()`] takes only what is `Authorized`, and answers with what the vendor said.

pub(crate) mod address;
mod answer;
mod body;
mod connect;
mod connection;
mod endpoint;
mod origin;
mod own;
mod phases;
mod pool;
mod rejected;
pub(crate) mod resolve;
mod send;
mod shared;
mod socket;
mod steps;
pub(crate) mod tls;

use std::rc::Rc;
use std::sync::Arc;

use http::HeaderName;
use http::header::{AUTHORIZATION, PROXY_AUTHORIZATION};

pub(crate) use self::answer::{BrokenAnswer, StreamedBody};
pub(crate) use self::body::{CollectError, Exchange, RequestBody};
pub(crate) use self::connect::{ConnectError, Network, TlsSetupError};
use self::endpoint::Connections;
pub(crate) use self::endpoint::{Endpoint, Prepared};
pub(crate) use self::origin::{Host, Origin};
pub(crate) use self::own::OwnListeners;
pub(crate) use self::phases::Phases;
use self::resolve::SystemFiles;
pub(crate) use self::send::{Answer, SendError, send};
pub(crate) use self::shared::Shared;
use crate::alias;
use crate::config::{self, Config};
use crate::credential::Credential;
use crate::policy::Mode;
use crate::policy::rules::Rules;
use crate::scrub::{Forms, Scrubber};

/// One vendor's API, as one worker sees it while one config is in force: but for `shared`, nothing in it is another
/// worker's, or another upstream's.
pub(crate) struct Upstream {
    name: Box<str>,
    origin: Origin,
    credential: Option<Credential>,
    managed: Box<[HeaderName]>,
    rules: Rules,
    mode: Mode,
    scrubber: Rc<Scrubber>,
    scrubs_body: bool,
    traces: bool,
    timeouts: config::Timeouts,
    connections: Rc<Connections>,
    shared: Arc<Shared>,
}

impl Upstream {
    /// Builds what a worker needs from what the config says. Of `previous`, which it takes the place of, it goes on using
    /// the connections, if they lead to the same endpoint.
    pub(crate) fn new(
        config: &config::Upstream,
        prepared: &Prepared,
        network: &Network,
        previous: Option<&Self>,
    ) -> Self {
        let Prepared { endpoint, shared } = prepared;
        let kept = previous.map(|previous| &previous.connections).filter(|kept| kept.lead_to(endpoint));
        let mut managed = vec![AUTHORIZATION, PROXY_AUTHORIZATION];
        let credential = config.credential.as_ref();
        managed.extend_from_slice(credential.map_or(&[], Credential::owned_headers));
        managed.extend_from_slice(config.strip);
        Self {
            name: config.name.clone(),
            origin: config.origin.clone(),
            credential: credential.map(Credential::replica),
            managed: managed.iter().map(alias::fold).collect(),
            rules: config.rules.clone(),
            mode: config.mode,
            scrubber: Rc::new(Scrubber::new(&config.name, credential.map_or(&Forms::none(), Credential::forms))),
            traces: config.trace,
            scrubs_body: config.scrub == config::Scrub::Body,
            timeouts: config.timeouts,
            connections: kept.map_or_else(|| Connections::new(config, endpoint, network), Rc::clone),
            shared: Arc::clone(shared),
        }
    }

    /// The upstreams of `config`, for whoever says what would be sent, and sends nothing: they cannot connect.
    pub(crate) fn offline(config: &Config) -> Vec<Rc<Self>> {
        let (resolver, _) = resolve::resolver(config.server.lookup.clone(), SystemFiles::default());
        let network = Network { resolver, own: OwnListeners::default() };
        let offline = |upstream| Prepared { endpoint: Endpoint::new(None), shared: Shared::new(upstream, None) };
        config
            .upstreams
            .iter()
            .map(|upstream| Rc::new(Self::new(upstream, &offline(upstream), &network, None)))
            .collect()
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// `None`: it is optional, and no usable secret has been read.
    pub(crate) fn credential(&self) -> Option<&Credential> {
        self.credential.as_ref()
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

    /// Whether it sees which trace a request belongs to.
    pub(crate) fn traces(&self) -> bool {
        self.traces
    }

    /// Says that the vendor has refused the credential.
    pub(crate) fn rejected(&self) {
        let scheme = self.credential.as_ref().map_or("none", Credential::scheme);
        self.shared.secret().rejections.warn(&self.name, scheme);
    }

    pub(crate) fn timeouts(&self) -> &config::Timeouts {
        &self.timeouts
    }

    /// What every worker knows of it.
    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Closes the pooled connections that have been idle for too long.
    pub(crate) fn sweep_pool(&self) {
        self.connections.pool.sweep();
    }
}
