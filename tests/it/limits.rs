//! How much an upstream is asked, and a caller may ask: what is over that waits its turn, or is refused and spends nothing.

use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{Caller, Conversation, OK, Origin, Response, Sidekey, get, get_with, post, until_true};

const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";

fn with(origin: &Origin, limits: &str) -> Sidekey {
    Sidekey::start(&format!("{}{limits}\n", origin.upstream("api")))
}

/// Asserts that it was refused by limits, as `slug` says, and returns how many seconds it is told to wait.
fn refused(answer: &Response, status: u16, slug: &str) -> u64 {
    answer.assert_own(
        status,
        if slug == "vendor-unavailable" { "destination_unavailable" } else { "http_request_denied" },
    );
    assert_eq!(answer.kind(), slug);
    let seconds = answer.fields.get("retry-after").expect("it is told when to come again").parse().unwrap();
    assert!(seconds >= 1);
    seconds
}

#[test]
fn what_is_over_the_rate_is_429_and_spends_no_quota() {
    let origin = Origin::ok();
    let sidekey = with(&origin, "limits = { rate = \"2/h\", burst = 3 }");
    let mut caller = sidekey.connect();
    for number in 0..6 {
        caller.send(if number % 2 == 0 { get("/api/x") } else { post("/api/x", "body") });
        let answer = caller.response();
        if number < 3 {
            answer.assert_passed_on(200);
        } else {
            let seconds = refused(&answer, 429, "rate-limited");
            assert!((1700..=1800).contains(&seconds), "{seconds}");
        }
    }
    assert_eq!(origin.requests().len(), 3);
    let record = sidekey.access(|record| record["status"] == 429);
    assert!(record["error"].as_str().unwrap().contains("`rate` of the upstream"), "{record}");
}

#[test]
fn a_rate_is_the_same_whatever_the_number_of_workers() {
    let origin = Origin::ok();
    let limits = "limits = { rate = \"1/h\", burst = 10 }\n[server]\nworkers = 2\n";
    let sidekey = with(&origin, limits);
    let callers: Vec<Caller> = (0..8).map(|_| sidekey.connect()).collect();
    let asking = callers.into_iter().map(|mut caller| {
        thread::spawn(move || {
            let ask = |_| {
                caller.send(get("/api/x"));
                caller.response().status
            };
            (0..10).map(ask).collect::<Vec<_>>()
        })
    });
    let asking: Vec<_> = asking.collect();
    let statuses: Vec<u16> = asking.into_iter().flat_map(|asking| asking.join().unwrap()).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 10);
    assert_eq!(statuses.iter().filter(|status| **status == 429).count(), 70);
    assert_eq!(origin.requests().len(), 10);
}

#[test]
fn whoever_may_wait_goes_at_the_rates_pace() {
    let origin = Origin::ok();
    let sidekey = with(&origin, "limits = { rate = \"10/s\", burst = 1, wait = \"20s\" }");
    let began = Instant::now();
    let asking: Vec<_> = (0..8)
        .map(|_| {
            let mut caller = sidekey.connect();
            thread::spawn(move || {
                caller.send(get("/api/x"));
                caller.response().assert_passed_on(200);
            })
        })
        .collect();
    asking.into_iter().for_each(|asking| asking.join().unwrap());
    assert!(began.elapsed() >= Duration::from_millis(690), "{:?}", began.elapsed());
}

#[test]
fn what_is_over_the_concurrency_waits_as_long_as_it_may() {
    let (origin, answer) = Origin::patient();
    let sidekey = with(&origin, "limits = { concurrency = 1, wait = \"300ms\" }");
    let mut first = sidekey.connect();
    first.send(get("/api/first"));
    until_true("the request at the origin", || origin.requests().len() == 1);
    let began = Instant::now();
    refused(&sidekey.ask(get("/api/second")), 429, "too-many-requests");
    assert!(began.elapsed() >= Duration::from_millis(290));
    answer.send(()).unwrap();
    first.response().assert_passed_on(200);
    answer.send(()).unwrap();
    sidekey.ask(get("/api/third")).assert_passed_on(200);
    assert_eq!(origin.requests().len(), 2, "the second was not sent");
}

#[test]
fn a_place_is_kept_until_the_answers_last_byte_has_gone() {
    let (finish, finishing) = channel::<()>();
    let finishing = Mutex::new(finishing);
    let origin = Origin::plain(move |conversation| {
        while conversation.request().is_some() {
            conversation.send(CHUNKED);
            let _ = finishing.lock().unwrap().recv();
            conversation.send("0\r\n\r\n");
        }
    });
    let sidekey = with(&origin, "limits = { concurrency = 1 }");
    let mut first = sidekey.connect();
    first.send(get("/api/first"));
    assert_eq!(first.head().status, 200);
    refused(&sidekey.ask(get("/api/second")), 429, "too-many-requests");
    finish.send(()).unwrap();
    let (body, _) = (first.exactly(15), finish.send(()));
    assert!(body.ends_with(b"0\r\n\r\n"));
    until_true("that its place is free", || sidekey.ask(get("/api/third")).status == 200);
}

/// Plays what the path of a request asks for.
fn play(conversation: &mut Conversation) {
    while let Some(head) = conversation.head() {
        match head.target() {
            "/reset" => return conversation.reset(),
            "/close" => return,
            "/garbage" => return conversation.send("nonsense\r\n\r\n"),
            "/cut" => return conversation.send(CHUNKED),
            "/hang" => return drop(conversation.rest()),
            "/stall" => {
                conversation.send(CHUNKED);
                return drop(conversation.rest());
            }
            "/early" => return conversation.send(OK),
            "/upgrade" => return conversation.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"),
            _ => conversation.send(OK),
        }
    }
}

/// One request that ends in one of the ways in which requests do.
fn end_somehow(sidekey: &Sidekey, way: usize) {
    const UPLOAD: &str = "POST /api/hang HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nhalf";
    let mut caller = sidekey.connect();
    match way {
        0..6 => {
            let path = ["reset", "close", "garbage", "cut", "upgrade", "x"][way];
            caller.send(get_with(&format!("/api/{path}"), "Connection: close\r\n"));
            drop(caller.rest());
        }
        6 => {
            caller.send(get("/api/hang"));
            caller.reset();
        }
        7 => {
            caller.send(get("/api/stall"));
            caller.head();
            caller.reset();
        }
        8 => {
            caller.send(UPLOAD);
            caller.half_close();
            assert_eq!(caller.response().status, 400);
        }
        9 => {
            caller.send(UPLOAD);
            caller.reset();
        }
        10 => {
            caller.send(UPLOAD.replace("hang", "early"));
            assert_eq!(caller.head().status, 200);
        }
        _ => drop(caller),
    }
}

#[test]
fn a_place_is_given_back_however_a_request_ends() {
    const WAYS: usize = 12;
    let origin = Origin::plain(play);
    let sidekey = with(&origin, "limits = { concurrency = 2, wait = \"20s\" }\n[server]\nworkers = 2\n");
    let mut random = 1_u64;
    for number in 0..100 {
        // Each at least once, then whichever the constants of Knuth's MMIX say.
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let way = if number < WAYS { number } else { (random >> 33) as usize % WAYS };
        end_somehow(&sidekey, way);
    }
    // Both places are there, and no third.
    let mut held: Vec<Caller> = Vec::new();
    for _ in 0..2 {
        let mut caller = sidekey.connect();
        caller.send(get("/api/stall"));
        assert_eq!(caller.head().status, 200);
        held.push(caller);
    }
    let mut third = sidekey.connect();
    third.send(get("/api/x"));
    third.assert_silent(Duration::from_millis(200));
    held.pop().unwrap().reset();
    third.response().assert_passed_on(200);
}

#[test]
fn a_caller_over_its_own_limits_takes_nothing_of_the_upstreams() {
    let origin = Origin::ok();
    let config = format!(
        "{}limits = {{ rate = \"1/h\", burst = 2 }}\n\
         [caller.greedy]\ntoken = \"file:greedy\"\nupstreams = [\"api\"]\nlimits = {{ rate = \"1/h\" }}\n\
         [caller.modest]\ntoken = \"file:modest\"\nupstreams = [\"api\"]\n",
        origin.upstream("api")
    );
    let sidekey = Sidekey::start(&config);
    let ask = |caller: &str| {
        let token = sidekey.secret(&format!("file:{caller}"));
        sidekey.ask(get_with("/api/x", &format!("Proxy-Authorization: Bearer {token}\r\n")))
    };
    ask("greedy").assert_passed_on(200);
    for _ in 0..5 {
        refused(&ask("greedy"), 429, "rate-limited");
    }
    let record = sidekey.access(|record| record["status"] == 429);
    assert!(record["error"].as_str().unwrap().contains("of the caller"), "{record}");
    ask("modest").assert_passed_on(200);
    refused(&ask("modest"), 429, "rate-limited");
    assert_eq!(origin.requests().len(), 2);
}

#[test]
fn what_the_upstream_has_no_room_for_costs_the_caller_nothing() {
    let (origin, answer) = Origin::patient();
    let config = format!(
        "{}limits = {{ concurrency = 1 }}\n\
         [caller.first]\ntoken = \"file:first\"\nupstreams = [\"api\"]\n\
         [caller.second]\ntoken = \"file:second\"\nupstreams = [\"api\"]\nlimits = {{ rate = \"1/h\" }}\n",
        origin.upstream("api")
    );
    let sidekey = Sidekey::start(&config);
    let from = |caller: &str| {
        let token = sidekey.secret(&format!("file:{caller}"));
        get_with("/api/x", &format!("Proxy-Authorization: Bearer {token}\r\n"))
    };
    let mut first = sidekey.connect();
    first.send(from("first"));
    until_true("the request at the origin", || origin.requests().len() == 1);
    for _ in 0..3 {
        refused(&sidekey.ask(from("second")), 429, "too-many-requests");
    }
    answer.send(()).unwrap();
    first.response().assert_passed_on(200);
    answer.send(()).unwrap();
    sidekey.ask(from("second")).assert_passed_on(200);
    refused(&sidekey.ask(from("second")), 429, "rate-limited");
}

/// An origin whose first answer is `first`, and any other 200.
fn once(first: &'static str) -> Origin {
    let answered = Mutex::new(false);
    Origin::plain(move |conversation| {
        while conversation.request().is_some() {
            let again = std::mem::replace(&mut *answered.lock().unwrap(), true);
            conversation.send(if again { OK } else { first });
        }
    })
}

const TOO_MANY: &str = "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 30\r\nContent-Length: 0\r\n\r\n";

#[test]
fn a_vendor_that_says_when_to_come_again_is_obeyed_for_everyone() {
    const IN_2100: &str = "HTTP/1.1 503 Service Unavailable\r\nDate: Fri, 01 Jan 2100 00:00:00 GMT\r\n\
                           Retry-After: Fri, 01 Jan 2100 00:00:30 GMT\r\nContent-Length: 0\r\n\r\n";
    for (first, status, slug) in [(TOO_MANY, 429, "vendor-limited"), (IN_2100, 503, "vendor-unavailable")] {
        let origin = once(first);
        let sidekey = with(&origin, "obey_retry_after = true\n[server]\nworkers = 2\n");
        sidekey.ask(get("/api/x")).assert_passed_on(status);
        for _ in 0..4 {
            let seconds = refused(&sidekey.ask(get("/api/x")), status, slug);
            assert!((20..=30).contains(&seconds), "{seconds}");
        }
        assert_eq!(origin.requests().len(), 1);
    }
}

#[test]
fn whoever_may_wait_comes_again_when_the_vendor_says() {
    let origin = once("HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n");
    let sidekey = with(&origin, "obey_retry_after = true\nlimits = { wait = \"20s\" }");
    sidekey.ask(get("/api/x")).assert_passed_on(429);
    let began = Instant::now();
    sidekey.ask(get("/api/x")).assert_passed_on(200);
    assert!(began.elapsed() >= Duration::from_millis(800), "{:?}", began.elapsed());
}

#[test]
fn a_vendor_is_asked_again_where_nobody_said_to_obey() {
    let origin = once(TOO_MANY);
    let sidekey = with(&origin, "");
    sidekey.ask(get("/api/x")).assert_passed_on(429);
    sidekey.ask(get("/api/x")).assert_passed_on(200);
}
