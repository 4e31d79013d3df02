//! The account of one exchange: how far its request's body has come, and what it waits for.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Instant;

use http_body::Body;

use super::body::RequestBody;
use super::phases::Phases;

/// The account of one exchange, kept by the request's body and read by whoever waits for the answer.
pub(crate) struct Exchange {
    upload: Cell<Upload>,
    sent: Cell<u64>,
    /// `None`: the request has not left yet.
    moved: Cell<Option<Instant>>,
    /// Whether the upstream has said that it wants the body.
    wants_body: Cell<bool>,
    /// Whether the caller was told to send the body that it holds back.
    has_asked: Cell<bool>,
    phases: Phases,
}

/// What the request's body is waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Upload {
    /// For the upstream to take what it was given, or to say that it wants it.
    Upstream,
    /// For the caller to send more.
    Caller,
    /// For nothing: all of it was sent.
    Finished,
    /// For nothing: the caller's body failed.
    Broken,
}

impl Exchange {
    /// An account of a request that has not left yet.
    pub(crate) fn new() -> Rc<Self> {
        Rc::new(Self {
            upload: Cell::new(Upload::Finished),
            sent: Cell::new(0),
            moved: Cell::new(None),
            wants_body: Cell::new(false),
            has_asked: Cell::new(false),
            phases: Phases::default(),
        })
    }

    /// The request leaves now, perhaps not for the first time: what was counted until here does not count.
    pub(super) fn begin(&self, body: &RequestBody, now: Instant) {
        self.upload.set(if body.is_end_stream() { Upload::Finished } else { Upload::Upstream });
        self.sent.set(0);
        self.phases.leave();
        self.moved.set(Some(now));
    }

    /// More has been sent, through a tunnel.
    pub(crate) fn count(&self, bytes: usize) {
        self.sent.set(self.sent.get() + bytes as u64);
    }

    /// The bytes of the body that were sent to the upstream: what was only read, to be signed, was not.
    pub(crate) fn sent(&self) -> u64 {
        if self.phases.has_left() { self.sent.get() } else { 0 }
    }

    /// The upstream wants the body, which the caller may hold back.
    pub(super) fn want_body(&self) {
        self.wants_body.set(true);
    }

    pub(super) fn wants_body(&self) -> bool {
        self.wants_body.get()
    }

    /// The caller is told to send the body that it may hold back.
    pub(super) fn note_asked(&self) {
        self.has_asked.set(true);
    }

    /// Whether a caller that holds its body back was told to send it.
    pub(crate) fn has_asked(&self) -> bool {
        self.has_asked.get()
    }

    /// How long what took.
    pub(crate) fn phases(&self) -> &Phases {
        &self.phases
    }

    /// The wait for an answer's header is over, whatever came.
    pub(super) fn stop_waiting(&self) {
        self.phases.waited(self.moved().elapsed());
    }

    pub(super) fn upload(&self) -> Upload {
        self.upload.get()
    }

    /// When the body last moved, or was finished.
    pub(super) fn moved(&self) -> Instant {
        self.moved.get().unwrap_or_else(Instant::now)
    }

    fn touch(&self) {
        self.moved.set(Some(Instant::now()));
    }

    /// The caller is waited for, as of now if it was not before.
    pub(super) fn wait_for_caller(&self) {
        if self.upload.replace(Upload::Caller) != Upload::Caller {
            self.touch();
        }
    }

    pub(super) fn note(&self, upload: Upload, bytes: usize) {
        self.upload.set(upload);
        self.sent.set(self.sent.get() + bytes as u64);
        self.touch();
    }
}
