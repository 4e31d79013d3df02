//! `/status`: how things stand, for a person or a script. Names, times and counts; no secret, and nothing made of one.

use std::time::SystemTime;

use serde_json::{Value, json};

use crate::config;
use crate::credential::{Credential, Which};
use crate::limits::Limiter;
use crate::server::{Blueprint, Pulses, State};
use crate::telemetry::clock::rfc3339 as time;
use crate::telemetry::metrics::{Accounts, Ledger};
use crate::upstream::{BreakerState, Shared};

/// The whole page; the process began at `began`.
pub(super) fn render(state: &State, pulses: &Pulses, began: SystemTime) -> String {
    let (in_force, ledger) = (state.in_force(), Ledger::open());
    let upstreams = in_force.each_upstream().map(|(config, prepared)| {
        let account = ledger.upstream(&config.name);
        upstream(config, &prepared.shared, account)
    });
    let callers =
        in_force.each_caller().map(|(caller, limiter)| json!({ "name": caller.name, "limits": limits(limiter) }));
    let page = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "since": time(began),
        "ready": !state.is_draining(),
        "draining": state.is_draining(),
        "workers": pulses.each().count(),
        "stuck_workers": pulses.stuck().collect::<Vec<_>>(),
        "requests_in_flight": ledger.in_flight(),
        "caller_connections": ledger.workers().map(|(_, worker)| worker.open_connections()).sum::<u64>(),
        "max_caller_connections": state.max_connections(),
        "refused_caller_connections": state.turned_away(),
        "buffered_bytes": in_force.buffers().map_or(0, |account| account.used()),
        "max_buffered_bytes": in_force.config.server.max_buffered,
        "config": files(state, &in_force),
        "listeners": in_force.config.listeners.iter().map(listener).collect::<Vec<_>>(),
        "upstreams": upstreams.collect::<Vec<_>>(),
        "callers": callers.collect::<Vec<_>>(),
    });
    format!("{page:#}\n")
}

/// What was read, and what became of it.
fn files(state: &State, in_force: &Blueprint) -> Value {
    let reload = state.reload();
    json!({
        "file": in_force.config.path.display().to_string(),
        "generation": reload.generation,
        "in_force_since": time(reload.in_force_since),
        "last_reload": reload.last.map(|at| {
            json!({ "at": time(at), "outcome": if reload.stale.is_some() { "failure" } else { "success" } })
        }),
        "last_read": time(reload.read),
        "stale": reload.stale.as_ref().map(|stale| json!({ "since": time(stale.since), "reason": stale.reason })),
        "warnings": in_force.config.warnings.len(),
    })
}

fn listener(config: &config::Listener) -> Value {
    json!({
        "name": config.name,
        "tls": config.tls.as_ref().map(|tls| {
            json!({ "certificate_expires": time(tls.validity.ends()), "asks_certificates": tls.client_ca.is_some() })
        }),
    })
}

fn upstream(config: &config::Upstream, shared: &Shared, account: Option<&Accounts>) -> Value {
    let connections = account.map(Accounts::connections);
    let failure = account.and_then(Accounts::last_failure);
    let preference = shared.preference();
    let credentials = [Which::Main, Which::Fallback].into_iter().filter_map(|which| {
        let scheme = config.credentials.at(which).map(Credential::scheme)?;
        let since = shared.secret(which).since();
        Some(json!({
            "key": which.key(),
            "scheme": scheme,
            "preferred": shared.preferred(config) == Some(which),
            "since": since.date(),
            "age_seconds": since.elapsed().as_secs(),
            "last_rejected": account.and_then(|account| account.last_rejection(which)).map(time),
        }))
    });
    json!({
        "name": config.name,
        "origin": config.origin.to_string(),
        "preset": config.preset.map(|preset| preset.name),
        "usable": config.credentials.first().is_some(),
        "credentials": credentials.collect::<Vec<_>>(),
        "preference": preference.map(|preference| {
            json!({ "changed": preference.changed().map(time), "changes": preference.changes() })
        }),
        "breaker": shared.breaker().map(|breaker| {
            let state = breaker.state();
            let left = if let BreakerState::Open(left) = state { Some(left.as_secs_f64()) } else { None };
            json!({ "state": state.name(), "open_for_seconds": left, "openings": breaker.openings() })
        }),
        "limits": limits(shared.limiter()),
        "connections": connections.map(|open| json!({ "idle": open.idle, "active": open.active })),
        "last_failure": failure.map(|(problem, at)| json!({ "problem": problem, "at": time(at) })),
    })
}

/// `null`: there are none.
fn limits(limiter: &Limiter) -> Value {
    if !limiter.is_limited() {
        return Value::Null;
    }
    json!({
        "rate": limiter.rate().map(|rate| {
            json!({ "requests": rate.requests, "period_seconds": rate.period.as_secs(), "burst": rate.burst })
        }),
        "concurrency": limiter.concurrency(),
        "in_use": limiter.in_use(),
        "waiting": limiter.waiting(),
        "vendor_pause": limiter.pause().map(|(left, count)| json!({ "seconds": left.as_secs_f64(), "count": count })),
    })
}
