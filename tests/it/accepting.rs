//! Connections are spread evenly over workers, few that stay as well as many that do not; one that waits for its caller
//! costs little, and nobody notices that it does.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use crate::support::{Caller, Origin, Sidekey, get, post, until};

fn start(origin: &Origin, workers: usize) -> Sidekey {
    let admin = "[admin]\naddress = \"127.0.0.1:0\"\n";
    Sidekey::start(&format!("[server]\nworkers = {workers}\ndrain = \"2s\"\n{}{admin}", origin.upstream("api")))
}

/// What the metric says of each worker, in their order.
fn by_worker(sidekey: &Sidekey, metric: &str) -> Vec<usize> {
    let page = sidekey.ask_admin("/metrics", "");
    let page = page.text();
    let samples = page.lines().filter_map(|line| line.strip_prefix(metric)?.strip_prefix("{worker=\""));
    let mut samples: Vec<(usize, usize)> = samples
        .map(|sample| {
            let (worker, value) = sample.split_once("\"} ").unwrap();
            (worker.parse().unwrap(), value.parse().unwrap())
        })
        .collect();
    samples.sort_unstable();
    samples.into_iter().map(|(_, value)| value).collect()
}

fn until_open(sidekey: &Sidekey, count: usize) -> Vec<usize> {
    until(&format!("{count} connections"), || {
        let open = by_worker(sidekey, "sidekey_caller_connections");
        (open.iter().sum::<usize>() == count).then_some(open)
    })
}

#[test]
fn few_connections_that_stay_are_spread_as_evenly_as_can_be() {
    let origin = Origin::ok();
    for (workers, connections, most) in [(2, 4, 2), (2, 5, 3), (4, 4, 1), (4, 5, 2)] {
        let sidekey = start(&origin, workers);
        let mut callers: Vec<Caller> = (0..connections).map(|_| sidekey.connect()).collect();
        for caller in &mut callers {
            caller.send(get("/api/x"));
            caller.response().assert_passed_on(200);
        }
        let open = until_open(&sidekey, connections);
        let (fewest, found) = (open.iter().min().unwrap(), open.iter().max().unwrap());
        assert_eq!((open.len(), *found), (workers, most), "{open:?}");
        assert!(found - fewest <= 1, "{open:?}");
        // Who leaves makes room for the next.
        callers.truncate(connections / 2);
        until_open(&sidekey, connections / 2);
        callers.extend((connections / 2..connections).map(|_| sidekey.connect()));
        assert_eq!(until_open(&sidekey, connections).into_iter().max(), Some(most));
    }
}

#[test]
fn a_burst_of_short_connections_is_spread_over_all_workers() {
    let origin = Origin::ok();
    let sidekey = start(&origin, 2);
    let address = sidekey.address();
    let callers = (0..8).map(|_| {
        thread::spawn(move || {
            for _ in 0..25 {
                let mut caller = TcpStream::connect(address).unwrap();
                caller.write_all(b"GET /api/x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
                let mut answer = String::new();
                caller.read_to_string(&mut answer).unwrap();
                assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
            }
        })
    });
    let callers: Vec<_> = callers.collect();
    callers.into_iter().for_each(|caller| caller.join().unwrap());
    until_open(&sidekey, 0);
    let accepted = by_worker(&sidekey, "sidekey_caller_connections_accepted_total");
    assert_eq!(accepted.iter().sum::<usize>(), 200, "{accepted:?}");
    // While one is being served, the next is the other's.
    assert!(accepted.iter().all(|count| *count >= 30), "{accepted:?}");
}

/// Longer than a connection stays awake without a byte, by far.
const LONG_QUIET: Duration = Duration::from_millis(300);

#[test]
fn a_connection_that_was_at_rest_serves_on() {
    let origin = Origin::ok();
    let sidekey = start(&origin, 1);
    // Before its first request, too.
    let mut caller = sidekey.connect();
    for round in 0..3 {
        caller.assert_silent(LONG_QUIET);
        caller.send(get("/api/x"));
        caller.response().assert_passed_on(200);
        caller.assert_silent(LONG_QUIET);
        // A request that comes in pieces, and one with a body behind it.
        let request = post(&format!("/api/{round}"), "body");
        let (first, rest) = request.as_bytes().split_at(9);
        caller.send(first);
        caller.assert_silent(LONG_QUIET);
        caller.send(rest);
        caller.send(get("/api/y"));
        caller.response().assert_passed_on(200);
        caller.response().assert_passed_on(200);
    }
    assert_eq!(origin.requests().len(), 9);
}

#[test]
fn what_is_wrong_is_told_to_who_was_at_rest_too() {
    let origin = Origin::ok();
    let sidekey = start(&origin, 1);
    let mut caller = sidekey.connect();
    caller.assert_silent(LONG_QUIET);
    caller.send("GET /api/x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n");
    caller.response().assert_own(400, "http_request_error");
    caller.assert_closed();
    assert!(origin.requests().is_empty());
}

#[test]
fn a_connection_at_rest_is_closed_when_the_server_drains() {
    let origin = Origin::ok();
    let mut sidekey = start(&origin, 2);
    let mut callers = [sidekey.connect(), sidekey.connect()];
    callers[0].send(get("/api/x"));
    callers[0].response().assert_passed_on(200);
    callers[0].assert_silent(LONG_QUIET);
    sidekey.signal("TERM");
    callers.iter_mut().for_each(Caller::assert_closed);
    assert_eq!(sidekey.wait().code, Some(0));
}

#[test]
fn a_connection_at_rest_holds_no_more_than_ten_kibibytes() {
    const COUNT: u64 = 2000;
    let origin = Origin::ok();
    let sidekey = start(&origin, 1);
    sidekey.ask(get("/api/x")).assert_passed_on(200);
    let before = sidekey.memory("VmRSS");
    let mut callers = Vec::new();
    for _ in 0..COUNT {
        let mut caller = sidekey.connect();
        caller.send(get("/api/x"));
        caller.response().assert_passed_on(200);
        callers.push(caller);
    }
    let each = (sidekey.memory("VmRSS") - before) / COUNT;
    assert!(each <= 10 * 1024, "{each} bytes each");
}
