//! The admin listener: few connections, each for one request and for a short time, on the main thread, so that workers
//! are neither asked nor waited for.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::either::Either;

use super::inherited::InheritedSockets;
use super::listen::{BoundAddress, Listening};
use super::worker::Arrival;
use crate::admin::Admin;
use crate::config;

/// At once. When one more comes, the oldest goes: whoever holds connections open keeps no probe out.
const MAX_CONNECTIONS: usize = 64;
/// For the whole of a connection.
const DEADLINE: Duration = Duration::from_secs(10);
const MAX_BUFFER: usize = 16 * 1024;

/// The admin listener, bound.
pub(super) struct AdminListening(Listening);

impl AdminListening {
    pub(super) fn bind(config: &config::Admin) -> io::Result<Self> {
        let bound = Listening::bind(0, &config.address, &mut InheritedSockets::default())?;
        bound.into_iter().next().map(Self).ok_or_else(|| io::ErrorKind::AddrNotAvailable.into())
    }

    pub(super) fn address(&self) -> &BoundAddress {
        self.0.address()
    }

    /// Answers until it is dropped, or the runtime cannot watch the socket.
    pub(super) async fn serve(self, admin: Admin) {
        let admin = Arc::new(admin);
        let mut accepting = match self.0.accepting() {
            Ok(accepting) => accepting,
            Err(error) => return tracing::error!(target: "server", %error, "nobody can ask the admin listener"),
        };
        let mut open = VecDeque::<JoinHandle<()>>::new();
        loop {
            let arrival = accepting.next().await;
            open.retain(|connection| !connection.is_finished());
            if open.len() >= MAX_CONNECTIONS
                && let Some(oldest) = open.pop_front()
            {
                oldest.abort();
            }
            open.push_back(super::spawn_admin(serve_connection(arrival, Arc::clone(&admin))));
        }
    }
}

async fn serve_connection(Arrival { stream, .. }: Arrival, admin: Arc<Admin>) {
    let stream = match stream {
        Either::Left(stream) => TcpStream::from_std(stream).map(Either::Left),
        Either::Right(stream) => UnixStream::from_std(stream).map(Either::Right),
    };
    // A socket that the runtime cannot take has lost its caller already.
    let Ok(stream) = stream else { return };
    let _ = timeout(DEADLINE, serve_http(stream, &admin)).await;
}

async fn serve_http(stream: impl AsyncRead + AsyncWrite + Unpin, admin: &Admin) {
    let service = service_fn(|request| async { Ok::<_, Infallible>(admin.answer(request)) });
    let mut http = Builder::new();
    // How it ends, whoever asked sees.
    let _ = http.keep_alive(false).max_buf_size(MAX_BUFFER).serve_connection(TokioIo::new(stream), service).await;
}
