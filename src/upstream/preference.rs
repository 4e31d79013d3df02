//! Which of two credentials a vendor takes, as far as all workers know. A refusal has one request find out whether the
//! other one is taken; those that are refused meanwhile wait for what it finds.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use tokio::sync::Notify;
use tokio::time::sleep;

use super::ticks;
use crate::config;
use crate::credential::{Credential, Which};
use crate::secret::Fingerprint;
use crate::telemetry::clock;

/// How long the main credential is left aside before it is tried again by itself.
const ASIDE: Duration = Duration::from_secs(10 * 60);
/// Once both have been refused, it is something else: how long the other is not tried then.
const PAUSE: Duration = Duration::from_secs(1);
/// How long the preferred one stays that, so that two keys that each may do what the other may not do not take turns.
const DWELL: Duration = Duration::from_secs(1);
/// So many refusals in a row, of requests that could not be sent again, have the next request find out; so often at most, as
/// it may be refused for that.
const STRANDED: u32 = 3;
const STRANDED_PAUSE: Duration = Duration::from_secs(60);
/// How long a request waits for another to find out, before it tries by itself.
const WAIT: Duration = Duration::from_secs(1);

pub(crate) struct Preference {
    upstream: Box<str>,
    /// The scheme and the secrets of both.
    keys: [(Option<&'static str>, Fingerprint); 2],
    /// 0: the main one.
    preferred: AtomicU64,
    /// Until when that stays so.
    dwells: AtomicU64,
    /// When the main one is due to be tried again.
    due: AtomicU64,
    /// Until when a refusal is taken for what it is.
    paused: AtomicU64,
    /// How many requests in a row were refused with the preferred one, and could not be sent with the other.
    stranded: AtomicU32,
    /// Until when they have nobody find out.
    stranded_paused: AtomicU64,
    /// Whether a request is under way that finds out.
    trying: AtomicBool,
    /// Told when it has found out, or never will.
    tried: Notify,
    /// How often the preferred one has changed, and when that was last: milliseconds since 1970. 0: never.
    changes: AtomicU32,
    changed: AtomicU64,
}

/// The credential that a request gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) which: Which,
    /// It is not the preferred one, and is tried again because it is time to.
    pub(crate) is_trial: bool,
}

/// What an answer says of the credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    Accepted,
    Refused,
    /// Nothing: it may not have been looked at.
    Unknown,
}

/// What a refused request may do.
pub(super) enum Recourse<'a> {
    /// Use the other credential, and say what became of that.
    Try(Try<'a>),
    /// Nothing.
    None,
}

/// One use of the other credential. Dropped without a word, the next one is free to try.
pub(super) struct Try<'a> {
    preference: &'a Preference,
    which: Which,
    /// Whether others wait for what it finds.
    leads: bool,
}

impl Preference {
    /// That of `config`, which follows on `previous`: of a key that has changed nothing is known. `None`: there is no
    /// choice.
    pub(super) fn new(config: &config::Upstream, previous: Option<&Arc<Self>>) -> Option<Arc<Self>> {
        if !config.credentials.are_two() {
            return None;
        }
        let keys = [(Which::Main, config.secrets), (Which::Fallback, config.fallback_secrets)];
        let keys = keys.map(|(which, secret)| (config.credentials.at(which).map(Credential::scheme), secret));
        let same_main = previous.filter(|previous| previous.keys.first() == keys.first());
        if let Some(same) = same_main.filter(|previous| previous.keys == keys) {
            return Some(Arc::clone(same));
        }
        let known = |of: fn(&Self) -> u64| same_main.map_or(0, |previous| of(previous));
        Some(Arc::new(Self {
            upstream: config.name.clone(),
            keys,
            preferred: AtomicU64::new(known(|previous| previous.preferred.load(Ordering::Acquire))),
            dwells: AtomicU64::new(0),
            due: AtomicU64::new(known(|previous| previous.due.load(Ordering::Relaxed))),
            paused: AtomicU64::new(0),
            stranded: AtomicU32::new(0),
            stranded_paused: AtomicU64::new(0),
            trying: AtomicBool::new(false),
            tried: Notify::new(),
            changes: AtomicU32::new(previous.map_or(0, |previous| previous.changes())),
            changed: AtomicU64::new(known(|previous| previous.changed.load(Ordering::Relaxed))),
        }))
    }

    /// The one that is known to be taken, or was last.
    pub(crate) fn preferred(&self) -> Which {
        match self.preferred.load(Ordering::Acquire) {
            0 => Which::Main,
            _ => Which::Fallback,
        }
    }

    /// How often the preferred one has changed.
    pub(crate) fn changes(&self) -> u32 {
        self.changes.load(Ordering::Relaxed)
    }

    /// When it last changed. `None`: it never has.
    pub(crate) fn changed(&self) -> Option<SystemTime> {
        clock::at_unix_millis(self.changed.load(Ordering::Relaxed))
    }

    /// The credential for the next request. `can_repeat`: it loses nothing if this one is refused.
    pub(crate) fn choose(&self, can_repeat: bool) -> Choice {
        match self.preferred() {
            Which::Fallback if can_repeat && self.is_due() => Choice { which: Which::Main, is_trial: true },
            which if self.leaves_all_stranded() => Choice { which: which.other(), is_trial: true },
            which => Choice { which, is_trial: false },
        }
    }

    /// `used` was refused, by a request that cannot be sent again.
    pub(super) fn strand(&self, used: Which) {
        if self.preferred() == used {
            self.stranded.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// `used` was taken, as is the rule.
    pub(super) fn confirm(&self, used: Which) {
        if self.stranded.load(Ordering::Relaxed) != 0 && self.preferred() == used {
            self.stranded.store(0, Ordering::Relaxed);
        }
    }

    /// Whether those that are refused cannot find out themselves whether the other one is taken; to one of all that ask.
    fn leaves_all_stranded(&self) -> bool {
        if self.stranded.load(Ordering::Relaxed) < STRANDED || is_before(&self.stranded_paused) {
            return false;
        }
        self.stranded_paused.store(ticks::now() + ticks::of(STRANDED_PAUSE), Ordering::Release);
        self.stranded.swap(0, Ordering::Relaxed) >= STRANDED
    }

    /// Whether it is time to try the main one again; to one of all that ask.
    fn is_due(&self) -> bool {
        let (due, now) = (self.due.load(Ordering::Relaxed), ticks::now());
        let next = now + ticks::of(ASIDE);
        now >= due && self.due.compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// `used` was refused. Dropping the future leaves everything as it is.
    pub(super) async fn after_refusal(&self, used: Which) -> Recourse<'_> {
        let mut overdue = pin!(sleep(WAIT));
        loop {
            let mut tried = pin!(self.tried.notified());
            // From now on nothing is missed.
            tried.as_mut().enable();
            // Nothing is to be found out that could change anything now.
            if self.preferred() != used || is_before(&self.dwells) {
                return Recourse::Try(self.attempt(used.other(), false));
            }
            if is_before(&self.paused) {
                return Recourse::None;
            }
            if !self.trying.swap(true, Ordering::AcqRel) {
                let leading = self.attempt(used.other(), true);
                // Another may have found out between the look and the taking of the place.
                if self.preferred() == used && !is_before(&self.paused) {
                    return Recourse::Try(leading);
                }
                continue;
            }
            tokio::select! {
                biased;
                () = tried => {}
                () = overdue.as_mut() => return Recourse::Try(self.attempt(used.other(), false)),
            }
        }
    }

    fn attempt(&self, which: Which, leads: bool) -> Try<'_> {
        Try { preference: self, which, leads }
    }

    /// From now on this one is used first.
    pub(super) fn prefer(&self, which: Which) {
        let value = match which {
            Which::Main => 0,
            Which::Fallback => 1,
        };
        if self.preferred() == which || is_before(&self.dwells) {
            return;
        }
        let now = ticks::now();
        self.due.store(now + ticks::of(ASIDE), Ordering::Relaxed);
        self.dwells.store(now + ticks::of(DWELL), Ordering::Relaxed);
        self.stranded.store(0, Ordering::Relaxed);
        if self.preferred.swap(value, Ordering::AcqRel) != value {
            self.changed.store(clock::unix_millis(), Ordering::Relaxed);
            let changes = self.changes.fetch_add(1, Ordering::Relaxed).saturating_add(1);
            let (upstream, now_used) = (&*self.upstream, which.key());
            tracing::warn!(
                target: "upstream",
                upstream, now_used, changes,
                "the vendor takes the other credential: it is used from now on"
            );
        }
    }
}

impl Try<'_> {
    pub(super) fn settle(self, judgement: Judgement) {
        match judgement {
            Judgement::Accepted => self.preference.prefer(self.which),
            Judgement::Refused => self.preference.paused.store(ticks::now() + ticks::of(PAUSE), Ordering::Release),
            Judgement::Unknown => {}
        }
    }
}

impl Drop for Try<'_> {
    fn drop(&mut self) {
        if self.leads {
            self.preference.trying.store(false, Ordering::Release);
            self.preference.tried.notify_waiters();
        }
    }
}

fn is_before(time: &AtomicU64) -> bool {
    match time.load(Ordering::Acquire) {
        0 => false,
        time => ticks::now() < time,
    }
}

#[cfg(test)]
mod tests;
