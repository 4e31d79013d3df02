//! How an access record is written: one line for each request. No query, no header, no body.

use http::Method;

use super::{AccessRecord, Answered};
use crate::upstream::Upstream;

/// Writes the line of a request that has ended.
pub(super) fn write(record: &AccessRecord) {
    let status = record.status.map(|status| status.as_u16());
    let method = record.method.as_ref().map_or("-", Method::as_str);
    let path = if record.method.is_some() { record.uri.path() } else { "-" };
    let upstream = record.upstream.as_deref().map(Upstream::name);
    let duration_us = u64::try_from(record.began.elapsed().as_micros()).unwrap_or(u64::MAX);
    let (caller, would_refuse) = (record.caller.name(), record.would_refuse.as_deref());
    let (sent, received) = (record.sent, record.received);
    // Nobody waited for the end: the caller went away, or the upstream's body broke off.
    let cut = (!record.finished).then_some(true);
    match &record.answer {
        Answered::Upstream if record.scrubbed == 0 => tracing::info!(
            target: "access", status, method, path, upstream, caller, duration_us, sent, received, cut, would_refuse
        ),
        // A vendor that echoes credentials is news.
        Answered::Upstream => tracing::warn!(
            target: "access",
            status, method, path, upstream, caller, duration_us, sent, received, cut, would_refuse,
            scrubbed = record.scrubbed
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
