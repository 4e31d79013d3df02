//! Which key is used, whatever comes in between.

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
