//! What holds of limits whatever happens to requests.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use http::StatusCode;
use tokio::runtime::Builder;

use super::{Limiter, LimitsError, Refusal, Whose, pause};
use crate::config::{self, Limits};
use crate::fields::tests::fields;

fn limiter(rate: Option<(u32, u32)>, concurrency: Option<usize>, wait: Duration) -> Limiter {
    let rate = rate.map(|(requests, burst)| {
        let [requests, burst] = [requests, burst].map(|number| NonZeroU32::new(number).unwrap());
        config::Rate { requests, period: Duration::from_secs(1), burst }
    });
    Limiter::new(Whose::Upstream, &Limits { rate, concurrency, wait }, None)
}

fn run(work: impl Future<Output = ()>) {
    Builder::new_current_thread().enable_time().build().unwrap().block_on(work);
}

const WAIT: Duration = Duration::from_secs(20);

#[test]
fn who_may_not_wait_is_refused_at_once() {
    run(async {
        let limiter = limiter(Some((1, 1)), None, Duration::ZERO);
        assert!(limiter.admit().await.ok().unwrap().keep().is_none());
        let error = limiter.admit().await.err().unwrap();
        assert!(matches!(error, LimitsError::Rate { whose: Whose::Upstream, wait } if !wait.is_zero()), "{error}");
        assert_eq!(limiter.waiting(), 0);
    });
}

#[test]
fn a_wait_that_is_known_to_be_too_long_is_not_begun() {
    run(async {
        // The only place is taken, and when the next turn is, is known.
        let limiter = limiter(Some((1, 1)), Some(1), Duration::from_millis(500));
        let _place = limiter.admit().await.ok().unwrap().keep();
        let began = Instant::now();
        assert!(matches!(limiter.admit().await.err(), Some(LimitsError::Rate { .. })));
        assert!(began.elapsed() < Duration::from_millis(400));
    });
}

#[test]
fn those_who_wait_for_a_place_go_in_the_order_in_which_they_came() {
    run(async {
        let limiter = limiter(None, Some(1), WAIT);
        let first = limiter.admit().await.ok().unwrap().keep();
        assert_eq!(limiter.in_use(), Some(1));
        let order = std::cell::RefCell::new(Vec::new());
        let waiting = (0..10).map(|number| {
            let (limiter, order) = (&limiter, &order);
            async move {
                let _place = limiter.admit().await.ok().unwrap().keep();
                order.borrow_mut().push(number);
            }
        });
        let mut waiting = std::pin::pin!(futures_util::future::join_all(waiting));
        assert!(futures_util::poll!(waiting.as_mut()).is_pending());
        assert_eq!(limiter.waiting(), 10);
        drop(first);
        waiting.await;
        assert_eq!(*order.borrow(), (0..10).collect::<Vec<_>>());
        assert_eq!((limiter.waiting(), limiter.in_use()), (0, Some(0)));
    });
}

#[test]
fn whoever_goes_away_gives_its_place_and_its_turn_back() {
    run(async {
        let limiter = limiter(Some((1, 1)), Some(1), Duration::from_secs(2));
        for _ in 0..3 {
            drop(limiter.admit().await.ok().unwrap());
        }
        let held = limiter.admit().await.ok().unwrap();
        for _ in 0..3 {
            let mut gone = Box::pin(limiter.admit());
            assert!(futures_util::poll!(gone.as_mut()).is_pending());
        }
        assert_eq!(limiter.waiting(), 0);
        drop(held);
        assert!(limiter.admit().await.is_ok());
    });
}

#[test]
fn a_vendor_that_asks_for_it_is_left_alone_and_then_asked_in_turn() {
    run(async {
        let limiter = Limiter { pause: Some(pause::tests::pause()), ..limiter(None, None, Duration::from_secs(2)) };
        assert!(limiter.admit().await.is_ok());
        let asks = |seconds: &str| fields(&[("retry-after", seconds)]);
        limiter.heed(StatusCode::TOO_MANY_REQUESTS, &asks("1"));
        let began = Instant::now();
        assert!(limiter.admit().await.is_ok());
        assert!(began.elapsed() >= Duration::from_millis(900));
        limiter.heed(StatusCode::SERVICE_UNAVAILABLE, &asks("60"));
        let error = limiter.admit().await.err().unwrap();
        assert!(matches!(error, LimitsError::Vendor { with: Refusal::Unavailable, wait } if wait.as_secs() > 50));
    });
}

#[test]
fn another_attempt_takes_from_the_rate_and_no_place() {
    run(async {
        let limiter = limiter(Some((1, 2)), Some(1), Duration::ZERO);
        let _place = limiter.admit().await.ok().unwrap().keep();
        assert_eq!(limiter.take_again().await, Ok(()));
        assert!(matches!(limiter.take_again().await, Err(LimitsError::Rate { .. })));
    });
}

#[test]
fn what_has_the_same_settings_is_carried_over() {
    run(async {
        let first = limiter(Some((1, 1)), Some(1), Duration::ZERO);
        let _place = first.admit().await.ok().unwrap().keep();
        let rate = first.rate.as_ref().map(|rate| rate.settings());
        let next = |rate, concurrency| {
            Limiter::new(Whose::Upstream, &Limits { rate, concurrency, wait: Duration::ZERO }, Some(&first))
        };
        assert!(matches!(next(rate, Some(1)).admit().await.err(), Some(LimitsError::Rate { .. })));
        assert!(matches!(next(None, Some(1)).admit().await.err(), Some(LimitsError::Concurrency { .. })));
        assert!(next(None, Some(2)).admit().await.is_ok());
        assert!(matches!(next(rate, Some(2)).admit().await.err(), Some(LimitsError::Rate { .. })));
    });
}

#[test]
fn every_place_comes_back_of_ten_thousand_that_end_at_random() {
    run(async {
        let limiter = limiter(None, Some(7), WAIT);
        let (mut under_way, mut waiting, mut most) = (Vec::new(), Vec::new(), 0);
        let mut random = 1_u64;
        for _ in 0..10_000 {
            // Knuth's MMIX.
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let at = (random >> 40) as usize;
            match random >> 33 & 3 {
                0 | 1 => {
                    let mut next = Box::pin(limiter.admit());
                    match futures_util::poll!(next.as_mut()) {
                        std::task::Poll::Ready(admission) => under_way.push(admission.ok().unwrap().keep()),
                        std::task::Poll::Pending => waiting.push(next),
                    }
                }
                2 if !under_way.is_empty() => drop(under_way.swap_remove(at % under_way.len())),
                _ if !waiting.is_empty() => drop(waiting.swap_remove(at % waiting.len())),
                _ => {}
            }
            assert!(limiter.in_use() <= Some(7) && limiter.waiting() == waiting.len());
            most = most.max(waiting.len());
        }
        assert!(most > 10, "{most}");
        drop((under_way, waiting));
        assert_eq!((limiter.in_use(), limiter.waiting()), (Some(0), 0));
    });
}
