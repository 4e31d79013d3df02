//! A worker's connections to one endpoint: those that are kept, and how another is come by.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::connect::{ConnectError, Dialer, Network};
use super::connection::Connection;
use super::endpoint::Endpoint;
use super::http1;
use super::http2::Line;
use super::lines::{Lines, Turn};
use super::phases::Phases;
use super::pool::Pool;
use super::socket::Wire;
use super::tls::{Purpose, Version};
use crate::config;

/// How long an upstream that wants HTTP/1.1 is not spoken to in HTTP/2: it may want that of some requests alone, and each of them
/// would be sent twice.
const HTTP1_REQUIRED: Duration = Duration::from_secs(10 * 60);

pub(super) struct Connections {
    endpoint: Arc<Endpoint>,
    pub(super) dialer: Dialer,
    pub(super) pool: Pool,
    lines: Lines,
    /// Until when the upstream wants HTTP/1.1, though it agrees on HTTP/2.
    http1_until: Cell<Option<Instant>>,
}

impl Connections {
    pub(super) fn new(config: &config::Upstream, endpoint: &Arc<Endpoint>, network: &Network) -> Rc<Self> {
        let dialer = Dialer::new(config, endpoint.tls(), network.clone());
        Rc::new(Self {
            endpoint: Arc::clone(endpoint),
            lines: Lines::new(dialer.certain_version(), config.pool.idle),
            dialer,
            pool: Pool::new(config.pool),
            http1_until: Cell::new(None),
        })
    }

    pub(super) fn lead_to(&self, endpoint: &Arc<Endpoint>) -> bool {
        Arc::ptr_eq(&self.endpoint, endpoint)
    }

    /// The upstream has said, in HTTP/2, that it wants HTTP/1.1 (RFC 9113 7). Where nothing else may be spoken than HTTP/2, that
    /// changes nothing.
    pub(super) fn require_http1(&self) {
        if self.dialer.certain_version() != Some(Version::Http2) {
            self.http1_until.set(Some(Instant::now() + HTTP1_REQUIRED));
        }
    }

    /// Whether it has said so, and not too long ago.
    pub(super) fn requires_http1(&self) -> bool {
        self.http1_until.get().is_some_and(|until| Instant::now() < until)
    }

    /// One that was used before, and can take a request `now`. `must_be_quiet`: one whose loss would cost the request, so the
    /// kernel is asked, too.
    pub(super) fn take(&self, purpose: Purpose, must_be_quiet: bool, now: Instant) -> Option<Connection> {
        let shared = match purpose {
            Purpose::Any => self.lines.take(must_be_quiet).map(Connection::Http2),
            Purpose::Http1 => None,
        };
        shared.or_else(|| self.pool.take(must_be_quiet, now).map(Connection::Http1))
    }

    /// A new one, or a place on another request's new one.
    ///
    /// Dropping the future closes whatever had been begun.
    pub(super) async fn open(&self, purpose: Purpose, phases: &Phases) -> Result<Connection, ConnectError> {
        match purpose {
            Purpose::Any => self.open_or_share(phases).await,
            Purpose::Http1 => {
                let wire = self.dial(purpose, phases).await?;
                Ok(Connection::Http1(http1::Connection::over(wire, &self.dialer)))
            }
        }
    }

    async fn open_or_share(&self, phases: &Phases) -> Result<Connection, ConnectError> {
        let (began, patience) = (Instant::now(), self.dialer.timeouts().response);
        loop {
            // What came in the meantime: room that another has made, or this very request when it was refused.
            if let Some(stream) = self.lines.take(true) {
                phases.reuse();
                return Ok(Connection::Http2(stream));
            }
            match self.lines.turn(began.elapsed(), patience) {
                Turn::Dial(_dialling) => return self.speak(self.dial(Purpose::Any, phases).await?).await,
                Turn::Wait(limit) => self.lines.wait(limit).await,
                Turn::GiveUp => return Err(ConnectError::ConnectTimeout),
            }
        }
    }

    async fn dial(&self, purpose: Purpose, phases: &Phases) -> Result<Wire, ConnectError> {
        let dialled = self.dialer.dial(purpose, phases).await;
        dialled.inspect_err(|_| self.dialer.account().not_opened.add(1))
    }

    /// Speaks what was agreed on over what was dialled.
    async fn speak(&self, wire: Wire) -> Result<Connection, ConnectError> {
        let version = self.dialer.agreed(&wire)?;
        self.lines.agree(version);
        match version {
            Version::Http1 => Ok(Connection::Http1(http1::Connection::over(wire, &self.dialer))),
            Version::Http2 => {
                let line = Line::over(wire, &self.dialer, self.lines.share(), self.lines.room()).await?;
                let stream = line.begin_first();
                self.lines.add(line);
                Ok(Connection::Http2(stream))
            }
        }
    }

    /// Keeps what was dialled for the next request, whatever the pool's limits. Dropping the future closes it.
    pub(super) async fn keep(&self, wire: Wire) -> Result<(), ConnectError> {
        match self.speak(wire).await? {
            Connection::Http1(mut connection) => {
                if connection.is_ready() {
                    self.pool.lay_in(connection);
                }
            }
            // It is where it belongs, and stays there without this request.
            Connection::Http2(_) => {}
        }
        Ok(())
    }

    /// Closes what has been idle for too long, or was closed by the upstream.
    pub(super) fn sweep(&self) {
        self.pool.sweep();
        self.lines.sweep();
    }
}
