//! `breaker`: an upstream that fails again and again is left alone for a while, by all workers. Then one request finds out
//! whether it has recovered.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use super::origin::Origin;
use super::ticks;
use crate::config;

/// How long those are told to wait that come while the one request is under way.
const WHILE_PROBING: Duration = Duration::from_secs(1);

pub(crate) struct Breaker {
    settings: config::Breaker,
    upstream: Box<str>,
    origin: Origin,
    /// How many requests have failed in a row.
    failures: AtomicU32,
    /// Until when nothing is let through. 0: it is closed.
    until: AtomicU64,
    /// Until when a request that finds out is waited for. 0: there is none.
    probing: AtomicU64,
    /// How often it has opened.
    openings: AtomicU64,
}

/// Where a breaker is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Everything is let through.
    Closed,
    /// Nothing is, for so long.
    Open(Duration),
    /// The next request is.
    HalfOpen,
    /// One request is under way, and no other is let through before it is known what became of it.
    Probing,
}

impl State {
    /// Every name that a state can have.
    pub(crate) const NAMES: [&str; 3] = ["closed", "open", "half-open"];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open(_) => "open",
            Self::HalfOpen | Self::Probing => "half-open",
        }
    }
}

/// The upstream is left alone. The caller may ask again after so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the upstream has failed too often, and is left alone for now")]
pub(crate) struct LeftAlone(pub(crate) Duration);

/// What an exchange says of the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Health {
    Well,
    Failing,
    /// Nothing: it was not the upstream that failed.
    Unknown,
}

/// That a request may go. Of the one that finds out, it is dropped without a word if nobody waits for it any more: its
/// place is another's then. So it is when nothing is known of it for as long as the breaker is open: a caller's upload may
/// take hours, which nobody else has to wait for.
pub(super) struct Permit<'a> {
    breaker: &'a Breaker,
    /// Of one that finds out: until when it is waited for.
    probes_until: Option<u64>,
}

impl Breaker {
    /// That of `config`, if it has one. `previous` goes on, if it is of the same place and has the same settings.
    pub(super) fn new(config: &config::Upstream, previous: Option<&Arc<Self>>) -> Option<Arc<Self>> {
        let settings = config.breaker?;
        if let Some(same) = previous.filter(|known| known.settings == settings && known.origin == config.origin) {
            return Some(Arc::clone(same));
        }
        let (upstream, origin) = (config.name.clone(), config.origin.clone());
        let (failures, until, probing) = Default::default();
        // What was counted stays counted, whatever the settings.
        let openings = AtomicU64::new(previous.map_or(0, |previous| previous.openings()));
        Some(Arc::new(Self { settings, upstream, origin, failures, until, probing, openings }))
    }

    /// How often it has opened, having been closed.
    pub(crate) fn openings(&self) -> u64 {
        self.openings.load(Ordering::Relaxed)
    }

    pub(crate) fn state(&self) -> State {
        match self.until.load(Ordering::Acquire) {
            0 => State::Closed,
            until => match until.saturating_sub(ticks::now()) {
                0 if self.probing.load(Ordering::Acquire) > ticks::now() => State::Probing,
                0 => State::HalfOpen,
                left => State::Open(Duration::from_millis(left)),
            },
        }
    }

    /// Whether a request would be let through now.
    pub(super) fn check(&self) -> Result<(), LeftAlone> {
        match self.state() {
            State::Closed | State::HalfOpen => Ok(()),
            State::Open(left) => Err(LeftAlone(left)),
            State::Probing => Err(LeftAlone(WHILE_PROBING)),
        }
    }

    /// Lets a request through, or not.
    pub(super) fn enter(&self) -> Result<Permit<'_>, LeftAlone> {
        let passing = Permit { breaker: self, probes_until: None };
        if self.state() == State::Closed {
            return Ok(passing);
        }
        let last = self.probing.load(Ordering::Acquire);
        self.check()?;
        let probes_until = ticks::now() + ticks::of(self.settings.open.max(WHILE_PROBING));
        if self.probing.compare_exchange(last, probes_until, Ordering::AcqRel, Ordering::Acquire).is_err() {
            return Err(LeftAlone(WHILE_PROBING));
        }
        let probe = Permit { breaker: self, probes_until: Some(probes_until) };
        // Between the look and the taking of the place, the last one may have found out: then this is none.
        match self.state() {
            State::Closed => Ok(passing),
            State::HalfOpen | State::Probing => Ok(probe),
            State::Open(left) => Err(LeftAlone(left)),
        }
    }

    fn open(&self, failures: u32) {
        let until = ticks::now() + ticks::of(self.settings.open);
        if self.until.swap(until, Ordering::AcqRel) == 0 {
            self.openings.fetch_add(1, Ordering::Relaxed);
            let (upstream, seconds) = (&*self.upstream, self.settings.open.as_secs_f64());
            tracing::warn!(target: "upstream", upstream, failures, seconds, "the upstream fails: it is left alone for now");
        }
    }

    fn close(&self) {
        self.failures.store(0, Ordering::Relaxed);
        if self.until.swap(0, Ordering::AcqRel) != 0 {
            tracing::info!(target: "upstream", upstream = &*self.upstream, "the upstream answers again: it is asked as before");
        }
    }
}

impl Permit<'_> {
    /// Whether it is the one that finds out, and no other has taken its place.
    fn is_waited_for(&self) -> bool {
        self.probes_until.is_some_and(|until| self.breaker.probing.load(Ordering::Acquire) == until)
    }

    /// Says what became of the request.
    pub(super) fn settle(self, health: Health) {
        let breaker = self.breaker;
        match (health, self.is_waited_for()) {
            (Health::Unknown, _) => {}
            (Health::Well, true) => breaker.close(),
            (Health::Failing, true) => breaker.open(breaker.failures.load(Ordering::Relaxed)),
            (Health::Well, false) => {
                // Mostly there is nothing to forget, and so nothing to write.
                if breaker.failures.load(Ordering::Relaxed) != 0 {
                    breaker.failures.store(0, Ordering::Relaxed);
                }
            }
            (Health::Failing, false) => {
                let failures = breaker.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
                // What had begun before it opened says nothing about how long it stays open.
                if failures >= breaker.settings.failures && breaker.until.load(Ordering::Acquire) == 0 {
                    breaker.open(failures);
                }
            }
        }
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if let Some(until) = self.probes_until {
            // Unless another is waited for by now.
            let _ = self.breaker.probing.compare_exchange(until, 0, Ordering::Release, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;
    use std::time::Duration;

    use super::{Breaker, Health, LeftAlone, State};
    use crate::config;
    use crate::upstream::{Origin, ticks};

    fn breaker() -> Breaker {
        Breaker {
            settings: config::Breaker { failures: 3, open: Duration::from_secs(10) },
            upstream: "x".into(),
            origin: Origin::parse("https://x.test").unwrap(),
            failures: 0.into(),
            until: 0.into(),
            probing: 0.into(),
            openings: 0.into(),
        }
    }

    fn ask(breaker: &Breaker, health: Health) {
        breaker.enter().ok().unwrap().settle(health);
    }

    /// The time for which it is open is over.
    fn elapse(breaker: &Breaker) {
        ticks::now();
        breaker.until.store(1, Ordering::Release);
    }

    #[test]
    fn failures_in_a_row_open_it_and_what_is_no_failure_does_not() {
        let breaker = breaker();
        for health in [Health::Failing, Health::Failing, Health::Well, Health::Failing, Health::Unknown] {
            ask(&breaker, health);
        }
        ask(&breaker, Health::Failing);
        assert_eq!(breaker.state(), State::Closed);
        ask(&breaker, Health::Failing);
        assert!(matches!(breaker.state(), State::Open(left) if left > Duration::from_secs(9)), "{:?}", breaker.state());
        let left_alone = breaker.enter().err().unwrap();
        assert!(left_alone.0 <= Duration::from_secs(10));
        assert!(breaker.check().is_err());
    }

    #[test]
    fn one_request_finds_out_and_its_answer_decides() {
        let breaker = breaker();
        (0..3).for_each(|_| ask(&breaker, Health::Failing));
        elapse(&breaker);
        assert_eq!(breaker.state(), State::HalfOpen);
        let probe = breaker.enter().ok().unwrap();
        assert_eq!((breaker.state(), breaker.enter().err()), (State::Probing, Some(LeftAlone(Duration::from_secs(1)))));
        probe.settle(Health::Failing);
        assert!(matches!(breaker.state(), State::Open(_)));
        assert_eq!(breaker.openings(), 1, "it has not been closed since");
        elapse(&breaker);
        ask(&breaker, Health::Well);
        assert_eq!(breaker.state(), State::Closed);
        // It begins to count anew.
        (0..2).for_each(|_| ask(&breaker, Health::Failing));
        assert_eq!(breaker.state(), State::Closed);
    }

    #[test]
    fn a_probe_that_nobody_waits_for_gives_its_place_back() {
        let breaker = breaker();
        (0..3).for_each(|_| ask(&breaker, Health::Failing));
        elapse(&breaker);
        drop(breaker.enter().ok().unwrap());
        assert_eq!(breaker.state(), State::HalfOpen);
        ask(&breaker, Health::Unknown);
        assert_eq!(breaker.state(), State::HalfOpen);
        ask(&breaker, Health::Well);
        assert_eq!(breaker.state(), State::Closed);
    }

    #[test]
    fn a_probe_of_which_nothing_is_heard_is_not_waited_for_any_longer_than_it_was_open() {
        let breaker = breaker();
        (0..3).for_each(|_| ask(&breaker, Health::Failing));
        elapse(&breaker);
        let mut slow = breaker.enter().ok().unwrap();
        assert!(breaker.enter().is_err());
        // Its time is over.
        slow.probes_until = Some(1);
        breaker.probing.store(1, Ordering::Release);
        assert_eq!((breaker.state(), breaker.check()), (State::HalfOpen, Ok(())));
        let next = breaker.enter().ok().unwrap();
        assert_eq!((breaker.state(), breaker.enter().is_err()), (State::Probing, true));
        next.settle(Health::Well);
        slow.settle(Health::Failing);
        assert_eq!(breaker.state(), State::Closed, "it is a request like any other by now");
        (0..2).for_each(|_| ask(&breaker, Health::Failing));
        elapse(&breaker);
        let mut slow = breaker.enter().ok().unwrap();
        slow.probes_until = Some(1);
        drop(slow);
        assert_eq!(breaker.state(), State::Probing, "it gives up its own place alone");
    }

    #[test]
    fn what_began_before_it_opened_does_not_close_it_nor_keep_it_open() {
        let breaker = breaker();
        let earlier: Vec<_> = (0..5).map(|_| breaker.enter().ok().unwrap()).collect();
        (0..3).for_each(|_| ask(&breaker, Health::Failing));
        elapse(&breaker);
        for (permit, health) in earlier.into_iter().zip([Health::Failing, Health::Well, Health::Failing]) {
            permit.settle(health);
            assert_eq!(breaker.state(), State::HalfOpen);
        }
    }
}
