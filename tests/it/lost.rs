//! One side goes away in the middle: the other one learns of it, and never takes it for an end.

use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use crate::support::{Broken, Caller, Conversation, OK, Origin, PATIENCE, Sidekey, get, post, until_true};

const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
const COUNTED: &str = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello";
const UNTIL_CLOSE: &str = "HTTP/1.1 200 OK\r\n\r\nhello";

/// An origin that says when sidekey has left it.
fn watched(script: impl Fn(&mut Conversation) + Send + Sync + 'static) -> (Origin, Receiver<()>) {
    let (left, leaving) = channel();
    let left = Mutex::new(left);
    let origin = Origin::plain(move |conversation| {
        script(conversation);
        conversation.rest();
        left.lock().unwrap().send(()).unwrap();
    });
    (origin, leaving)
}

type Leave = fn(Caller);

/// How a caller goes away.
const WAYS: [(&str, Leave); 2] = [("an end", drop), ("a reset", Caller::reset)];

#[test]
fn a_caller_that_goes_while_it_waits_cancels_the_request() {
    for (way, go) in WAYS {
        for request in [get("/api/x"), post("/api/x", "body")] {
            let (origin, left) = watched(|conversation| drop(conversation.request()));
            let sidekey = Sidekey::start(&origin.upstream("api"));
            let mut caller = sidekey.connect();
            caller.send(request);
            until_true("the request at the origin", || !origin.requests().is_empty());
            let began = Instant::now();
            go(caller);
            left.recv_timeout(PATIENCE).expect(way);
            assert!(began.elapsed() < Duration::from_secs(10), "{way}: soon");
            let record = sidekey.access(|record| record["path"] == "/api/x");
            assert_eq!(record["cut"], true, "{record}");
        }
    }
}

#[test]
fn a_caller_that_goes_in_the_middle_of_its_upload_cancels_the_request() {
    for (way, go) in WAYS {
        let (origin, left) = watched(|conversation| {
            conversation.head().unwrap();
            conversation.exactly(4).unwrap();
        });
        let sidekey = Sidekey::start(&origin.upstream("api"));
        let mut caller = sidekey.connect();
        caller.send("POST /api/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nhalf");
        until_true("the request at the origin", || !origin.requests().is_empty());
        go(caller);
        left.recv_timeout(Duration::from_secs(10)).expect(way);
    }
}

#[test]
fn a_caller_that_is_reset_in_the_middle_of_its_answer_cancels_the_request() {
    for answer in [CHUNKED, COUNTED] {
        let (origin, left) = watched(move |conversation| {
            conversation.request();
            conversation.send(answer);
        });
        let sidekey = Sidekey::start(&origin.upstream("api"));
        let mut caller = sidekey.connect();
        caller.send(get("/api/x"));
        caller.head();
        caller.exactly(5);
        caller.reset();
        left.recv_timeout(Duration::from_secs(10)).expect("the upstream's connection is closed");
    }
}

#[test]
fn a_caller_that_ends_in_the_middle_of_its_answer_cancels_the_request() {
    // That it does not only half-close is seen when the next piece meets nobody.
    let (origin, left) = watched(|conversation| {
        conversation.request();
        conversation.send(CHUNKED);
        while conversation.try_send("5\r\nhello\r\n").is_ok() {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let mut caller = sidekey.connect();
    caller.send(get("/api/x"));
    caller.head();
    drop(caller);
    left.recv_timeout(Duration::from_secs(10)).expect("the upstream's connection is closed");
}

#[test]
fn an_upload_that_breaks_off_is_never_a_whole_request() {
    for framing in ["Content-Length: 100\r\n\r\nhalf", "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"] {
        let origin = Origin::plain(|conversation| assert!(conversation.request().is_none(), "a request, cut short"));
        let sidekey = Sidekey::start(&origin.upstream("api"));
        let mut caller = sidekey.connect();
        caller.send(format!("POST /api/x HTTP/1.1\r\nHost: localhost\r\n{framing}"));
        caller.half_close();
        caller.response().assert_own(400, "http_request_error");
        caller.assert_closed();
    }
}

#[test]
fn an_answer_that_breaks_off_is_cut_for_the_caller() {
    for answer in [CHUNKED, COUNTED] {
        for reset in [false, true] {
            let origin = Origin::plain(move |conversation| {
                conversation.request();
                conversation.send(answer);
                // So that sidekey has the first half before the end of it all.
                std::thread::sleep(Duration::from_millis(100));
                if reset {
                    conversation.reset();
                } else {
                    conversation.close();
                }
            });
            let sidekey = Sidekey::start(&origin.upstream("api"));
            let mut caller = sidekey.connect();
            caller.send(get("/api/x"));
            let (response, _) = caller.cut_response();
            assert_eq!((response.status, response.body.as_slice()), (200, &b"hello"[..]));
            let record = sidekey.access(|record| record["status"] == 200);
            assert_eq!(record["cut"], true, "{record}");
        }
    }
}

#[test]
fn an_http_1_0_caller_sees_a_reset_where_its_answer_broke_off() {
    let origin = Origin::plain(|conversation| {
        conversation.request();
        conversation.send(CHUNKED);
        std::thread::sleep(Duration::from_millis(100));
    });
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let mut caller = sidekey.connect();
    caller.send("GET /api/x HTTP/1.0\r\n\r\n");
    assert_eq!(caller.cut_response().1, Broken::Reset);
}

/// Answers that it does not end.
fn endless() -> Origin {
    Origin::plain(|conversation| {
        conversation.request();
        conversation.send(CHUNKED);
        conversation.rest();
    })
}

#[test]
fn an_http_1_0_caller_sees_a_reset_where_the_end_of_a_drain_cuts_its_answer() {
    let origin = endless();
    let mut sidekey = Sidekey::start(&format!("[server]\nworkers = 1\ndrain = \"400ms\"\n{}", origin.upstream("api")));
    let mut caller = sidekey.connect();
    caller.send("GET /api/x HTTP/1.0\r\n\r\n");
    caller.head();
    assert_eq!(caller.exactly(5), b"hello");
    sidekey.stop();
    assert_eq!(caller.rest(), (Vec::new(), Broken::Reset));
}

#[test]
fn an_http_1_0_caller_that_read_too_late_sees_a_reset() {
    let (origin, left) = watched(|conversation| {
        conversation.request();
        conversation.send("HTTP/1.1 200 OK\r\n\r\n");
        let piece = vec![b'x'; 64 * 1024];
        while conversation.try_send(&piece).is_ok() {}
    });
    let server = "[server]\nworkers = 1\nwrite_timeout = \"300ms\"\n";
    let sidekey = Sidekey::start(&format!("{server}{}", origin.upstream("api")));
    let mut caller = sidekey.connect();
    caller.send("GET /api/x HTTP/1.0\r\n\r\n");
    left.recv_timeout(PATIENCE).expect("the upstream's connection is closed");
    assert_eq!(caller.rest().1, Broken::Reset);
}

#[test]
fn an_answer_that_ends_with_the_connection_arrives_whole() {
    let origin = Origin::plain(|conversation| {
        conversation.request();
        conversation.send(UNTIL_CLOSE);
    });
    let sidekey = Sidekey::start(&origin.upstream("api"));
    for _ in 0..2 {
        let answer = sidekey.ask(get("/api/x"));
        answer.assert_passed_on(200);
        assert_eq!(answer.text(), "hello");
    }
    assert_eq!(origin.connections(), 2);
}

#[test]
fn an_answer_that_ends_with_a_reset_is_cut() {
    let origin = Origin::plain(|conversation| {
        conversation.request();
        conversation.send(UNTIL_CLOSE);
        std::thread::sleep(Duration::from_millis(100));
        conversation.reset();
    });
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let mut caller = sidekey.connect();
    caller.send(get("/api/x"));
    caller.cut_response();
}

#[test]
fn an_answer_that_stalls_is_cut() {
    let (origin, left) = watched(|conversation| {
        conversation.request();
        conversation.send(CHUNKED);
    });
    let config = format!("{}timeouts = {{ idle = \"300ms\" }}\n", origin.upstream("api"));
    let sidekey = Sidekey::start(&config);
    let mut caller = sidekey.connect();
    caller.send(get("/api/x"));
    caller.cut_response();
    left.recv_timeout(PATIENCE).expect("the upstream's connection is closed");
    let record = sidekey.access(|record| record["status"] == 200);
    assert_eq!(record["error"], "the upstream stopped in the middle of its body", "{record}");
}

#[test]
fn one_broken_exchange_leaves_the_others_alone() {
    let origin = Origin::plain(|conversation| {
        while let Some(request) = conversation.request() {
            if request.target() == "/break" {
                conversation.send(CHUNKED);
                return;
            }
            conversation.send(OK);
        }
    });
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let mut steady = sidekey.connect();
    for _ in 0..5 {
        let mut broken = sidekey.connect();
        broken.send(get("/api/break"));
        broken.cut_response();
        steady.send(get("/api/x"));
        steady.response().assert_passed_on(200);
    }
}
