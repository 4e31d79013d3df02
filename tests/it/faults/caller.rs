//! Callers that go, stall, or come in thousands. Those that go once their request is complete are in `tests/it/lost.rs`.

use std::time::{Duration, Instant};

use crate::support::{Caller, OK, Origin, PATIENCE, Sidekey, get};

#[test]
fn a_caller_that_goes_in_its_header_leaves_nothing_behind() {
    let origin = Origin::ok();
    let mut sidekey = Sidekey::start(&origin.upstream("api"));
    for go in [drop, Caller::reset] {
        for part in ["G", "GET /api/x HTTP/1.1\r\nHo", "GET /api/x HTTP/1.1\r\nHost: localhost\r\n"] {
            let mut caller = sidekey.connect();
            caller.send(part);
            go(caller);
        }
    }
    sidekey.ask(get("/api/x")).assert_passed_on(200);
    let ended = sidekey.stop();
    assert!(!ended.stderr.contains("took longer"), "a connection was left: {ended:?}");
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn a_caller_that_does_not_read_its_answer_is_cut() {
    let (tell, told) = std::sync::mpsc::channel();
    let tell = std::sync::Mutex::new(tell);
    let origin = Origin::plain(move |conversation| {
        conversation.request();
        conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
        let piece = vec![b'x'; 64 * 1024];
        while conversation.try_send(&piece).is_ok() {}
        tell.lock().unwrap().send(()).unwrap();
    });
    let server = "[server]\nworkers = 1\nwrite_timeout = \"300ms\"\n";
    let sidekey = Sidekey::start(&format!("{server}{}", origin.upstream("api")));
    let mut caller = sidekey.connect();
    let began = Instant::now();
    caller.send(get("/api/x"));
    caller.head();
    told.recv_timeout(PATIENCE).expect("the upstream's connection is closed");
    assert!(began.elapsed() >= Duration::from_millis(290));
    let record = sidekey.access(|record| record["status"] == 200);
    assert!(record["cut"] == true && record.get("error").is_none(), "not the vendor's doing: {record}");
    // One that reads is none of them.
    let brisk = Origin::answering(OK);
    let sidekey = Sidekey::start(&format!("{server}{}", brisk.upstream("api")));
    sidekey.ask(get("/api/x")).assert_passed_on(200);
}

#[test]
fn a_body_that_is_held_to_be_signed_and_stops_is_408() {
    let origin = Origin::ok();
    let hmac = "auth.hmac = { username = \"env:KEY\", secret = \"env:SECRET\" }";
    let bearer = "auth.bearer = { token = \"env:TOKEN\" }";
    let server = "[server]\nworkers = 1\nbody_timeout = \"300ms\"\n";
    let sidekey = Sidekey::start(&format!("{server}{}", origin.upstream("api").replace(bearer, hmac)));
    sidekey
        .ask("POST /api/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nhalf")
        .assert_own(408, "http_request_error");
    assert_eq!(origin.connections(), 0);
}

/// What an idle connection may take, in a build that is not optimised.
#[cfg(target_os = "linux")]
const PER_CONNECTION: u64 = 24 * 1024;

#[test]
#[cfg(target_os = "linux")]
fn ten_thousand_idle_connections_hold_nobody_up() {
    use std::io::{Read, Write};
    use std::net::TcpStream;

    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    // The test has as many as sidekey, which takes what it may have by itself, and is not the only test.
    let limit = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: limit, maximum: limit }).unwrap();
    let count = usize::try_from(limit.map_or(10_000, |limit| (limit / 2).min(10_000))).unwrap();
    let origin = Origin::ok();
    // More than come: by default there are as many as there is room for twice.
    let config = format!("[server]\nworkers = 1\nmax_connections = {}\n{}", count + 100, origin.upstream("api"));
    let sidekey = Sidekey::start(&config);
    sidekey.ask(get("/api/x")).assert_passed_on(200);
    let before = sidekey.memory("VmRSS");
    let exchange = |caller: &mut TcpStream| {
        caller.write_all(get("/api/x").as_bytes()).unwrap();
        let mut answer = [0; 1024];
        let mut length = 0;
        while !answer[..length].ends_with(b"\r\n\r\nok") {
            let read = caller.read(&mut answer[length..]).unwrap();
            assert_ne!(read, 0, "no answer");
            length += read;
        }
    };
    let mut callers: Vec<TcpStream> = Vec::with_capacity(count);
    for number in 0..count {
        let mut caller = TcpStream::connect(sidekey.address()).unwrap();
        // Some have asked before, and keep what that took.
        if number % 4 == 0 {
            exchange(&mut caller);
        }
        callers.push(caller);
    }
    let began = Instant::now();
    sidekey.ask(get("/api/x")).assert_passed_on(200);
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    let each = (sidekey.memory("VmRSS") - before) / count as u64;
    assert!(each < PER_CONNECTION, "{each} bytes a connection");
    for number in [0, 1, count / 2, count - 1] {
        exchange(&mut callers[number]);
    }
    assert_eq!(origin.connections(), 1, "none of them holds a connection to the upstream");
}
