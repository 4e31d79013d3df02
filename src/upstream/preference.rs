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
mod tests {
    use std::future::Future;
    use std::path::Path;
    use std::pin::pin;
    use std::sync::Arc;
    use std::sync::atomic::Ordering;
    use std::task::{Context, Poll, Waker};

    use futures_util::FutureExt;

    use super::{Choice, Judgement, Preference, Recourse, Try};
    use crate::config::Config;
    use crate::config::file::parse_with;
    use crate::credential::Which::{Fallback, Main};
    use crate::secret::source::Source;
    use crate::upstream::ticks;

    const TEXT: &str = "[upstream.x]\nurl = 'https://x.test'\nauth.bearer = { token = 'env:A' }\n\
                        fallback.bearer = { token = 'env:B' }\n";

    fn config(a: &str, b: &str) -> Config {
        let given = [("env:A", a.as_bytes()), ("env:B", b.as_bytes())];
        parse_with(Path::new("x.toml"), TEXT, Source::Given(&given)).unwrap_or_else(|error| panic!("{error}"))
    }

    fn preference() -> Arc<Preference> {
        Preference::new(&config("alpha-one", "beta-two").upstreams[0], None).unwrap()
    }

    /// As those timers need it that a waiting request sets.
    fn in_runtime(test: impl AsyncFnOnce()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(test());
    }

    async fn refused(preference: &Preference, used: crate::credential::Which) -> Option<Try<'_>> {
        match preference.after_refusal(used).await {
            Recourse::Try(attempt) => Some(attempt),
            Recourse::None => None,
        }
    }

    #[test]
    fn the_one_that_is_taken_is_used_from_then_on_and_back_again() {
        in_runtime(async || {
            let preference = preference();
            assert_eq!(preference.choose(true), Choice { which: Main, is_trial: false });
            refused(&preference, Main).await.unwrap().settle(Judgement::Accepted);
            assert_eq!(preference.choose(true), Choice { which: Fallback, is_trial: false });
            // One that had the other is told without trying.
            let told = refused(&preference, Main).await.unwrap();
            assert_eq!((told.which, told.leads), (Fallback, false));
            drop(told);
            // It stays so for a while, in which nobody fails nevertheless.
            refused(&preference, Fallback).await.unwrap().settle(Judgement::Accepted);
            assert_eq!(preference.preferred(), Fallback);
            preference.dwells.store(0, Ordering::Relaxed);
            refused(&preference, Fallback).await.unwrap().settle(Judgement::Accepted);
            assert_eq!(preference.preferred(), Main);
        });
    }

    #[test]
    fn what_refuses_both_is_asked_with_both_once_a_second_alone() {
        in_runtime(async || {
            let preference = preference();
            refused(&preference, Main).await.unwrap().settle(Judgement::Refused);
            for _ in 0..100 {
                assert!(matches!(preference.after_refusal(Main).await, Recourse::None));
            }
            preference.paused.store(ticks::now(), Ordering::Release);
            assert!(refused(&preference, Main).await.is_some());
        });
    }

    #[test]
    fn those_that_are_refused_meanwhile_wait_for_what_is_found() {
        in_runtime(async || {
            let preference = preference();
            let attempt = refused(&preference, Main).await.unwrap();
            let mut follower = pin!(preference.after_refusal(Main));
            assert!(follower.as_mut().now_or_never().is_none());
            attempt.settle(Judgement::Accepted);
            let told = follower.await;
            assert!(matches!(told, Recourse::Try(Try { which: Fallback, leads: false, .. })));
        });
    }

    #[test]
    fn who_never_finds_out_leaves_it_to_the_next() {
        in_runtime(async || {
            let preference = preference();
            let attempt = refused(&preference, Main).await.unwrap();
            let mut follower = pin!(preference.after_refusal(Main));
            let mut context = Context::from_waker(Waker::noop());
            assert!(follower.as_mut().poll(&mut context).is_pending());
            drop(attempt);
            let Poll::Ready(Recourse::Try(next)) = follower.as_mut().poll(&mut context) else { panic!("not the next") };
            next.settle(Judgement::Unknown);
            assert_eq!(preference.preferred(), Main);
        });
    }

    #[test]
    fn the_main_one_is_tried_again_after_a_while_by_one_request_that_can_be_repeated() {
        in_runtime(async || {
            let preference = preference();
            refused(&preference, Main).await.unwrap().settle(Judgement::Accepted);
            preference.due.store(0, Ordering::Relaxed);
            assert_eq!(preference.choose(false).which, Fallback);
            assert_eq!(preference.choose(true), Choice { which: Main, is_trial: true });
            assert_eq!(preference.choose(true), Choice { which: Fallback, is_trial: false });
        });
    }

    #[test]
    fn where_nobody_can_find_out_the_next_one_does_once_a_minute_at_most() {
        let preference = preference();
        let (main, other) = (Choice { which: Main, is_trial: false }, Choice { which: Fallback, is_trial: true });
        (0..2).for_each(|_| preference.strand(Main));
        assert_eq!(preference.choose(false), main);
        // In a row.
        preference.confirm(Main);
        preference.strand(Main);
        assert_eq!(preference.choose(false), main);
        (0..2).for_each(|_| preference.strand(Main));
        assert_eq!([(); 2].map(|()| preference.choose(false)), [other, main]);
        (0..9).for_each(|_| preference.strand(Main));
        assert_eq!(preference.choose(false), main);
        preference.stranded_paused.store(ticks::now(), Ordering::Release);
        assert_eq!(preference.choose(false), other);
        preference.prefer(Fallback);
        // What was refused before says nothing of this one.
        (0..3).for_each(|_| preference.strand(Main));
        assert_eq!(preference.choose(false), Choice { which: Fallback, is_trial: false });
    }

    #[test]
    fn another_key_makes_it_forget() {
        let preference = preference();
        preference.prefer(Fallback);
        let after = |a, b| Preference::new(&config(a, b).upstreams[0], Some(&preference)).unwrap();
        assert!(Arc::ptr_eq(&after("alpha-one", "beta-two"), &preference));
        assert_eq!(after("alpha-new", "beta-two").preferred(), Main);
        // The main one is as bad as it was.
        let other_fallback = after("alpha-one", "beta-new");
        assert_eq!(other_fallback.preferred(), Fallback);
        assert!(!Arc::ptr_eq(&other_fallback, &preference));
    }
}
