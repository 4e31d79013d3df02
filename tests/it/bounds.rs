//! What is more than sidekey has room for gets a clear answer, and takes nothing from what is there.

use std::process::Command;
use std::thread;
use std::time::Duration;

use crate::support::http2::get_http2;
use crate::support::{Caller, Origin, Response, Sidekey, get, post, until, until_true};

fn assert_turned_away(caller: &mut Caller) {
    let answer = caller.response();
    answer.assert_own(503, "http_request_denied");
    assert_eq!(answer.kind(), "too-many-connections");
    assert_eq!(answer.fields.get("retry-after"), Some("1"));
    assert_eq!(answer.fields.get("connection"), Some("close"));
    caller.assert_closed();
}

/// A connection that is one of those that are served.
fn served(sidekey: &Sidekey) -> Caller {
    let mut caller = sidekey.connect();
    caller.send(get("/api/x"));
    caller.response().assert_passed_on(200);
    caller
}

#[test]
fn a_connection_too_many_is_told_so_and_closed() {
    let origin = Origin::ok();
    let config = format!("[server]\nworkers = 2\nmax_connections = 2\n{}", origin.upstream("api"));
    let sidekey = Sidekey::start(&config);
    let mut callers = [served(&sidekey), served(&sidekey)];
    // Whether it asks for something or not.
    assert_turned_away(&mut sidekey.connect());
    let mut third = sidekey.connect();
    // What was written to one that is gone already may be refused, too.
    let _ = third.try_send(post("/api/third", "body"));
    assert_turned_away(&mut third);
    // Nobody else has suffered.
    for caller in &mut callers {
        caller.send(get("/api/x"));
        caller.response().assert_passed_on(200);
    }
    drop(callers);
    until_true("room", || sidekey.ask(get("/api/x")).status == 200);
    assert!(origin.requests().iter().all(|request| request.target() == "/x"));
    until_true("a word about it", || sidekey.log().contains("more connections than `max_connections`"));
}

#[test]
fn a_request_of_http2_counts_as_a_connection_beside_others() {
    let (origin, release) = Origin::patient();
    let config = format!("[server]\nworkers = 2\nmax_connections = 3\n{}", origin.upstream("api"));
    let sidekey = Sidekey::start(&config);
    let mut caller = sidekey.connect_http2();
    let asking: Vec<_> = (0..3).map(|_| caller.begin(get_http2("localhost", "/api/x"), true)).collect();
    until_true("three requests", || {
        caller.idle(Duration::from_millis(1));
        origin.requests().len() == 3
    });
    for _ in 0..2 {
        let fourth = caller.ask(get_http2("localhost", "/api/fourth")).unwrap();
        fourth.assert_own(503, "too-many-connections");
        assert_eq!(fourth.field("retry-after"), Some("1"));
    }
    assert_turned_away(&mut sidekey.connect());
    drop(release);
    for (answer, _) in asking {
        assert_eq!(caller.answer(answer).unwrap().status, 200);
    }
    // It counts for one again.
    let _callers = [served(&sidekey), served(&sidekey)];
    assert_turned_away(&mut sidekey.connect());
    assert_eq!(caller.ask(get_http2("localhost", "/api/x")).unwrap().status, 200);
    assert!(origin.requests().iter().all(|request| request.target() == "/x"));
}

#[test]
fn a_flood_of_connections_is_turned_away_one_and_all() {
    let origin = Origin::ok();
    let config = format!("[server]\nworkers = 1\nmax_connections = 1\n{}", origin.upstream("api"));
    let sidekey = Sidekey::start(&config);
    let mut caller = served(&sidekey);
    let flood: Vec<Caller> = (0..300).map(|_| sidekey.connect()).collect();
    let flood = flood.into_iter().map(|mut caller| thread::spawn(move || assert_turned_away(&mut caller)));
    let flood: Vec<_> = flood.collect();
    caller.send(get("/api/x"));
    caller.response().assert_passed_on(200);
    flood.into_iter().for_each(|turned_away| turned_away.join().unwrap());
    let told = sidekey.log().matches("more connections than").count();
    assert!((1..20).contains(&told), "the log is told now and then: {told}");
}

/// With `config`, where so many files may be open.
fn within_files(files: usize, config: &str) -> Sidekey {
    Sidekey::start_with(tempfile::tempdir().unwrap(), config, "json", |command| {
        let mut limited = Command::new("sh");
        limited.args(["-c", &format!("ulimit -n {files} && exec \"$0\" \"$@\"")]);
        limited.arg(command.get_program()).args(command.get_args());
        *command = limited;
    })
}

#[test]
fn no_more_connections_are_let_in_than_there_are_files_for() {
    let origin = Origin::ok();
    let sidekey = within_files(60, &origin.upstream("api"));
    let callers: Vec<Caller> = (0..22).map(|_| served(&sidekey)).collect();
    assert_turned_away(&mut sidekey.connect());
    drop(callers);
    until_true("room", || sidekey.ask(get("/api/x")).status == 200);
    assert!(!sidekey.log().contains("too few files"));
}

#[test]
fn too_few_files_for_what_the_config_says_are_warned_of() {
    let origin = Origin::ok();
    let sidekey =
        within_files(60, &format!("[server]\nworkers = 1\nmax_connections = 1000\n{}", origin.upstream("api")));
    let line = until("the warning", || {
        let log = sidekey.log();
        log.lines().find(|line| line.contains("too few files")).map(str::to_owned)
    });
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&line["level"], &line["limit"], &line["needed"]), (&"WARN".into(), &60.into(), &2128.into()));
    sidekey.ask(get("/api/x")).assert_passed_on(200);
}

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
