//! What is more than sidekey has room for gets a clear answer, and takes nothing from what is there.

use crate::support::{Caller, Origin, Response, Sidekey, post, until, until_true};

fn hub(origin: &Origin, max_buffered: &str) -> Sidekey {
    Sidekey::start(&format!(
        "[server]\nworkers = 2\nmax_buffered = \"{max_buffered}\"\n\
         [upstream.hub]\nurl = \"{}\"\nauth.hmac = {{ username = \"env:KEY\", secret = \"file:secret\" }}\n",
        origin.url()
    ))
}

const KIB: usize = 1024;

fn announce(length: usize) -> String {
    format!("POST /hub/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n")
}

fn assert_out_of_buffer(answer: &Response) {
    answer.assert_own(503, "http_request_denied");
    assert_eq!(answer.kind(), "out-of-buffer");
    assert_eq!(answer.fields.get("retry-after"), Some("1"));
}

#[test]
fn bodies_that_are_held_are_no_more_than_there_is_room_for() {
    let origin = Origin::ok();
    let sidekey = hub(&origin, "64KiB");
    let mut first = sidekey.connect();
    first.send(announce(40 * KIB) + &"x".repeat(39 * KIB));
    // Of what is announced too long, nothing is read: as soon as the first is held.
    let refused = until("that the first is held", || {
        let mut caller = sidekey.connect();
        caller.send(announce(30 * KIB));
        caller.half_close();
        let answer = caller.response();
        (answer.status == 503).then_some(answer)
    });
    assert_out_of_buffer(&refused);
    let body = "x".repeat(60 * KIB);
    let chunked = "POST /hub/x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_out_of_buffer(&sidekey.ask(format!("{chunked}{:x}\r\n{body}\r\n0\r\n\r\n", body.len())));
    first.send("x".repeat(KIB));
    first.response().assert_passed_on(200);
    // It is given back when the request is over.
    until_true("room", || sidekey.ask(post("/hub/x", &body)).status == 200);
    assert!(origin.requests().iter().all(|request| [40 * KIB, 60 * KIB].contains(&request.body.len())));
}

#[test]
fn a_length_that_is_only_claimed_takes_no_room() {
    let origin = Origin::ok();
    let sidekey = hub(&origin, "64KiB");
    let claiming: Vec<Caller> = (0..20)
        .map(|_| {
            let mut caller = sidekey.connect();
            caller.send(announce(60 * KIB));
            caller
        })
        .collect();
    for _ in 0..5 {
        sidekey.ask(post("/hub/x", &"x".repeat(60 * KIB))).assert_passed_on(200);
    }
    drop(claiming);
}

#[test]
fn a_body_that_is_given_up_makes_room() {
    let origin = Origin::ok();
    let sidekey = hub(&origin, "64KiB");
    for _ in 0..20 {
        let mut caller = sidekey.connect();
        caller.send(announce(60 * KIB) + &"x".repeat(50 * KIB));
        caller.reset();
    }
    until_true("room", || sidekey.ask(post("/hub/x", &"x".repeat(60 * KIB))).status == 200);
}
