//! `breaker`: a vendor that fails again and again is left alone by all workers, until one request finds that it answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::support::{Caller, OK, Origin, Sidekey, free_port, get, post, until, until_true};

const UNAVAILABLE: &str = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\nno";

/// An origin that fails for as long as it is told to, and sidekey before it.
fn failing(breaker: &str) -> (Arc<AtomicBool>, Origin, Sidekey) {
    let fails = Arc::new(AtomicBool::new(true));
    let told = Arc::clone(&fails);
    let origin = Origin::plain(move |conversation| {
        while conversation.request().is_some() {
            conversation.send(if told.load(Ordering::Relaxed) { UNAVAILABLE } else { OK });
        }
    });
    let sidekey = Sidekey::start(&format!("{}breaker = {{ {breaker} }}\n", origin.upstream("api")));
    (fails, origin, sidekey)
}

fn ask(caller: &mut Caller) -> crate::support::Response {
    caller.send(get("/api/x"));
    caller.response()
}

#[test]
fn a_vendor_that_fails_too_often_is_left_alone_until_it_answers() {
    let (fails, origin, sidekey) = failing("failures = 3, open = \"400ms\"");
    let mut caller = sidekey.connect();
    (0..3).for_each(|_| ask(&mut caller).assert_passed_on(503));
    let answer = ask(&mut caller);
    answer.assert_own(503, "destination_unavailable");
    assert!(answer.text().contains("urn:sidekey:problem:upstream-unavailable"), "{}", answer.text());
    assert_eq!(answer.fields.get("retry-after"), Some("1"));
    assert_eq!(origin.requests().len(), 3);
    // One finds out that it still fails, and nobody else is let through for as long again.
    until_true("a request that is let through", || ask(&mut caller).fields.get("proxy-status").is_none());
    assert_eq!(origin.requests().len(), 4);
    ask(&mut caller).assert_own(503, "destination_unavailable");
    fails.store(false, Ordering::Relaxed);
    until_true("the breaker to close", || ask(&mut caller).status == 200);
    ask(&mut caller).assert_passed_on(200);
    let told = |news: &str| sidekey.log().matches(news).count();
    until_true("the news", || told("the upstream answers again") == 1);
    assert_eq!(told("the upstream fails: it is left alone for now"), 1);
}

#[test]
fn it_is_open_for_all_workers() {
    let (_, origin, sidekey) = failing("failures = 2");
    let config = format!("[server]\nworkers = 2\n{}breaker.failures = 2\n", origin.upstream("api"));
    let sidekey_of_two = Sidekey::start(&config);
    drop(sidekey);
    let mut callers: Vec<_> = (0..6).map(|_| sidekey_of_two.connect()).collect();
    (0..2).for_each(|_| ask(&mut callers[0]).assert_passed_on(503));
    callers.iter_mut().for_each(|caller| ask(caller).assert_own(503, "destination_unavailable"));
    assert_eq!(origin.requests().len(), 2);
}

#[test]
fn no_connection_no_answer_and_half_an_answer_are_failures() {
    let refused = format!("127.0.0.1:{}", free_port());
    let lost = Origin::plain(|conversation| drop(conversation.request()));
    let silent = Origin::plain(|conversation| {
        conversation.request();
        conversation.rest();
    });
    // Only the one that never answers is not to be waited for.
    for (url, response, status) in
        [(format!("http://{refused}"), "20s", 502), (lost.url(), "20s", 502), (silent.url(), "200ms", 504)]
    {
        let config = format!(
            "[upstream.api]\nurl = \"{url}\"\nauth.bearer.token = \"env:TOKEN\"\ntimeouts.response = \"{response}\"\n\
             breaker = {{ failures = 2 }}\n"
        );
        let sidekey = Sidekey::start(&config);
        (0..2).for_each(|_| assert_eq!(sidekey.ask(get("/api/x")).status, status, "{url}"));
        sidekey.ask(get("/api/x")).assert_own(503, "destination_unavailable");
    }
}

#[test]
fn what_is_not_the_vendors_failure_does_not_open_it() {
    let origin = Origin::plain(|conversation| {
        for status in [400, 401, 403, 404, 429, 500].into_iter().cycle() {
            if conversation.request().is_none() {
                return;
            }
            conversation.send(format!("HTTP/1.1 {status} x\r\nContent-Length: 0\r\n\r\n"));
        }
    });
    let sidekey = Sidekey::start(&format!("{}breaker.failures = 1\n", origin.upstream("api")));
    let mut caller = sidekey.connect();
    for status in [400, 401, 403, 404, 429, 500, 400] {
        ask(&mut caller).assert_passed_on(status);
    }
    // Callers that break off are not the vendor's fault either.
    for _ in 0..3 {
        let mut broken = sidekey.connect();
        broken.send("POST /api/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nhalf");
        broken.half_close();
        broken.response().assert_own(400, "http_request_error");
    }
    ask(&mut caller);
    assert_eq!(ask(&mut caller).fields.get("proxy-status"), None);
}

#[test]
fn a_caller_that_goes_gives_the_place_back_in_which_it_was_finding_out() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let origin = Origin::plain(move |conversation| {
        while conversation.request().is_some() {
            match count.fetch_add(1, Ordering::Relaxed) {
                0 => conversation.send(UNAVAILABLE),
                1 => drop(conversation.rest()),
                _ => conversation.send(OK),
            }
        }
    });
    let sidekey =
        Sidekey::start(&format!("{}breaker = {{ failures = 1, open = \"100ms\" }}\n", origin.upstream("api")));
    let mut steady = sidekey.connect();
    ask(&mut steady).assert_passed_on(503);
    let answered = || sidekey.log().matches("\"status\":503").count();
    let probing = until("a request that is let through", || {
        let before = answered();
        let mut caller = sidekey.connect();
        caller.send(get("/api/x"));
        // It stays at the origin, or is answered.
        until_true("either", || asked.load(Ordering::Relaxed) == 2 || answered() > before);
        (asked.load(Ordering::Relaxed) == 2).then_some(caller)
    });
    // Nobody else is let through meanwhile.
    ask(&mut steady).assert_own(503, "destination_unavailable");
    drop(probing);
    until_true("the place to be free", || ask(&mut steady).status == 200);
    assert_eq!(origin.requests().len(), 3);
}

#[test]
fn a_retry_does_not_go_past_it() {
    let (_, origin, sidekey) = failing("failures = 1 }\nretry = { attempts = 5");
    // The vendor's own answer, as there is one.
    sidekey.ask(get("/api/x")).assert_passed_on(503);
    assert_eq!(origin.requests().len(), 1);
    sidekey.ask(get("/api/x")).assert_own(503, "destination_unavailable");
}

#[test]
fn a_body_is_not_waited_for_that_would_go_nowhere() {
    let origin = Origin::answering(UNAVAILABLE);
    let config = format!(
        "[upstream.hub]\nurl = \"{}\"\nauth.hmac = {{ username = \"env:KEY\", secret = \"env:SECRET\" }}\n\
         breaker = {{ failures = 1 }}\n",
        origin.url()
    );
    let sidekey = Sidekey::start(&config);
    sidekey.ask(post("/hub/x", "body")).assert_passed_on(503);
    let mut caller = sidekey.connect();
    caller.send("POST /hub/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nhalf");
    caller.response().assert_own(503, "destination_unavailable");
}
