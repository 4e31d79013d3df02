//! `retry`, `replay_buffer`, `fallback_on` and `breaker`: when an upstream is asked again, with another key, or not at all.

use std::time::Duration;

use http::StatusCode;

use super::error::{Fault, list};
use super::preset::Preset;
use super::read::{At, Table};

/// `retry = { … }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Retry {
    /// All of them: the first one, too.
    pub(crate) attempts: u32,
    pub(crate) on: Vec<Failure>,
    /// How many retries there may be, in percent of the requests.
    pub(crate) budget: u32,
    /// The longest that is waited before an attempt.
    pub(crate) max_wait: Duration,
}

/// What can be answered with another attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// There was no connection: nothing of the request has left.
    Connect,
    /// The connection was lost before an answer's header.
    Reset,
    /// 502
    BadGateway,
    /// 503
    Unavailable,
    /// 504
    GatewayTimeout,
    /// 429
    TooManyRequests,
}

/// `breaker = { … }`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Breaker {
    /// So many failures in a row open it.
    pub(crate) failures: u32,
    /// For how long it lets nothing through.
    pub(crate) open: Duration,
}

const ATTEMPTS: usize = 3;
const MAX_ATTEMPTS: usize = 10;
const BUDGET: u32 = 20;
const MAX_WAIT: Duration = Duration::from_secs(10);
const FAILURES: [(&str, Failure); 6] = [
    ("connect", Failure::Connect),
    ("reset", Failure::Reset),
    ("502", Failure::BadGateway),
    ("503", Failure::Unavailable),
    ("504", Failure::GatewayTimeout),
    ("429", Failure::TooManyRequests),
];

const REPLAY_BUFFER: u64 = 64 * 1024;

const OPENING_FAILURES: usize = 5;
const MAX_OPENING_FAILURES: usize = 10_000;
const OPEN: Duration = Duration::from_secs(10);

/// `None`: nothing is sent again but what was certainly not acted on.
pub(super) fn read_retry(table: &mut Table<'_>) -> Option<Retry> {
    table.optional_section("retry", |table| Retry {
        attempts: table.integer("attempts", 1..=MAX_ATTEMPTS).unwrap_or(ATTEMPTS) as u32,
        on: read_failures(table),
        budget: table.percentage("budget").unwrap_or(BUDGET),
        max_wait: table.duration("max_wait").unwrap_or(MAX_WAIT),
    })
}

fn read_failures(table: &mut Table<'_>) -> Vec<Failure> {
    let names = || FAILURES.iter().map(|(name, _)| *name);
    let expected = format!("a list of {}", list(names()));
    let Some(At { value: written, place }) = table.list("on", &expected) else {
        return FAILURES.iter().map(|(_, failure)| *failure).collect();
    };
    if written.is_empty() {
        table.refuse(&place, Fault::new(format!("expected {expected}")).hint("without `retry`, nothing is retried"));
    }
    let known = |At { value, place }: At<&str>| {
        let failure = FAILURES.iter().find(|(name, _)| *name == value).map(|(_, failure)| *failure);
        if failure.is_none() {
            table.refuse(&place, Fault::new(format!("expected one of {}", list(names()))).suggest(value, names()));
        }
        failure
    };
    written.into_iter().filter_map(known).collect()
}

/// How many bytes of a body are kept as they pass, so that it can be sent again.
pub(super) fn read_replay_buffer(table: &mut Table<'_>) -> usize {
    let size = table.size("replay_buffer").unwrap_or(REPLAY_BUFFER);
    usize::try_from(size).unwrap_or(usize::MAX)
}

/// The statuses with which the vendor says that a key is not good. `has_fallback`: there is another one to try.
pub(super) fn read_fallback_on(
    table: &mut Table<'_>,
    preset: Option<&Preset>,
    has_fallback: bool,
) -> Box<[StatusCode]> {
    let Some(At { value: written, place }) = table.integers("fallback_on", 400..=499) else {
        return Box::new([StatusCode::UNAUTHORIZED]);
    };
    if !has_fallback {
        table.refuse(&place, Fault::new("there is no `fallback.SCHEME` to try then"));
    }
    if written.is_empty() {
        table.refuse(&place, "expected at least one status, such as 401");
    }
    let status = |At { value, place }: At<usize>| {
        if value == 403
            && let Some(preset) = preset.filter(|preset| preset.forbidden.is_some())
        {
            let fault = Fault::new("403 does not mean a bad key here");
            table.refuse(&place, fault.hint(format!("`{}` answers 403 when the quota is used up", preset.name)));
        }
        StatusCode::from_u16(u16::try_from(value).ok()?).ok()
    };
    written.into_iter().filter_map(status).collect()
}

/// `None`: every request goes to the vendor, whatever became of the last ones.
pub(super) fn read_breaker(table: &mut Table<'_>) -> Option<Breaker> {
    table.optional_section("breaker", |table| Breaker {
        failures: table.integer("failures", 1..=MAX_OPENING_FAILURES).unwrap_or(OPENING_FAILURES) as u32,
        open: table.duration("open").unwrap_or(OPEN),
    })
}
