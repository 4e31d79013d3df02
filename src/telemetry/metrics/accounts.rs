//! What a worker keeps account of: its connections, and for each upstream what became of requests. Everything is
//! found when a config is loaded; a request only counts.

use std::sync::OnceLock;
use std::time::Duration;

use http::StatusCode;

use super::cells::{COMPUTING, Cell, Histogram, WAITING};
use super::handshakes::{Handshake, Handshakes};
use super::registry::{CallerId, MAX_CALLERS};
use crate::credential::Which;
use crate::limits::LimitKind;
use crate::telemetry::clock;
use crate::upstream::Phases;

/// How many kinds of problem an upstream's requests can have: more than `docs/errors.md` knows.
const MAX_PROBLEMS: usize = 64;

/// One worker's account. Far from any other's in memory, so that no two write to one cache line.
#[repr(align(128))]
pub(crate) struct WorkerAccount {
    /// Connections of callers that were taken over, and those of them that have ended.
    pub(crate) accepted: Cell,
    pub(crate) departed: Cell,
    pub(crate) in_flight: Cell,
    pub(super) handshakes: Handshakes,
    /// Of the requests that mean no upstream.
    pub(crate) astray: UpstreamAccount,
}

impl WorkerAccount {
    pub(super) fn new() -> Self {
        let (accepted, departed, in_flight, handshakes) = Default::default();
        Self { accepted, departed, in_flight, handshakes, astray: UpstreamAccount::new("") }
    }

    /// TLS with a caller was made, or was not.
    pub(crate) fn handshake(&self, outcome: Handshake) {
        self.handshakes.count(outcome);
    }

    /// Connections of callers that are there now.
    pub(crate) fn open_connections(&self) -> u64 {
        self.accepted.value().saturating_sub(self.departed.value())
    }
}

/// One worker's account of one upstream, which outlives the config that named it.
#[repr(align(128))]
pub(crate) struct UpstreamAccount {
    pub(super) name: Box<str>,
    /// One for each caller that has come.
    pub(super) callers: Box<[OnceLock<Box<Outcomes>>]>,
    pub(super) problems: [(OnceLock<&'static str>, Cell); MAX_PROBLEMS],
    /// When sidekey last had a 5xx of its own to give: milliseconds since 1970, and in the lowest byte the problem's place.
    pub(super) last_failure: Cell,
    /// How often the upstream said 401 to the one credential, and to the other.
    pub(super) main_rejections: Rejections,
    pub(super) fallback_rejections: Rejections,
    pub(super) throttled: Cell,
    /// By [`LimitKind`].
    pub(super) limited: [Cell; LimitKind::ALL.len()],
    pub(super) would_refuse: Cell,
    pub(super) scrubbed: Cell,
    pub(super) sent: Cell,
    pub(super) received: Cell,
    pub(super) duration: Histogram,
    /// From when a request had left to the header of its response.
    pub(super) first_byte: Histogram,
    pub(super) look_up: Histogram,
    pub(super) connect: Histogram,
    pub(super) tls: Histogram,
    /// Placing a credential that is a signature.
    pub(crate) signing: Histogram,
    /// Requests that got their credential, and how often it was placed for them.
    pub(crate) placed: Cell,
    /// Sent once more because of what became of them; the other credential used.
    pub(super) retries: Cell,
    pub(crate) fallbacks: Cell,
    pub(crate) tunnels: Tunnels,
    pub(crate) open: Cell,
    pub(crate) idle: Cell,
    pub(crate) opened: Cell,
    pub(crate) reused: Cell,
    pub(crate) not_opened: Cell,
}

/// The WebSockets that requests have become.
pub(crate) struct Tunnels {
    pub(super) begun: Cell,
    pub(super) open: Cell,
    /// From the 101 to the end.
    pub(super) lasted: Histogram,
}

impl Tunnels {
    fn new() -> Self {
        Self { begun: Cell::default(), open: Cell::default(), lasted: Histogram::new(&WAITING) }
    }

    pub(crate) fn begin(&self) {
        self.begun.add(1);
        self.open.add(1);
    }

    fn end(&self, lasted: Duration) {
        self.open.subtract(1);
        self.lasted.observe(lasted);
    }
}

/// How often a credential was refused, and when last: milliseconds since 1970.
#[derive(Default)]
pub(super) struct Rejections {
    pub(super) count: Cell,
    pub(super) last: Cell,
}

/// Requests by how they ended, for each class of status.
#[derive(Default)]
pub(super) struct Outcomes(pub(super) [[Cell; CLASSES.len()]; OUTCOMES.len()]);

/// Classes of status, as the label `code` has them. A caller that went away before has seen none.
pub(super) const CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];
/// The label `outcome`, in the order of [`Outcome`].
pub(super) const OUTCOMES: [&str; 4] = ["upstream", "sidekey", "cut", "gone"];

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// With the upstream's answer, whole.
    Upstream,
    /// With an answer of sidekey's own.
    Sidekey,
    /// With a part of the upstream's, which broke off.
    Cut,
    /// The caller went away before the end of its answer.
    Gone,
}

/// A request that has ended.
pub(crate) struct Ended<'a> {
    pub(crate) caller: CallerId,
    pub(crate) status: Option<StatusCode>,
    pub(crate) outcome: Outcome,
    /// What kind of problem sidekey's own answer was, and which limit, if it was one.
    pub(crate) problem: Option<&'static str>,
    pub(crate) limit: Option<LimitKind>,
    /// Until its answer's end; of one that became a tunnel, until then, and for how long it was one.
    pub(crate) took: Duration,
    pub(crate) tunnel: Option<Duration>,
    /// `None`: it went to no upstream.
    pub(crate) phases: Option<&'a Phases>,
    pub(crate) sent: u64,
    pub(crate) received: u64,
    pub(crate) scrubbed: u64,
    pub(crate) would_refuse: bool,
}

impl UpstreamAccount {
    pub(super) fn new(name: &str) -> Self {
        let [duration, first_byte, look_up, connect, tls] = [(); 5].map(|()| Histogram::new(&WAITING));
        let (last_failure, main_rejections, fallback_rejections, throttled, limited) = Default::default();
        let (would_refuse, scrubbed, sent, received, placed, retries, fallbacks) = Default::default();
        let (open, idle, opened, reused, not_opened) = Default::default();
        Self {
            name: name.into(),
            callers: (0..MAX_CALLERS).map(|_| OnceLock::new()).collect(),
            problems: [(); MAX_PROBLEMS].map(|()| Default::default()),
            last_failure,
            main_rejections,
            fallback_rejections,
            throttled,
            limited,
            would_refuse,
            scrubbed,
            sent,
            received,
            duration,
            first_byte,
            look_up,
            connect,
            tls,
            signing: Histogram::new(&COMPUTING),
            placed,
            retries,
            fallbacks,
            tunnels: Tunnels::new(),
            open,
            idle,
            opened,
            reused,
            not_opened,
        }
    }

    /// Enters a request.
    pub(crate) fn enter(&self, ended: &Ended<'_>) {
        if let Some(outcomes) = self.callers.get(ended.caller.0) {
            // A caller's first request on this worker makes room for it.
            outcomes.get_or_init(Box::default).enter(ended);
        }
        self.duration.observe(ended.took);
        if let Some(lasted) = ended.tunnel {
            self.tunnels.end(lasted);
        }
        for (cell, amount) in [
            (&self.sent, ended.sent),
            (&self.received, ended.received),
            (&self.scrubbed, ended.scrubbed),
            (&self.would_refuse, ended.would_refuse.into()),
        ] {
            if amount > 0 {
                cell.add(amount);
            }
        }
        if let Some(limit) = ended.limit.and_then(|limit| self.limited.get(limit as usize)) {
            limit.add(1);
        }
        if let Some(phases) = ended.phases {
            self.enter_phases(phases);
        }
        if let Some(problem) = ended.problem {
            self.enter_problem(problem, ended.status.is_some_and(|status| status.is_server_error()));
        }
    }

    /// Enters an answer of the upstream's, also one that no caller gets because the request goes once more.
    pub(crate) fn answered(&self, status: StatusCode, which: Which) {
        match status {
            StatusCode::UNAUTHORIZED => {
                let rejections = self.rejections(which);
                rejections.count.add(1);
                rejections.last.set(clock::unix_millis());
            }
            StatusCode::TOO_MANY_REQUESTS => self.throttled.add(1),
            _ => {}
        }
    }

    pub(super) fn rejections(&self, which: Which) -> &Rejections {
        match which {
            Which::Main => &self.main_rejections,
            Which::Fallback => &self.fallback_rejections,
        }
    }

    fn enter_phases(&self, phases: &Phases) {
        for (histogram, time) in [
            (&self.look_up, phases.lookup_time()),
            (&self.connect, phases.connect_time()),
            (&self.tls, phases.tls_time()),
            (&self.first_byte, phases.wait_time()),
        ] {
            if let Some(time) = time {
                histogram.observe(time);
            }
        }
        if phases.retries() > 0 {
            self.retries.add(phases.retries().into());
        }
    }

    /// Few kinds ever come up: the first of each takes the next free place.
    fn enter_problem(&self, problem: &'static str, failure: bool) {
        let place = self.problems.iter().position(|(known, _)| *known.get_or_init(|| problem) == problem);
        let Some((at, (_, count))) = place.and_then(|at| Some((at, self.problems.get(at)?))) else { return };
        count.add(1);
        if failure {
            self.last_failure.set(clock::unix_millis() << 8 | at as u64);
        }
    }
}

impl Outcomes {
    fn enter(&self, ended: &Ended<'_>) {
        let row = match ended.outcome {
            Outcome::Upstream => 0,
            Outcome::Sidekey => 1,
            Outcome::Cut => 2,
            Outcome::Gone => 3,
        };
        let column = match ended.status.map(|status| status.as_u16()) {
            None => 0,
            Some(..200) => 1,
            Some(200..300) => 2,
            Some(300..400) => 3,
            Some(400..500) => 4,
            // RFC 9110 15: what is no status is taken for a 5xx.
            Some(500..) => 5,
        };
        if let Some(cell) = self.0.get(row).and_then(|row: &[Cell; CLASSES.len()]| row.get(column)) {
            cell.add(1);
        }
    }
}
