//! A new connection: name, address, TCP, TLS, each with its own deadline. Only addresses that were judged are dialled.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_util::either::Either;

use super::address::{Allowance, Class};
use super::origin::{Host, Origin, Target};
use super::own::OwnListeners;
use super::phases::Phases;
use super::resolve::{LookupError, Resolver};
use super::socket::Wire;
pub(crate) use super::tls::TlsSetupError;
use super::tls::{self, Purpose, Version};
use crate::config::{self, Timeouts};
use crate::credential::HttpVersions;
use crate::server::descriptors;
use crate::telemetry::metrics::{self, UpstreamAccount};
use crate::wire::{Tcp, TlsStream};

/// How long one address has before the next is tried beside it (RFC 8305 5).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Why there is no connection. Nothing of the request has been sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error(transparent)]
    Lookup(#[from] LookupError),
    #[error("the name look-up took too long")]
    LookupTimeout,
    #[error("no address of the upstream may be dialled")]
    Prohibited(#[source] Prohibited),
    #[error("the upstream is sidekey itself")]
    Loop,
    #[error("the address cannot be reached")]
    Unroutable(#[source] io::Error),
    #[error("the connection was refused")]
    Refused(#[source] io::Error),
    #[error("no file descriptor is left for a connection")]
    NoDescriptor(#[source] io::Error),
    #[error("the connection was lost while it was being made")]
    Terminated(#[source] io::Error),
    #[error("connecting took too long")]
    ConnectTimeout,
    #[error("the certificate is not valid for this upstream")]
    Certificate(#[source] io::Error),
    #[error("the TLS handshake failed")]
    TlsProtocol(#[source] io::Error),
    #[error("the TLS handshake took too long")]
    TlsTimeout,
}

/// An address that is not dialled, and why. For the log: the caller learns neither.
#[derive(Debug, thiserror::Error)]
#[error("`{address}` is {class}{}", if class.is_never_dialled() { "" } else { ", which only `allow_private` allows" })]
pub(crate) struct Prohibited {
    address: IpAddr,
    class: Class,
}

/// What all dialers share.
#[derive(Clone)]
pub(crate) struct Network {
    pub(crate) resolver: Resolver,
    pub(crate) own: OwnListeners,
}

/// Makes connections to one upstream.
pub(super) struct Dialer {
    origin: Origin,
    allowance: Allowance,
    tls: Option<tls::Client>,
    network: Network,
    timeouts: Timeouts,
    versions: HttpVersions,
    /// As requests in HTTP/2 say it.
    target: Target,
    account: Arc<UpstreamAccount>,
}

impl Dialer {
    pub(super) fn new(config: &config::Upstream, tls: Option<tls::Client>, network: Network) -> Self {
        let (origin, timeouts) = (config.origin.clone(), config.timeouts);
        let allowance = Allowance::new(origin.host(), config.allow_private);
        let (versions, target) = (config.credentials.http_versions(), origin.target());
        let account = metrics::upstream(&config.name);
        Self { origin, allowance, tls, network, timeouts, versions, target, account }
    }

    /// Where requests say that they go.
    pub(super) fn target(&self) -> &Target {
        &self.target
    }

    pub(super) fn timeouts(&self) -> &Timeouts {
        &self.timeouts
    }

    /// What will be spoken, where it is known before a handshake: in the clear there is none that could agree on it.
    pub(super) fn certain_version(&self) -> Option<Version> {
        match (self.versions.certain(), &self.tls) {
            (Some(version), _) => Some(version),
            (None, None) => Some(Version::Http1),
            (None, Some(_)) => None,
        }
    }

    /// What is spoken on a connection of which the handshake is done.
    pub(super) fn agreed(&self, wire: &Wire) -> Result<Version, ConnectError> {
        let agreed = match wire {
            // Known before, by both sides (RFC 9113 3.3).
            Either::Left(_) => self.certain_version(),
            Either::Right(stream) => Version::of(stream.get_ref().1),
        };
        let agreed = agreed.unwrap_or(Version::Http1);
        // Of what is not offered, the handshake has refused the choice.
        if agreed == Version::Http1 && self.versions.certain() == Some(Version::Http2) {
            return Err(ConnectError::TlsProtocol(io::Error::other("the upstream does not speak HTTP/2")));
        }
        Ok(agreed)
    }

    /// Where its connections are counted.
    pub(super) fn account(&self) -> &Arc<UpstreamAccount> {
        &self.account
    }

    /// Dials the upstream. Dropping the future closes whatever had been begun.
    pub(super) async fn dial(&self, purpose: Purpose, phases: &Phases) -> Result<Wire, ConnectError> {
        let found = match self.origin.host() {
            Host::Address(_) => self.look_up().await?,
            Host::Name(_) => phases.look_up(self.look_up()).await?,
        };
        let addresses = self.permitted(found)?;
        let tcp = phases.connect(self.connect(&addresses)).await?;
        match self.tls {
            Some(_) => phases.handshake(self.handshake(purpose, tcp)).await,
            None => self.handshake(purpose, tcp).await,
        }
    }

    /// All addresses of the upstream, in the order in which they are tried. Not all of them may be.
    pub(super) async fn look_up(&self) -> Result<Vec<IpAddr>, ConnectError> {
        match self.origin.host() {
            Host::Address(address) => Ok(vec![*address]),
            Host::Name(name) => {
                let found = timeout(self.timeouts.lookup, self.network.resolver.addresses(name))
                    .await
                    .map_err(|_| ConnectError::LookupTimeout)??;
                Ok(interleave(&found))
            }
        }
    }

    /// Those that may be dialled. None: the caller is not told why each was left out, and the log has one reason.
    pub(super) fn permitted(&self, found: Vec<IpAddr>) -> Result<Vec<SocketAddr>, ConnectError> {
        let mut permitted = Vec::with_capacity(found.len());
        let mut refusal = None;
        for address in found.into_iter().map(|address| SocketAddr::new(address, self.origin.port())) {
            match self.judge(address) {
                Ok(()) => permitted.push(address),
                // That it is a loop says more than what kind of address it has.
                Err(ConnectError::Loop) => refusal = Some(ConnectError::Loop),
                Err(error) => refusal = refusal.or(Some(error)),
            }
        }
        match refusal {
            Some(refusal) if permitted.is_empty() => Err(refusal),
            Some(_) | None => Ok(permitted),
        }
    }

    /// Connects to one of `addresses`, which were judged.
    pub(super) async fn connect(&self, addresses: &[SocketAddr]) -> Result<TcpStream, ConnectError> {
        let tcp = timeout(self.timeouts.connect, race(addresses))
            .await
            .map_err(|_| ConnectError::ConnectTimeout)?
            .map_err(classify_connect)?;
        // Requests leave when they are written: a delay would wait for an acknowledgement that is not coming.
        let _ = tcp.set_nodelay(true);
        Ok(tcp)
    }

    /// Makes TLS of it, where the upstream has that.
    pub(super) async fn handshake(&self, purpose: Purpose, tcp: TcpStream) -> Result<Wire, ConnectError> {
        let Some(client) = &self.tls else { return Ok(Either::Left(Tcp::new(tcp))) };
        let handshake = TlsStream::connect(client.config(purpose), client.server_name.clone(), Tcp::new(tcp));
        let stream =
            timeout(self.timeouts.tls, handshake).await.map_err(|_| ConnectError::TlsTimeout)?.map_err(classify_tls)?;
        Ok(Either::Right(Box::new(stream)))
    }

    fn judge(&self, address: SocketAddr) -> Result<(), ConnectError> {
        if self.network.own.would_take(address) {
            return Err(ConnectError::Loop);
        }
        let (address, class) = (address.ip(), Class::of(address.ip()));
        if self.allowance.covers(class) { Ok(()) } else { Err(ConnectError::Prohibited(Prohibited { address, class })) }
    }
}

/// Alternates between the families, beginning with that of the first address (RFC 8305 4).
fn interleave(addresses: &[IpAddr]) -> Vec<IpAddr> {
    let first_is_v4 = addresses.first().is_some_and(IpAddr::is_ipv4);
    let (first, second): (Vec<IpAddr>, Vec<IpAddr>) = addresses.iter().partition(|a| a.is_ipv4() == first_is_v4);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut order = Vec::with_capacity(addresses.len());
    while order.len() < addresses.len() {
        order.extend(first.next());
        order.extend(second.next());
    }
    order
}

/// Happy eyeballs: the next address is tried when one has failed, or has not answered for a while; the first to
/// answer wins.
async fn race(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut queue = addresses.iter();
    let mut attempts = FuturesUnordered::new();
    let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
    loop {
        match queue.next() {
            Some(address) => attempts.push(TcpStream::connect(*address)),
            None if attempts.is_empty() => return Err(failure),
            None => {}
        }
        tokio::select! {
            Some(outcome) = attempts.next() => match outcome {
                Ok(stream) => return Ok(stream),
                Err(error) => failure = error,
            },
            () = sleep(ATTEMPT_DELAY), if queue.len() > 0 => {}
        }
    }
}

fn classify_connect(error: io::Error) -> ConnectError {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => ConnectError::Refused(error),
        io::ErrorKind::TimedOut => ConnectError::ConnectTimeout,
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable | io::ErrorKind::AddrNotAvailable => {
            ConnectError::Unroutable(error)
        }
        _ if descriptors::are_used_up(&error) => ConnectError::NoDescriptor(error),
        _ => ConnectError::Terminated(error),
    }
}

fn classify_tls(error: io::Error) -> ConnectError {
    let cause = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match cause {
        Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented) => {
            ConnectError::Certificate(error)
        }
        Some(_) => ConnectError::TlsProtocol(error),
        None => ConnectError::Terminated(error),
    }
}

#[cfg(test)]
mod tests {
    use super::interleave;

    #[test]
    fn alternates_between_address_families() {
        let parse = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<_>>();
        let found = parse(&["2001:db8::1", "2001:db8::2", "192.0.2.1"]);
        assert_eq!(interleave(&found), parse(&["2001:db8::1", "192.0.2.1", "2001:db8::2"]));
    }
}
