//! How a connection ends, whoever ends it: so that its other end can tell whether it has seen all.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::House;
use crate::support::{Broken, Origin, get, get_with, until_true};

#[test]
fn a_connection_that_ends_says_so() {
    let house = House::open();
    let mut caller = house.sidekey.connect_tls(&house.any()).unwrap();
    caller.send(get_with("/api/x", "Connection: close\r\n"));
    caller.response().assert_passed_on(200);
    // An end without `close_notify` would count as a reset.
    caller.assert_closed();
    let mut malformed = house.sidekey.connect_tls(&house.any()).unwrap();
    malformed.send("GET /api/x HTTP/1.1\r\nHost : localhost\r\n\r\n");
    malformed.response().assert_own(400, "http_request_error");
    malformed.assert_closed();
}

#[test]
fn an_answer_that_breaks_off_does_not_end_as_it_should() {
    let origin = Origin::plain(|conversation| {
        conversation.request();
        conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
        conversation.close();
    });
    let house = House::with(origin, "", "");
    let mut caller = house.sidekey.connect_tls(&house.any()).unwrap();
    // HTTP/1.0 would take any end for the answer's.
    caller.send("GET /api/x HTTP/1.0\r\nHost: localhost\r\n\r\n");
    let (rest, broken) = caller.rest();
    assert_eq!(broken, Broken::Reset, "{}", String::from_utf8_lossy(&rest));
}

#[test]
fn who_has_closed_its_side_gets_its_answer() {
    let (origin, answer) = Origin::patient();
    let house = House::with(origin, "", "");
    let mut caller = house.sidekey.connect_tls(&house.any()).unwrap();
    caller.send(get("/api/x"));
    caller.session().say_goodbye();
    until_true("the request at the origin", || house.origin.requests().len() == 1);
    // Long enough to be asked whether it is still there.
    assert_eq!(caller.line(), "HTTP/1.1 100 Continue");
    assert_eq!(caller.line(), "");
    answer.send(()).unwrap();
    caller.response().assert_passed_on(200);
    caller.assert_closed();
}

#[test]
fn who_goes_away_cancels_its_request() {
    let origin = Origin::plain(|conversation| {
        conversation.request();
        conversation.rest();
        conversation.close();
    });
    let house = House::with(origin, "", "");
    let mut caller = house.sidekey.connect_tls(&house.any()).unwrap();
    caller.send(get("/api/x"));
    until_true("the request at the origin", || house.origin.requests().len() == 1);
    // Without `close_notify`: it will read nothing more.
    caller.half_close();
    until_true("that the upstream's connection is closed", || house.origin.closed() == 1);
}

#[test]
fn who_reads_nothing_is_not_waited_for() {
    let origin = Origin::plain(|conversation| {
        conversation.request();
        let _ = conversation.try_send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 64 << 20));
        while conversation.try_send(vec![b'x'; 1 << 20]).is_ok() {}
    });
    let house = House::with(
        origin,
        "",
        "[server]\nworkers = 1\nwrite_timeout = \"300ms\"\n[admin]\naddress = \"127.0.0.1:0\"\n",
    );
    let mut caller = house.sidekey.connect_tls(&house.any()).unwrap();
    caller.send(get("/api/x"));
    until_true("that it is given up", || house.metric("sidekey_caller_connections{worker=\"0\"}") == 0);
    assert!(caller.rest().0.len() < 64 << 20);
}

#[test]
fn a_handshake_has_its_time_and_does_not_hold_up_the_end() {
    let server =
        "[server]\nworkers = 1\ndrain = \"20s\"\nheader_timeout = \"300ms\"\n[admin]\naddress = \"127.0.0.1:0\"\n";
    let house = House::with(Origin::ok(), "", server);
    let mut silent = house.sidekey.connect();
    let mut begun = house.sidekey.connect();
    begun.send([22, 3, 1]);
    silent.assert_closed();
    begun.assert_closed();
    until_true("that both are counted", || house.handshakes("slow") == 2);
    let mut house = House::with(Origin::ok(), "", "");
    let mut silent = house.sidekey.connect();
    until_true("that it is there", || {
        house.metric("sidekey_caller_connections{worker=\"0\"}")
            + house.metric("sidekey_caller_connections{worker=\"1\"}")
            == 1
    });
    let ended = house.sidekey.stop();
    assert!(ended.code == Some(0) && ended.took < Duration::from_secs(8), "{ended:?}");
    silent.assert_closed();
}

#[test]
fn what_was_sent_before_the_end_is_answered() {
    let mut house = House::open();
    let mut used = house.sidekey.connect_tls(&house.any()).unwrap();
    used.send(get("/api/x"));
    used.response().assert_passed_on(200);
    let mut idle = house.sidekey.connect_tls(&house.any()).unwrap();
    idle.send(get("/api/x"));
    idle.response().assert_passed_on(200);
    house.sidekey.hold();
    used.send(get("/api/last"));
    house.sidekey.signal("TERM");
    house.sidekey.signal("CONT");
    used.response().assert_passed_on(200);
    used.assert_closed();
    idle.assert_closed();
    assert_eq!(house.sidekey.wait().code, Some(0));
}

#[test]
fn a_thousand_handshakes_cut_half_way_leave_nothing() {
    let house = House::open();
    house.ask(&house.any(), &get("/api/x")).assert_passed_on(200);
    let hello = {
        let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
        let mut session = rustls::ClientConnection::new(house.any(), name).unwrap();
        let mut hello = Vec::new();
        session.write_tls(&mut hello).unwrap();
        hello
    };
    for count in 0..1000 {
        let mut socket = TcpStream::connect(house.sidekey.address()).unwrap();
        // Before the first byte, in the middle of the hello, after it, and after an answer to it.
        let part = [0, hello.len() / 2, hello.len(), hello.len()][count % 4];
        socket.write_all(&hello[..part]).unwrap();
        if count % 4 == 3 {
            socket.read_exact(&mut [0; 5]).unwrap();
        }
    }
    until_true("that all are gone", || {
        house.metric("sidekey_caller_connections{worker=\"0\"}")
            + house.metric("sidekey_caller_connections{worker=\"1\"}")
            == 0
    });
    until_true("that they are counted", || house.handshakes("gone") == 1000);
    assert_eq!(house.handshakes("full"), 1);
    assert!(!house.sidekey.log().contains("TLS with a caller failed"), "nobody is told of who goes away");
    house.ask(&house.any(), &get("/api/x")).assert_passed_on(200);
}
