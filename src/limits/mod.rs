//! Stage 6: is there room? The caller's limits first, so that whoever is over its own takes nothing of the upstream's; then
//! the upstream's. What is over a limit costs no vendor's quota: it waits its turn, or is refused.

mod concurrency;
mod memory;
mod pause;
mod rate;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use http::StatusCode;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::sleep_until;

use self::concurrency::Concurrency;
pub(crate) use self::memory::{Account, Buffer, OutOfMemory};
use self::pause::Pause;
pub(crate) use self::pause::Refusal;
use self::rate::{Rate, Turn};
use crate::caller::Caller;
use crate::config;
use crate::fields::Fields;
use crate::policy::Grant;

/// Why a request may not go on now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LimitsError {
    /// It would have to wait for so long.
    #[error("over the `rate` of the {whose}")]
    Rate { whose: Whose, wait: Duration },
    #[error("over the `concurrency` of the {whose}")]
    Concurrency { whose: Whose },
    #[error("the vendor asked for `Retry-After`, which `obey_retry_after` obeys")]
    Vendor { with: Refusal, wait: Duration },
}

/// Whose limits they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    Caller,
    Upstream,
}

impl fmt::Display for Whose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Caller => "caller",
            Self::Upstream => "upstream",
        })
    }
}

/// A limit, as it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LimitKind {
    CallerRate,
    CallerConcurrency,
    UpstreamRate,
    UpstreamConcurrency,
    /// The vendor's own, of which it told by `Retry-After`.
    Vendor,
}

impl LimitKind {
    /// In their order.
    pub(crate) const ALL: [Self; 5] =
        [Self::CallerRate, Self::CallerConcurrency, Self::UpstreamRate, Self::UpstreamConcurrency, Self::Vendor];

    /// As a label has it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::CallerRate => "caller-rate",
            Self::CallerConcurrency => "caller-concurrency",
            Self::UpstreamRate => "upstream-rate",
            Self::UpstreamConcurrency => "upstream-concurrency",
            Self::Vendor => "vendor",
        }
    }
}

impl LimitsError {
    pub(crate) fn kind(&self) -> LimitKind {
        match self {
            Self::Rate { whose: Whose::Caller, .. } => LimitKind::CallerRate,
            Self::Rate { whose: Whose::Upstream, .. } => LimitKind::UpstreamRate,
            Self::Concurrency { whose: Whose::Caller } => LimitKind::CallerConcurrency,
            Self::Concurrency { whose: Whose::Upstream } => LimitKind::UpstreamConcurrency,
            Self::Vendor { .. } => LimitKind::Vendor,
        }
    }

    /// When it is worth another try, as far as is known.
    pub(crate) fn wait(&self) -> Duration {
        match self {
            Self::Rate { wait, .. } | Self::Vendor { wait, .. } => *wait,
            Self::Concurrency { .. } => Duration::ZERO,
        }
    }
}

/// A request's place among those under way. Dropping it makes room for another.
pub(crate) struct Permit {
    _places: [Option<OwnedSemaphorePermit>; 2],
}

/// Lets the request in when there is room for it. What it waits for, it waits for in the order of arrival.
///
/// Dropping the future gives back what had been taken, as far as nobody has been told to come after it.
pub(crate) async fn admit(caller: &Caller, grant: &Grant) -> Result<Permit, LimitsError> {
    let callers = match caller.limiter() {
        Some(limiter) => limiter.admit().await?,
        None => Admission::default(),
    };
    let upstreams = grant.target().upstream.shared().limiter().admit().await?;
    Ok(Permit { _places: [callers.keep(), upstreams.keep()] })
}

/// The limits of one caller, or of one upstream: all workers share them, and they outlive the config that they began with.
pub(crate) struct Limiter {
    whose: Whose,
    wait: Duration,
    rate: Option<Arc<Rate>>,
    concurrency: Option<Arc<Concurrency>>,
    pause: Option<Arc<Pause>>,
    waiting: Arc<AtomicUsize>,
}

/// What was taken, and is not made use of yet.
#[derive(Default)]
struct Admission<'a> {
    place: Option<OwnedSemaphorePermit>,
    turn: Option<Turn<'a>>,
}

impl Admission<'_> {
    fn keep(self) -> Option<OwnedSemaphorePermit> {
        if let Some(turn) = self.turn {
            turn.keep();
        }
        self.place
    }
}

impl Limiter {
    /// The limits of an upstream. What of `previous` has the same settings goes on as it is.
    pub(crate) fn of_upstream(config: &config::Upstream, previous: Option<&Self>) -> Arc<Self> {
        let limiter = Self::new(Whose::Upstream, &config.limits, previous);
        let known = previous.and_then(|previous| previous.pause.as_ref());
        let pause = config.obey_retry_after.then(|| Pause::new(config, known));
        Arc::new(Self { pause, ..limiter })
    }

    /// The limits of a caller, likewise.
    pub(crate) fn of_caller(config: &config::Caller, previous: Option<&Self>) -> Arc<Self> {
        Arc::new(Self::new(Whose::Caller, &config.limits, previous))
    }

    fn new(whose: Whose, limits: &config::Limits, previous: Option<&Self>) -> Self {
        let config::Limits { rate, concurrency, wait } = *limits;
        let rate = rate.map(|settings| {
            let known = previous.and_then(|previous| previous.rate.clone());
            known.filter(|known| known.settings() == settings).unwrap_or_else(|| Arc::new(Rate::new(settings)))
        });
        let concurrency = concurrency.map(|of| {
            let known = previous.and_then(|previous| previous.concurrency.clone());
            known.filter(|known| known.of() == of).unwrap_or_else(|| Arc::new(Concurrency::new(of)))
        });
        let waiting = previous.map(|previous| Arc::clone(&previous.waiting)).unwrap_or_default();
        Self { whose, wait, rate, concurrency, pause: None, waiting }
    }

    /// Most requests pass at once, and without limits nothing is even asked.
    async fn admit(&self) -> Result<Admission<'_>, LimitsError> {
        if !self.is_limited() {
            return Ok(Admission::default());
        }
        let now = Instant::now();
        match self.admit_at_once(now) {
            Ok(admission) => Ok(admission),
            Err(error) if self.wait.is_zero() || error.wait() > self.wait => Err(error),
            Err(_) => Box::pin(self.admit_in_turn(now + self.wait)).await,
        }
    }

    fn admit_at_once(&self, now: Instant) -> Result<Admission<'_>, LimitsError> {
        self.obey(now)?;
        let over_rate = |wait| LimitsError::Rate { whose: self.whose, wait };
        // Known at once, however long the wait for a place would be.
        let wait = self.rate.as_ref().map_or(Duration::ZERO, |rate| rate.wait(now));
        if !wait.is_zero() {
            return Err(over_rate(wait));
        }
        let place = match &self.concurrency {
            Some(concurrency) => Some(concurrency.take_free().ok_or_else(|| self.full())?),
            None => None,
        };
        let turn = self.rate.as_ref().map(|rate| rate.turn(now, Duration::ZERO)).transpose().map_err(over_rate)?;
        Ok(Admission { place, turn })
    }

    /// A place comes first: a turn that had to wait for one would go to waste.
    async fn admit_in_turn(&self, deadline: Instant) -> Result<Admission<'_>, LimitsError> {
        let _waiting = Waiting::new(&self.waiting);
        let place = match &self.concurrency {
            Some(concurrency) => Some(concurrency.take(deadline).await.ok_or_else(|| self.full())?),
            None => None,
        };
        Ok(Admission { place, turn: self.turn(deadline).await? })
    }

    /// Waits for the next turn that the vendor does not object to.
    async fn turn(&self, deadline: Instant) -> Result<Option<Turn<'_>>, LimitsError> {
        loop {
            let now = Instant::now();
            match self.obey(now) {
                Ok(()) => {}
                Err(error) if now + error.wait() > deadline => return Err(error),
                Err(error) => {
                    sleep_until((now + error.wait()).into()).await;
                    continue;
                }
            }
            let Some(rate) = &self.rate else { return Ok(None) };
            let over_rate = |wait| LimitsError::Rate { whose: self.whose, wait };
            let turn = rate.turn(now, deadline.saturating_duration_since(now)).map_err(over_rate)?;
            sleep_until(turn.at.into()).await;
            if self.obey(Instant::now()).is_ok() {
                return Ok(Some(turn));
            }
        }
    }

    /// Takes from the rate once more, for another attempt at a request that has its place; waits no longer than `wait`.
    pub(crate) async fn take_again(&self) -> Result<(), LimitsError> {
        if let Some(turn) = self.turn(Instant::now() + self.wait).await? {
            turn.keep();
        }
        Ok(())
    }

    /// Notes what an upstream's answer says about when to come again, if that is obeyed.
    pub(crate) fn heed(&self, status: StatusCode, fields: &Fields) {
        if let Some(pause) = &self.pause {
            pause.heed(status, fields, Instant::now());
        }
    }

    fn obey(&self, now: Instant) -> Result<(), LimitsError> {
        match self.pause.as_ref().and_then(|pause| pause.asked(now)) {
            Some(asked) => Err(LimitsError::Vendor { with: asked.with, wait: asked.until - now }),
            None => Ok(()),
        }
    }

    fn full(&self) -> LimitsError {
        LimitsError::Concurrency { whose: self.whose }
    }

    /// How many requests wait now.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Whether anybody may have to wait, or be refused.
    pub(crate) fn is_limited(&self) -> bool {
        self.rate.is_some() || self.concurrency.is_some() || self.pause.is_some()
    }

    /// How many places there are. `None`: as many as come.
    pub(crate) fn concurrency(&self) -> Option<usize> {
        self.concurrency.as_ref().map(|concurrency| concurrency.of())
    }

    pub(crate) fn rate(&self) -> Option<config::Rate> {
        self.rate.as_ref().map(|rate| rate.settings())
    }

    /// For how much longer the vendor is left alone, as it asked for, and how often it has. `None`: that is not obeyed.
    pub(crate) fn pause(&self) -> Option<(Duration, u64)> {
        let now = Instant::now();
        let left = |pause: &Pause| pause.asked(now).map_or(Duration::ZERO, |asked| asked.until - now);
        self.pause.as_ref().map(|pause| (left(pause), pause.count()))
    }

    /// How many places are taken now. `None`: they are not counted.
    pub(crate) fn in_use(&self) -> Option<usize> {
        self.concurrency.as_ref().map(|concurrency| concurrency.in_use())
    }
}

/// Counts a request that waits.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
