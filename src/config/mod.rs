//! The config, parsed and right: a [`Config`] that exists can be served. [`mod@file`] reads it from TOML through the cursor
//! of [`read`], [`preset`] knows the vendors, [`error`] says everything that is wrong, and never a value.

pub(crate) mod admin;
mod advice;
mod attempts;
mod auth;
mod browser;
mod caller;
pub(crate) mod error;
pub(crate) mod file;
mod limits;
mod listen;
mod listen_tls;
mod log;
mod lookup;
mod names;
pub(crate) mod preset;
pub(crate) mod probe;
pub(crate) mod read;
mod rules;
mod syntax;
mod tls;
pub(crate) mod units;
mod upstream;

use std::fmt;
use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue, StatusCode};

pub(crate) use self::attempts::{Breaker, Failure, Retry};
pub use self::error::{ConfigError, Position, Problem};
pub(crate) use self::listen_tls::ListenTls;
use self::preset::Preset;
use self::probe::Probe;
use crate::caller::Token;
use crate::certificate::CertificateName;
use crate::credential::Credentials;
use crate::policy::Mode;
use crate::policy::rules::Rules;
use crate::secret::Fingerprint;
use crate::telemetry::LogFormat;
use crate::upstream::Origin;

/// Everything that `sidekey run` needs: checked, complete, with every secret read.
pub struct Config {
    /// Where it was read from.
    pub(crate) path: PathBuf,
    /// How the process runs.
    pub(crate) server: Server,
    /// How it follows its files.
    pub(crate) reload: Reload,
    /// Which web pages may use it.
    pub(crate) browser: Browser,
    /// What is logged, and how.
    pub(crate) log: Log,
    /// Where callers come in. Never empty.
    pub(crate) listeners: Vec<Listener>,
    /// Where the operator asks. `None`: nowhere.
    pub(crate) admin: Option<Admin>,
    /// The vendors' APIs, in the order of the file. Never empty; names are unique.
    pub(crate) upstreams: Vec<Upstream>,
    /// Who may ask. Empty: whoever reaches a listener.
    pub(crate) callers: Vec<Caller>,
    /// What is allowed, but should not stay so.
    pub(crate) warnings: Vec<String>,
    /// The config file, and every file that it refers to.
    pub(crate) files: Vec<PathBuf>,
    /// Of the config file, and of all that was read for it.
    pub(crate) fingerprint: Fingerprint,
}

impl Config {
    /// Reads `path`, and the secrets that it refers to.
    ///
    /// # Errors
    /// Every problem that the file has, each with its place; or that it cannot be read.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        file::load(path)
    }

    /// As [`load`](Self::load), by a process that serves: what is no regular file is refused, and not waited for.
    pub(crate) fn load_again(path: &Path) -> Result<Self, ConfigError> {
        file::load_again(path)
    }

    /// Parses `text` as if it had been read from `path`, which error messages name.
    ///
    /// # Errors
    /// Every problem that the text has, each with its place.
    pub fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        file::parse(path, text)
    }

    /// A listener whose credentials whoever reaches it would spend, from other machines, too. Of an address that the
    /// config says, reading it has found that out already.
    pub(crate) fn open_to_anyone(&self) -> Option<&Listener> {
        let asks_nobody = self.callers.is_empty();
        let is_open =
            |listener: &&Listener| listener.open && !listener.dangerously_open && !listener.asks_certificates();
        self.listeners.iter().find(|listener| asks_nobody && is_open(listener))
    }

    /// What is allowed, but should not stay so: a secret file that everyone can read, a key that does nothing. Never a
    /// value.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

/// `[server]`.
pub(crate) struct Server {
    /// Threads that serve; each owns its connections. `None`: as many as there are usable CPUs.
    pub(crate) workers: Option<NonZeroUsize>,
    /// For how long it still accepts after SIGTERM.
    pub(crate) drain_delay: Duration,
    /// How long begun requests may take to finish after that.
    pub(crate) drain: Duration,
    /// From a request's first byte to the end of its header.
    pub(crate) header_timeout: Duration,
    /// Between two pieces of a caller's body.
    pub(crate) body_timeout: Duration,
    /// How long a caller's connection may stay open without a request.
    pub(crate) keep_alive: Duration,
    /// How long a caller may go without reading any of its answer.
    pub(crate) write_timeout: Duration,
    /// Callers' connections that are served at once. `None`: as many as there are files for.
    pub(crate) max_connections: Option<usize>,
    /// Bytes of bodies that are held in memory at once.
    pub(crate) max_buffered: u64,
    /// Who is asked for a name's addresses.
    pub(crate) lookup: Lookup,
}

/// `[reload]`.
pub(crate) struct Reload {
    /// How often config and secret files are read again. Zero: only when SIGHUP comes.
    pub(crate) interval: Duration,
}

/// How names are looked up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lookup {
    /// Whether what `/etc/hosts` says goes before what a name server says.
    pub(crate) hosts_file: bool,
    /// Asked for every name; empty: those of `/etc/resolv.conf`.
    pub(crate) nameservers: Vec<SocketAddr>,
}

/// `[browser]`.
pub(crate) struct Browser {
    /// The origins whose pages may use sidekey, as a browser sends them. Empty: none may.
    pub(crate) allow_origins: Vec<HeaderValue>,
}

/// `[log]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Log {
    /// What says less is not written.
    pub(crate) level: tracing::Level,
    /// `None`: what suits where standard error leads.
    pub(crate) format: Option<LogFormat>,
    /// The part of ordinary requests that have a line, from 0 to 1.
    pub(crate) sample_success: f64,
    /// A request that takes so long has one however it goes.
    pub(crate) slow: Duration,
}

/// `[listen.NAME]`.
pub(crate) struct Listener {
    pub(crate) name: Box<str>,
    pub(crate) address: ListenAddress,
    /// Further names under which this listener itself is known, in lower case, without a port.
    pub(crate) names: Vec<Box<str>>,
    /// It serves this one upstream (an index into [`Config::upstreams`]) and takes no prefix off.
    pub(crate) upstream: Option<usize>,
    /// It may serve other machines although nobody is asked who they are.
    pub(crate) dangerously_open: bool,
    /// Whether other machines may reach it: of a socket of systemd's, that is known when it has been taken over.
    pub(crate) open: bool,
    /// `None`: callers speak HTTP in the clear.
    pub(crate) tls: Option<ListenTls>,
}

impl Listener {
    /// Whether nobody gets in without a certificate.
    pub(crate) fn asks_certificates(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some())
    }
}

/// `[admin]`.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Admin {
    pub(crate) address: ListenAddress,
    /// Further names under which it is known, in lower case, without a port.
    pub(crate) names: Vec<Box<str>>,
    /// Whether whoever reaches its address may ask.
    pub(crate) dangerously_open: bool,
}

/// Where a listener binds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ListenAddress {
    Tcp(SocketAddr),
    /// A socket in the file system, with the mode that it gets.
    Unix {
        path: PathBuf,
        mode: u32,
    },
    /// The sockets that systemd has opened under this name.
    Systemd(Box<str>),
}

impl ListenAddress {
    /// The address, if it is one of TCP.
    fn tcp(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) => Some(*address),
            Self::Unix { .. } | Self::Systemd(_) => None,
        }
    }

    /// Whether both cannot be bound at once.
    fn is_same_place(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Tcp(a), Self::Tcp(b)) => a == b,
            (Self::Unix { path: a, .. }, Self::Unix { path: b, .. }) => a == b,
            (Self::Systemd(a), Self::Systemd(b)) => a == b,
            (Self::Tcp(_) | Self::Unix { .. } | Self::Systemd(_), _) => false,
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix { path, .. } => write!(f, "unix:{}", path.display()),
            Self::Systemd(name) => write!(f, "systemd:{name}"),
        }
    }
}

/// `[upstream.NAME]`.
pub(crate) struct Upstream {
    pub(crate) name: Box<str>,
    pub(crate) preset: Option<&'static Preset>,
    /// Dialled, named in SNI, sent as `Host` and signed: nothing else says where a request goes.
    pub(crate) origin: Origin,
    /// Further names that mean this upstream, in lower case, without a port.
    pub(crate) hosts: Vec<Box<str>>,
    /// Whether its name may resolve to loopback and private addresses.
    pub(crate) allow_private: bool,
    /// Without any: it is optional, and there is none that can be used.
    pub(crate) credentials: Credentials,
    /// The fields of its schemes besides `Authorization`, those of a credential without a usable secret among them.
    pub(crate) owned_fields: Box<[HeaderName]>,
    /// Of what was read for the main credential.
    pub(crate) secrets: Fingerprint,
    /// Of what was read for the one to fall back on.
    pub(crate) fallback_secrets: Fingerprint,
    /// The statuses with which the vendor says that a key is not good.
    pub(crate) fallback_on: Box<[StatusCode]>,
    pub(crate) retry: Option<Retry>,
    /// What the vendor's preset says is never retried.
    pub(crate) never_retried: Rules,
    /// How many bytes of a body are kept as they pass, so that it can be sent again.
    pub(crate) replay_buffer: usize,
    pub(crate) breaker: Option<Breaker>,
    /// Header fields of the caller that never reach this vendor (the preset's list).
    pub(crate) strip: &'static [HeaderName],
    pub(crate) rules: Rules,
    /// What `check --live` asks. `None`: nothing is known that could be asked.
    pub(crate) probe: Option<Probe>,
    /// What becomes of a request that the rules refuse.
    pub(crate) mode: Mode,
    pub(crate) scrub: Scrub,
    /// Whether it sees `traceparent` and `tracestate`.
    pub(crate) trace: bool,
    pub(crate) tls: Tls,
    pub(crate) timeouts: Timeouts,
    pub(crate) pool: Pool,
    pub(crate) limits: Limits,
    /// Whether all wait where the vendor's 429 or 503 says how long to.
    pub(crate) obey_retry_after: bool,
}

impl Upstream {
    /// The schemes, for people.
    pub(crate) fn scheme(&self) -> String {
        self.credentials.schemes().unwrap_or_else(|| "no credential".to_owned())
    }

    /// Whether a connection that was made for this upstream would have been made for `other` as well.
    pub(crate) fn connects_like(&self, other: &Self) -> bool {
        let of = |upstream: &Self| (upstream.origin.clone(), upstream.allow_private, upstream.timeouts, upstream.pool);
        let speaks = |upstream: &Self| upstream.credentials.http_versions();
        of(self) == of(other) && self.tls == other.tls && speaks(self) == speaks(other)
    }
}

/// `[caller.NAME]`.
pub(crate) struct Caller {
    pub(crate) name: Box<str>,
    pub(crate) token: Option<Token>,
    pub(crate) uid: Option<u32>,
    pub(crate) gid: Option<u32>,
    /// The names of which its certificate has one. Empty: it is not known by a certificate.
    pub(crate) client_cert: Box<[CertificateName]>,
    /// What it may use (indexes into [`Config::upstreams`]), and the rules for it there.
    pub(crate) upstreams: Vec<(usize, Rules)>,
    pub(crate) limits: Limits,
}

/// `limits = { … }`. What is not limited is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) rate: Option<Rate>,
    /// Requests under way at once.
    pub(crate) concurrency: Option<usize>,
    /// How long a request may wait for its turn.
    pub(crate) wait: Duration,
}

/// So many requests in a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    pub(crate) requests: NonZeroU32,
    pub(crate) period: Duration,
    /// So many of them may come at once.
    pub(crate) burst: NonZeroU32,
}

/// `scrub`: where in an answer the credential is looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Scrub {
    /// In its header and its trailers.
    #[default]
    Headers,
    /// In its body, too.
    Body,
}

/// `tls = { … }`. There is no way to switch verification off.
#[derive(Default)]
pub(crate) struct Tls {
    /// Trusted besides the system's roots.
    pub(crate) extra_roots: Vec<rustls::pki_types::CertificateDer<'static>>,
    /// The name in SNI and in the certificate, where it is not the URL's host.
    pub(crate) server_name: Option<rustls::pki_types::ServerName<'static>>,
    /// Shown to an upstream that asks who is calling.
    pub(crate) client: Option<Arc<rustls::sign::CertifiedKey>>,
}

impl PartialEq for Tls {
    /// A certificate has one key: whoever has the same certificate has the same key.
    fn eq(&self, other: &Self) -> bool {
        let shown = |tls: &Self| tls.client.as_ref().map(|client| client.cert.clone());
        self.extra_roots == other.extra_roots && self.server_name == other.server_name && shown(self) == shown(other)
    }
}

/// `timeouts = { … }`: a deadline for every phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timeouts {
    /// Name look-up.
    pub(crate) lookup: Duration,
    /// All attempts to connect, over every address.
    pub(crate) connect: Duration,
    /// The TLS handshake.
    pub(crate) tls: Duration,
    /// From the end of the request to the response's header.
    pub(crate) response: Duration,
    /// Between two pieces of a body that the upstream takes, or sends.
    pub(crate) idle: Duration,
    /// Between two pieces of a body that the caller sends: `[server] body_timeout`.
    pub(crate) body: Duration,
    /// For how long both sides of a WebSocket may be silent.
    pub(crate) tunnel: Duration,
    /// From the request's header to the answer's last byte.
    pub(crate) request: Option<Duration>,
}

/// `pool = { … }`: upstream connections kept for the next request, for each worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pool {
    pub(crate) idle: Duration,
    pub(crate) max_idle: usize,
}

#[cfg(test)]
mod tests;
