//! TLS with callers: the handshake, on the worker that will serve the connection, and before anything else. Whoever does
//! not get through it, in time, with the certificate that is asked for, is served nothing.

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::crypto::aws_lc_rs::{Ticketer, default_provider};
use rustls::server::{NoClientAuth, NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::SingleCertAndKey;
use rustls::version::{TLS12, TLS13};
use rustls::{HandshakeKind, InvalidMessage, ServerConfig};
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::linger::linger;
use super::stream::{Socket, Stream, read_ahead};
use super::worker::Worker;
use crate::certificate::CertificateNames;
use crate::config::ListenTls;
use crate::telemetry::metrics::{self, Handshake};

/// What may be spoken after the handshake, best first.
const PROTOCOLS: [(&[u8], Protocol); 2] = [(b"h2", Protocol::Http2), (b"http/1.1", Protocol::Http1)];
/// Who is in the middle of a handshake when the server drains has so long: its request may come with the end of it.
const DRAIN_GRACE: Duration = Duration::from_secs(1);
/// Failures may be somebody's who tries all day: the log warns of them so often, and says how many there were.
const TELL: Duration = Duration::from_secs(10);

/// "This server cannot": a fatal `internal_error` (RFC 8446 6), for whoever is turned away unread.
pub(super) const TURNED_AWAY: &[u8] = &[21, 3, 3, 0, 2, 2, 80];

thread_local! {
    /// When this worker last warned of a failure, and how many there have been since.
    static TOLD: Cell<(Option<Instant>, u64)> = const { Cell::new((None, 0)) };
}

/// What is spoken on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

/// A listener's TLS, made ready. All workers share it, and with it the keys of tickets: each resumes what any has begun.
pub(crate) struct TlsServer {
    listener: Box<str>,
    made_of: crate::secret::Fingerprint,
    config: Arc<ServerConfig>,
}

/// A connection after its handshake.
pub(super) struct Secured {
    pub(super) stream: Stream,
    pub(super) protocol: Protocol,
    /// Of the caller's certificate, if one was asked for.
    pub(super) names: Option<Rc<CertificateNames>>,
}

impl TlsServer {
    /// That of `listener`, where `previous` was before: what has not changed goes on as it is, and tickets outlive a
    /// certificate.
    pub(super) fn new(
        listener: &str,
        settings: &ListenTls,
        previous: Option<&Arc<Self>>,
    ) -> Result<Arc<Self>, rustls::Error> {
        if let Some(same) = previous.filter(|previous| previous.made_of == settings.fingerprint) {
            return Ok(Arc::clone(same));
        }
        let provider = Arc::new(default_provider());
        let verifier = match &settings.client_ca {
            None => Arc::new(NoClientAuth),
            Some(roots) => WebPkiClientVerifier::builder_with_provider(Arc::clone(roots), Arc::clone(&provider))
                .build()
                .map_err(|error| rustls::Error::General(error.to_string()))?,
        };
        let identity = SingleCertAndKey::from(Arc::clone(&settings.identity));
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13, &TLS12])?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::new(identity));
        config.alpn_protocols = PROTOCOLS.iter().map(|(name, _)| name.to_vec()).collect();
        config.session_storage = Arc::new(NoServerSessionStorage {});
        if settings.client_ca.is_some() {
            // A resumed session is not verified again: neither the certificate's end nor another CA would be noticed.
            config.send_tls13_tickets = 0;
        } else {
            let tickets = previous.map(|previous| &previous.config.ticketer).filter(|tickets| tickets.enabled());
            config.ticketer = tickets.map_or_else(Ticketer::new, |tickets| Ok(Arc::clone(tickets)))?;
        }
        Ok(Arc::new(Self { listener: listener.into(), made_of: settings.fingerprint, config: Arc::new(config) }))
    }
}

/// Makes TLS on `socket`. `None`: it did not come to that, and the connection is over. Dropping the future closes it.
pub(super) async fn accept(worker: &Worker, tls: &TlsServer, socket: Socket) -> Option<Secured> {
    let handshake = TlsAcceptor::from(Arc::clone(&tls.config)).accept(read_ahead(socket)).into_fallible();
    let (failure, error) = tokio::select! {
        biased;
        done = handshake => match done {
            Ok(stream) => return Some(Secured::new(stream)),
            Err((error, socket)) => {
                let failure = failure_of(&error);
                tls.tell(failure, Some(&error));
                if failure != Handshake::Gone {
                    // An alert has been sent: closed with something unread, the socket would be reset, and the alert lost.
                    linger(socket).await;
                }
                return None;
            }
        },
        // As long as a header may take: before it is done, nothing of a request has come.
        () = sleep(worker.limits().header_timeout) => (Handshake::Slow, None),
        () = worker.drained_for(DRAIN_GRACE) => (Handshake::Gone, None),
    };
    tls.tell(failure, error);
    None
}

impl Secured {
    fn new(stream: TlsStream<Socket>) -> Self {
        let (_, session) = stream.get_ref();
        let kind = match session.handshake_kind() {
            Some(HandshakeKind::Resumed) => Handshake::Resumed,
            Some(HandshakeKind::Full | HandshakeKind::FullWithHelloRetryRequest) | None => Handshake::Full,
        };
        metrics::on_worker(|account| account.handshake(kind));
        let chosen = PROTOCOLS.iter().find(|(name, _)| session.alpn_protocol() == Some(name));
        // Who names none speaks what there was before names.
        let protocol = chosen.map_or(Protocol::Http1, |(_, protocol)| *protocol);
        let shown = session.peer_certificates().and_then(|chain| chain.first());
        let names = shown.map(|certificate| Rc::new(CertificateNames::read(certificate)));
        Self { protocol, names, stream: Stream::Tls(Box::new(stream)) }
    }
}

impl TlsServer {
    /// What a peer can say is in neither the log nor a metric but by its kind.
    fn tell(&self, failure: Handshake, error: Option<&io::Error>) {
        metrics::on_worker(|account| account.handshake(failure));
        let (listener, outcome) = (&*self.listener, failure.name());
        let error = error.map(tracing::field::display);
        let (told, before) = TOLD.get();
        if failure == Handshake::Gone || told.is_some_and(|at| at.elapsed() < TELL) {
            TOLD.set((told, before + u64::from(failure != Handshake::Gone)));
            tracing::debug!(target: "server", listener, outcome, error, "TLS with a caller failed");
        } else {
            TOLD.set((Some(Instant::now()), 0));
            let others = (before > 0).then_some(before);
            tracing::warn!(target: "server", listener, outcome, error, others, "TLS with a caller failed");
        }
    }
}

fn failure_of(error: &io::Error) -> Handshake {
    match error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType)) => Handshake::Plaintext,
        Some(rustls::Error::NoCertificatesPresented | rustls::Error::InvalidCertificate(_)) => Handshake::Certificate,
        Some(rustls::Error::AlertReceived(_)) => Handshake::Refused,
        Some(_) => Handshake::Protocol,
        None => Handshake::Gone,
    }
}
