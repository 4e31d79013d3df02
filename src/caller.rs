//! Stage 4: who is asking? With callers in the config, whoever is none of them gets no further.

mod token;

use std::rc::Rc;
use std::sync::Arc;

use http::header::{AUTHORIZATION, PROXY_AUTHORIZATION};

use self::token::Presented;
pub(crate) use self::token::Token;
use crate::certificate::{CertificateName, CertificateNames};
use crate::config;
use crate::credential::offer;
use crate::fields::Fields;
use crate::limits::Limiter;
use crate::policy::rules::Rules;
use crate::telemetry::metrics::CallerId;
use crate::upstream::Upstream;

/// The other end of a connection, as far as the system and TLS tell.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    /// The index of the listener that it came in by.
    pub(crate) listener: usize,
    /// `None`: not a Unix socket, so nobody vouches for it.
    pub(crate) process: Option<PeerProcess>,
    /// Those of the certificate that it showed, which the listener's `client_ca` has signed. `None`: none was asked for.
    pub(crate) certificate: Option<Rc<CertificateNames>>,
}

/// Who opened a Unix socket's connection (`SO_PEERCRED`): the effective ids, of which the group is the first alone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PeerProcess {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// The app that asks.
#[derive(Clone)]
pub(crate) enum Caller {
    /// There are no callers in the config: all are served alike.
    Anyone,
    Known(Rc<Known>),
}

/// A caller of the config.
pub(crate) struct Known {
    name: Box<str>,
    /// Whose it is in the metrics.
    id: CallerId,
    token: Option<Token>,
    uid: Option<u32>,
    gid: Option<u32>,
    client_cert: Box<[CertificateName]>,
    /// The upstreams that it may use, each with the rules for this caller.
    upstreams: Box<[(Box<str>, Rules)]>,
    limiter: Arc<Limiter>,
}

/// None of the callers that the config has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the caller is none of those in `[caller]`")]
pub(crate) struct UnknownCaller;

/// All callers of the config.
pub(crate) struct Callers(Box<[Rc<Known>]>);

impl Callers {
    /// `limiters`: theirs, in the order of the config.
    pub(crate) fn new(config: &config::Config, limiters: &[Arc<Limiter>]) -> Self {
        let known = |(caller, limiter)| Rc::new(Known::new(caller, &config.upstreams, limiter));
        Self(config.callers.iter().zip(limiters).map(known).collect())
    }

    /// The callers of `config`, for whoever says what would be sent, and sends nothing: nobody has used up anything.
    pub(crate) fn offline(config: &config::Config) -> Self {
        let limiters: Box<[_]> = config.callers.iter().map(|caller| Limiter::of_caller(caller, None)).collect();
        Self::new(config, &limiters)
    }

    /// Tells who is asking. `meant`: the upstream of the request, if it means one; a token may stand where that
    /// vendor's own key would. Fails closed: whoever is not known is refused, as soon as there is one who is.
    pub(crate) fn identify(
        &self,
        peer: &Peer,
        fields: &Fields,
        meant: Option<&Upstream>,
    ) -> Result<Caller, UnknownCaller> {
        if self.0.is_empty() {
            return Ok(Caller::Anyone);
        }
        let mut presented = Presented::default();
        offer::authorization(fields, &PROXY_AUTHORIZATION, |token| presented.add(token));
        match meant {
            Some(upstream) => {
                for credential in upstream.credentials().each() {
                    credential.offered(fields, |token| presented.add(token));
                }
            }
            // Whoever has a token is told what is wrong with the name.
            None => offer::authorization(fields, &AUTHORIZATION, |token| presented.add(token)),
        }
        let known = self.0.iter().filter(|known| known.is(peer, &presented));
        // Of several, the one that is told most surely, whatever the order in the config.
        known
            .max_by_key(|known| {
                (known.token.is_some(), known.has_certificate(), known.uid.is_some(), known.gid.is_some())
            })
            .map(|known| Caller::Known(Rc::clone(known)))
            .ok_or(UnknownCaller)
    }

    /// Whether `text` holds the token of one of them.
    pub(crate) fn have_token_in(&self, text: &[u8]) -> bool {
        self.0.iter().filter_map(|known| known.token.as_ref()).any(|token| token.is_in(text))
    }

    /// The caller of this name, as if it had been told.
    pub(crate) fn named(&self, name: &str) -> Option<Caller> {
        self.0.iter().find(|known| *known.name == *name).map(|known| Caller::Known(Rc::clone(known)))
    }
}

impl Caller {
    /// Its name in the config.
    pub(crate) fn name(&self) -> Option<&str> {
        match self {
            Self::Anyone => None,
            Self::Known(known) => Some(&known.name),
        }
    }

    /// Under which it is counted.
    pub(crate) fn id(&self) -> CallerId {
        match self {
            Self::Anyone => CallerId::NOBODY,
            Self::Known(known) => known.id,
        }
    }

    /// How much it may ask. `None`: as much as it likes.
    pub(crate) fn limiter(&self) -> Option<&Limiter> {
        match self {
            Self::Anyone => None,
            Self::Known(known) => Some(&known.limiter),
        }
    }

    /// Takes off the fields that hold this caller's token, wherever else an app has put it.
    pub(crate) fn take_off_token(&self, fields: &mut Fields) {
        let Self::Known(known) = self else { return };
        let Some(token) = &known.token else { return };
        fields.remove_names_of(|line| token.is_in(line.value));
    }

    /// Whether it can come by `listener`: who is known by the other end of a Unix socket, or by its certificate, comes by
    /// no listener that is none, or asks for none.
    pub(crate) fn may_come_by(&self, listener: &config::Listener) -> bool {
        let Self::Known(known) = self else { return true };
        let is_socket = !matches!(listener.address, config::ListenAddress::Tcp(_));
        (is_socket || known.uid.or(known.gid).is_none()) && (listener.asks_certificates() || !known.has_certificate())
    }

    /// The rules that this caller has for an upstream. `None`: it may not use it at all.
    pub(crate) fn rules_for(&self, upstream: &str) -> Option<&Rules> {
        match self {
            Self::Anyone => Some(Rules::none()),
            Self::Known(known) => known.upstreams.iter().find(|(name, _)| **name == *upstream).map(|(_, rules)| rules),
        }
    }
}

impl Known {
    fn new(config: &config::Caller, upstreams: &[config::Upstream], limiter: &Arc<Limiter>) -> Self {
        let named = config
            .upstreams
            .iter()
            .filter_map(|(index, rules)| upstreams.get(*index).map(|upstream| (upstream.name.clone(), rules.clone())));
        Self {
            name: config.name.clone(),
            id: CallerId::of(&config.name),
            token: config.token.clone(),
            uid: config.uid,
            gid: config.gid,
            client_cert: config.client_cert.clone(),
            upstreams: named.collect(),
            limiter: Arc::clone(limiter),
        }
    }

    /// Whether it is known by a certificate, perhaps among others.
    fn has_certificate(&self) -> bool {
        !self.client_cert.is_empty()
    }

    /// Whether all that the config asks of this caller is so. The config asks for something.
    fn is(&self, peer: &Peer, presented: &Presented) -> bool {
        let runs_as = |wanted: Option<u32>, id: fn(PeerProcess) -> u32| {
            wanted.is_none_or(|wanted| peer.process.map(id) == Some(wanted))
        };
        let shows = |wanted| peer.certificate.as_ref().is_some_and(|names| names.have_one_of(wanted));
        // All tokens are compared, whichever is right.
        let has_token = self.token.as_ref().is_none_or(|token| presented.contains(token));
        let has_shown = !self.has_certificate() || shows(&self.client_cert);
        let asks = self.token.is_some() || self.uid.is_some() || self.gid.is_some() || self.has_certificate();
        asks && has_token
            && has_shown
            && runs_as(self.uid, |process| process.uid)
            && runs_as(self.gid, |process| process.gid)
    }
}
