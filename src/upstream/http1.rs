//! A connection to an upstream that speaks HTTP/1.1, and one request at a time on it. It has no task of its own: whoever
//! waits for something on it moves its bytes, so that a request is not handed from task to task. While it is idle,
//! nobody does; the pool looks at it.

mod attempt;
mod beside;
mod sending;

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::Frame;
use tokio::time::{Sleep, sleep_until};

use self::attempt::Attempt;
use self::beside::Beside;
use self::sending::Sending;
use super::body::RequestBody;
use super::census::Counted;
use super::connect::Dialer;
use super::connection::{self, Failed, Lost, Received};
use super::exchange::{Exchange, Upload};
use super::socket::{UpstreamSocket, Wire};
use crate::config::Timeouts;
use crate::message::{RequestHead, Response};
use crate::wire::Malformed;
use crate::wire::body::{Decoder, Piece};
use crate::wire::response::FramedResponse;

/// Some time after any timeout: the first exchange sets the alarm.
const FIRST_ALARM: Duration = Duration::from_secs(24 * 60 * 60);

/// A connection that is open, or was when it was last looked at. Dropping it closes it, whatever was under way.
pub(super) struct Connection {
    socket: Rc<RefCell<UpstreamSocket>>,
    /// Whether another request may follow the one under way, or the last one.
    keeps_alive: bool,
    /// What had not left of the request when its answer came.
    unsent: Option<Box<Sending>>,
    beside: Option<Beside>,
    /// One for all its exchanges: it is set anew only when it rings, or would ring too late.
    alarm: Pin<Box<Sleep>>,
    idle_since: Instant,
    counted: Counted,
}

/// How a connection failed, or the body that was sent on it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error("the connection was closed before the message was complete")]
    Incomplete,
    #[error(transparent)]
    Broken(io::Error),
    /// Not the connection's fault.
    #[error("the body is not as long as its header says")]
    Length,
}

impl Connection {
    /// Speaks HTTP over what was dialled.
    pub(super) fn over(wire: Wire, dialer: &Dialer) -> Box<Self> {
        let now = Instant::now();
        Box::new(Self {
            socket: UpstreamSocket::new(wire),
            keeps_alive: true,
            unsent: None,
            beside: None,
            alarm: Box::pin(sleep_until((now + FIRST_ALARM).into())),
            idle_since: now,
            counted: Counted::new(dialer.account()),
        })
    }

    /// Sends one request, and waits for the response's header as long as `timeouts` allow.
    ///
    /// Dropping the future leaves the connection in the middle of an exchange: it must be dropped too.
    pub(super) async fn exchange(
        &mut self,
        head: &RequestHead,
        body: RequestBody,
        exchange: &Exchange,
        timeouts: &Timeouts,
    ) -> Result<Response<Received>, Failed> {
        self.counted.work();
        let mut attempt = Attempt::new(head, body);
        let outcome = {
            let mut overdue = pin!(overdue(self.alarm.as_mut(), exchange, timeouts));
            let socket = &self.socket;
            poll_fn(|cx| match attempt.poll(&mut socket.borrow_mut(), exchange, cx) {
                Poll::Ready(outcome) => Poll::Ready(Ok(outcome)),
                Poll::Pending => overdue.as_mut().poll(cx).map(Err),
            })
            .await
        };
        let sending = attempt.into_sending();
        match outcome {
            Ok(Ok(FramedResponse { head, body, keeps_alive })) => {
                self.keeps_alive = keeps_alive;
                self.unsent = (!sending.is_over()).then(|| Box::new(sending));
                Ok(Response { head, body: Received::Http1(body) })
            }
            Ok(Err(fault)) => Err(Failed::Lost(Box::new(Lost { fault, unwritten: sending.untouched() }))),
            Err(waiting) => Err(Failed::Overdue(waiting)),
        }
    }

    /// The next piece of the answer whose header has come.
    pub(super) fn poll_answer(
        &mut self,
        body: &mut Decoder,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, connection::Fault>>> {
        if let Some(beside) = &mut self.beside {
            match beside.poll(cx) {
                Poll::Ready(Err(fault)) => return Poll::Ready(Some(Err(fault))),
                Poll::Ready(Ok(())) => self.beside = None,
                Poll::Pending => {}
            }
        }
        let piece = ready!(poll_piece(&mut self.socket.borrow_mut(), body, cx));
        Poll::Ready(piece.map_err(Into::into).transpose())
    }

    /// The answer has come. If it came before the whole request had left, the rest goes on leaving though nobody waits for
    /// the answer.
    pub(super) fn send_beside(&mut self) -> bool {
        let Some(sending) = self.unsent.take() else { return false };
        self.beside = Some(Beside::begin(*sending, &self.socket));
        true
    }

    /// Sees what has come meanwhile, and lets nobody wait any longer.
    pub(super) fn settle(&mut self) {
        self.keeps_alive = self.keeps_alive && self.socket.borrow_mut().is_at_rest();
        // Whether it rings, the next exchange will see.
        let _ = self.alarm.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    }

    /// Whether the next request may go on it, as far as is known without asking the kernel.
    pub(super) fn is_ready(&mut self) -> bool {
        if self.keeps_alive && self.socket.borrow().has_stirred() {
            self.settle();
        }
        self.keeps_alive
    }

    /// Whether the kernel, too, knows of nothing that speaks against it.
    pub(super) fn is_quiet(&self) -> bool {
        self.socket.borrow().is_quiet()
    }

    /// Whether all of the request has left.
    pub(super) fn is_flushed(&self) -> bool {
        self.unsent.is_none() && self.beside.is_none()
    }

    /// What speaks no HTTP any more, once the upstream has switched to another protocol.
    pub(super) fn socket(&self) -> &Rc<RefCell<UpstreamSocket>> {
        &self.socket
    }

    /// The answer has ended. `false`: it is of no more use.
    pub(super) fn rest(&mut self) -> bool {
        self.keeps_alive = self.keeps_alive && self.is_flushed() && self.socket.borrow_mut().is_at_rest();
        self.idle_since = Instant::now();
        self.counted.rest();
        self.keeps_alive
    }

    /// It is closed, with nothing under way on it.
    pub(super) fn part(&self) {
        self.socket.borrow_mut().part();
    }

    pub(super) fn idle_since(&self) -> Instant {
        self.idle_since
    }
}

/// The next of a body. `None`: it has ended.
fn poll_piece(
    socket: &mut UpstreamSocket,
    body: &mut Decoder,
    cx: &mut Context<'_>,
) -> Poll<Result<Option<Frame<Bytes>>, Fault>> {
    loop {
        match body.read(socket.incoming())? {
            Piece::Data(piece) => return Poll::Ready(Ok(Some(Frame::data(piece)))),
            Piece::Trailers(trailers) => return Poll::Ready(Ok(Some(Frame::trailers(trailers)))),
            Piece::End => return Poll::Ready(Ok(None)),
            Piece::More => {}
        }
        if ready!(socket.poll_more(cx)).map_err(Fault::Broken)? == 0 {
            return Poll::Ready(if body.close() { Ok(None) } else { Err(Fault::Incomplete) });
        }
    }
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
