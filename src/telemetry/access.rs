//! The access record: what happened to one request, known when its last byte has gone. [`line`] says how that is written.

mod line;

use std::rc::Rc;
use std::time::Instant;

use http::{Method, Request, StatusCode, Uri};

use crate::caller::Caller;
use crate::policy::PolicyError;
use crate::upstream::Upstream;

/// What happened to one request. Told when it is dropped.
pub(crate) struct AccessRecord {
    began: Instant,
    method: Option<Method>,
    uri: Uri,
    upstream: Option<Rc<Upstream>>,
    caller: Caller,
    /// Why rules that are not in force would have refused it.
    would_refuse: Option<Box<str>>,
    status: Option<StatusCode>,
    answer: Answered,
    sent: u64,
    received: u64,
    scrubbed: u64,
    finished: bool,
}

/// Who answered, and why if it was not the upstream.
enum Answered {
    Upstream,
    Sidekey { request_id: Box<str>, error: Box<str> },
}

impl AccessRecord {
    /// The request's header has come.
    pub(crate) fn begin<B>(request: &Request<B>) -> Self {
        Self::new(Some(request.method().clone()), request.uri().clone())
    }

    /// Something came that was no request.
    pub(crate) fn malformed() -> Self {
        Self::new(None, Uri::default())
    }

    fn new(method: Option<Method>, uri: Uri) -> Self {
        Self {
            began: Instant::now(),
            method,
            uri,
            upstream: None,
            caller: Caller::Anyone,
            would_refuse: None,
            status: None,
            answer: Answered::Upstream,
            sent: 0,
            received: 0,
            scrubbed: 0,
            finished: false,
        }
    }

    /// Who asks.
    pub(crate) fn asked_by(&mut self, caller: &Caller) {
        self.caller = caller.clone();
    }

    /// What rules that are only reported say of it.
    pub(crate) fn would_refuse(&mut self, refusal: Option<&PolicyError>) {
        self.would_refuse = refusal.map(|refusal| refusal.to_string().into());
    }

    pub(crate) fn meant(&mut self, upstream: &Rc<Upstream>) {
        self.upstream = Some(Rc::clone(upstream));
    }

    /// There is an answer: the upstream's, or one of sidekey's own that is no error.
    pub(crate) fn answered(&mut self, status: StatusCode) {
        self.status = Some(status);
    }

    /// sidekey answered. `error`: the whole chain, which only the log sees.
    pub(crate) fn refused(&mut self, status: StatusCode, request_id: &str, error: String) {
        self.status = Some(status);
        self.answer = Answered::Sidekey { request_id: request_id.into(), error: error.into() };
    }

    /// So many bytes of the request's body have gone to the upstream.
    pub(crate) fn sent(&mut self, bytes: u64) {
        self.sent = bytes;
    }

    /// A piece of the answer's body has gone to the caller.
    pub(crate) fn received(&mut self, bytes: usize) {
        self.received += bytes as u64;
    }

    /// The credential was found in the answer, and taken out, so many times.
    pub(crate) fn scrubbed(&mut self, times: u64) {
        self.scrubbed = times;
    }

    /// The answer's body has come to its end.
    pub(crate) fn finish(&mut self) {
        self.finished = true;
    }
}

impl Drop for AccessRecord {
    fn drop(&mut self) {
        line::write(self);
    }
}
