//! One connection to an upstream, and one request at a time on it.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::task::JoinHandle;

use super::body::RequestBody;
use super::connect::{ConnectError, Dialer};
use super::socket::{UpstreamIo, UpstreamSocket};
use crate::server;

/// What hyper may hold of one direction: twice the largest header that the screen lets through.
pub(crate) const MAX_BUFFER: usize = 128 * 1024;

/// A connection that is open, or was when it was last looked at. Dropping it closes it, whatever was under way.
pub(super) struct Connection {
    sender: SendRequest<RequestBody>,
    socket: Rc<RefCell<UpstreamSocket>>,
    /// Moves the bytes; belongs to the connection.
    driver: Driver,
    /// Whether it has served a request before.
    pub(super) reused: bool,
    idle_since: Instant,
}

/// The task that drives a connection, which ends with it.
struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Connection {
    /// Dials. Dropping the future closes whatever had been begun.
    pub(super) async fn open(dialer: &Dialer) -> Result<Self, ConnectError> {
        let socket = UpstreamSocket::new(dialer.dial().await?);
        let io = TokioIo::new(UpstreamIo(Rc::clone(&socket)));
        let (sender, connection) = Builder::new()
            .max_buf_size(MAX_BUFFER)
            .handshake(io)
            .await
            .map_err(|error| ConnectError::Terminated(std::io::Error::other(error)))?;
        let driver = Driver(server::spawn(async move {
            // How it ends, the exchange on it learns from hyper; an idle one that ends is only closed.
            let _ = connection.await;
        }));
        Ok(Self { sender, socket, driver, reused: false, idle_since: Instant::now() })
    }

    /// Sends one request. On an error the request comes back if nothing of it was written.
    ///
    /// Dropping the future leaves the connection in the middle of an exchange: it must be dropped too.
    pub(super) async fn exchange(
        &mut self,
        request: Request<RequestBody>,
    ) -> Result<Response<Incoming>, TrySendError<Request<RequestBody>>> {
        self.socket.borrow_mut().expect_header();
        self.sender.try_send_request(request).await
    }

    /// Whether the next request may go on it, as far as is known without asking the kernel.
    pub(super) fn is_ready(&self) -> bool {
        self.sender.is_ready()
    }

    /// Whether no request can go on it any more.
    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed() || self.driver.0.is_finished()
    }

    /// Whether the kernel, too, knows of nothing that speaks against it.
    pub(super) fn is_quiet(&self) -> bool {
        self.socket.borrow().is_quiet()
    }

    pub(super) fn rest(&mut self) {
        self.reused = true;
        self.idle_since = Instant::now();
    }

    pub(super) fn idle_since(&self) -> Instant {
        self.idle_since
    }
}
