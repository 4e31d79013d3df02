//! What a connection's streams have in common: how many are open, and what those have left that are over.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::Instant;

use h2::RecvStream;
use h2::server::SendResponse;
use http::Request;

use super::piece::Piece;
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
    /// Those that are over, and have left what is not written yet.
    left: RefCell<Vec<Rc<Stream>>>,
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
            waker: RefCell::default(),
        })
    }

    /// Serves a request that has come, beside the others. It counts from now on.
    pub(super) fn begin(self: &Rc<Self>, request: Request<RecvStream>, respond: SendResponse<Piece>) {
        let stream = Stream::new(Visit::new(Rc::clone(&self.worker), self.peer.clone()));
        // The connection itself counts for the first.
        if self.open.replace(self.open.get() + 1) > 0 && !self.worker.admit_request() {
            stream.visit().turn_away();
        }
        self.begun.set(true);
        let open = Open { streams: Rc::clone(self), stream };
        // Boxed: whatever begins, runs and ends a task moves about what it holds of it.
        drop(server::spawn(Box::pin(stream::run(open, request, respond))));
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
        left.retain(|stream| stream.left_since().is_some());
        left.iter().filter_map(|stream| stream.left_since()).min()
    }

    /// Remembers whom to wake when something of this changes.
    pub(super) fn note_waker(&self, cx: &Context<'_>) {
        match &mut *self.waker.borrow_mut() {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
    }
}

impl Open {
    pub(super) fn stream(&self) -> &Rc<Stream> {
        &self.stream
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
        if stream.leave() {
            streams.left.borrow_mut().push(Rc::clone(stream));
        }
        if let Some(waker) = &*streams.waker.borrow() {
            waker.wake_by_ref();
        }
    }
}
