//! A connection made step by step, for whoever wants to know how long each takes: `check --live`. The steps are those
//! with which the path dials, guards and deadlines included; what they make can only be kept for a request of the path.

use std::net::{IpAddr, SocketAddr};

use rustls::CommonState;
use tokio::net::TcpStream;
use tokio_util::either::Either;

use super::socket::Wire;
use super::tls::Purpose;
use super::{ConnectError, Upstream};

/// A connection over which nothing was sent.
pub(crate) struct Fresh(Wire);

impl Upstream {
    /// All addresses of its host, of which some may be none that are dialled. Dropping the future forgets the question.
    pub(crate) async fn look_up(&self) -> Result<Vec<IpAddr>, ConnectError> {
        self.connections.dialer.look_up().await
    }

    /// Those of the addresses that may be dialled: at least one.
    pub(crate) fn permitted(&self, found: Vec<IpAddr>) -> Result<Vec<SocketAddr>, ConnectError> {
        self.connections.dialer.permitted(found)
    }

    /// Connects to the first of the permitted addresses that answers. Dropping the future closes what had been begun.
    pub(crate) async fn connect(&self, permitted: &[SocketAddr]) -> Result<TcpStream, ConnectError> {
        self.connections.dialer.connect(permitted).await
    }

    /// Makes TLS of it, unless the upstream has none. Dropping the future closes the connection.
    pub(crate) async fn handshake(&self, tcp: TcpStream) -> Result<Fresh, ConnectError> {
        self.connections.dialer.handshake(Purpose::Any, tcp).await.map(Fresh)
    }

    /// Keeps the connection for the next request, whatever the pool's limits. Dropping the future closes it.
    pub(crate) async fn keep(&self, fresh: Fresh) -> Result<(), ConnectError> {
        self.connections.keep(fresh.0).await
    }
}

impl Fresh {
    /// What was agreed on. `None`: it is in the clear.
    pub(crate) fn tls(&self) -> Option<&CommonState> {
        match &self.0 {
            Either::Left(_) => None,
            Either::Right(stream) => Some(stream.get_ref().1),
        }
    }
}
