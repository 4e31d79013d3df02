//! Answers before the request is complete: `100 (Continue)`, early refusals, and other interim responses.

use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use crate::support::{OK, Origin, Sidekey, get, holds, until_true};

const EXPECTING: &str = "POST /api/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n";
const REFUSAL: &str = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nno!";

#[test]
fn a_caller_that_expects_100_gets_it_when_the_upstream_says_so() {
    let (go, may_go) = channel();
    let may_go = std::sync::Mutex::new(may_go);
    let origin = Origin::plain(move |conversation| {
        let request = conversation.head().unwrap();
        assert_eq!(request.fields.get("expect"), Some("100-continue"));
        may_go.lock().unwrap().recv().unwrap();
        conversation.send("HTTP/1.1 100 Continue\r\n\r\n");
        assert_eq!(conversation.exactly(4).unwrap(), b"body");
        conversation.send(OK);
        conversation.answer_all(OK);
    });
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let mut caller = sidekey.connect();
    caller.send(EXPECTING);
    // Not before the upstream has said it.
    until_true("the request at the origin", || origin.requests().len() == 1);
    caller.assert_silent(Duration::from_millis(200));
    go.send(()).unwrap();
    assert_eq!((caller.line().as_str(), caller.line().as_str()), ("HTTP/1.1 100 Continue", ""));
    caller.send("body");
    caller.response().assert_passed_on(200);
    caller.send(get("/api/again"));
    caller.response().assert_passed_on(200);
}

#[test]
fn a_caller_that_expects_100_may_be_refused_and_keeps_its_body() {
    let origin = Origin::plain(|conversation| {
        conversation.head().unwrap();
        conversation.send(REFUSAL);
        let (rest, _) = conversation.rest();
        assert!(rest.is_empty(), "a body that was not wanted");
    });
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let mut caller = sidekey.connect();
    caller.send(EXPECTING);
    let answer = caller.response();
    answer.assert_passed_on(413);
    assert!(answer.interim.is_empty(), "it was told to send its body: {answer:?}");
    assert_eq!(answer.text(), "no!");
    // RFC 9112 9.6: it is closed, as nobody knows what would come next on it.
    assert_eq!(answer.fields.get("connection"), Some("close"));
    caller.assert_closed();
}

/// Whoever refuses, and whichever status says so.
#[test]
fn a_body_that_sidekey_does_not_ask_for_ends_the_connection_and_one_that_it_asks_for_does_not() {
    let origin = Origin::plain(|conversation| {
        while conversation.request().is_some() {
            conversation.send("HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let mut caller = sidekey.connect();
    caller.send(EXPECTING.replace("/api/", "/nobody/"));
    let answer = caller.response();
    assert_eq!((answer.status, answer.fields.get("connection")), (404, Some("close")));
    caller.assert_closed();
    // The upstream says nothing until it has the body, so it is asked for in the end.
    let mut caller = sidekey.connect();
    caller.send(EXPECTING);
    assert_eq!((caller.line().as_str(), caller.line().as_str()), ("HTTP/1.1 100 Continue", ""));
    caller.send("body");
    for _ in 0..2 {
        let answer = caller.response();
        assert_eq!((answer.status, answer.fields.get("connection")), (417, None));
        caller.send(get("/api/again"));
    }
}

#[test]
fn an_upstream_that_knows_no_expectation_gets_the_body_all_the_same() {
    let origin = Origin::ok();
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let mut caller = sidekey.connect();
    caller.send(EXPECTING);
    assert_eq!((caller.line().as_str(), caller.line().as_str()), ("HTTP/1.1 100 Continue", ""));
    caller.send("body");
    caller.response().assert_passed_on(200);
    assert_eq!(origin.request().body, b"body");
}

#[test]
fn only_who_waits_for_100_is_taken_to_hold_its_body_back() {
    const REQUESTS: u32 = 8;
    let origin = Origin::ok();
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let began = Instant::now();
    for _ in 0..REQUESTS {
        sidekey.ask(EXPECTING.replace("100-continue", "a-miracle") + "body").assert_passed_on(200);
    }
    assert!(origin.requests().iter().all(|request| request.body == b"body"));
    assert!(began.elapsed() < REQUESTS * Duration::from_millis(750), "each waited a second for a 100");
}

#[test]
fn a_caller_that_does_not_wait_for_100_is_served_too() {
    let origin = Origin::plain(|conversation| {
        conversation.head().unwrap();
        conversation.send("HTTP/1.1 100 Continue\r\n\r\n");
        assert_eq!(conversation.exactly(4).unwrap(), b"body");
        conversation.send(OK);
        conversation.rest();
    });
    let sidekey = Sidekey::start(&origin.upstream("api"));
    sidekey.ask(format!("{EXPECTING}body")).assert_passed_on(200);
}

#[test]
fn a_refusal_in_the_middle_of_an_upload_reaches_the_caller() {
    let origin = Origin::plain(|conversation| match conversation.index {
        0 => {
            conversation.head().unwrap();
            conversation.exactly(1000).unwrap();
            conversation.send(REFUSAL);
            conversation.rest();
        }
        _ => conversation.answer_all(OK),
    });
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let mut caller = sidekey.connect();
    caller.send("POST /api/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50000000\r\n\r\n");
    caller.send(vec![b'x'; 10_000]);
    let answer = caller.response();
    answer.assert_passed_on(413);
    assert_eq!(answer.text(), "no!");
    // RFC 9112 9.6: nobody will read the rest.
    assert_eq!(answer.fields.get("connection"), Some("close"));
    drop(caller);
    // Where the next request would begin on that connection is in doubt.
    sidekey.ask(get("/api/next")).assert_passed_on(200);
    assert_eq!(origin.connections(), 2);
}

#[test]
fn only_a_refusal_in_the_middle_of_a_long_upload_says_before_it_that_it_is_the_last() {
    let (ok, no) = (OK.to_owned(), REFUSAL.to_owned());
    for (answer, length, said) in [(&ok, 50_000_000, None), (&no, 5_000, None), (&no, 50_000_000, Some("close"))] {
        let early = answer.clone();
        let origin = Origin::plain(move |conversation| {
            conversation.head().unwrap();
            conversation.exactly(4).unwrap();
            conversation.send(&early);
            conversation.rest();
        });
        let sidekey = Sidekey::start(&origin.upstream("api"));
        let mut caller = sidekey.connect();
        caller.send(format!("POST /api/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\nbody"));
        assert_eq!(caller.response().fields.get("connection"), said, "{answer}");
    }
}

#[test]
fn a_caller_that_uploads_on_regardless_sees_the_refusal_after_all() {
    let origin = Origin::plain(|conversation| {
        conversation.head().unwrap();
        conversation.send(REFUSAL.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"));
        // RFC 9112 9.6: it reads on for a while, so that nobody loses the answer.
        conversation.half_close();
        let _ = conversation.exactly(1_000_000);
    });
    let sidekey = Sidekey::start(&origin.upstream("api"));
    for chunked in [false, true] {
        let mut caller = sidekey.connect();
        let framing = if chunked { "Transfer-Encoding: chunked" } else { "Content-Length: 600000" };
        caller.send(format!("POST /api/x HTTP/1.1\r\nHost: localhost\r\n{framing}\r\n\r\n"));
        let piece = vec![b'x'; 60_000];
        for _ in 0..10 {
            let head = if chunked { format!("{:x}\r\n", piece.len()) } else { String::new() };
            let tail = if chunked { "\r\n" } else { "" };
            if caller.try_send([head.as_bytes(), &piece, tail.as_bytes()].concat()).is_err() {
                break;
            }
        }
        caller.response().assert_passed_on(413);
    }
}

/// Whether a connection to `port` stands, as the kernel of its other end sees it.
fn is_connected_to(port: u16) -> bool {
    let connections = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let (to, established) = (format!(":{port:04X}"), "01");
    connections
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .any(|line| matches!(line[..], [_, _, remote, state, ..] if remote.ends_with(&to) && state == established))
}

/// It has heard enough, says so, and closes without reading the rest: that makes it a reset (RFC 9112 9.6).
#[test]
fn a_refusal_is_the_answer_though_the_rest_of_the_upload_meets_a_reset() {
    for interim in ["", "HTTP/1.1 100 Continue\r\n\r\n"] {
        let (refuse, may_refuse) = channel();
        let may_refuse = std::sync::Mutex::new(may_refuse);
        let origin = Origin::plain(move |conversation| {
            conversation.head().unwrap();
            conversation.send(interim);
            conversation.exactly(4).unwrap();
            may_refuse.lock().unwrap().recv().unwrap();
            conversation.send(REFUSAL);
            conversation.reset();
        });
        let sidekey = Sidekey::start(&origin.upstream("api"));
        let mut caller = sidekey.connect();
        caller.send("POST /api/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000\r\n\r\nbody");
        until_true("the request at the origin", || holds(&origin.raw(), b"\r\n\r\nbody"));
        // While it is held, more of the upload comes, and then the answer and the reset: it cannot write before it reads.
        sidekey.hold();
        caller.send(vec![b'x'; 1000]);
        refuse.send(()).unwrap();
        until_true("the reset", || !is_connected_to(origin.port()));
        sidekey.signal("CONT");
        let answer = caller.response();
        answer.assert_passed_on(413);
        assert_eq!(answer.text(), "no!", "{interim}");
    }
}

#[test]
fn an_upload_that_breaks_off_behind_the_beginning_of_its_answer_cuts_that() {
    let (left, leaving) = channel();
    let left = std::sync::Mutex::new(left);
    let origin = Origin::plain(move |conversation| {
        conversation.head().unwrap();
        conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello");
        let (upload, _) = conversation.rest();
        left.lock().unwrap().send(upload).unwrap();
    });
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let mut caller = sidekey.connect();
    caller.send("POST /api/x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n");
    caller.head();
    assert_eq!(caller.exactly(5), b"hello");
    caller.send("x\r\n");
    caller.rest();
    let upload = leaving.recv_timeout(Duration::from_secs(20)).expect("the upstream's connection is closed");
    assert_eq!(String::from_utf8_lossy(&upload), "4\r\nbody\r\n", "no end of the body");
}

#[test]
fn interim_responses_do_not_disturb_the_answer() {
    let hints = "HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n";
    let origin = Origin::answering(format!("HTTP/1.1 102 Processing\r\n\r\n{}{OK}", hints.repeat(10)));
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let mut caller = sidekey.connect();
    for _ in 0..3 {
        caller.send(get("/api/x"));
        let answer = caller.response();
        answer.assert_passed_on(200);
        assert_eq!(answer.text(), "ok");
    }
    assert_eq!(origin.connections(), 1);
    assert!(!holds(&answer_of_http_1_0(&sidekey), b"103"), "HTTP/1.0 knows no interim response");
}

fn answer_of_http_1_0(sidekey: &Sidekey) -> Vec<u8> {
    let mut caller = sidekey.connect();
    caller.send("GET /api/x HTTP/1.0\r\n\r\n");
    caller.rest().0
}
