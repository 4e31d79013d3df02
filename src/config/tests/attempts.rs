//! `retry`, `fallback`, `fallback_on` and `breaker`: what is had, and what is refused.

use std::time::Duration;

use http::StatusCode;

use super::{GOOD, KEY, accept, parse, refuse};
use crate::config::{Breaker, Failure, Retry};
use crate::credential::Which;

#[test]
fn what_is_written_of_retries_and_the_breaker_is_had() {
    let text = "retry = { attempts = 5, on = ['reset', '429'], budget = '7%', max_wait = '2s' }\n\
                replay_buffer = '1MiB'\nbreaker = { failures = 2, open = '1m' }\n";
    let upstream = &accept(&format!("{GOOD}{text}")).upstreams[0];
    let on = vec![Failure::Reset, Failure::TooManyRequests];
    let retry = Retry { attempts: 5, on, budget: 7, max_wait: Duration::from_secs(2) };
    assert_eq!(upstream.retry, Some(retry));
    assert_eq!(upstream.replay_buffer, 1 << 20);
    assert_eq!(upstream.breaker, Some(Breaker { failures: 2, open: Duration::from_secs(60) }));
}

#[test]
fn what_could_not_be_meant_is_refused() {
    let told = |line: &str| refuse(&format!("{GOOD}{line}\n"));
    for (line, expected) in [
        ("retry.attempts = 0", "retry.attempts: expected a whole number from 1 to 10"),
        (
            "retry.on = []",
            "retry.on: expected a list of `connect`, `reset`, `502`, `503`, `504`, `429` (without `retry`",
        ),
        ("retry.on = ['500']", "retry.on[0]: expected one of `connect`, `reset`, `502`, `503`, `504`, `429`"),
        ("retry.on = [503]", "retry.on[0]: expected a string, found an integer"),
        ("retry.budget = '0%'", "retry.budget: expected a percentage from `1%` to `100%`"),
        ("retry.budget = 20", "retry.budget: expected a percentage from `1%` to `100%`, found an integer"),
        ("retry.max_wait = '0s'", "retry.max_wait: expected a duration of more than zero"),
        ("retry.tries = 3", "retry.tries: unknown key"),
        ("replay_buffer = '0B'", "replay_buffer: expected a size of more than zero"),
        ("breaker.failures = 0", "breaker.failures: expected a whole number from 1 to 10000"),
        ("breaker.open = 5", "breaker.open: expected a duration"),
        ("fallback_on = [401]", "fallback_on: there is no `fallback.SCHEME` to try then"),
        ("fallback = {}", "fallback: expected one scheme of `basic`, `bearer`, `api-key`, `hmac`"),
        ("fallback.oauth = {}", "fallback.oauth: unknown scheme"),
        ("fallback.bearer.token = 'hunter2'", "fallback.bearer.token: expected a secret reference"),
        ("fallback.bearer.token = 'env:NO'", "fallback.bearer.token: `env:NO` is not set"),
    ] {
        let told = told(line);
        assert!(told.contains(expected), "{line}: {told}");
        assert!(!told.contains("hunter2"), "{told}");
    }
    let fallback = "fallback.bearer.token = 'env:KEY'";
    for (on, expected) in [
        ("[500]", "fallback_on[0]: expected a whole number from 400 to 499"),
        ("['401']", "fallback_on[0]: expected a whole number from 400 to 499"),
        ("[]", "fallback_on: expected at least one status, such as 401"),
        ("401", "fallback_on: expected a list"),
    ] {
        let told = told(&format!("{fallback}\nfallback_on = {on}"));
        assert!(told.contains(expected), "{on}: {told}");
    }
}

#[test]
fn a_status_that_means_a_used_up_quota_is_no_refused_key() {
    let with = |preset: &str, scheme: &str| {
        format!("[upstream.x]\npreset = '{preset}'\nauth.{scheme}\nfallback.{scheme}\nfallback_on = [401, 403]\n",)
    };
    let basic = "basic = { username = 'env:KEY', password = 'env:KEY' }";
    for text in [with("imagga", basic), with("imagior", "bearer.token = 'env:KEY'")] {
        let told = refuse(&text);
        assert!(told.contains("fallback_on[1]: 403 does not mean a bad key here"), "{told}");
    }
    let upstream = &accept(&with("imagine", "bearer.token = 'env:KEY'")).upstreams[0];
    assert_eq!(*upstream.fallback_on, [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN]);
}

#[test]
fn a_fallback_is_of_any_scheme_that_the_vendor_knows() {
    let hub = "[upstream.x]\npreset = 'messagemedia'\nauth.hmac = { username = 'env:KEY', secret = 'env:KEY' }\n";
    let both = accept(&format!("{hub}fallback.basic = {{ username = 'env:KEY', password = 'env:KEY' }}\n"));
    let credentials = &both.upstreams[0].credentials;
    assert_eq!(credentials.at(Which::Fallback).unwrap().scheme(), "basic");
    // Whichever is used, there is a body to sign.
    assert_eq!(credentials.sign_body(), Some(10 << 20));
    let told = refuse(&format!("{hub}fallback.bearer.token = 'env:KEY'\n"));
    assert!(told.contains("fallback.bearer: the vendor of preset `messagemedia` does not know this scheme"), "{told}");
    let told = refuse(&format!("{hub}[upstream.x.fallback]\nbasic.username = 'env:KEY'\n"));
    assert!(told.contains("fallback.basic.password: missing"), "{told}");
}

#[test]
fn an_optional_upstream_makes_do_with_its_fallback() {
    let text = format!("{GOOD}fallback.bearer.token = 'env:OTHER'\noptional = true\n");
    let config = parse(&text, &[("env:OTHER", b"0ther-0ther")]).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(config.upstreams[0].credentials.first(), Some(Which::Fallback));
    assert!(config.warnings()[0].contains("answers 503 as long as it has no key"), "{:?}", config.warnings());
    let config = parse(&text, &KEY).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(config.upstreams[0].credentials.first(), Some(Which::Main));
    let config = parse(&text, &[]).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(config.upstreams[0].credentials.first(), None);
}
