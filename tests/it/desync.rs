//! What one side sends can never be taken for a part of another message: an answer that was cut, that said `close`, or
//! that came early ends what is on its connection.

use std::sync::Mutex;
use std::sync::mpsc::{Sender, channel};

use crate::support::{OK, Origin, PATIENCE, Sidekey, get, get_with, holds, until_true};

/// A request of more fields than hyper takes without being told, and fewer than too many.
fn crowded(target: &str) -> String {
    get_with(target, &"X: y\r\n".repeat(110))
}

/// What follows a request whose answer ends the connection.
const FOLLOWERS: [&str; 2] = ["GET /api/junk\r\n\r\n", "\0junk\r\n\r\n"];

/// An origin that closes after an answer which it gives when it is told to.
fn told_to_answer(answer: &'static str) -> (Origin, Sender<()>) {
    let (tell, told) = channel();
    let told = Mutex::new(told);
    let origin = Origin::plain(move |conversation| {
        while conversation.request().is_some() {
            told.lock().unwrap().recv().unwrap();
            conversation.send(answer);
            conversation.close();
        }
    });
    (origin, tell)
}

/// All that comes back for `first`, and for a follower that is on its way before the answer is.
fn everything(sidekey: &Sidekey, origin: &Origin, tell: &Sender<()>, first: &str, follower: &str) -> Vec<u8> {
    let before = origin.requests().len();
    let mut caller = sidekey.connect();
    caller.send(first);
    until_true("the first request at the origin", || origin.requests().len() > before);
    caller.send(follower);
    tell.send(()).unwrap();
    caller.rest().0
}

#[test]
fn nothing_follows_an_answer_that_was_cut() {
    let (origin, tell) = told_to_answer("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nfirst");
    let sidekey = Sidekey::start(&origin.upstream("api"));
    for follower in FOLLOWERS.map(str::to_owned).into_iter().chain([crowded("/api/second")]) {
        let answer = everything(&sidekey, &origin, &tell, &get("/api/first"), &follower);
        assert!(answer.ends_with(b"first"), "{}", String::from_utf8_lossy(&answer));
    }
}

#[test]
fn nothing_follows_an_answer_that_said_close() {
    let (origin, tell) = told_to_answer(OK);
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let first = "GET /api/first HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    for follower in FOLLOWERS.map(str::to_owned).into_iter().chain([crowded("/api/second")]) {
        let answer = everything(&sidekey, &origin, &tell, first, &follower);
        assert!(answer.ends_with(b"\r\n\r\nok"), "{}", String::from_utf8_lossy(&answer));
    }
    assert!(origin.requests().iter().all(|request| request.target() == "/first"));
}

#[test]
fn requests_with_many_fields_are_answered_among_others() {
    let origin = Origin::ok();
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let mut caller = sidekey.connect();
    caller.send(get("/api/1") + &crowded("/api/2") + &crowded("/api/3") + &get("/api/4"));
    for _ in 0..4 {
        caller.response().assert_passed_on(200);
    }
    let targets: Vec<_> = origin.requests().iter().map(|request| request.target().to_owned()).collect();
    assert_eq!(targets, ["/1", "/2", "/3", "/4"]);
}

#[test]
fn what_is_left_of_a_signed_body_is_never_a_request() {
    // It answers before it has read the body, and then takes what follows for the next request.
    let origin = Origin::plain(|conversation| {
        conversation.head();
        conversation.send("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n");
        let (rest, _) = conversation.rest();
        if holds(&rest, b"GET /victim") {
            conversation.send(OK);
        }
    });
    let config = format!(
        "[upstream.hub]\nurl = \"{}\"\nauth.hmac = {{ username = \"env:KEY\", secret = \"file:secret\" }}\n",
        origin.url()
    );
    let sidekey = Sidekey::start(&config);
    let body = "x".repeat(8_000_000) + "GET /evil HTTP/1.1\r\nHost: x\r\n\r\n";
    let request = format!("POST /hub/one HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    assert_eq!(sidekey.ask(request).status, 413);
    assert_eq!(sidekey.ask(get("/hub/victim")).status, 413);
    assert_eq!(origin.connections(), 2);
}

#[test]
fn a_put_that_streams_is_not_lost_to_a_connection_that_was_closed() {
    let origin = Origin::plain(|conversation| {
        conversation.request();
        conversation.send(OK);
        conversation.close();
    });
    let sidekey = Sidekey::start(&origin.upstream("api"));
    for round in 1..=20 {
        let request = "PUT /api/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nbody";
        sidekey.ask(request).assert_passed_on(200);
        until_true("the connection closed", || origin.closed() == round);
    }
}

#[test]
fn a_slow_reader_is_not_cut_by_keep_alive() {
    let body = "x".repeat(3_000_000);
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let origin = Origin::answering(answer);
    let sidekey = Sidekey::start(&format!("[server]\nkeep_alive = \"300ms\"\n{}", origin.upstream("api")));
    let mut caller = sidekey.connect();
    caller.send(get("/api/x"));
    until_true("the request at the origin", || !origin.requests().is_empty());
    // Longer than `keep_alive`, in which it reads nothing.
    std::thread::sleep(PATIENCE.min(std::time::Duration::from_millis(900)));
    assert_eq!(caller.response().body.len(), body.len());
}
