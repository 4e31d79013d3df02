//! What passes through a tunnel, and how fast.

use std::io::{Read, Write};
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use rustls::version::{TLS12, TLS13};

use super::{AGREED, asking, assert_echoes, echo, echoing, frame, open};
use crate::support::{Authority, Http2Origin, Origin, Sidekey, get};

#[test]
fn frames_pass_both_ways_over_tls() {
    let authority = Authority::new();
    for version in [&TLS13, &TLS12] {
        let origin = Origin::tls(authority.server("localhost").serve(&[version], None), echo);
        let folder = tempfile::tempdir().unwrap();
        let (port, tls) = (origin.port(), authority.write(folder.path()));
        let auth = "auth.bearer = { token = \"env:TOKEN\" }";
        let config = format!("[upstream.api]\nurl = \"https://localhost:{port}\"\n{auth}\ntls = {{ {tls} }}\n");
        let sidekey = Sidekey::start_in(folder, &config, "json");
        let (mut caller, _) = open(&sidekey);
        for number in 0..100 {
            assert_echoes(&mut caller, &format!("message {number}"));
        }
        let ping = frame(9, "are you there?", true);
        caller.send(&ping);
        assert_eq!(caller.exactly(ping.len()), ping);
        // More than what TLS holds at once.
        let large: Vec<u8> = (0..1_000_000_u32).map(|number| number.to_le_bytes()[0]).collect();
        let mut socket = caller.socket();
        let sent = large.clone();
        let sending = thread::spawn(move || socket.write_all(&sent).unwrap());
        assert_eq!(caller.exactly(large.len()), large);
        sending.join().unwrap();
    }
}

#[test]
fn where_the_upstream_prefers_http2_a_handshake_goes_by_http1_and_requests_do_not() {
    let authority = Authority::new();
    let origin = Http2Origin::start(authority.server("localhost").serve_alpn(&["h2", "http/1.1"]));
    let folder = tempfile::tempdir().unwrap();
    let (port, tls) = (origin.port(), authority.write(folder.path()));
    let auth = "auth.bearer = { token = \"env:TOKEN\" }";
    let server = "[server]\nworkers = 1\n";
    let config = format!("{server}[upstream.api]\nurl = \"https://localhost:{port}\"\n{auth}\ntls = {{ {tls} }}\n");
    let sidekey = Sidekey::start_in(folder, &config, "json");
    for round in 1..=2 {
        sidekey.ask(get("/api/x")).assert_passed_on(200);
        let (mut caller, _) = open(&sidekey);
        assert_echoes(&mut caller, "hello");
        sidekey.ask(get("/api/x")).assert_passed_on(200);
        assert_eq!((origin.requests().len(), origin.switched()), (2 * round, round));
        // One for all requests, and one for each WebSocket.
        assert_eq!(origin.connections(), 1 + round);
    }
}

#[test]
fn what_is_sent_with_the_handshake_arrives_after_it() {
    let origin = echoing();
    let sidekey = Sidekey::start(&origin.upstream("api"));
    // The last one is as long as what is read ahead, and longer.
    for text in ["hello".to_owned(), "GET /api/x HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(), "x".repeat(40_000)] {
        let mut caller = sidekey.connect();
        caller.send(format!("{}{text}", asking("/api/socket")));
        assert_eq!(caller.head().status, 101);
        assert_eq!(caller.exactly(text.len()), text.as_bytes());
        assert_echoes(&mut caller, "more");
    }
    assert_eq!(origin.requests().len(), 3, "none of it was taken for a request");
}

#[test]
fn an_upstream_that_speaks_first_is_heard() {
    let greeting = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
    let origin = Origin::plain(move |conversation| {
        conversation.head().unwrap();
        conversation.send(format!("HTTP/1.1 103 Early Hints\r\n\r\n{AGREED}{greeting}"));
        let heard = conversation.some().unwrap();
        conversation.send(heard);
        conversation.rest();
    });
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let (mut caller, _) = open(&sidekey);
    assert_eq!(caller.exactly(greeting.len()), greeting.as_bytes());
    assert_echoes(&mut caller, "and answers");
}

#[test]
fn a_side_that_does_not_read_stops_the_other_and_nothing_piles_up() {
    const LENGTH: usize = 48 * 1024 * 1024;
    let (go, gone) = channel::<()>();
    let gone = Mutex::new(gone);
    let origin = Origin::plain(move |conversation| {
        conversation.head().unwrap();
        conversation.send(AGREED);
        gone.lock().unwrap().recv().unwrap();
        for _ in 0..LENGTH / 65_536 {
            assert!(conversation.exactly(65_536).unwrap().iter().all(|byte| *byte == b'u'));
        }
        for _ in 0..LENGTH / 65_536 {
            conversation.send([b'd'; 65_536]);
        }
        conversation.rest();
    });
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let (caller, _) = open(&sidekey);
    let before = sidekey.memory("VmHWM");
    let mut socket = caller.socket();
    let mut sending = caller.socket();
    let sender = thread::spawn(move || {
        let mut sent = 0;
        sending.set_nonblocking(true).unwrap();
        // Until no more goes, for as long as the buffers of three sockets take at most.
        let mut refused = 0;
        while refused < 100 {
            match sending.write(&[b'u'; 65_536]) {
                Ok(length) => (sent, refused) = (sent + length, 0),
                Err(_) => {
                    refused += 1;
                    thread::sleep(Duration::from_millis(5));
                }
            }
        }
        assert!(sent < LENGTH, "nobody read, and everything was taken");
        go.send(()).unwrap();
        sending.set_nonblocking(false).unwrap();
        sending.write_all(&vec![b'u'; LENGTH - sent]).unwrap();
    });
    sender.join().unwrap();
    let mut left = LENGTH;
    let mut space = [0; 10_000];
    while left > 0 {
        let length = socket.read(&mut space).unwrap();
        assert!(length > 0 && space[..length].iter().all(|byte| *byte == b'd'));
        left -= length;
    }
    let grown = sidekey.memory("VmHWM") - before;
    assert!(grown < 2 * 1024 * 1024, "{grown} bytes");
}

#[test]
fn a_side_that_has_ended_still_hears_the_other() {
    let origin = Origin::plain(|conversation| {
        conversation.head().unwrap();
        conversation.send(AGREED);
        if conversation.index == 0 {
            let (came, _) = conversation.rest();
            conversation.send([b"after ", came.as_slice()].concat());
        } else {
            conversation.send("last words");
            conversation.half_close();
            assert_eq!(conversation.rest().0, b"I heard you");
        }
        conversation.half_close();
    });
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let (mut caller, _) = open(&sidekey);
    caller.send("question");
    caller.half_close();
    assert_eq!(caller.rest().0, b"after question");
    assert_eq!(sidekey.access(|record| record["status"] == 101)["ended_by"], "caller");
    let (mut caller, _) = open(&sidekey);
    assert_eq!(caller.rest().0, b"last words");
    caller.send("I heard you");
    caller.half_close();
    assert_eq!(sidekey.access(|record| record["ended_by"] == "upstream")["sent"], 11);
}
