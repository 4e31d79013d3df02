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
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::arrival::Accepted;
use super::inherited::InheritedSockets;
use super::listen::{BoundAddress, Listening};
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

    /// Answers until it is dropped.
    pub(super) async fn serve(self, admin: Admin) {
        let admin = Arc::new(admin);
        let mut door = self.0.door();
        let mut open = VecDeque::<JoinHandle<()>>::new();
        loop {
            let accepted = door.next().await;
            open.retain(|connection| !connection.is_finished());
            if open.len() >= MAX_CONNECTIONS
                && let Some(oldest) = open.pop_front()
            {
                oldest.abort();
            }
            open.push_back(super::spawn_admin(serve_connection(accepted, Arc::clone(&admin))));
        }
    }
}

async fn serve_connection(Accepted { stream, .. }: Accepted, admin: Arc<Admin>) {
    let _ = timeout(DEADLINE, serve_http(stream, &admin)).await;
}

async fn serve_http(stream: impl AsyncRead + AsyncWrite + Unpin, admin: &Admin) {
    let service = service_fn(|request| async move { Ok::<_, Infallible>(admin.answer(&request)) });
    let mut http = Builder::new();
    // How it ends, whoever asked sees.
    let _ = http.keep_alive(false).max_buf_size(MAX_BUFFER).serve_connection(TokioIo::new(stream), service).await;
}
