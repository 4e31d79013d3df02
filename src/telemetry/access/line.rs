//! How an access record is written: one line for each request. No query, no header, no body.

use std::time::Duration;

use http::Method;
use tracing::Level;

use super::{AccessRecord, AnsweredBy};
use crate::correlation::{RequestId, TraceParent};
use crate::telemetry::settings;
use crate::upstream::{Exchange, Phases, Upstream};

/// Writes the line of a request that has ended after `duration`, unless it is one of those that are left out. What that is
/// costs no more than finding out.
pub(super) fn write(record: &AccessRecord, duration: Duration) {
    let level = level(record);
    if settings::writes(level) && (!is_ordinary(record, duration) || settings::is_due()) {
        write_at(level, record, duration);
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

fn write_at(level: Level, record: &AccessRecord, duration: Duration) {
    let exchange = record.exchange.as_deref();
    let phase = |time: fn(&Phases) -> Option<Duration>| exchange.and_then(|it| time(it.phases())).map(micros);
    let status = record.status.map(|status| status.as_u16());
    let method = record.method.as_ref().map_or("-", Method::as_str);
    let path = if record.method.is_some() { record.uri.path() } else { "-" };
    let upstream = record.upstream.as_deref().map(Upstream::name);
    let caller = record.caller.name();
    let duration_us = micros(duration);
    let (sent, received) = (exchange.map_or(0, Exchange::sent), record.received);
    // Nobody waited for the end: the caller went away, or the upstream's body broke off.
    let cut = (!record.finished).then_some(true);
    let would_refuse = record.would_refuse.as_deref();
    let scrubbed = (record.scrubbed > 0).then_some(record.scrubbed);
    let answered_by = record.answered_by.map(|by| match by {
        AnsweredBy::Upstream => "upstream",
        AnsweredBy::Sidekey => "sidekey",
    });
    let queue_us = record.queued.map(micros);
    let lookup_us = phase(Phases::lookup_time);
    let connect_us = phase(Phases::connect_time);
    let tls_us = phase(Phases::tls_time);
    let wait_us = phase(Phases::wait_time);
    let reused = exchange.and_then(|exchange| exchange.phases().reused());
    let retries = exchange.map(|exchange| exchange.phases().retries()).filter(|retries| *retries > 0);
    let request_id = record.request_id().as_str();
    let upstream_request_id = record.upstream_request_id.as_ref().map(RequestId::as_str);
    let trace_id = record.correlation.trace.as_ref().map(TraceParent::id);
    let problem = record.refusal.as_ref().map(|refusal| refusal.slug);
    let error = record.refusal.as_ref().map(|refusal| &*refusal.error).or(record.broken_off.as_deref());
    // A level is part of what is known of an event beforehand: there is one event for each.
    macro_rules! line {
        ($level:ident) => {
            tracing::$level!(
                target: "access",
                status, method, path, upstream, caller, duration_us, sent, received, cut, would_refuse, scrubbed,
                answered_by, queue_us, lookup_us, connect_us, tls_us, wait_us, reused, retries,
                request_id, upstream_request_id, trace_id, problem, error
            )
        };
    }
    if level == Level::WARN { line!(warn) } else { line!(info) }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
