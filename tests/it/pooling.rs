//! Connections that are used again, and what is sent again when one of them was lost.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::mpsc::channel;

use crate::support::{Conversation, OK, Origin, Sidekey, get, post, until_true};

/// Answers the first request on each connection; closes as the next one comes.
fn closes_when_reused(conversation: &mut Conversation) {
    conversation.request();
    conversation.send(OK);
    conversation.request();
}

#[test]
fn requests_one_after_the_other_share_a_connection() {
    let origin = Origin::ok();
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let mut caller = sidekey.connect();
    for _ in 0..20 {
        caller.send(get("/api/x"));
        caller.response().assert_passed_on(200);
        caller.send(post("/api/x", "body"));
        caller.response().assert_passed_on(200);
        sidekey.ask(get("/api/x")).assert_passed_on(200);
    }
    assert_eq!(origin.connections(), 1);
}

#[test]
fn requests_at_once_each_have_a_connection() {
    let (release, released) = channel::<()>();
    let released = Mutex::new(released);
    let origin = Origin::plain(move |conversation| {
        while conversation.request().is_some() {
            released.lock().unwrap().recv().unwrap();
            conversation.send(OK);
        }
    });
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let mut callers: Vec<_> = (0..5).map(|_| sidekey.connect()).collect();
    for caller in &mut callers {
        caller.send(get("/api/x"));
    }
    until_true("five requests at once", || origin.requests().len() == 5);
    assert_eq!(origin.connections(), 5);
    for caller in &mut callers {
        release.send(()).unwrap();
        let _ = caller;
    }
    for caller in &mut callers {
        caller.response().assert_passed_on(200);
    }
}

#[test]
fn a_get_that_loses_the_keep_alive_race_is_sent_again_sixty_times_of_sixty() {
    let origin = Origin::plain(closes_when_reused);
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let mut caller = sidekey.connect();
    for number in 0..60 {
        caller.send(get(&format!("/api/{number}")));
        caller.response().assert_passed_on(200);
    }
    // Or nothing was raced for.
    assert!(origin.requests().len() >= 100, "{}", origin.requests().len());
}

#[test]
fn a_race_that_ends_in_a_reset_is_as_good() {
    let origin = Origin::plain(|conversation| {
        closes_when_reused(conversation);
        conversation.reset();
    });
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let mut caller = sidekey.connect();
    for number in 0..60 {
        caller.send(get(&format!("/api/{number}")));
        caller.response().assert_passed_on(200);
    }
    assert!(origin.requests().len() >= 100);
}

#[test]
fn a_post_is_never_seen_twice() {
    let origin = Origin::plain(closes_when_reused);
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let mut caller = sidekey.connect();
    let mut lost = 0;
    for number in 0..60 {
        // Every second one meets a connection that is lost: of either kind.
        let body = if number % 3 == 0 { "" } else { "body" };
        caller.send(post(&format!("/api/{number}"), body));
        let answer = caller.response();
        if answer.status != 200 {
            answer.assert_own(502, "http_response_incomplete");
            lost += 1;
        }
    }
    let mut seen: HashMap<String, usize> = HashMap::new();
    for request in origin.requests() {
        *seen.entry(request.target().to_owned()).or_default() += 1;
    }
    assert_eq!(seen.len(), 60);
    assert!(seen.values().all(|&count| count == 1), "{seen:?}");
    assert!(lost >= 20, "or nothing was raced for: {lost}");
}

#[test]
fn what_may_be_another_request_than_it_says_or_costs_something_is_never_seen_twice() {
    let billed = "preset = \"messagemedia\"\nauth.basic = { username = \"env:KEY\", password = \"env:SECRET\" }";
    for (settings, target, field) in [
        ("auth.bearer.token = \"env:TOKEN\"", "/api/x", "X-HTTP-Method-Override: POST\r\n"),
        (billed, "/api/v1/lookups/phone/61491570156", ""),
    ] {
        let origin = Origin::plain(closes_when_reused);
        let sidekey = Sidekey::start(&format!("[upstream.api]\nurl = \"{}\"\n{settings}\n", origin.url()));
        let mut caller = sidekey.connect();
        let mut lost = 0;
        for _ in 0..20 {
            caller.send(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{field}\r\n"));
            lost += usize::from(caller.response().status == 502);
        }
        assert_eq!(origin.requests().len(), 20, "{target}");
        assert!(lost >= 5, "or nothing was raced for: {lost}");
    }
}

#[test]
fn a_body_that_ends_with_trailers_has_ended() {
    let origin = Origin::plain(|conversation| {
        while conversation.request().is_some() {
            // No longer than an answer may be waited for, but longer than for an upstream that takes a body.
            std::thread::sleep(std::time::Duration::from_millis(600));
            conversation.send(OK);
        }
    });
    let sidekey = Sidekey::start(&format!("{}timeouts.idle = \"300ms\"\n", origin.upstream("api")));
    let mut caller = sidekey.connect();
    for _ in 0..2 {
        caller.send(
            "POST /api/x HTTP/1.1\r\nHost: localhost\r\nTrailer: x-sum\r\nTransfer-Encoding: chunked\r\n\r\n\
             4\r\nbody\r\n0\r\nx-sum: 7\r\n\r\n",
        );
        caller.response().assert_passed_on(200);
    }
    assert_eq!(origin.connections(), 1);
}

#[test]
fn what_was_answered_wrongly_is_not_sent_again() {
    let origin = Origin::plain(|conversation| {
        closes_when_reused(conversation);
        conversation.send("HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\n");
    });
    let sidekey = Sidekey::start(&origin.upstream("api"));
    sidekey.ask(get("/api/1")).assert_passed_on(200);
    sidekey.ask(get("/api/2")).assert_own(502, "http_protocol_error");
    assert_eq!(origin.requests().len(), 2);
}

#[test]
fn a_connection_that_the_upstream_closed_while_idle_is_noticed() {
    for bytes in ["", "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"] {
        let (closed, closing) = channel();
        let closed = Mutex::new(closed);
        let origin = Origin::plain(move |conversation| {
            conversation.request();
            conversation.send(OK);
            conversation.send(bytes);
            conversation.close();
            closed.lock().unwrap().send(()).unwrap();
        });
        let sidekey = Sidekey::start(&origin.upstream("api"));
        for _ in 0..10 {
            let answer = sidekey.ask(post("/api/x", "body"));
            answer.assert_passed_on(200);
            assert_eq!(answer.text(), "ok");
            // The FIN is on its way; on loopback it has arrived.
            closing.recv().unwrap();
        }
        assert_eq!((origin.connections(), origin.requests().len()), (10, 10));
    }
}

#[test]
fn a_connection_that_the_upstream_closed_is_let_go_though_nobody_asks_again() {
    let idle = ["", "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n"].map(|oddity| {
        let (gone, going) = channel();
        let gone = Mutex::new(gone);
        let (rest, resting) = channel::<()>();
        let resting = Mutex::new(resting);
        let origin = Origin::plain(move |conversation| {
            conversation.request();
            conversation.send(OK);
            // The answer has come to its end, and the connection is idle.
            resting.lock().unwrap().recv().unwrap();
            conversation.send(oddity);
            if oddity.is_empty() {
                conversation.half_close();
            }
            conversation.rest();
            gone.lock().unwrap().send(()).unwrap();
        });
        let sidekey = Sidekey::start(&origin.upstream("api"));
        sidekey.ask(get("/api/x")).assert_passed_on(200);
        rest.send(()).unwrap();
        (sidekey, origin, going)
    });
    // The pool is looked through every few seconds.
    for (_sidekey, _origin, going) in &idle {
        going.recv_timeout(std::time::Duration::from_secs(20)).unwrap();
    }
}

#[test]
fn even_one_that_is_closed_as_the_request_comes() {
    let (close, closing) = channel();
    let closing = Mutex::new(closing);
    let origin = Origin::plain(move |conversation| {
        conversation.request();
        conversation.send(OK);
        if conversation.index == 0 {
            closing.lock().unwrap().recv().unwrap();
            conversation.close();
        }
        conversation.answer_all(OK);
    });
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let mut caller = sidekey.connect();
    caller.send(get("/api/x"));
    caller.response().assert_passed_on(200);
    // While it is held, the request arrives first, and then the end of the connection that it would go on.
    sidekey.hold();
    caller.send(post("/api/x", "body"));
    close.send(()).unwrap();
    until_true("the end of the connection", || origin.closed() == 1);
    sidekey.signal("CONT");
    caller.response().assert_passed_on(200);
    assert_eq!(origin.connections(), 2);
}

#[test]
fn a_connection_whose_answer_came_early_is_not_used_again() {
    let origin = Origin::plain(|conversation| {
        conversation.head();
        conversation.send(OK);
        if conversation.index == 0 && conversation.exactly(10).is_err() {
            return;
        }
        conversation.answer_all(OK);
    });
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let mut caller = sidekey.connect();
    caller.send("POST /api/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhello");
    caller.response().assert_passed_on(200);
    // It may be refused by now.
    let _ = caller.try_send("world");
    for _ in 0..5 {
        sidekey.ask(get("/api/x")).assert_passed_on(200);
    }
    assert_eq!(origin.connections(), 2);
}

#[test]
fn a_connection_with_bytes_too_many_is_not_used_again() {
    let origin = Origin::answering(format!("{OK}HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"));
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let mut caller = sidekey.connect();
    for _ in 0..10 {
        for request in [get("/api/x"), post("/api/x", "body")] {
            caller.send(request);
            assert_eq!(caller.response().text(), "ok");
        }
    }
}

#[test]
fn a_connection_that_the_upstream_wants_closed_is_not_used_again() {
    for answer in [
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    ] {
        let origin = Origin::answering(answer);
        let sidekey = Sidekey::start(&origin.upstream("api"));
        let mut caller = sidekey.connect();
        for _ in 0..3 {
            caller.send(post("/api/x", "body"));
            caller.response().assert_passed_on(200);
        }
        assert_eq!(origin.connections(), 3);
    }
}

#[test]
fn a_connection_is_kept_no_longer_than_the_pool_keeps_it() {
    let origin = Origin::plain(|conversation| conversation.answer_all(OK));
    let sidekey = Sidekey::start(&format!("{}pool = {{ idle = \"100ms\" }}\n", origin.upstream("api")));
    sidekey.ask(get("/api/x")).assert_passed_on(200);
    std::thread::sleep(std::time::Duration::from_millis(150));
    sidekey.ask(get("/api/x")).assert_passed_on(200);
    assert_eq!(origin.connections(), 2);
    let none_kept = Sidekey::start(&format!("{}pool = {{ max_idle = 0 }}\n", origin.upstream("api")));
    none_kept.ask(get("/api/x")).assert_passed_on(200);
    none_kept.ask(get("/api/x")).assert_passed_on(200);
    assert_eq!(origin.connections(), 4);
}

#[test]
fn head_204_and_304_leave_the_connection_usable() {
    for (method, answer) in [
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nETag: \"x\"\r\n\r\n"),
    ] {
        let origin = Origin::answering(answer);
        let sidekey = Sidekey::start(&origin.upstream("api"));
        let mut caller = sidekey.connect();
        for _ in 0..3 {
            caller.send(get("/api/x").replace("GET", method));
            let response = caller.response_to(method);
            assert!(answer.contains(&response.status.to_string()));
            let length = response.fields.get("content-length");
            match response.status {
                200 => assert_eq!(length, Some("5"), "that of the answer to a GET"),
                204 => assert_eq!(length, None),
                // RFC 9110 8.6: it may say what the 200 would have had, and nothing else.
                _ => assert!(matches!(length, None | Some("5")), "{length:?}"),
            }
        }
        assert_eq!(origin.connections(), 1);
    }
}
