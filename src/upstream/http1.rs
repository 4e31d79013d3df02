//! A connection to an upstream that speaks HTTP/1.1, and one request at a time on it. It has no task of its own: whoever
//! waits for something on it moves its bytes, so that a request is not handed from task to task. While it is idle,
//! nobody does; the pool looks at it.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{self, Builder, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::task::JoinHandle;
use tokio::time::{Sleep, sleep_until};

use super::body::{Exchange, RequestBody, Upload};
use super::census::Counted;
use super::connect::{ConnectError, Dialer};
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
    driver: Driver,
    /// One for all its exchanges: it is set anew only when it rings, or would ring too late.
    alarm: Pin<Box<Sleep>>,
    idle_since: Instant,
    counted: Counted,
}

/// Who moves the bytes.
enum Driver {
    /// Whoever waits for something on it.
    Waiting(Box<http1::Connection<TokioIo<UpstreamIo>, RequestBody>>),
    /// A task, which ends with the connection.
    Apart { _task: Task },
    /// Nobody: it is closed.
    Ended,
}

struct Task(JoinHandle<()>);

impl Drop for Task {
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
    /// Speaks HTTP over what was dialled.
    pub(super) async fn over(wire: Wire, dialer: &Dialer) -> Result<Box<Self>, ConnectError> {
        let (socket, counted) = (UpstreamSocket::new(wire), Counted::new(dialer.account()));
        let io = TokioIo::new(UpstreamIo(Rc::clone(&socket)));
        let (sender, connection) = Builder::new()
            .max_buf_size(MAX_BUFFER)
            .handshake(io)
            .await
            .map_err(|error| ConnectError::Terminated(std::io::Error::other(error)))?;
        let now = Instant::now();
        let alarm = Box::pin(sleep_until((now + FIRST_ALARM).into()));
        let driver = Driver::Waiting(Box::new(connection));
        Ok(Box::new(Self { sender, socket, driver, alarm, idle_since: now, counted }))
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
        let mut response = pin!(self.sender.try_send_request(request));
        let mut overdue = pin!(overdue(self.alarm.as_mut(), exchange, timeouts));
        let driver = &mut self.driver;
        poll_fn(|cx| {
            driver.poll(cx);
            // It comes from the driver alone: to be woken for it would be to look twice.
            if let Poll::Ready(outcome) = response.as_mut().poll(&mut nobody()) {
                return Poll::Ready(outcome.map_err(|error| Failed::Http(Box::new(error))));
            }
            overdue.as_mut().poll(cx).map(|waiting| Err(Failed::Overdue(waiting)))
        })
        .await
    }

    /// The next piece of the answer whose header has come.
    pub(super) fn poll_answer(
        &mut self,
        incoming: &mut Incoming,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let mut incoming = Pin::new(incoming);
        match self.driver {
            Driver::Waiting(_) => {
                let waiting = incoming.as_mut().poll_frame(&mut nobody());
                if waiting.is_ready() {
                    return waiting;
                }
                self.driver.poll(cx);
                incoming.poll_frame(&mut nobody())
            }
            Driver::Apart { .. } | Driver::Ended => incoming.poll_frame(cx),
        }
    }

    /// From now on, a task moves its bytes: its request goes on leaving though nobody waits for an answer.
    pub(super) fn work_apart(&mut self) {
        match std::mem::replace(&mut self.driver, Driver::Ended) {
            Driver::Waiting(connection) => {
                self.driver = Driver::Apart {
                    _task: Task(server::spawn(async move {
                        // How it ends, the answer's body learns from hyper.
                        let _ = connection.await;
                    })),
                };
            }
            other @ (Driver::Apart { .. } | Driver::Ended) => self.driver = other,
        }
    }

    /// Does what can be done at once, and lets nobody wait any longer.
    pub(super) fn settle(&mut self) {
        self.driver.poll(&mut nobody());
        // Whether it rings, the next exchange will see.
        let _ = self.alarm.as_mut().poll(&mut nobody());
    }

    /// Whether the next request may go on it, as far as is known without asking the kernel.
    pub(super) fn is_ready(&mut self) -> bool {
        if self.socket.borrow().has_stirred() || !self.sender.is_ready() {
            self.settle();
        }
        self.sender.is_ready()
    }

    /// Whether the kernel, too, knows of nothing that speaks against it.
    pub(super) fn is_quiet(&self) -> bool {
        self.socket.borrow().is_quiet()
    }

    /// Whether all of the request has left.
    pub(super) fn is_flushed(&self) -> bool {
        self.socket.borrow().is_flushed()
    }

    /// What hyper has left behind, once the upstream has switched to another protocol.
    pub(super) fn socket(&self) -> &Rc<RefCell<UpstreamSocket>> {
        &self.socket
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

impl Driver {
    fn poll(&mut self, cx: &mut Context<'_>) {
        if let Self::Waiting(connection) = self
            && Pin::new(connection).poll(cx).is_ready()
        {
            // How it ended, the exchange on it learns from hyper, some of it by this drop.
            *self = Self::Ended;
        }
    }
}

/// For what is looked at, and not waited for.
fn nobody() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

/// Waits until the exchange has waited too long for one of its sides, and says for which.
pub(super) async fn overdue(mut alarm: Pin<&mut Sleep>, exchange: &Exchange, timeouts: &Timeouts) -> Upload {
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
