//! Metrics of how things stand at this moment, which all workers share: credentials, breakers, limits, bounds. Nobody
//! counts them on a request's path; they are looked up when a scrape comes.

use super::exposition::{Exposition, Samples};
use super::families::seconds;
use crate::config;
use crate::credential::Which;
use crate::limits::Limiter;
use crate::server::{Blueprint, Pulses, State};
use crate::upstream::{BreakerState, Shared};

pub(super) fn write(page: &mut Exposition, state: &State, pulses: &Pulses) {
    let in_force = state.in_force();
    credentials(page, &in_force);
    certificates(page, &in_force);
    breakers(page, &in_force);
    limits(page, &in_force);
    pauses(page, &in_force);
    bounds(page, state, &in_force);
    page.gauge("sidekey_worker_stuck", "1 if the worker does not move: its requests stand still.", |samples| {
        for (worker, is_stuck) in pulses.each() {
            samples.add(&[("worker", &worker.to_string())], u8::from(is_stuck));
        }
    });
}

fn credentials(page: &mut Exposition, in_force: &Blueprint) {
    let help = "When the credential was first read as it is now.";
    page.gauge("sidekey_secret_read_timestamp_seconds", help, |samples| {
        each_credential(in_force, |upstream, shared, which| {
            let read = shared.secret(which).since().time();
            samples.add(&[("upstream", &upstream.name), ("credential", which.key())], seconds(read));
        });
    });
    let help = "1 if there is a usable secret. An optional upstream without one answers 503.";
    page.gauge("sidekey_secret_usable", help, |samples| {
        for (upstream, _) in in_force.each_upstream() {
            samples.add(&[("upstream", &upstream.name)], u8::from(upstream.credentials.first().is_some()));
        }
    });
    let help = "1 for the credential that requests are sent with first, 0 for the other one.";
    page.gauge("sidekey_credential_preferred", help, |samples| {
        each_credential(in_force, |upstream, shared, which| {
            let is_preferred = shared.preferred(upstream) == Some(which);
            samples.add(&[("upstream", &upstream.name), ("credential", which.key())], u8::from(is_preferred));
        });
    });
    let help = "Times that the upstream turned out to take the other credential, which was used from then on.";
    page.counter("sidekey_credential_changes", help, |samples| {
        for (upstream, prepared) in in_force.each_upstream() {
            if let Some(preference) = prepared.shared.preference() {
                samples.add(&[("upstream", &upstream.name)], preference.changes());
            }
        }
    });
}

fn certificates(page: &mut Exposition, in_force: &Blueprint) {
    let help = "When the certificate that the listener shows ends.";
    page.gauge("sidekey_listener_certificate_expires_timestamp_seconds", help, |samples| {
        for listener in &in_force.config.listeners {
            if let Some(tls) = &listener.tls {
                samples.add(&[("listener", &listener.name)], seconds(tls.validity.ends()));
            }
        }
    });
}

/// Those that can be used.
fn each_credential(in_force: &Blueprint, mut tell: impl FnMut(&config::Upstream, &Shared, Which)) {
    for (upstream, prepared) in in_force.each_upstream() {
        for which in [Which::Main, Which::Fallback] {
            if upstream.credentials.at(which).is_some() {
                tell(upstream, &prepared.shared, which);
            }
        }
    }
}

fn breakers(page: &mut Exposition, in_force: &Blueprint) {
    let breakers =
        || in_force.each_upstream().filter_map(|(config, prepared)| Some((config, prepared.shared.breaker()?)));
    let help = "1 for the state in which the upstream's breaker is: closed, open (nothing is sent), half-open (one request \
                finds out).";
    page.gauge("sidekey_breaker_state", help, |samples| {
        for (upstream, breaker) in breakers() {
            let now = breaker.state().name();
            for state in BreakerState::NAMES {
                samples.add(&[("upstream", &upstream.name), ("state", state)], u8::from(state == now));
            }
        }
    });
    page.counter("sidekey_breaker_openings", "Times that the breaker opened, having been closed.", |samples| {
        for (upstream, breaker) in breakers() {
            samples.add(&[("upstream", &upstream.name)], breaker.openings());
        }
    });
}

fn limits(page: &mut Exposition, in_force: &Blueprint) {
    let help = "Requests that may be under way at once, of an upstream or of a caller.";
    gauge_of_limits(page, "sidekey_limit_concurrency", help, in_force, |limiter| {
        limiter.concurrency().map(|of| of as f64)
    });
    let help = "Requests under way, where their number is limited.";
    gauge_of_limits(page, "sidekey_limit_concurrency_in_use", help, in_force, |limiter| {
        limiter.in_use().map(|in_use| in_use as f64)
    });
    let help = "Requests that are let through in a second, on the average, of an upstream or of a caller.";
    gauge_of_limits(page, "sidekey_limit_rate", help, in_force, |limiter| {
        limiter.rate().map(|rate| f64::from(rate.requests.get()) / rate.period.as_secs_f64())
    });
    let help = "Requests that wait for their turn, where there is a limit.";
    gauge_of_limits(page, "sidekey_limit_waiting_requests", help, in_force, |limiter| {
        limiter.is_limited().then(|| limiter.waiting() as f64)
    });
}

/// Of every limiter that has such a number. The label that does not apply is empty.
fn gauge_of_limits(
    page: &mut Exposition,
    name: &str,
    help: &str,
    in_force: &Blueprint,
    number: fn(&Limiter) -> Option<f64>,
) {
    page.gauge(name, help, |samples| {
        let tell = |samples: &mut Samples<'_>, upstream: &str, caller: &str, limiter: &Limiter| {
            if let Some(number) = number(limiter) {
                samples.add(&[("upstream", upstream), ("caller", caller)], number);
            }
        };
        for (upstream, prepared) in in_force.each_upstream() {
            tell(samples, &upstream.name, "", prepared.shared.limiter());
        }
        for (caller, limiter) in in_force.each_caller() {
            tell(samples, "", &caller.name, limiter);
        }
    });
}

fn pauses(page: &mut Exposition, in_force: &Blueprint) {
    let pauses =
        || in_force.each_upstream().filter_map(|(config, prepared)| Some((config, prepared.shared.limiter().pause()?)));
    let help = "For how much longer the upstream is left alone, as its Retry-After asked for. 0: it is not.";
    page.gauge("sidekey_vendor_pause_seconds", help, |samples| {
        for (upstream, (left, _)) in pauses() {
            samples.add(&[("upstream", &upstream.name)], left.as_secs_f64());
        }
    });
    page.counter("sidekey_vendor_pauses", "Times that the upstream came to ask for that.", |samples| {
        for (upstream, (_, count)) in pauses() {
            samples.add(&[("upstream", &upstream.name)], count);
        }
    });
}

fn bounds(page: &mut Exposition, state: &State, in_force: &Blueprint) {
    page.gauge("sidekey_caller_connections_limit", "Connections of callers that may be open at once.", |samples| {
        samples.add(&[], state.max_connections());
    });
    let help = "Connections of callers that were turned away because there were as many as may be.";
    page.counter("sidekey_caller_connections_refused", help, |samples| samples.add(&[], state.turned_away()));
    let account = in_force.buffers();
    let used = account.map_or(0, |account| account.used());
    page.gauge("sidekey_buffered_bytes", "Bytes of bodies that are held in memory.", |samples| samples.add(&[], used));
    let limit = account.map_or(in_force.config.server.max_buffered, |account| account.limit());
    page.gauge("sidekey_buffered_limit_bytes", "Bytes of bodies that may be held.", |samples| samples.add(&[], limit));
}
