//! A connection to an upstream that speaks HTTP/1.1, and one request at a time on it.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::time::{Duration, Instant};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::task::JoinHandle;
use tokio::time::{Sleep, sleep_until};

use super::body::{Exchange, RequestBody, Upload};
use super::census::Counted;
use super::connect::{ConnectError, Dialer};
use super::phases::Phases;
use super::socket::{UpstreamIo, UpstreamSocket, Wire};
use crate::config::Timeouts;
use crate::server;
use crate::wire::MAX_BUFFER;

/// Some time after any timeout: the first exchange sets the alarm.
const FIRST_ALARM: Duration = Duration::from_secs(24 * 60 * 60);

/// A connection that is open, or was when it was last looked at. Dropping it closes it, whatever was under way.
pub(super) struct Connection {
    sender: SendRequest<RequestBody>,
    socket: Rc<RefCell<UpstreamSocket>>,
    /// Moves the bytes; belongs to the connection.
    driver: Driver,
    /// One for all its exchanges: it is set anew only when it rings, or would ring too late.
    alarm: Pin<Box<Sleep>>,
    idle_since: Instant,
    counted: Counted,
}

/// The task that drives a connection, which ends with it.
struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Why a connection gave no answer.
pub(super) enum Failed {
    /// hyper says; the request comes back if nothing of it was written.
    Http(Box<TrySendError<Request<RequestBody>>>),
    /// It was waited too long for this.
    Overdue(Upload),
}

impl Connection {
    /// Dials. Dropping the future closes whatever had been begun.
    pub(super) async fn open(dialer: &Dialer, phases: &Phases) -> Result<Self, ConnectError> {
        let dialled = dialer.dial(phases).await.inspect_err(|_| dialer.account().not_opened.add(1));
        Self::over(dialled?, dialer).await
    }

    /// Speaks HTTP over what was dialled.
    pub(super) async fn over(wire: Wire, dialer: &Dialer) -> Result<Self, ConnectError> {
        let (socket, counted) = (UpstreamSocket::new(wire), Counted::new(dialer.account()));
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
        let now = Instant::now();
        let alarm = Box::pin(sleep_until((now + FIRST_ALARM).into()));
        Ok(Self { sender, socket, driver, alarm, idle_since: now, counted })
    }

    /// Sends one request, and waits for the response's header as long as `timeouts` allow.
    ///
    /// Dropping the future leaves the connection in the middle of an exchange: it must be dropped too.
    pub(super) async fn exchange(
        &mut self,
        request: Request<RequestBody>,
        exchange: &Exchange,
        timeouts: &Timeouts,
    ) -> Result<Response<Incoming>, Failed> {
        self.counted.work();
        exchange.begin(request.body());
        tokio::select! {
            biased;
            outcome = self.sender.try_send_request(request) => outcome.map_err(|error| Failed::Http(Box::new(error))),
            waiting = overdue(self.alarm.as_mut(), exchange, timeouts) => Err(Failed::Overdue(waiting)),
        }
    }

    /// Waits until a request may go on it. `false`: it was closed.
    pub(super) async fn become_ready(&mut self) -> bool {
        self.sender.ready().await.is_ok()
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

    /// Whether all of the request has left.
    pub(super) fn is_flushed(&self) -> bool {
        self.socket.borrow().is_flushed()
    }

    pub(super) fn rest(&mut self) {
        self.socket.borrow_mut().rest();
        self.idle_since = Instant::now();
        self.counted.rest();
    }

    pub(super) fn idle_since(&self) -> Instant {
        self.idle_since
    }
}

/// Waits until the exchange has waited too long for one of its sides, and says for which.
async fn overdue(mut alarm: Pin<&mut Sleep>, exchange: &Exchange, timeouts: &Timeouts) -> Upload {
    // The body may go from one phase to the next meanwhile: no phase is slept through for longer than its own limit.
    let nap = timeouts.response.min(timeouts.idle).min(timeouts.body);
    let mut now = exchange.moved();
    loop {
        let waiting = exchange.upload();
        let limit = match waiting {
            Upload::Finished | Upload::Broken => timeouts.response,
            Upload::Upstream => timeouts.idle,
            Upload::Caller => timeouts.body,
        };
        let deadline = exchange.moved() + limit;
        if now >= deadline {
            return waiting;
        }
        let wake = deadline.min(now + nap);
        if alarm.deadline().into_std() > wake || alarm.is_elapsed() {
            alarm.as_mut().reset(wake.into());
        }
        alarm.as_mut().await;
        now = Instant::now();
    }
}
