//! The access record: what happened to one request, known when its last byte has gone. [`mod@line`] says how that is
//! written.

mod line;

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use http::{Method, Response, StatusCode};

use crate::caller::{Caller, Callers};
use crate::correlation::{Correlation, RequestId, X_REQUEST_ID};
use crate::error::{self, ProxyError};
use crate::headers::{Outgoing, Presence};
use crate::limits::LimitKind;
use crate::message::{Path, RequestHead, ResponseHead};
use crate::policy::PolicyError;
use crate::telemetry::metrics::{self, Ended, Outcome};
use crate::upstream::{BrokenAnswer, Exchange, Upstream};

/// Whoever gets a turn sooner has not waited for it.
const NOTEWORTHY: Duration = Duration::from_millis(1);

/// What happened to one request. Told when it is dropped.
pub(crate) struct AccessRecord {
    began: Instant,
    /// `None`: it is over when this is dropped.
    ended: Option<Instant>,
    method: Option<Method>,
    /// Of what was asked for, the query is never told.
    path: Path,
    correlation: Correlation,
    upstream: Option<Rc<Upstream>>,
    caller: Caller,
    /// Why rules that are not in force would have refused it.
    would_refuse: Option<Box<str>>,
    /// How long it waited for its turn.
    queued: Option<Duration>,
    /// What went on between sidekey and the upstream, if it came to that.
    exchange: Option<Rc<Exchange>>,
    status: Option<StatusCode>,
    answered_by: Option<AnsweredBy>,
    refusal: Option<Refusal>,
    /// Why its answer broke off, where that is the upstream's doing.
    broken_off: Option<Box<str>>,
    /// The vendor's own id for it.
    upstream_request_id: Option<RequestId>,
    received: u64,
    scrubbed: u64,
    finished: bool,
    /// What it has become, if it has become one.
    tunnel: Option<Box<TunnelRecord>>,
}

/// A WebSocket, which a request has become.
struct TunnelRecord {
    /// How long the request took until then.
    handshake: Duration,
    /// Who ended it, where it was neither side's failure.
    ended_by: Option<&'static str>,
}

/// Who answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AnsweredBy {
    Upstream,
    Sidekey,
}

/// Why it was not the upstream.
struct Refusal {
    /// The error's name, as `docs/errors.md` has it.
    slug: &'static str,
    /// The limit that it was over.
    limit: Option<LimitKind>,
    /// The whole chain of causes.
    error: Box<str>,
}

impl AccessRecord {
    /// The request's header has come.
    pub(crate) fn begin(head: &RequestHead, presence: Presence, callers: &Callers) -> Self {
        let began = Instant::now();
        let correlation = Correlation::begin(&head.fields, presence, callers, began);
        Self::new(began, Some(head.method.clone()), head.path.clone(), correlation)
    }

    /// Something came that was no request.
    pub(crate) fn malformed() -> Self {
        Self::new(Instant::now(), None, Path::default(), Correlation::new())
    }

    fn new(began: Instant, method: Option<Method>, path: Path, correlation: Correlation) -> Self {
        metrics::on_worker(|account| account.in_flight.add(1));
        Self {
            began,
            ended: None,
            method,
            path,
            correlation,
            upstream: None,
            caller: Caller::Anyone,
            would_refuse: None,
            queued: None,
            exchange: None,
            status: None,
            answered_by: None,
            refusal: None,
            broken_off: None,
            upstream_request_id: None,
            received: 0,
            scrubbed: 0,
            finished: false,
            tunnel: None,
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

    /// For whom it is, whether it gets there or not.
    pub(crate) fn meant(&mut self, upstream: &Rc<Upstream>) {
        self.correlation.forget_secrets(upstream.scrubber());
        self.upstream = Some(Rc::clone(upstream));
    }

    /// It waits for its turn, where a limit is.
    pub(crate) async fn queue<T>(&mut self, turn: impl Future<Output = T>) -> T {
        let mut turn = pin!(turn);
        // Most get it at once, and ask no clock.
        if let Poll::Ready(turn) = poll_fn(|cx| Poll::Ready(turn.as_mut().poll(cx))).await {
            return turn;
        }
        let began = Instant::now();
        let turn = turn.await;
        self.queued = Some(began.elapsed()).filter(|time| *time >= NOTEWORTHY);
        turn
    }

    /// It goes to the upstream, with its ids on.
    pub(crate) fn leaves(&mut self, outgoing: &mut Outgoing) {
        if let Some(upstream) = &self.upstream {
            self.correlation.put_on_request(&mut outgoing.head.fields, upstream.traces());
        }
        self.exchange = Some(Rc::clone(&outgoing.exchange));
    }

    /// Whether a caller that holds its body back was told to send it.
    pub(crate) fn has_asked_for_body(&self) -> bool {
        self.exchange.as_ref().is_some_and(|exchange| exchange.has_asked())
    }

    /// The upstream answered: the caller gets the request's id instead of the vendor's.
    pub(crate) fn answered(&mut self, head: &mut ResponseHead) {
        self.status = Some(head.status);
        self.answered_by = Some(AnsweredBy::Upstream);
        self.upstream_request_id = self.correlation.put_on_answer(&mut head.fields);
    }

    /// sidekey answered, and it is no error.
    pub(crate) fn answered_itself(&mut self, answer: &mut Response<()>) {
        self.status = Some(answer.status());
        self.answered_by = Some(AnsweredBy::Sidekey);
        answer.headers_mut().insert(&X_REQUEST_ID, self.request_id().header_value());
    }

    /// sidekey refused it. Only the log sees the whole chain of causes.
    pub(crate) fn refused(&mut self, error: &ProxyError) {
        let problem = error.problem();
        self.status = Some(problem.status);
        self.answered_by = Some(AnsweredBy::Sidekey);
        let limit = if let ProxyError::Limits(error) = error { Some(error.kind()) } else { None };
        self.refusal = Some(Refusal { slug: problem.slug, limit, error: self.clean(error.chain()) });
    }

    /// The upstream broke off, or stopped, in the middle of its answer, unless that was whole. Only the log sees why.
    pub(crate) fn broke_off(&mut self, error: &BrokenAnswer) {
        if !self.finished {
            self.broken_off = Some(self.clean(error::chain(error)));
        }
    }

    /// A text about what the upstream did may quote it, as that of a certificate for other names does: so whatever form of
    /// its credential it has put there is taken out.
    fn clean(&self, text: String) -> Box<str> {
        match &self.upstream {
            Some(upstream) => upstream.scrubber().clean_text(&text).into(),
            None => text.into(),
        }
    }

    /// By which it is found again.
    pub(crate) fn request_id(&self) -> &RequestId {
        &self.correlation.request_id
    }

    /// A piece of the answer's body has gone to the caller.
    pub(crate) fn received(&mut self, bytes: usize) {
        self.received += bytes as u64;
    }

    /// The answer was a 101: bytes pass both ways from now on.
    pub(crate) fn begin_tunnel(&mut self) {
        let handshake = self.began.elapsed();
        self.tunnel = Some(Box::new(TunnelRecord { handshake, ended_by: None }));
        if let Some(upstream) = &self.upstream {
            upstream.account().tunnels.begin();
        }
    }

    /// Bytes have gone to the upstream, through the tunnel.
    pub(crate) fn sent(&mut self, bytes: usize) {
        if let Some(exchange) = &self.exchange {
            exchange.count(bytes);
        }
    }

    /// The tunnel has come to its end, and neither side has failed.
    pub(crate) fn tunnel_ended_by(&mut self, whom: &'static str) {
        if let Some(tunnel) = &mut self.tunnel {
            tunnel.ended_by = Some(whom);
        }
    }

    /// The credential was found in the answer, and taken out, so many times.
    pub(crate) fn scrubbed(&mut self, times: u64) {
        self.scrubbed = times;
    }

    /// It is over, whether or not that was the end.
    pub(crate) fn end_at(&mut self, ended: Instant) {
        self.ended = Some(ended);
    }

    /// The answer's body has come to its end.
    pub(crate) fn finish(&mut self) {
        self.finished = true;
    }
}

impl AccessRecord {
    fn count(&self, took: Duration) {
        let outcome = match (self.status, self.answered_by) {
            (None, _) | (_, None) => Outcome::Gone,
            (Some(_), Some(AnsweredBy::Sidekey)) => Outcome::Sidekey,
            (Some(_), Some(AnsweredBy::Upstream)) if self.finished => Outcome::Upstream,
            (Some(_), Some(AnsweredBy::Upstream)) if self.broken_off.is_some() => Outcome::Cut,
            (Some(_), Some(AnsweredBy::Upstream)) => Outcome::Gone,
        };
        let ended = Ended {
            caller: self.caller.id(),
            status: self.status,
            outcome,
            problem: self.refusal.as_ref().map(|refusal| refusal.slug),
            limit: self.refusal.as_ref().and_then(|refusal| refusal.limit),
            took: self.tunnel.as_ref().map_or(took, |tunnel| tunnel.handshake),
            tunnel: self.tunnel.as_ref().map(|tunnel| took.saturating_sub(tunnel.handshake)),
            phases: self.exchange.as_ref().map(|exchange| exchange.phases()),
            sent: self.exchange.as_ref().map_or(0, |exchange| exchange.sent()),
            received: self.received,
            scrubbed: self.scrubbed,
            would_refuse: self.would_refuse.is_some(),
        };
        metrics::on_worker(|account| {
            account.in_flight.subtract(1);
            self.upstream.as_ref().map_or(&account.astray, |upstream| upstream.account()).enter(&ended);
        });
    }
}

impl Drop for AccessRecord {
    fn drop(&mut self) {
        let ended = self.ended.unwrap_or_else(Instant::now);
        let took = ended.saturating_duration_since(self.began);
        self.count(took);
        line::write(self, took);
    }
}
