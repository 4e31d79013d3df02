//! One stream of an HTTP/2 caller: a request, and its answer, with deadlines of its own. Whatever ends it leaves the
//! other streams alone.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::{Method, Request};
use http_body::Body;
use tokio::time::sleep_until;

use super::answer::{self, Answer};
use super::body;
use super::near::{self, Bare};
use super::piece::Piece;
use super::sending::Sending;
use super::streams::Open;
use crate::proxy;
use crate::server::alarm::poll_due;
use crate::server::visit::{Stage, Visit};
use crate::tunnel::Tunnel;

/// Some time after any timeout: the first deadline sets the alarm.
const FIRST_ALARM: Duration = Duration::from_secs(24 * 60 * 60);

/// Why a stream's watch ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Watched {
    /// The upstream stopped in the middle of its body, the caller takes none of it, or the whole request took too long.
    Stalled,
    /// The whole request took too long, and nothing of its answer has gone.
    Overdue,
}

/// What the path, the pieces of its answer and the connection know of one stream. Dropped when all of them are done with it.
pub(super) struct Stream {
    visit: Rc<Visit>,
    /// Whether it came to an end that was not the caller's doing.
    settled: Cell<bool>,
    /// How much of its answer was given to `h2`, and has not been written.
    unwritten: Cell<usize>,
    /// Since when the caller's windows have let nothing through.
    stuck_since: Cell<Option<Instant>>,
    /// When it was over, or something of what it has left was last written.
    left_at: Cell<Option<Instant>>,
}

impl Stream {
    pub(super) fn new(visit: Rc<Visit>) -> Rc<Self> {
        Rc::new(Self {
            visit,
            settled: Cell::new(false),
            unwritten: Cell::new(0),
            stuck_since: Cell::new(None),
            left_at: Cell::new(None),
        })
    }

    pub(super) fn visit(&self) -> &Rc<Visit> {
        &self.visit
    }

    /// Its answer has come to its end, or broken off.
    fn settle(&self) {
        self.settled.set(true);
    }

    pub(super) fn is_settled(&self) -> bool {
        self.settled.get()
    }

    pub(super) fn note_given(&self, length: usize) {
        self.unwritten.set(self.unwritten.get() + length);
    }

    pub(super) fn note_written(&self, length: usize) {
        self.unwritten.set(self.unwritten.get().saturating_sub(length));
        if length > 0 && self.left_at.get().is_some() {
            self.left_at.set(Some(Instant::now()));
        }
    }

    /// The caller's windows let nothing through.
    pub(super) fn note_stuck(&self) {
        self.stuck_since.set(self.stuck_since.get().or_else(|| Some(Instant::now())));
    }

    pub(super) fn note_unstuck(&self) {
        self.stuck_since.set(None);
    }

    /// It is over. `true`: and has left something, which the windows had let through: but a caller may take that back
    /// (RFC 9113 6.9.2).
    pub(super) fn leave(&self) -> bool {
        let has_left = self.unwritten.get() > 0;
        if has_left {
            self.left_at.set(Some(Instant::now()));
        }
        has_left
    }

    /// Since when nothing of what it has left was written. `None`: all of it was.
    pub(super) fn left_since(&self) -> Option<Instant> {
        self.left_at.get().filter(|_| self.unwritten.get() > 0)
    }

    /// What is waited for, and until when.
    fn deadline(&self) -> Option<(Instant, Watched)> {
        let visit = &self.visit;
        let waiting = match visit.stage() {
            Stage::Idle => None,
            Stage::Asked => visit.due().map(|at| (at, Watched::Overdue)),
            Stage::Answered => {
                let deadlines = [visit.waiting_until(), visit.due()];
                deadlines.into_iter().flatten().min().map(|at| (at, Watched::Stalled))
            }
        };
        let stuck = self.stuck_since.get();
        let stuck = stuck.map(|since| (since + visit.worker().limits().write_timeout, Watched::Stalled));
        [waiting, stuck].into_iter().flatten().min_by_key(|(deadline, _)| *deadline)
    }
}

/// Serves the request on a stream until its answer is sent, or there is a reason to stop: then the stream is reset. Where a
/// tunnel has begun, it is open until that has ended.
pub(super) async fn run(open: Open, request: Request<RecvStream>, mut respond: SendResponse<Piece>) {
    let stream = open.stream();
    // What came with its reset is not begun, nor is what was lost with its connection.
    if respond.poll_reset(&mut Context::from_waker(Waker::noop())).is_ready() {
        return;
    }
    let bare = {
        let mut work = pin!(serve(stream, request, respond));
        let mut alarm = pin!(sleep_until((Instant::now() + FIRST_ALARM).into()));
        poll_fn(|cx| {
            loop {
                if let Poll::Ready(bare) = work.as_mut().poll(cx) {
                    return Poll::Ready(bare);
                }
                match ready!(poll_due(alarm.as_mut(), cx, || stream.deadline())) {
                    // The work is looked at again, and answers.
                    Watched::Overdue => stream.visit.time_out(),
                    Watched::Stalled => {
                        stream.settle();
                        return Poll::Ready(None);
                    }
                }
            }
        })
        .await
    };
    if let Some((tunnel, bare)) = bare {
        // Boxed: every stream would have room for it.
        Box::pin(near::pass(tunnel, bare, stream.visit.worker())).await;
    }
}

/// Answers a request. `Some`: what the stream becomes then.
async fn serve(
    stream: &Rc<Stream>,
    request: Request<RecvStream>,
    respond: SendResponse<Piece>,
) -> Option<(Box<Tunnel>, Bare)> {
    let is_head = *request.method() == Method::HEAD;
    // The body may have to be asked for.
    let respond = Rc::new(RefCell::new(respond));
    let (request, bare) = body::split(request, &respond);
    let response = {
        let mut work = pin!(proxy::handle(Rc::clone(&stream.visit), request));
        poll_fn(|cx| match work.as_mut().poll(cx) {
            Poll::Ready(response) => Poll::Ready(Some(response)),
            // The caller has cancelled it, or is gone.
            Poll::Pending => respond.borrow_mut().poll_reset(cx).map(|_| None),
        })
        .await?
    };
    let (head, body) = answer::prepare(response, is_head);
    let tunnel = stream.visit.take_tunnel();
    let is_whole = tunnel.is_none() && body.is_end_stream();
    let sent = respond.borrow_mut().send_response(head, is_whole);
    let Ok(half) = sent else {
        // The caller was faster; or the head cannot be said, and nothing can be.
        respond.borrow_mut().send_reset(Reason::INTERNAL_ERROR);
        return None;
    };
    let sending = Sending::new(half, stream);
    match tunnel.zip(bare) {
        Some((tunnel, receiving)) => {
            stream.settle();
            return Some((tunnel, Bare::new(sending, receiving)));
        }
        None if is_whole => stream.settle(),
        None => {
            let mut answer = Answer::new(body, sending);
            if poll_fn(|cx| answer.poll_send(cx)).await.is_ok() {
                stream.settle();
            }
        }
    }
    None
}
