//! What a connection's streams have in common: how many are open, and what those have left that are over.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::Instant;

use hyper::rt::Executor;

use super::body::Flow;
use super::near::Sender;
use super::stream::{self, Stream};
use crate::caller::Peer;
use crate::server;
use crate::server::visit::Visit;
use crate::server::worker::Worker;

/// The streams of one connection.
pub(super) struct Streams {
    worker: Rc<Worker>,
    peer: Peer,
    open: Cell<usize>,
    /// Whether there was ever one.
    begun: Cell<bool>,
    /// Since when there is none.
    idle_since: Cell<Instant>,
    /// How many more were cancelled by the caller than came to their end.
    cancelled: Cell<usize>,
    /// Of streams that are over: what the caller's windows have not let through yet.
    left: RefCell<Vec<Rc<Flow>>>,
    /// The one that hyper is about to hand to the executor.
    next: Cell<Option<Rc<Stream>>>,
    /// What the stream sends by that has become a tunnel in this moment.
    sender: Cell<Option<Sender>>,
    /// The connection's task.
    waker: RefCell<Option<Waker>>,
}

/// One of those that are open. Dropped, it is not.
pub(super) struct Open {
    streams: Rc<Streams>,
    stream: Rc<Stream>,
}

impl Streams {
    pub(super) fn new(worker: Rc<Worker>, peer: Peer) -> Rc<Self> {
        Rc::new(Self {
            worker,
            peer,
            open: Cell::new(0),
            begun: Cell::new(false),
            idle_since: Cell::new(Instant::now()),
            cancelled: Cell::new(0),
            left: RefCell::default(),
            next: Cell::new(None),
            sender: Cell::new(None),
            waker: RefCell::default(),
        })
    }

    /// A request has come.
    pub(super) fn begin(&self) -> Rc<Stream> {
        let stream = Stream::new(Visit::new(Rc::clone(&self.worker), self.peer.clone()));
        self.next.set(Some(Rc::clone(&stream)));
        stream
    }

    pub(super) fn open(self: &Rc<Self>, stream: Rc<Stream>) -> Open {
        // The connection itself counts for the first.
        if self.open.replace(self.open.get() + 1) > 0 && !self.worker.admit_request() {
            stream.visit().turn_away();
        }
        self.begun.set(true);
        Open { streams: Rc::clone(self), stream }
    }

    /// What hyper has left running for the stream on which it has just done its work: it sends a tunnel's bytes.
    pub(super) fn take_sender(&self) -> Option<Sender> {
        self.sender.take()
    }

    pub(super) fn have_begun(&self) -> bool {
        self.begun.get()
    }

    pub(super) fn cancelled(&self) -> usize {
        self.cancelled.get()
    }

    /// Since when there is neither a stream nor anything left of one.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        (self.open.get() == 0 && self.left.borrow().is_empty()).then(|| self.idle_since.get())
    }

    pub(super) fn are_over(&self) -> bool {
        self.open.get() == 0
    }

    /// Since when the caller has taken nothing of what a stream that is over has left.
    pub(super) fn stuck_since(&self) -> Option<Instant> {
        let mut left = self.left.borrow_mut();
        left.retain(|flow| flow.stuck_since().is_some());
        left.iter().filter_map(|flow| flow.stuck_since()).min()
    }

    /// Remembers whom to wake when something of this changes.
    pub(super) fn note_waker(&self, cx: &Context<'_>) {
        match &mut *self.waker.borrow_mut() {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let Self { streams, stream } = self;
        streams.open.set(streams.open.get() - 1);
        if streams.open.get() > 0 {
            streams.worker.dismiss_request();
        }
        streams.idle_since.set(Instant::now());
        let cancelled = streams.cancelled.get();
        streams.cancelled.set(if stream.is_settled() { cancelled.saturating_sub(1) } else { cancelled + 1 });
        if stream.flow().stuck_since().is_some() {
            streams.left.borrow_mut().push(Rc::clone(stream.flow()));
        }
        if let Some(waker) = &*streams.waker.borrow() {
            waker.wake_by_ref();
        }
    }
}

/// Runs what hyper does beside the connection: the work on each stream, with its watch.
#[derive(Clone)]
pub(super) struct Spawner(pub(super) Rc<Streams>);

impl<F: Future<Output = ()> + 'static> Executor<F> for Spawner {
    fn execute(&self, work: F) {
        match self.0.next.take() {
            Some(stream) => drop(server::spawn(stream::run(Rc::clone(&self.0), stream, work))),
            None => self.0.sender.set(Some(Sender(server::spawn(work)))),
        }
    }
}
