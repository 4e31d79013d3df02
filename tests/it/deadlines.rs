//! Every phase of a request has a deadline of its own, and says which it was that passed.

use std::net::{TcpListener, UdpSocket};
use std::time::{Duration, Instant};

use crate::support::{Broken, OK, Origin, PATIENCE, Response, Sidekey, get, get_with, post, until_true};

fn to(url: &str, keys: &str) -> String {
    format!("[upstream.api]\nurl = \"{url}\"\nauth.bearer = {{ token = \"env:TOKEN\" }}\n{keys}\n")
}

fn server(keys: &str) -> String {
    format!("[server]\nworkers = 1\ndrain = \"2s\"\n{keys}\n")
}

/// An origin that takes requests, and answers none.
fn silent() -> Origin {
    Origin::plain(|conversation| drop((conversation.request(), conversation.rest())))
}

#[track_caller]
fn assert_late(answer: &Response, status: u16, error: &str, slug: &str) {
    answer.assert_own(status, error);
    assert_eq!(answer.kind(), slug);
}

#[test]
fn a_header_that_does_not_end_is_header_timeout() {
    let origin = Origin::ok();
    let sidekey = Sidekey::start(&(server("header_timeout = \"300ms\"") + &origin.upstream("api")));
    assert_late(&sidekey.ask("GET /api/x HTTP/1.1\r\nHost:"), 408, "http_request_error", "header-timeout");
}

#[test]
fn a_body_that_the_caller_stops_sending_is_body_timeout() {
    let origin = Origin::plain(|conversation| drop((conversation.head(), conversation.rest())));
    let hub = "auth.hmac = { username = \"env:KEY\", secret = \"env:SECRET\" }";
    // One that passes through, and one that is held.
    for auth in ["auth.bearer = { token = \"env:TOKEN\" }", hub] {
        let upstream = format!("[upstream.api]\nurl = \"{}\"\n{auth}\n", origin.url());
        let sidekey = Sidekey::start(&(server("body_timeout = \"300ms\"") + &upstream));
        let mut caller = sidekey.connect();
        caller.send("POST /api/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nhalf");
        assert_late(&caller.response(), 408, "http_request_error", "body-timeout");
        caller.assert_closed();
    }
}

#[test]
fn a_body_that_keeps_coming_is_not_late() {
    let origin = Origin::ok();
    let sidekey = Sidekey::start(&(server("body_timeout = \"600ms\"") + &origin.upstream("api")));
    let mut caller = sidekey.connect();
    caller.send("POST /api/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n");
    for _ in 0..10 {
        // Slow, and never for too long.
        std::thread::sleep(Duration::from_millis(100));
        caller.send("x");
    }
    caller.response().assert_passed_on(200);
}

#[test]
fn a_name_server_that_does_not_answer_is_dns_timeout() {
    let name_server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let server = server(&format!("nameservers = [\"{}\"]", name_server.local_addr().unwrap()));
    let sidekey = Sidekey::start(&(server + &to("https://api.test", "timeouts = { lookup = \"300ms\" }")));
    assert_late(&sidekey.ask(get("/api/x")), 504, "dns_timeout", "dns-timeout");
}

#[test]
fn a_handshake_that_does_not_end_is_tls_timeout() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", silent.local_addr().unwrap());
    let sidekey = Sidekey::start(&to(&url, "timeouts = { tls = \"300ms\" }"));
    assert_late(&sidekey.ask(get("/api/x")), 504, "connection_timeout", "tls-timeout");
}

#[test]
fn an_answer_that_does_not_begin_is_response_timeout() {
    let origin = silent();
    let sidekey = Sidekey::start(&to(&origin.url(), "timeouts = { response = \"300ms\" }"));
    assert_late(&sidekey.ask(get("/api/x")), 504, "http_response_timeout", "response-timeout");
}

#[test]
fn an_upstream_that_takes_no_more_of_the_body_is_upload_timeout() {
    let origin = Origin::plain(|conversation| {
        conversation.head().unwrap();
        // It reads nothing until sidekey has given up.
        std::thread::sleep(Duration::from_secs(3));
    });
    let sidekey = Sidekey::start(&to(&origin.url(), "timeouts = { idle = \"400ms\" }"));
    let mut caller = sidekey.connect();
    caller.send("POST /api/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000000\r\n\r\n");
    let mut upload = caller.socket();
    let uploading = std::thread::spawn(move || {
        let piece = vec![b'x'; 64 * 1024];
        while std::io::Write::write_all(&mut upload, &piece).is_ok() {}
    });
    assert_late(&caller.response(), 504, "http_response_timeout", "upload-timeout");
    drop((caller.rest(), caller));
    uploading.join().unwrap();
}

#[test]
fn a_request_that_takes_too_long_as_a_whole_is_request_timeout() {
    let origin = Origin::plain(|conversation| {
        while let Some(request) = conversation.request() {
            if request.target() == "/hang" {
                return drop(conversation.rest());
            }
            conversation.send(OK);
        }
    });
    let sidekey = Sidekey::start(&to(&origin.url(), "timeouts = { request = \"400ms\" }"));
    let mut caller = sidekey.connect();
    for request in [get("/api/hang"), post("/api/hang", "body")] {
        let began = Instant::now();
        caller.send(request);
        assert_late(&caller.response(), 504, "http_response_timeout", "request-timeout");
        assert!(began.elapsed() >= Duration::from_millis(390));
        // The connection is as good as before, and the next request has all of its time.
        caller.send(get("/api/x"));
        caller.response().assert_passed_on(200);
    }
    let record = sidekey.access(|record| record["status"] == 504);
    assert!(record["error"].as_str().unwrap().contains("`timeouts.request`"), "{record}");
}

#[test]
fn neither_an_upload_nor_a_queue_outlasts_the_whole_requests_time() {
    let origin = silent();
    let keys = "timeouts = { request = \"400ms\" }\nlimits = { concurrency = 1, wait = \"1h\" }";
    let sidekey = Sidekey::start(&to(&origin.url(), keys));
    let mut first = sidekey.connect();
    first.send("POST /api/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nhalf");
    until_true("the request at the origin", || origin.connections() == 1);
    assert_late(&sidekey.ask(get("/api/x")), 504, "http_response_timeout", "request-timeout");
    assert_late(&first.response(), 504, "http_response_timeout", "request-timeout");
}

#[test]
fn an_answer_that_takes_too_long_is_cut_so_that_the_caller_sees_it() {
    for answer in ["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n5\r\nhello\r\n"] {
        let origin = Origin::plain(move |conversation| {
            conversation.request();
            conversation.send(answer);
            // It never stops, and is never idle.
            while conversation.try_send("5\r\nhello\r\n").is_ok() {
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        let sidekey = Sidekey::start(&to(&origin.url(), "timeouts = { request = \"400ms\" }"));
        let mut caller = sidekey.connect();
        caller.send(get("/api/x"));
        let (cut, broken) = caller.cut_response();
        assert_eq!((cut.status, broken), (200, Broken::Reset));
        let record = sidekey.access(|record| record["status"] == 200);
        assert_eq!(record["cut"], true, "{record}");
        // It was not the caller that went away.
        assert_eq!(record["error"], "the request took longer than `timeouts.request`", "{record}");
    }
}

#[test]
fn a_caller_that_does_not_read_is_left() {
    let (left, leaving) = std::sync::mpsc::channel();
    let left = std::sync::Mutex::new(left);
    let origin = Origin::plain(move |conversation| {
        conversation.request();
        conversation.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        let piece = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
        while conversation.try_send(&piece).is_ok() {}
        left.lock().unwrap().send(()).unwrap();
    });
    let sidekey = Sidekey::start(&(server("write_timeout = \"400ms\"") + &origin.upstream("api")));
    let mut caller = sidekey.connect();
    caller.send(get("/api/x"));
    leaving.recv_timeout(PATIENCE).expect("the upstream's connection is closed");
    let record = sidekey.access(|record| record["status"] == 200);
    assert_eq!(record["cut"], true, "{record}");
}

#[test]
fn a_connection_without_a_request_is_closed_after_keep_alive() {
    let origin = Origin::ok();
    let sidekey = Sidekey::start(&(server("keep_alive = \"300ms\"") + &origin.upstream("api")));
    let mut caller = sidekey.connect();
    caller.send(get_with("/api/x", ""));
    caller.response().assert_passed_on(200);
    caller.assert_closed();
}
