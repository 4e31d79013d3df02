//! Stage 9, the vendor's side: [`send()`] takes only what is `Authorized`, and answers with what the vendor said.

pub(crate) mod address;
mod answer;
mod attempts;
mod body;
mod breaker;
mod budget;
mod census;
mod connect;
mod connection;
mod connections;
mod endpoint;
mod exchange;
mod http1;
mod http2;
mod lines;
mod origin;
mod own;
mod phases;
mod pool;
mod preference;
mod rejected;
pub(crate) mod resolve;
mod retry;
mod send;
mod shared;
mod socket;
mod steps;
mod tape;
mod ticks;
pub(crate) mod tls;
mod tunnel;
mod unread;

use std::rc::Rc;
use std::sync::Arc;

use http::header::{AUTHORIZATION, PROXY_AUTHORIZATION};
use http::{HeaderName, StatusCode};

pub(crate) use self::answer::{BrokenAnswer, StreamedBody};
pub(crate) use self::attempts::{check, send};
pub(crate) use self::body::{CollectError, RequestBody};
pub(crate) use self::breaker::{LeftAlone, State as BreakerState};
pub(crate) use self::connect::{ConnectError, Network, TlsSetupError};
use self::connections::Connections;
pub(crate) use self::endpoint::{Endpoint, Prepared};
pub(crate) use self::exchange::Exchange;
pub(crate) use self::origin::{Host, Origin};
pub(crate) use self::own::OwnListeners;
pub(crate) use self::phases::Phases;
pub(crate) use self::preference::Choice;
use self::resolve::SystemFiles;
pub(crate) use self::send::{Answer, SendError};
pub(crate) use self::shared::Shared;
pub(crate) use self::tls::Version;
pub(crate) use self::tunnel::Far;
use crate::alias;
use crate::config::{self, Config};
use crate::credential::{Credential, Credentials, Which};
use crate::limits::Account;
use crate::message::RequestHead;
use crate::policy::Mode;
use crate::policy::rules::Rules;
use crate::scrub::Scrubber;
use crate::telemetry::metrics::{self, UpstreamAccount};

/// One vendor's API, as one worker sees it while one config is in force: but for `shared`, nothing in it is another
/// worker's, or another upstream's.
pub(crate) struct Upstream {
    name: Box<str>,
    origin: Origin,
    credentials: Credentials,
    managed: Box<[HeaderName]>,
    rules: Rules,
    mode: Mode,
    scrubber: Rc<Scrubber>,
    scrubs_body: bool,
    traces: bool,
    fallback_on: Box<[StatusCode]>,
    retry: Option<config::Retry>,
    never_retried: Rules,
    replay_buffer: Option<usize>,
    timeouts: config::Timeouts,
    connections: Rc<Connections>,
    shared: Arc<Shared>,
    account: Arc<UpstreamAccount>,
    buffers: Arc<Account>,
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
        let Prepared { endpoint, shared, buffers } = prepared;
        let kept = previous.map(|previous| &previous.connections).filter(|kept| kept.lead_to(endpoint));
        let mut managed = vec![AUTHORIZATION, PROXY_AUTHORIZATION];
        let credentials = &config.credentials;
        managed.extend_from_slice(&config.owned_fields);
        managed.extend_from_slice(config.strip);
        Self {
            name: config.name.clone(),
            origin: config.origin.replica(),
            credentials: credentials.replica(),
            managed: managed.iter().map(alias::fold).collect(),
            rules: config.rules.clone(),
            mode: config.mode,
            traces: config.trace,
            scrubber: Rc::new(Scrubber::new(&config.name, &credentials.forms())),
            scrubs_body: config.scrub == config::Scrub::Body,
            fallback_on: config.fallback_on.clone(),
            retry: config.retry.clone(),
            never_retried: config.never_retried.clone(),
            replay_buffer: (config.retry.is_some() || credentials.are_two()).then_some(config.replay_buffer),
            timeouts: config.timeouts,
            connections: kept.map_or_else(|| Connections::new(config, endpoint, network), Rc::clone),
            shared: Arc::clone(shared),
            account: metrics::upstream(&config.name),
            buffers: Arc::clone(buffers),
        }
    }

    /// The upstreams of `config`, for whoever says what would be sent, and sends nothing: they cannot connect.
    pub(crate) fn offline(config: &Config) -> Vec<Rc<Self>> {
        let (resolver, _) = resolve::resolver(config.server.lookup.clone(), SystemFiles::default());
        let network = Network { resolver, own: OwnListeners::default() };
        let buffers = Account::new(config.server.max_buffered, None);
        let offline = |upstream| Prepared {
            endpoint: Endpoint::new(None),
            shared: Shared::new(upstream, None),
            buffers: Arc::clone(&buffers),
        };
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

    pub(crate) fn credentials(&self) -> &Credentials {
        &self.credentials
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

    /// Whether WebSockets pass: nobody could keep the promise to clean what is in them.
    pub(crate) fn passes_tunnels(&self) -> bool {
        !self.scrubs_body
    }

    /// What they are asked for in: HTTP/1.1 where there is a choice, as whoever has WebSockets has them in that, and few in
    /// HTTP/2; what is spoken with them must not hang on what a connection happens to have agreed on.
    pub(crate) fn tunnels(&self) -> Version {
        self.credentials.http_versions().certain().unwrap_or(Version::Http1)
    }

    /// Whether it sees which trace a request belongs to.
    pub(crate) fn traces(&self) -> bool {
        self.traces
    }

    /// The vendor has answered a request that had this credential, whoever gets to see it.
    pub(crate) fn answered(&self, status: StatusCode, which: Which) {
        self.account.answered(status, which);
        if status == StatusCode::UNAUTHORIZED {
            let scheme = self.credentials.at(which).map_or("none", Credential::scheme);
            self.shared.secret(which).rejections.warn(&self.name, which.key(), scheme);
        }
    }

    /// The credential for a request; `can_repeat`: one that loses nothing if this one is refused. `None`: there is none.
    pub(crate) fn choose_credential(&self, can_repeat: bool) -> Option<Choice> {
        match self.shared.preference() {
            Some(preference) => Some(preference.choose(can_repeat)),
            None => self.credentials.first().map(|which| Choice { which, is_trial: false }),
        }
    }

    /// How many bytes of a body are kept as they pass. `None`: what has passed is never sent again.
    pub(crate) fn replay_buffer(&self) -> Option<usize> {
        self.replay_buffer
    }

    /// Whether a request may be sent again because of what became of it.
    fn replays(&self) -> bool {
        self.replay_buffer.is_some()
    }

    fn fallback_on(&self) -> &[StatusCode] {
        &self.fallback_on
    }

    fn retry(&self) -> Option<&config::Retry> {
        self.retry.as_ref()
    }

    fn never_retried(&self) -> &Rules {
        &self.never_retried
    }

    /// Whether doing a request twice is doing it once, without its caller's word for it.
    pub(crate) fn does_once_what_is_sent_twice(&self, head: &RequestHead) -> bool {
        retry::is_idempotent(&head.method) && retry::may_be_acted_on_twice(head, &self.never_retried)
    }

    pub(crate) fn timeouts(&self) -> &config::Timeouts {
        &self.timeouts
    }

    /// Where this worker counts what becomes of its requests.
    pub(crate) fn account(&self) -> &UpstreamAccount {
        &self.account
    }

    /// What every worker knows of it.
    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// The account of the bodies that are held in memory.
    pub(crate) fn buffers(&self) -> &Arc<Account> {
        &self.buffers
    }

    /// Closes the pooled connections that have been idle for too long.
    pub(crate) fn sweep_pool(&self) {
        self.connections.sweep();
    }
}
