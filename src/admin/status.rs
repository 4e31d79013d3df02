//! `/status`: how things stand, for a person or a script. Names, times and counts; no secret, and nothing made of one.

use std::time::SystemTime;

use serde_json::{Value, json};

use crate::config;
use crate::server::State;
use crate::telemetry::clock::rfc3339 as time;
use crate::telemetry::metrics::{Accounts, Ledger};
use crate::upstream::Shared;

/// The whole page; the process began at `began`.
pub(super) fn render(state: &State, began: SystemTime) -> String {
    let (in_force, reload, ledger) = (state.in_force(), state.reload(), Ledger::open());
    let upstreams = in_force.each_upstream().map(|(config, prepared)| {
        let account = ledger.upstream(&config.name);
        upstream(config, &prepared.shared, account)
    });
    let page = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "since": time(began),
        "ready": !state.is_draining(),
        "draining": state.is_draining(),
        "workers": in_force.config.server.workers,
        "requests_in_flight": ledger.in_flight(),
        "caller_connections": ledger.workers().map(|(_, worker)| worker.open_connections()).sum::<u64>(),
        "config": {
            "file": in_force.config.path.display().to_string(),
            "generation": reload.generation,
            "in_force_since": time(reload.in_force_since),
            "last_reload": reload.last.map(|at| {
                json!({ "at": time(at), "outcome": if reload.stale.is_some() { "failure" } else { "success" } })
            }),
            "last_read": time(reload.read),
            "stale": reload.stale.as_ref().map(|stale| json!({ "since": time(stale.since), "reason": stale.reason })),
            "warnings": in_force.config.warnings.len(),
        },
        "upstreams": upstreams.collect::<Vec<_>>(),
    });
    format!("{page:#}\n")
}

fn upstream(config: &config::Upstream, shared: &Shared, account: Option<&Accounts>) -> Value {
    let since = shared.secret().since();
    let connections = account.map(Accounts::connections);
    let failure = account.and_then(Accounts::last_failure);
    json!({
        "name": config.name,
        "origin": config.origin.to_string(),
        "preset": config.preset.map(|preset| preset.name),
        "scheme": config.credentials.schemes(),
        "secret": {
            "usable": config.credentials.first().is_some(),
            "since": since.date(),
            "age_seconds": since.elapsed().as_secs(),
            "last_rejected": account.and_then(Accounts::last_rejection).map(time),
        },
        "connections": connections.map(|open| json!({ "idle": open.idle, "active": open.active })),
        "last_failure": failure.map(|(problem, at)| json!({ "problem": problem, "at": time(at) })),
    })
}
