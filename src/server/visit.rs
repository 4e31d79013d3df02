//! What a caller's connection and the request on it tell each other.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use http::Version;

use super::snapshot::Snapshot;
use super::worker::Worker;
use crate::caller::Peer;
use crate::error::ProxyError;
use crate::tunnel::Tunnel;

/// One caller's connection, as the request path sees it.
pub(crate) struct Visit {
    worker: Rc<Worker>,
    peer: Peer,
    stage: Cell<Stage>,
    /// Whether interim responses may be sent: not to HTTP/1.0.
    interim: Cell<bool>,
    /// Until when the answer waits for the upstream to send more.
    waiting_until: Cell<Option<Instant>>,
    idle_since: Cell<Instant>,
    /// When the request has to be over, its answer too.
    due: Cell<Option<Instant>>,
    /// Whether it was not, and is to be told so.
    overdue: Cell<bool>,
    /// Whether there was no room for the request when it came.
    turned_away: Cell<bool>,
    /// Whether the last answer broke off.
    broken: Cell<bool>,
    /// What the connection becomes when the last answer, a 101, has gone out.
    tunnel: RefCell<Option<Box<Tunnel>>>,
}

/// Where the connection's request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// There is none.
    Idle,
    /// It has come, and nothing of its answer has gone.
    Asked,
    /// Its answer is going out.
    Answered,
}

impl Visit {
    pub(super) fn new(worker: Rc<Worker>, peer: Peer) -> Rc<Self> {
        Rc::new(Self {
            worker,
            peer,
            stage: Cell::new(Stage::Idle),
            interim: Cell::new(false),
            waiting_until: Cell::new(None),
            idle_since: Cell::new(Instant::now()),
            due: Cell::new(None),
            overdue: Cell::new(false),
            turned_away: Cell::new(false),
            broken: Cell::new(false),
            tunnel: RefCell::new(None),
        })
    }

    /// Who is at the other end.
    pub(crate) fn peer(&self) -> &Peer {
        &self.peer
    }

    /// There is no room for the request: the path says so.
    pub(super) fn turn_away(&self) {
        self.turned_away.set(true);
    }

    /// Whether there is room for the request beside others on its connection.
    pub(crate) fn find_room(&self) -> Result<(), ProxyError> {
        if self.turned_away.get() { Err(ProxyError::TooManyConnections) } else { Ok(()) }
    }

    /// What is in force now: a request asks once.
    pub(crate) fn snapshot(&self) -> Rc<Snapshot> {
        self.worker.snapshot()
    }

    /// Whether callers should go elsewhere after this answer.
    pub(crate) fn is_last(&self) -> bool {
        self.worker.leaving()
    }

    /// A request has come.
    pub(crate) fn begin(&self, version: Version) {
        self.stage.set(Stage::Asked);
        self.interim.set(version == Version::HTTP_11);
    }

    /// Its answer is about to go out.
    pub(crate) fn begin_answer(&self) {
        self.stage.set(Stage::Answered);
    }

    /// Its answer broke off: what went out must not look whole.
    pub(crate) fn break_answer(&self) {
        self.broken.set(true);
    }

    /// Its answer has gone out, or never will: as of now, which is told.
    pub(crate) fn end(&self) -> Instant {
        self.stage.set(Stage::Idle);
        self.waiting_until.set(None);
        self.due.set(None);
        self.overdue.set(false);
        let now = Instant::now();
        self.idle_since.set(now);
        now
    }

    /// Its answer is a 101: the connection is no HTTP connection after it.
    pub(crate) fn become_tunnel(&self, tunnel: Box<Tunnel>) {
        self.tunnel.replace(Some(tunnel));
    }

    pub(super) fn take_tunnel(&self) -> Option<Box<Tunnel>> {
        self.tunnel.take()
    }

    /// The request has `limit` from now on, if any, its answer included.
    pub(crate) fn finish_within(&self, limit: Option<Duration>) {
        self.due.set(limit.map(|limit| Instant::now() + limit));
    }

    /// Polls the work on the request, until it takes too long.
    pub(crate) fn poll_in_time<T>(
        &self,
        work: Pin<&mut impl Future<Output = Result<T, ProxyError>>>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<T, ProxyError>> {
        if self.overdue.take() { Poll::Ready(Err(ProxyError::RequestTimeout)) } else { work.poll(cx) }
    }

    /// The request is due, and not answered: the next poll of the work on it says so.
    pub(super) fn time_out(&self) {
        self.due.set(None);
        self.overdue.set(true);
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.due.get()
    }

    /// The answer cannot go on before the upstream does, for which it has `limit`.
    pub(crate) fn wait_for_upstream(&self, limit: Duration) {
        if self.waiting_until.get().is_none() {
            self.waiting_until.set(Some(Instant::now() + limit));
        }
    }

    /// The upstream has sent more.
    pub(crate) fn stop_waiting(&self) {
        self.waiting_until.set(None);
    }

    /// Whether the upstream has not sent more for too long.
    pub(crate) fn waits_in_vain(&self) -> bool {
        self.waiting_until.get().is_some_and(|until| until <= Instant::now())
    }

    /// Whether the request has taken too long, its answer included.
    pub(crate) fn is_overdue(&self) -> bool {
        self.due.get().is_some_and(|due| due <= Instant::now())
    }

    pub(super) fn answer_is_broken(&self) -> bool {
        self.broken.get()
    }

    pub(super) fn worker(&self) -> &Rc<Worker> {
        &self.worker
    }

    pub(super) fn stage(&self) -> Stage {
        self.stage.get()
    }

    pub(super) fn takes_interim(&self) -> bool {
        self.interim.get()
    }

    pub(super) fn waiting_until(&self) -> Option<Instant> {
        self.waiting_until.get()
    }

    pub(super) fn idle_since(&self) -> Instant {
        self.idle_since.get()
    }
}
