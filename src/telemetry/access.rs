//! The access record: one line for each request, written when its last byte has gone. No query, no header, no body.

use std::rc::Rc;
use std::time::Instant;

use http::{Method, Request, StatusCode, Uri};

use crate::caller::Caller;
use crate::policy::PolicyError;
use crate::upstream::Upstream;

/// What happened to one request. Logged when it is dropped.
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
        let status = self.status.map(|status| status.as_u16());
        let method = self.method.as_ref().map_or("-", Method::as_str);
        let path = if self.method.is_some() { self.uri.path() } else { "-" };
        let upstream = self.upstream.as_deref().map(Upstream::name);
        let duration_us = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX);
        let (caller, would_refuse) = (self.caller.name(), self.would_refuse.as_deref());
        let (sent, received) = (self.sent, self.received);
        // Nobody waited for the end: the caller went away, or the upstream's body broke off.
        let cut = (!self.finished).then_some(true);
        match &self.answer {
            Answered::Upstream if self.scrubbed == 0 => tracing::info!(
                target: "access", status, method, path, upstream, caller, duration_us, sent, received, cut, would_refuse
            ),
            // A vendor that echoes credentials is news.
            Answered::Upstream => tracing::warn!(
                target: "access",
                status, method, path, upstream, caller, duration_us, sent, received, cut, would_refuse,
                scrubbed = self.scrubbed
            ),
            Answered::Sidekey { request_id, error } => {
                let (request_id, error) = (&**request_id, &**error);
                tracing::warn!(
                    target: "access",
                    status, method, path, upstream, caller, duration_us, sent, received, cut, would_refuse, request_id, error
                );
            }
        }
    }
}
