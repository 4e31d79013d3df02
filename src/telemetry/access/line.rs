//! How an access record is written: one line for each request. No query, no header, no body.

use std::time::Duration;

use http::Method;
use tracing::Level;

use super::{AccessRecord, AnsweredBy};
use crate::correlation::{RequestId, TraceParent};
use crate::telemetry::format::{Fields, Told, name};
use crate::telemetry::{self, settings};
use crate::upstream::{Exchange, Phases, Upstream};

/// Writes the line of a request that has ended after `duration`, unless it is one of those that are left out. What that is
/// costs no more than finding out.
pub(super) fn write(record: &AccessRecord, duration: Duration) {
    let level = level(record);
    if settings::writes(level) && (!is_ordinary(record, duration) || settings::is_due()) {
        telemetry::tell(level, &Line { record, duration });
    }
}

/// A vendor that fails, or echoes credentials, is news; so is whatever sidekey refused.
fn level(record: &AccessRecord) -> Level {
    let failed = record.status.is_some_and(|status| status.is_server_error());
    if record.refusal.is_some() || record.broken_off.is_some() || record.scrubbed > 0 || failed {
        Level::WARN
    } else {
        Level::INFO
    }
}

/// Whether it went as requests do, so that one line stands for many.
fn is_ordinary(record: &AccessRecord, duration: Duration) -> bool {
    let succeeded = record.status.is_some_and(|status| status.as_u16() < 400);
    let by_upstream = record.answered_by == Some(AnsweredBy::Upstream);
    let odd = record.would_refuse.is_some() || record.scrubbed > 0 || !record.finished;
    succeeded && by_upstream && !odd && !settings::is_slow(duration)
}

struct Line<'a> {
    record: &'a AccessRecord,
    duration: Duration,
}

impl Told for Line<'_> {
    fn target(&self) -> &'static str {
        "access"
    }

    fn tell(&self, fields: &mut impl Fields) {
        let record = self.record;
        let exchange = record.exchange.as_deref();
        fields.number(name!("status"), record.status.map(|status| status.as_u16().into()));
        fields.plain(name!("method"), record.method.as_ref().map_or("-", Method::as_str));
        fields.text(name!("path"), path(record));
        fields.plain(name!("upstream"), record.upstream.as_deref().map(Upstream::name));
        fields.plain(name!("caller"), record.caller.name());
        fields.number(name!("duration_us"), micros(self.duration));
        fields.number(name!("sent"), exchange.map_or(0, Exchange::sent));
        fields.number(name!("received"), record.received);
        // Nobody waited for the end: the caller went away, or the upstream's body broke off.
        fields.flag(name!("cut"), (!record.finished).then_some(true));
        fields.plain(name!("ended_by"), record.tunnel.as_ref().and_then(|tunnel| tunnel.ended_by));
        fields.text(name!("would_refuse"), record.would_refuse.as_deref());
        fields.number(name!("scrubbed"), (record.scrubbed > 0).then_some(record.scrubbed));
        fields.plain(name!("answered_by"), record.answered_by.map(answerer));
        fields.number(name!("queue_us"), record.queued.map(micros));
        if let Some(exchange) = exchange {
            tell_phases(exchange.phases(), fields);
        }
        fields.plain(name!("request_id"), record.request_id().as_str());
        fields.plain(name!("upstream_request_id"), record.upstream_request_id.as_ref().map(RequestId::as_str));
        fields.plain(name!("trace_id"), record.correlation.trace.as_ref().map(TraceParent::id));
        fields.plain(name!("problem"), record.refusal.as_ref().map(|refusal| refusal.slug));
        let error = record.refusal.as_ref().map(|refusal| &*refusal.error);
        fields.text(name!("error"), error.or(record.broken_off.as_deref()));
    }
}

fn path(record: &AccessRecord) -> &str {
    // RFC 9112 3.2.3: the target of `CONNECT` has none.
    if record.method.is_some() { record.path.path() } else { "-" }
}

fn tell_phases(phases: &Phases, fields: &mut impl Fields) {
    fields.number(name!("lookup_us"), phases.lookup_time().map(micros));
    fields.number(name!("connect_us"), phases.connect_time().map(micros));
    fields.number(name!("tls_us"), phases.tls_time().map(micros));
    fields.number(name!("wait_us"), phases.wait_time().map(micros));
    fields.flag(name!("reused"), phases.reused());
    fields.number(name!("retries"), Some(phases.retries().into()).filter(|retries| *retries > 0));
}

fn answerer(by: AnsweredBy) -> &'static str {
    match by {
        AnsweredBy::Upstream => "upstream",
        AnsweredBy::Sidekey => "sidekey",
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
