//! By what a request is found again: `X-Request-Id` in sidekey's log and the vendor's, `traceparent` in the app's traces. A
//! caller's own are taken over if they are sane, and hold no secret; else they are replaced.

mod id;
mod request_id;
mod trace_parent;

use std::time::Instant;

use http::HeaderName;

pub(crate) use self::request_id::RequestId;
pub(crate) use self::trace_parent::TraceParent;
use crate::caller::Callers;
use crate::fields::{FieldValue, Fields};
use crate::headers::{Field, Presence};
use crate::scrub::Scrubber;

pub(crate) static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
static TRACE_PARENT: HeaderName = HeaderName::from_static("traceparent");
static TRACE_STATE: HeaderName = HeaderName::from_static("tracestate");

/// The ids of one request.
pub(crate) struct Correlation {
    pub(crate) request_id: RequestId,
    /// Whether that is the caller's own.
    taken_over: bool,
    /// `None`: it came without a valid one, and has not got as far as to be given one.
    pub(crate) trace: Option<TraceParent>,
    /// What the request came with.
    presence: Presence,
}

impl Correlation {
    /// The ids that the caller sent, if they may be logged: what holds a caller's token is replaced, whoever sent it.
    pub(crate) fn begin(fields: &Fields, presence: Presence, callers: &Callers, now: Instant) -> Self {
        let only = |field, name| presence.of_field(field).then(|| fields.single(name).ok().flatten()).flatten();
        let request_id = only(Field::XRequestId, &X_REQUEST_ID)
            .filter(|value| !callers.have_token_in(value))
            .and_then(RequestId::sane);
        let trace = only(Field::TraceParent, &TRACE_PARENT).and_then(TraceParent::valid);
        let trace = trace
            .filter(|trace| !callers.have_token_in(trace.bytes()) && !callers.have_token_in(trace.id().as_bytes()));
        Self {
            taken_over: request_id.is_some(),
            request_id: request_id.unwrap_or_else(|| RequestId::new(now)),
            trace,
            presence,
        }
    }

    /// The ids of something that was no request.
    pub(crate) fn new() -> Self {
        Self {
            request_id: RequestId::new(Instant::now()),
            taken_over: false,
            trace: None,
            presence: Presence::default(),
        }
    }

    /// Replaces what holds the vendor's own credential: it would stand in the log.
    pub(crate) fn forget_secrets(&mut self, scrubber: &Scrubber) {
        if self.taken_over && scrubber.finds_in(self.request_id.bytes()) {
            self.request_id = RequestId::new(Instant::now());
        }
        self.trace.take_if(|trace| scrubber.finds_in(trace.bytes()));
    }

    /// Puts the ids on a request to a vendor. A trace is passed on as it came: sidekey exports no spans, so the app's span
    /// is the parent of the vendor's. Without one it is begun here; `traces`: unless the vendor is to see none.
    pub(crate) fn put_on_request(&mut self, fields: &mut Fields, traces: bool) {
        fields.put(&X_REQUEST_ID, &self.request_id);
        // A state is of no use without what it is the state of (Trace Context 3.3).
        if (self.trace.is_none() || !traces) && self.presence.of_field(Field::TraceState) {
            fields.remove(&TRACE_STATE);
        }
        if traces {
            let trace = self.trace.get_or_insert_with(TraceParent::begin);
            fields.put(&TRACE_PARENT, trace);
        } else if self.presence.of_field(Field::TraceParent) {
            fields.remove(&TRACE_PARENT);
        }
    }

    /// Puts the request's id on the answer, by which the caller finds it in the log; gives back the vendor's own, if that
    /// is another, and sane.
    pub(crate) fn put_on_answer(&self, fields: &mut Fields) -> Option<RequestId> {
        let vendors = fields.get(&X_REQUEST_ID).filter(|vendors| *vendors != self.request_id.bytes());
        let vendors = vendors.and_then(RequestId::sane);
        fields.put(&X_REQUEST_ID, &self.request_id);
        vendors
    }
}
