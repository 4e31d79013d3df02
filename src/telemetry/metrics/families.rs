//! Every metric that there is, with its help text. `docs/metrics.md` has the same list, which a test compares.

use std::time::{SystemTime, UNIX_EPOCH};

use super::accounts::UpstreamAccount;
use super::cells::{COMPUTING, Cell, Histogram, WAITING};
use super::exposition::{Exposition, Format};
use super::handshakes::Handshake;
use super::ledger::Ledger;
use super::process::ProcessFiles;
use super::standing;
use crate::credential::Which;
use crate::limits::LimitKind;
use crate::server::{Pulses, State};

/// The whole page.
pub(crate) fn render(format: Format, state: &State, pulses: &Pulses, files: &ProcessFiles) -> String {
    let ledger = Ledger::open();
    let mut page = Exposition::new(format);
    requests(&mut page, &ledger);
    tunnels(&mut page, &ledger);
    callers(&mut page, &ledger);
    answers(&mut page, &ledger);
    connections(&mut page, &ledger);
    credentials(&mut page, &ledger);
    standing::write(&mut page, state, pulses);
    config(&mut page, state);
    page.gauge("sidekey_build_info", "1, and which sidekey this is.", |samples| {
        samples.add(&[("version", env!("CARGO_PKG_VERSION"))], 1);
    });
    files.write(&mut page);
    page.finish()
}

fn requests(page: &mut Exposition, ledger: &Ledger) {
    let help = "Requests that have ended, by class of status and by outcome: upstream (its whole answer passed), sidekey \
                (it answered by itself), cut (the upstream broke its answer off), gone (the caller went away before the \
                end of its answer).";
    page.counter("sidekey_requests", help, |samples| {
        ledger.each_outcome(|upstream, caller, code, outcome, count| {
            let labels = [("upstream", upstream), ("caller", caller), ("code", code), ("outcome", outcome)];
            samples.add(&labels, count);
        });
    });
    let help =
        "Answers of sidekey's own to what it could not pass on, by the kind of problem, as docs/errors.md has it.";
    page.counter("sidekey_problems", help, |samples| {
        ledger.each_problem(|upstream, problem, count| {
            samples.add(&[("upstream", upstream), ("problem", problem)], count);
        });
    });
    page.gauge("sidekey_requests_in_flight", "Requests that have begun and not ended.", |samples| {
        samples.add(&[], ledger.in_flight());
    });
    durations(page, ledger, "sidekey_request_duration_seconds", "From a request's header to its answer's end.", |a| {
        &a.duration
    });
    let help = "Bytes of requests' bodies that were sent upstream.";
    counts(page, ledger, "sidekey_request_body_bytes", help, |account| &account.sent);
    let help = "Bytes of answers' bodies that were handed to callers.";
    counts(page, ledger, "sidekey_response_body_bytes", help, |account| &account.received);
    let help = "Requests that sidekey refused, by the limit that they were over.";
    page.counter("sidekey_limited_requests", help, |samples| {
        for (upstream, accounts) in ledger.upstreams() {
            for limit in LimitKind::ALL {
                samples.add(&[("upstream", upstream), ("limit", limit.name())], accounts.limited(limit));
            }
        }
    });
    let help = "Requests that passed although rules that are only reported would have refused them.";
    counts(page, ledger, "sidekey_would_refuse", help, |account| &account.would_refuse);
}

fn tunnels(page: &mut Exposition, ledger: &Ledger) {
    let help = "Requests that have become WebSockets.";
    counts(page, ledger, "sidekey_tunnels_opened", help, |account| &account.tunnels.begun);
    page.gauge("sidekey_tunnels", "WebSockets that are open. They are requests in flight, too.", |samples| {
        for (upstream, accounts) in ledger.upstreams() {
            samples.add(&[("upstream", upstream)], accounts.total(|account| &account.tunnels.open));
        }
    });
    let help = "How long WebSockets were open that are not any more.";
    durations(page, ledger, "sidekey_tunnel_duration_seconds", help, |account| &account.tunnels.lasted);
}

fn callers(page: &mut Exposition, ledger: &Ledger) {
    page.counter("sidekey_caller_connections_accepted", "Connections of callers, by worker.", |samples| {
        for (number, worker) in ledger.workers() {
            samples.add(&[("worker", &number.to_string())], worker.accepted.value());
        }
    });
    let help = "TLS handshakes with callers, by outcome: full and resumed were made, the others were not.";
    page.counter("sidekey_caller_tls_handshakes", help, |samples| {
        for outcome in Handshake::ALL {
            let count = ledger.workers().map(|(_, worker)| worker.handshakes.of(outcome)).sum::<u64>();
            samples.add(&[("outcome", outcome.name())], count);
        }
    });
    page.gauge("sidekey_caller_connections", "Open connections of callers, by worker.", |samples| {
        for (number, worker) in ledger.workers() {
            samples.add(&[("worker", &number.to_string())], worker.open_connections());
        }
    });
}

fn answers(page: &mut Exposition, ledger: &Ledger) {
    let help = "From when a request had left to the header of its response; of several attempts, the last.";
    durations(page, ledger, "sidekey_upstream_first_byte_seconds", help, |account| &account.first_byte);
    let help = "Times that the upstream answered 401, each attempt by itself: it does not take the credential.";
    page.counter("sidekey_upstream_unauthorized", help, |samples| {
        for (upstream, accounts) in ledger.upstreams() {
            for which in [Which::Main, Which::Fallback] {
                samples.add(&[("upstream", upstream), ("credential", which.key())], accounts.rejections(which));
            }
        }
    });
    let help = "Times that the upstream answered 429, each attempt by itself: it is asked too often.";
    counts(page, ledger, "sidekey_upstream_throttled", help, |account| &account.throttled);
    let help = "Times that the credential was found in an answer, and taken out.";
    counts(page, ledger, "sidekey_scrubbed", help, |account| &account.scrubbed);
    counts(page, ledger, "sidekey_retries", "Further attempts after one that failed.", |account| &account.retries);
    let help = "Requests that were sent again with the other credential.";
    counts(page, ledger, "sidekey_fallbacks", help, |account| &account.fallbacks);
}

fn connections(page: &mut Exposition, ledger: &Ledger) {
    page.gauge("sidekey_upstream_connections", "Open connections to the upstream, by what they do.", |samples| {
        for (upstream, accounts) in ledger.upstreams() {
            let connections = accounts.connections();
            for (state, count) in [("idle", connections.idle), ("active", connections.active)] {
                samples.add(&[("upstream", upstream), ("state", state)], count);
            }
        }
    });
    let help = "Connections that were made to the upstream.";
    counts(page, ledger, "sidekey_upstream_connections_opened", help, |account| &account.opened);
    let help = "Connections to the upstream that could not be made.";
    counts(page, ledger, "sidekey_upstream_connections_failed", help, |account| &account.not_opened);
    let help = "Requests that went on a connection that was there already.";
    counts(page, ledger, "sidekey_upstream_connections_reused", help, |account| &account.reused);
    let help = "Finding the addresses of the upstream's name, for a new connection.";
    durations(page, ledger, "sidekey_upstream_lookup_seconds", help, |account| &account.look_up);
    let help = "Connecting to the upstream, over all its addresses.";
    durations(page, ledger, "sidekey_upstream_connect_seconds", help, |account| &account.connect);
    durations(page, ledger, "sidekey_upstream_tls_seconds", "The TLS handshake with the upstream.", |account| {
        &account.tls
    });
}

fn credentials(page: &mut Exposition, ledger: &Ledger) {
    let help = "Times that the credential was put on a request.";
    counts(page, ledger, "sidekey_credentials_placed", help, |account| &account.placed);
    let help = "Computing a credential that is a signature, the body's digest included.";
    page.histogram("sidekey_signing_seconds", help, |series| {
        for (upstream, accounts) in ledger.upstreams() {
            let sum = accounts.sum(&COMPUTING, |account| &account.signing);
            if sum.count() > 0 {
                series.add(&[("upstream", upstream)], &sum);
            }
        }
    });
}

fn config(page: &mut Exposition, state: &State) {
    let reload = state.reload();
    page.counter("sidekey_config_reloads", "Readings of config and secrets that differed, by outcome.", |samples| {
        samples.add(&[("outcome", "success")], reload.succeeded);
        samples.add(&[("outcome", "failure")], reload.failed);
    });
    let help = "1 if the last reading was right: else what was read before is in force, and stale.";
    page.gauge("sidekey_config_last_reload_successful", help, |samples| {
        samples.add(&[], u8::from(reload.stale.is_none()));
    });
    let help = "When the config that is in force was read.";
    page.gauge("sidekey_config_last_reload_success_timestamp_seconds", help, |samples| {
        samples.add(&[], seconds(reload.in_force_since));
    });
    let help = "Since when what is in force is not what the files say, as that cannot be used. 0: it is.";
    page.gauge("sidekey_config_stale_since_timestamp_seconds", help, |samples| {
        samples.add(&[], reload.stale.as_ref().map_or(0.0, |stale| seconds(stale.since)));
    });
    page.gauge("sidekey_ready", "1 if requests are to be sent here: not while it drains.", |samples| {
        samples.add(&[], u8::from(!state.is_draining()));
    });
}

/// A counter that has nothing but an upstream.
fn counts(page: &mut Exposition, ledger: &Ledger, name: &str, help: &str, which: fn(&UpstreamAccount) -> &Cell) {
    page.counter(name, help, |samples| {
        for (upstream, accounts) in ledger.upstreams() {
            samples.add(&[("upstream", upstream)], accounts.total(which));
        }
    });
}

fn durations(
    page: &mut Exposition,
    ledger: &Ledger,
    name: &str,
    help: &str,
    which: fn(&UpstreamAccount) -> &Histogram,
) {
    page.histogram(name, help, |series| {
        for (upstream, accounts) in ledger.upstreams() {
            series.add(&[("upstream", upstream)], &accounts.sum(&WAITING, which));
        }
    });
}

/// Since 1970.
pub(super) fn seconds(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}
