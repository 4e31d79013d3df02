//! The vendor's name is gone, leads elsewhere, or leads to addresses of which some are dead.

use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::support::{BlackHole, Conversation, NameServer, OK, Origin, Sidekey, get, until_true};

/// `http://api.test:PORT`, whose addresses `dns` tells.
fn named(dns: &NameServer, port: u16) -> String {
    let upstream = "allow_plaintext = true\nallow_private = true\nauth.bearer = { token = \"env:TOKEN\" }\n";
    format!("{}[upstream.api]\nurl = \"http://api.test:{port}\"\n{upstream}", dns.server())
}

/// A switch that a test throws, and its other end.
fn switch() -> (Arc<AtomicBool>, Arc<AtomicBool>) {
    let switch = Arc::new(AtomicBool::new(false));
    (Arc::clone(&switch), switch)
}

/// Answers each request, and ends the connection.
fn answer_once(conversation: &mut Conversation) {
    conversation.request();
    conversation.send(OK.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"));
}

#[test]
fn a_name_that_is_gone_is_502_until_it_is_back() {
    let origin = Origin::plain(answer_once);
    let (gone, is_gone) = switch();
    let dns = NameServer::start(move |_| if is_gone.load(Ordering::Relaxed) { vec![] } else { vec!["127.0.0.1"] });
    let sidekey = Sidekey::start(&named(&dns, origin.port()));
    sidekey.ask(get("/api/x")).assert_passed_on(200);
    gone.store(true, Ordering::Relaxed);
    for _ in 0..2 {
        let answer = sidekey.ask(get("/api/x"));
        answer.assert_own(502, "dns_error");
        assert!(!answer.text().contains("api.test"), "{}", answer.text());
    }
    gone.store(false, Ordering::Relaxed);
    sidekey.ask(get("/api/x")).assert_passed_on(200);
}

#[test]
fn a_name_server_that_does_not_answer_is_504() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let server = format!("[server]\nworkers = 1\nnameservers = [\"{}\"]\n", silent.local_addr().unwrap());
    let upstream = "auth.bearer = { token = \"env:TOKEN\" }\ntimeouts = { lookup = \"300ms\" }\n";
    let sidekey = Sidekey::start(&format!("{server}[upstream.api]\nurl = \"https://api.test\"\n{upstream}"));
    let began = Instant::now();
    sidekey.ask(get("/api/x")).assert_own(504, "dns_timeout");
    assert!(began.elapsed() >= Duration::from_millis(290));
}

#[test]
fn a_name_that_leads_elsewhere_now_is_followed_by_new_connections() {
    // Each answers with where it is, and the first says when it may end.
    let (end, ending) = std::sync::mpsc::channel::<()>();
    let ending = Mutex::new(ending);
    let old = Origin::plain(move |conversation| {
        for _ in 0..2 {
            conversation.request();
            conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nold");
        }
        let _ = ending.lock().unwrap().recv();
        conversation.close();
    });
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nnew";
    let there = ([127, 0, 0, 2], old.port()).into();
    let new = Origin::plain_at(there, move |conversation| conversation.answer_all(answer));
    let (moved, has_moved) = switch();
    let dns = NameServer::start(
        move |_| {
            if has_moved.load(Ordering::Relaxed) { vec!["127.0.0.2"] } else { vec!["127.0.0.1"] }
        },
    );
    let sidekey = Sidekey::start(&named(&dns, old.port()));
    assert_eq!(sidekey.ask(get("/api/x")).text(), "old");
    moved.store(true, Ordering::Relaxed);
    // One that stands is as good as before.
    assert_eq!(sidekey.ask(get("/api/x")).text(), "old");
    end.send(()).unwrap();
    until_true("the end of the old connection", || old.closed() == 1);
    assert_eq!(sidekey.ask(get("/api/x")).text(), "new");
    assert_eq!((old.connections(), new.connections()), (1, 1));
}

#[test]
fn of_two_addresses_one_may_be_dead() {
    // 127.0.0.2 refuses: nobody listens there.
    for addresses in [vec!["127.0.0.2", "127.0.0.1"], vec!["127.0.0.1", "127.0.0.2"]] {
        let origin = Origin::ok();
        let dns = NameServer::start(move |_| addresses.clone());
        let sidekey = Sidekey::start(&named(&dns, origin.port()));
        sidekey.ask(get("/api/x")).assert_passed_on(200);
    }
}

#[test]
fn of_two_addresses_one_may_be_silent() {
    let origin = Origin::ok();
    let _silent = BlackHole::at(([127, 0, 0, 2], origin.port()).into());
    let dns = NameServer::start(|_| vec!["127.0.0.2", "127.0.0.1"]);
    let sidekey = Sidekey::start(&named(&dns, origin.port()));
    let began = Instant::now();
    sidekey.ask(get("/api/x")).assert_passed_on(200);
    // RFC 8305 5: the other is tried beside it after 250 ms, and not after its deadline of 5 s.
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(240) && took < Duration::from_secs(4), "{took:?}");
}

#[test]
fn an_ipv6_that_is_dead_does_not_hold_ipv4_up() {
    let origin = Origin::ok();
    let silent = BlackHole::at(([0, 0, 0, 0, 0, 0, 0, 1], origin.port()).into());
    // Of either family one that answers nothing; the second of IPv4 is the last that is tried.
    let dns = NameServer::start(|_| vec!["127.0.0.2", "::1", "127.0.0.1"]);
    let sidekey = Sidekey::start(&named(&dns, origin.port()));
    let began = Instant::now();
    sidekey.ask(get("/api/x")).assert_passed_on(200);
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(240) && took < Duration::from_secs(4), "{took:?}");
    // Nor one that refuses.
    drop(silent);
    let sidekey = Sidekey::start(&named(&dns, origin.port()));
    sidekey.ask(get("/api/x")).assert_passed_on(200);
}
