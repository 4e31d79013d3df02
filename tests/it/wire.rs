//! A caller's connection: keep-alive, pipelining, half-closing, and its deadlines.

use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::thread::sleep;
use std::time::Duration;

use crate::support::{OK, Origin, Sidekey, get, get_with, post, until_true};

/// Answers each request with its target.
fn echo() -> Origin {
    Origin::plain(|conversation| {
        while let Some(request) = conversation.request() {
            let body = request.target();
            conversation.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
        }
    })
}

#[test]
fn a_connection_serves_request_after_request() {
    let origin = echo();
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let mut caller = sidekey.connect();
    for number in 0..20 {
        caller.send(get(&format!("/api/{number}")));
        assert_eq!(caller.response().text(), format!("/{number}"));
    }
    caller.send(get("/nobody/x"));
    caller.response().assert_own(404, "destination_not_found");
    caller.send(post("/api/after-a-404", "body"));
    assert_eq!(caller.response().text(), "/after-a-404");
}

#[test]
fn a_caller_that_asks_for_close_gets_it() {
    let origin = echo();
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let mut caller = sidekey.connect();
    caller.send("GET /api/x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let answer = caller.response();
    assert_eq!(answer.fields.get("connection"), Some("close"));
    caller.assert_closed();
}

#[test]
fn a_last_answer_is_not_lost_to_what_came_behind_its_request() {
    let sidekey = Sidekey::start(&Origin::ok().upstream("api"));
    let mut caller = sidekey.connect();
    // What comes behind the header is not read with it, and nobody waits for anything before the answer.
    let header = "GET /nobody HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nx-room: ";
    let room = "x".repeat(8 * 1024 - header.len() - 4);
    caller.send(format!("{header}{room}\r\n\r\n{}", get("/api/x")));
    assert_eq!(caller.response().status, 404);
    caller.assert_closed();
}

#[test]
fn http_1_0_ends_with_the_connection_unless_it_asks_to_stay() {
    let origin = Origin::answering("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let mut caller = sidekey.connect();
    caller.send("GET /api/x HTTP/1.0\r\n\r\n");
    let answer = caller.response();
    // It knows no chunks.
    assert!(!answer.fields.has("transfer-encoding"), "{answer:?}");
    assert_eq!((answer.status, answer.text().as_str()), (200, "hello"));
    assert!(answer.version.starts_with("HTTP/1."), "{answer:?}");
    assert!(origin.request().line.ends_with(" HTTP/1.1"));

    let origin = echo();
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let mut caller = sidekey.connect();
    for target in ["/a", "/b"] {
        caller.send(format!("GET /api{target} HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
        let answer = caller.response();
        assert_eq!(answer.text(), target);
        assert_eq!(answer.fields.get("connection"), Some("keep-alive"));
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let origin = echo();
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let mut caller = sidekey.connect();
    let targets: Vec<String> = (0..100).map(|number| format!("/{number}")).collect();
    let requests: String = targets
        .iter()
        .enumerate()
        .map(|(at, target)| {
            let target = format!("/api{target}");
            if at % 3 == 1 { post(&target, "some body") } else { get(&target) }
        })
        .collect();
    caller.send(requests);
    for target in &targets {
        assert_eq!(caller.response().text(), *target);
    }
    assert_eq!(origin.requests().len(), 100);
}

/// What is no request, whatever came before it.
const MALFORMED: [&str; 3] =
    ["GET /api/bad HTTP/1.1\r\n\r\n", "nonsense\r\n\r\n", "GET /api/bad HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n"];

#[test]
fn answers_that_are_due_come_before_the_400() {
    for bad in MALFORMED {
        // It answers once the malformed request is on its way.
        let (sent, is_sent) = channel();
        let is_sent = Mutex::new(is_sent);
        let origin = Origin::plain(move |conversation| {
            while let Some(request) = conversation.request() {
                if request.target() == "/2" {
                    is_sent.lock().unwrap().recv().unwrap();
                }
                conversation.send(format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", request.target()));
            }
        });
        let sidekey = Sidekey::start(&origin.upstream("api"));
        let mut caller = sidekey.connect();
        caller.send(get("/api/1") + &post("/api/2", "body"));
        until_true("the second request at the origin", || origin.requests().len() == 2);
        caller.send([bad, &get("/api/never")].concat());
        sent.send(()).unwrap();
        assert_eq!(caller.response().text(), "/1");
        assert_eq!(caller.response().text(), "/2");
        caller.response().assert_own(400, "http_request_error");
        caller.assert_closed();
        assert_eq!(origin.requests().len(), 2);
    }
}

#[test]
fn what_comes_in_one_piece_with_a_malformed_request_is_refused_with_it() {
    let origin = echo();
    let sidekey = Sidekey::start(&origin.upstream("api"));
    for bad in MALFORMED {
        let mut caller = sidekey.connect();
        caller.send([&get("/api/1"), &post("/api/2", "body"), bad, &get("/api/never")].concat());
        caller.response().assert_own(400, "http_request_error");
        caller.assert_closed();
    }
    assert_eq!(origin.connections(), 0);
}

#[test]
fn what_comes_behind_a_websocket_that_does_not_come_about_is_refused_with_what_is_malformed() {
    let origin = echo();
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let asking = get_with(
        "/api/ws",
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n",
    );
    for bad in MALFORMED {
        let mut caller = sidekey.connect();
        caller.send([&get("/api/1"), &asking, &get("/api/2"), bad].concat());
        assert_eq!(caller.response().text(), "/1");
        assert_eq!(caller.response().text(), "/ws");
        caller.response().assert_own(400, "http_request_error");
        caller.assert_closed();
    }
    assert!(origin.requests().iter().all(|request| request.target() != "/2"));
}

#[test]
fn a_body_that_nobody_reads_is_passed_over_where_all_of_it_has_come_and_else_ends_the_connection() {
    let origin = echo();
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let chunked =
        "POST /nobody/x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
    let mut caller = sidekey.connect();
    for request in [post("/nobody/x", "body"), chunked.to_owned()] {
        caller.send(request + &get("/api/next"));
        let answer = caller.response();
        answer.assert_own(404, "destination_not_found");
        assert_eq!(answer.fields.get("connection"), None);
        assert_eq!(caller.response().text(), "/next");
    }
    for rest in ["Content-Length: 50\r\n\r\nGET /api/never", "Transfer-Encoding: chunked\r\n\r\n50\r\nGET /api/never"] {
        let mut caller = sidekey.connect();
        caller.send(format!("POST /nobody/x HTTP/1.1\r\nHost: localhost\r\n{rest}"));
        let answer = caller.response();
        answer.assert_own(404, "destination_not_found");
        assert_eq!(answer.fields.get("connection"), Some("close"));
        caller.assert_closed();
    }
    assert!(origin.requests().iter().all(|request| request.target() == "/next"));
}

#[test]
fn answers_without_a_body_end_with_their_head() {
    let origin = Origin::plain(|conversation| {
        while let Some(request) = conversation.request() {
            let status = request.target().trim_start_matches('/').to_owned();
            let length = if status == "204" { "" } else { "Content-Length: 1000\r\n" };
            conversation.send(format!("HTTP/1.1 {status} \r\n{length}\r\n"));
        }
    });
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let mut caller = sidekey.connect();
    for (method, target, length) in [
        ("HEAD", "/api/200", Some("1000")),
        ("HEAD", "/api/304", Some("1000")),
        ("GET", "/api/304", None),
        ("GET", "/api/204", None),
        ("DELETE", "/api/204", None),
    ] {
        caller.send(get(target).replacen("GET", method, 1));
        let answer = caller.response_to(method);
        assert_eq!(answer.fields.get("content-length"), length, "{method} {target}");
        assert!(answer.fields.get("date").is_some_and(|date| date.ends_with(" GMT")), "{method} {target}");
    }
    // sidekey's own: as long as it would have been.
    caller.send(get("/nobody/x").replacen("GET", "HEAD", 1));
    let answer = caller.response_to("HEAD");
    assert!(answer.status == 404 && answer.fields.get("content-length").is_some_and(|length| length != "0"));
    let record = sidekey.access(|record| record["status"] == 404);
    assert_eq!(record.get("cut"), None, "{record}");
    caller.send(get("/api/204"));
    assert_eq!(caller.response().status, 204);
}

#[test]
fn a_caller_that_half_closes_still_gets_its_answer() {
    let origin = echo();
    let sidekey = Sidekey::start(&origin.upstream("api"));
    for request in [get("/api/x"), post("/api/x", "body"), "GET /api/x HTTP/1.0\r\n\r\n".to_owned()] {
        let mut caller = sidekey.connect();
        caller.send(request);
        caller.half_close();
        assert_eq!(caller.response().text(), "/x");
        caller.assert_closed();
    }
    let mut caller = sidekey.connect();
    caller.send([get("/api/1"), get("/api/2"), get("/api/3")].concat());
    caller.half_close();
    for target in ["/1", "/2", "/3"] {
        assert_eq!(caller.response().text(), target);
    }
    caller.assert_closed();
}

#[test]
fn even_one_that_takes_its_time() {
    let origin = Origin::plain(|conversation| {
        while conversation.request().is_some() {
            // Longer than sidekey waits before it asks whether the caller is still there.
            sleep(Duration::from_millis(1700));
            conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst");
            sleep(Duration::from_millis(700));
            conversation.send(" half");
        }
    });
    let sidekey = Sidekey::start(&origin.upstream("api"));
    for request in [get("/api/x"), post("/api/x", "body"), "GET /api/x HTTP/1.0\r\n\r\n".to_owned()] {
        let mut caller = sidekey.connect();
        caller.send(&request);
        caller.half_close();
        let answer = caller.response();
        assert_eq!(answer.text(), "first half", "{request}");
        // RFC 9110 15.2: HTTP/1.0 knows no interim response.
        assert!(answer.interim.is_empty() || !request.contains("HTTP/1.0"));
    }
}

#[test]
fn a_request_may_come_byte_by_byte_and_after_an_empty_line() {
    let origin = echo();
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let mut caller = sidekey.connect();
    for byte in format!("\r\n{}", post("/api/slow", "abc")).as_bytes() {
        caller.send([*byte]);
    }
    assert_eq!(caller.response().text(), "/slow");
    assert_eq!(origin.request().body, b"abc");
}

#[test]
fn a_header_that_does_not_end_is_answered_408_and_an_idle_connection_closed() {
    let origin = Origin::answering(OK);
    let server = "[server]\nworkers = 1\nheader_timeout = \"300ms\"\nkeep_alive = \"600ms\"\n";
    let sidekey = Sidekey::start(&format!("{server}{}", origin.upstream("api")));
    let mut slow = sidekey.connect();
    slow.send("GET /api/x HTTP/1.1\r\nHost:");
    let mut idle = sidekey.connect();
    let mut used = sidekey.connect();
    used.send(get("/api/x"));
    used.response().assert_passed_on(200);
    slow.response().assert_own(408, "http_request_error");
    slow.assert_closed();
    idle.assert_closed();
    used.assert_closed();
}
