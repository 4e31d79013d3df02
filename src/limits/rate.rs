//! So many requests in a time: GCRA, which hands every request the moment at which it may go on, in the order in which
//! they came. (The `governor` crate only says when to ask again, so whoever asks first then goes first.)

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::config;

/// The whole state is one moment, in nanoseconds after `epoch`: all that has been handed out is used up by then.
pub(super) struct Rate {
    settings: config::Rate,
    /// Between two requests, on the average.
    interval: u64,
    /// So far ahead of its turn a request may be.
    tolerance: u64,
    epoch: Instant,
    used_up_at: AtomicU64,
}

/// A request's turn. Dropped before it was [`keep`](Self::keep)t, it is given back, if nobody has come after it.
pub(super) struct Turn<'a> {
    rate: &'a Rate,
    pub(super) at: Instant,
    before: u64,
    after: u64,
    kept: bool,
}

impl Rate {
    pub(super) fn new(settings: config::Rate) -> Self {
        let config::Rate { requests, period, burst } = settings;
        // Rounded up: rather too few requests than too many.
        let interval = nanos(period).div_ceil(u64::from(requests.get()));
        let tolerance = interval.saturating_mul(u64::from(burst.get() - 1));
        Self { settings, interval, tolerance, epoch: Instant::now(), used_up_at: AtomicU64::new(0) }
    }

    pub(super) fn settings(&self) -> config::Rate {
        self.settings
    }

    /// How long a request that came at `now` would have to wait, at least.
    pub(super) fn wait(&self, now: Instant) -> Duration {
        self.wait_after(self.used_up_at.load(Ordering::Relaxed), self.since_epoch(now))
    }

    /// The next turn, if it comes within `patience`; else how long that would be.
    pub(super) fn turn(&self, now: Instant, patience: Duration) -> Result<Turn<'_>, Duration> {
        let at = self.since_epoch(now);
        let mut before = self.used_up_at.load(Ordering::Relaxed);
        loop {
            let wait = self.wait_after(before, at);
            if wait > patience {
                return Err(wait);
            }
            let after = before.max(at).saturating_add(self.interval);
            match self.used_up_at.compare_exchange_weak(before, after, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Ok(Turn { rate: self, at: now + wait, before, after, kept: false }),
                Err(current) => before = current,
            }
        }
    }

    fn wait_after(&self, used_up_at: u64, now: u64) -> Duration {
        Duration::from_nanos(used_up_at.saturating_sub(self.tolerance).saturating_sub(now))
    }

    fn since_epoch(&self, now: Instant) -> u64 {
        nanos(now.saturating_duration_since(self.epoch))
    }
}

impl Turn<'_> {
    /// It is made use of.
    pub(super) fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if !self.kept {
            // Whoever came after it has been told a moment that cannot be changed any more: then it is lost.
            let order = Ordering::Relaxed;
            let _ = self.rate.used_up_at.compare_exchange(self.after, self.before, order, order);
        }
    }
}

/// Enough for 584 years.
pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::time::Duration;

    use proptest::prelude::*;

    use super::Rate;
    use crate::config;

    fn rate(requests: u32, seconds: u64, burst: u32) -> Rate {
        let [requests, burst] = [requests, burst].map(|number| NonZeroU32::new(number).unwrap());
        Rate::new(config::Rate { requests, period: Duration::from_secs(seconds), burst })
    }

    const FOREVER: Duration = Duration::from_secs(1 << 30);

    #[test]
    fn a_burst_goes_at_once_and_the_rest_in_turn() {
        let rate = rate(10, 1, 3);
        let now = rate.epoch;
        let waits = |_| {
            let turn = rate.turn(now, FOREVER).ok().unwrap();
            let wait = turn.at - now;
            turn.keep();
            wait.as_millis()
        };
        assert_eq!((0..6).map(waits).collect::<Vec<_>>(), [0, 0, 0, 100, 200, 300]);
        assert_eq!(rate.turn(now, Duration::from_millis(399)).err(), Some(Duration::from_millis(400)));
        assert_eq!(rate.wait(now + Duration::from_millis(350)), Duration::from_millis(50));
    }

    #[test]
    fn what_was_not_used_is_given_back() {
        let rate = rate(1, 1, 1);
        let now = rate.epoch;
        for _ in 0..3 {
            assert_eq!(rate.turn(now, Duration::ZERO).ok().unwrap().at, now);
        }
        rate.turn(now, Duration::ZERO).ok().unwrap().keep();
        assert!(rate.turn(now, Duration::ZERO).is_err());
    }

    proptest! {
        /// Whatever comes when, and whoever goes away before its turn: no window holds more than the burst and what the
        /// rate lets through in it, and nobody overtakes.
        #[test]
        fn no_window_holds_more_than_burst_and_rate_allow(
            (requests, seconds, burst) in (1..50_u32, 1..100_u64, 1..20_u32),
            arrivals in prop::collection::vec((0..3_000_u64, 0..10_000_u64, any::<bool>()), 1..200),
        ) {
            let rate = rate(requests, seconds, burst);
            let mut now = rate.epoch;
            let (mut turns, mut leaving) = (Vec::new(), Vec::new());
            for (pause, patience, stays) in arrivals {
                now += Duration::from_millis(pause);
                // Those that wait may go at any time: here, when the next one comes.
                leaving.clear();
                match rate.turn(now, Duration::from_millis(patience)) {
                    Ok(turn) if stays => {
                        turns.push(turn.at);
                        turn.keep();
                    }
                    Ok(turn) => leaving.push(turn),
                    Err(wait) => prop_assert!(wait > Duration::from_millis(patience)),
                }
            }
            prop_assert!(turns.is_sorted());
            for (first, start) in turns.iter().enumerate() {
                for (last, end) in turns.iter().enumerate().skip(first) {
                    let most = u128::from(burst) + (*end - *start).as_nanos() / u128::from(rate.interval);
                    prop_assert!((last - first + 1) as u128 <= most);
                }
            }
        }

        /// Within the rate, nobody waits.
        #[test]
        fn nobody_waits_who_keeps_to_the_rate(requests in 1..1_000_u32, burst in 1..20_u32, count in 1..200_u32) {
            let rate = rate(requests, 60, burst);
            for number in 0..count {
                let now = rate.epoch + Duration::from_nanos(rate.interval) * number;
                let turn = rate.turn(now, Duration::ZERO);
                prop_assert!(turn.is_ok());
                turn.ok().unwrap().keep();
            }
        }
    }
}
