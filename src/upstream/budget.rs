//! How many retries an upstream can take: a share of its requests, over all workers. A vendor that fails for everyone is
//! asked a little more, not several times over.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::config;

/// What one retry costs. A request pays in as many of it as the budget has percent.
const RETRY: u32 = 100;
/// What there is before the first request: ten retries.
const START: u32 = 10 * RETRY;
/// What can be saved up: a hundred retries.
const MOST: u32 = 100 * RETRY;

pub(super) struct Budget {
    percentage: u32,
    balance: AtomicU32,
}

impl Budget {
    /// That of `config`, if it has one. `previous` goes on, if it is of as many percent.
    pub(super) fn new(config: &config::Upstream, previous: Option<&Arc<Self>>) -> Option<Arc<Self>> {
        let percentage = config.retry.as_ref()?.budget;
        let same = previous.filter(|known| known.percentage == percentage);
        Some(same.map_or_else(|| Arc::new(Self::of(percentage)), Arc::clone))
    }

    fn of(percentage: u32) -> Self {
        Self { percentage, balance: AtomicU32::new(START) }
    }

    /// There is a request, which pays for others' retries.
    pub(super) fn pay_in(&self) {
        // Once it is full, which is the rule, nothing is written.
        if self.balance.load(Ordering::Relaxed) < MOST {
            self.balance.fetch_add(self.percentage, Ordering::Relaxed);
        }
    }

    /// Takes a retry out, if there is one.
    pub(super) fn take(&self) -> bool {
        let less = |balance: u32| balance.checked_sub(RETRY);
        self.balance.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::{Budget, MOST, RETRY};

    #[test]
    fn retries_are_a_share_of_the_requests_and_a_few_to_begin_with() {
        let budget = Budget::of(20);
        let taken = |requests: usize| {
            let retried = |_: &usize| {
                budget.pay_in();
                budget.take()
            };
            (0..requests).filter(retried).count()
        };
        assert_eq!(taken(12), 12);
        assert_eq!(taken(100), 20);
        (0..10_000).for_each(|_| budget.pay_in());
        let saved = (0..1000).filter(|_| budget.take()).count();
        assert_eq!(saved, (MOST / RETRY) as usize);
    }
}
