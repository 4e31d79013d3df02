//! The vendor's server stops, resets or overflows in the middle of an answer's header, or right after it.

use std::io::Write;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::with_timeouts;
use crate::support::{Origin, PATIENCE, Sidekey, get, post};

/// So that sidekey has what was sent before what follows.
const PAUSE: Duration = Duration::from_millis(100);

#[test]
fn an_answer_that_is_reset_in_its_header_is_502() {
    let origin = Origin::plain(|conversation| {
        conversation.request();
        conversation.send("HTTP/1.1 200 OK\r\nContent-Le");
        sleep(PAUSE);
        conversation.reset();
    });
    let sidekey = Sidekey::start(&origin.upstream("api"));
    for request in [get("/api/x"), post("/api/x", "body")] {
        sidekey.ask(request).assert_own(502, "http_response_incomplete");
    }
    assert_eq!(origin.requests().len(), 2, "nothing is sent again");
}

#[test]
fn an_answer_that_stops_in_its_header_is_504() {
    let origin = Origin::plain(|conversation| {
        conversation.request();
        conversation.send("HTTP/1.1 200 OK\r\nContent-Le");
        conversation.rest();
    });
    let sidekey = Sidekey::start(&with_timeouts(&origin, "response = \"300ms\""));
    sidekey.ask(get("/api/x")).assert_own(504, "http_response_timeout");
    assert_eq!(origin.requests().len(), 1, "it is not sent again");
}

#[test]
fn an_answer_that_is_reset_after_its_header_is_cut() {
    for framing in ["Content-Length: 100\r\n", "Transfer-Encoding: chunked\r\n", ""] {
        let origin = Origin::plain(move |conversation| {
            conversation.request();
            conversation.send(format!("HTTP/1.1 200 OK\r\n{framing}\r\n"));
            sleep(PAUSE);
            conversation.reset();
        });
        let sidekey = Sidekey::start(&origin.upstream("api"));
        let mut caller = sidekey.connect();
        caller.send(get("/api/x"));
        let (answer, _) = caller.cut_response();
        assert_eq!((answer.status, answer.body.len()), (200, 0), "{framing}");
        let record = sidekey.access(|record| record["status"] == 200);
        let error = record["error"].as_str().unwrap();
        assert!(record["cut"] == true && error.starts_with("the upstream's body broke off"), "{record}");
    }
}

#[test]
fn an_upload_that_the_upstream_resets_is_502_though_the_caller_sends_on() {
    for framing in ["Content-Length: 100000000", "Transfer-Encoding: chunked"] {
        let origin = Origin::plain(|conversation| {
            conversation.head().unwrap();
            conversation.exactly(200_000).unwrap();
            conversation.reset();
        });
        let sidekey = Sidekey::start(&origin.upstream("api"));
        let mut caller = sidekey.connect();
        caller.send(format!("PUT /api/x HTTP/1.1\r\nHost: localhost\r\n{framing}\r\n\r\n"));
        let mut upload = caller.socket();
        let piece = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
        let uploading = std::thread::spawn(move || while upload.write_all(piece.as_bytes()).is_ok() {});
        caller.response().assert_own(502, "http_response_incomplete");
        // It may send on for a while, and is then closed.
        caller.rest();
        uploading.join().unwrap();
        assert_eq!(origin.connections(), 1, "it is not sent again: {framing}");
    }
}

#[test]
fn a_header_of_1_mib_is_502_and_is_not_read_to_its_end() {
    let (tell, told) = std::sync::mpsc::channel();
    let tell = std::sync::Mutex::new(tell);
    let origin = Origin::plain(move |conversation| {
        conversation.request();
        let line = format!("X: {}\r\n", "y".repeat(1000));
        let header = format!("HTTP/1.1 200 OK\r\n{}\r\n", line.repeat(1024));
        let began = Instant::now();
        // Sidekey goes, or nobody would take the last of it.
        while began.elapsed() < PATIENCE && conversation.try_send(&header).is_ok() {}
        tell.lock().unwrap().send(began.elapsed()).unwrap();
    });
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let before = sidekey.memory("VmHWM");
    sidekey.ask(get("/api/x")).assert_own(502, "http_protocol_error");
    assert!(told.recv().unwrap() < PATIENCE, "the connection is closed");
    let growth = sidekey.memory("VmHWM") - before;
    assert!(growth < 4 * 1024 * 1024, "grew by {growth}");
}
