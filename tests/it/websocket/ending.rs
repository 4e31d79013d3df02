//! How a tunnel ends, and what is said of it.

use std::io::Write;
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use super::{AGREED, asking, assert_echoes, echoing, open};
use crate::support::{Broken, Origin, PATIENCE, Sidekey, until_true};

const SERVER: &str = "[server]\nworkers = 1\ndrain = \"2s\"\n";

#[test]
fn silence_on_both_sides_ends_it_and_a_word_from_one_does_not() {
    let origin = echoing();
    let limit = Duration::from_secs(1);
    let sidekey =
        Sidekey::start(&format!("{}timeouts = {{ tunnel = \"1s\", request = \"1500ms\" }}\n", origin.upstream("api")));
    let (mut caller, _) = open(&sidekey);
    let began = Instant::now();
    let mut spoke = began;
    while began.elapsed() < 2 * limit {
        spoke = Instant::now();
        assert_echoes(&mut caller, "still here");
        thread::sleep(Duration::from_millis(50));
    }
    caller.assert_closed();
    assert!(spoke.elapsed() >= limit, "{:?}", spoke.elapsed());
    let record = sidekey.access(|record| record["status"] == 101);
    assert_eq!((&record["ended_by"], record.get("cut")), (&"silence".into(), None), "{record}");
}

#[test]
fn whoever_has_ended_waits_no_longer_than_idle() {
    let origin = Origin::plain(|conversation| {
        conversation.head().unwrap();
        conversation.send(AGREED);
        conversation.rest();
        // It never ends what it sends.
        conversation.rest();
        thread::sleep(PATIENCE);
    });
    let sidekey = Sidekey::start(&format!("{}timeouts.idle = \"300ms\"\n", origin.upstream("api")));
    let (mut caller, _) = open(&sidekey);
    thread::sleep(Duration::from_millis(600));
    assert!(!sidekey.log().contains("\"target\":\"access\""), "nobody had ended, and it is over");
    caller.half_close();
    let ended = Instant::now();
    caller.assert_closed();
    assert!(ended.elapsed() < PATIENCE / 2, "{:?}", ended.elapsed());
}

#[test]
fn a_drain_leaves_it_its_time_and_then_cuts_it() {
    let origin = echoing();
    let mut sidekey = Sidekey::start(&format!("{SERVER}{}", origin.upstream("api")));
    let (mut caller, _) = open(&sidekey);
    assert_echoes(&mut caller, "before");
    sidekey.signal("TERM");
    until_true("the drain", || sidekey.log().contains("stopping"));
    let draining = Instant::now();
    while draining.elapsed() < Duration::from_millis(300) {
        assert_echoes(&mut caller, "meanwhile");
    }
    let ended = sidekey.wait();
    assert!(caller.rest().0.is_empty());
    let record = ended.stderr.lines().find(|line| line.contains("\"status\":101")).expect("its record");
    assert!(record.contains("\"cut\":true,\"ended_by\":\"drain\""), "{record}");
    assert_eq!(ended.code, Some(0));
}

#[test]
fn one_that_ends_while_it_drains_holds_the_end_up_no_longer() {
    let origin = echoing();
    let server = SERVER.replace("2s", "60s");
    let mut sidekey = Sidekey::start(&format!("{server}{}", origin.upstream("api")));
    let (mut caller, _) = open(&sidekey);
    sidekey.signal("TERM");
    until_true("the drain", || sidekey.log().contains("stopping"));
    assert_echoes(&mut caller, "last");
    caller.half_close();
    caller.assert_closed();
    assert_eq!(sidekey.wait().code, Some(0));
}

#[test]
fn a_handshake_that_is_under_way_when_the_drain_begins_becomes_one() {
    let (agree, agreed) = channel::<()>();
    let agreed = Mutex::new(agreed);
    let origin = Origin::plain(move |conversation| {
        if conversation.head().is_some() {
            agreed.lock().unwrap().recv().unwrap();
            conversation.send(AGREED);
            while let Ok(came) = conversation.some() {
                conversation.send(came);
            }
        }
    });
    let server = SERVER.replace("2s", "60s");
    let mut sidekey = Sidekey::start(&format!("{server}{}", origin.upstream("api")));
    let (mut caller, mut idle) = (sidekey.connect(), sidekey.connect());
    caller.send(asking("/api/socket"));
    until_true("the handshake", || origin.connections() == 1);
    sidekey.signal("TERM");
    // The worker drains, and has told its connections.
    idle.assert_closed();
    agree.send(()).unwrap();
    let answer = caller.head();
    assert_eq!((answer.status, answer.fields.all("connection")), (101, vec!["Upgrade"]), "{answer:?}");
    assert_echoes(&mut caller, "hello");
    caller.half_close();
    caller.assert_closed();
    assert_eq!(sidekey.wait().code, Some(0));
}

#[test]
fn an_upstream_that_breaks_off_is_seen_to_have() {
    let origin = Origin::plain(|conversation| {
        conversation.head().unwrap();
        conversation.send(AGREED);
        conversation.some().unwrap();
        conversation.reset();
    });
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let (mut caller, _) = open(&sidekey);
    caller.send("go");
    assert_eq!(caller.rest(), (Vec::new(), Broken::Reset));
    let record = sidekey.access(|record| record["status"] == 101);
    assert_eq!((&record["cut"], &record["level"]), (&true.into(), &"WARN".into()), "{record}");
    assert!(record["error"].as_str().unwrap().starts_with("the upstream's side of the tunnel broke off"), "{record}");
}

#[test]
fn a_caller_that_is_gone_takes_the_upstreams_connection_with_it() {
    let origin = echoing();
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let (mut caller, _) = open(&sidekey);
    assert_echoes(&mut caller, "hello");
    caller.reset();
    let record = sidekey.access(|record| record["status"] == 101);
    assert_eq!((&record["cut"], record.get("error")), (&true.into(), None), "{record}");
    assert_eq!((&record["sent"], &record["received"]), (&11.into(), &11.into()), "{record}");
}

#[test]
fn a_side_that_takes_nothing_is_waited_for_no_longer_than_it_may() {
    let silent = |conversation: &mut crate::support::Conversation| {
        conversation.head().unwrap();
        conversation.send(AGREED);
        thread::sleep(PATIENCE);
    };
    let origin = Origin::plain(silent);
    let sidekey = Sidekey::start(&format!("{}timeouts.idle = \"400ms\"\n", origin.upstream("api")));
    let (caller, _) = open(&sidekey);
    let flood = |mut socket: std::net::TcpStream| while socket.write(&[0; 65_536]).is_ok() {};
    flood(caller.socket());
    let record = sidekey.access(|record| record["status"] == 101);
    assert_eq!(record["error"], "the upstream stopped taking what came through the tunnel", "{record}");

    let origin = Origin::plain(|conversation| {
        conversation.head().unwrap();
        conversation.send(AGREED);
        while conversation.try_send([0; 65_536]).is_ok() {}
    });
    let server = format!("{SERVER}write_timeout = \"400ms\"\n");
    let sidekey = Sidekey::start(&format!("{server}{}", origin.upstream("api")));
    let (caller, _) = open(&sidekey);
    let record = sidekey.access(|record| record["status"] == 101);
    assert_eq!((&record["cut"], record.get("error")), (&true.into(), None), "{record}");
    drop(caller);
}

#[test]
fn it_is_counted_while_it_lasts_and_when_it_has_ended() {
    let origin = echoing();
    let admin = "[admin]\naddress = \"127.0.0.1:0\"\n";
    let sidekey = Sidekey::start(&format!("{}{admin}", origin.upstream("api")));
    let value = |name: &str| {
        let page = sidekey.ask_admin("/metrics", "").text();
        let line = page.lines().find(|line| line.starts_with(name)).map(str::to_owned);
        line.and_then(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok())
    };
    let (mut caller, _) = open(&sidekey);
    assert_echoes(&mut caller, "hello");
    assert_eq!(value("sidekey_tunnels{upstream=\"api\"}"), Some(1.0));
    assert_eq!(value("sidekey_tunnels_opened_total{upstream=\"api\"}"), Some(1.0));
    assert_eq!(value("sidekey_requests_in_flight"), Some(1.0));
    assert_eq!(value("sidekey_upstream_connections{upstream=\"api\",state=\"active\"}"), Some(1.0));
    thread::sleep(Duration::from_millis(50));
    caller.half_close();
    caller.assert_closed();
    let record = sidekey.access(|record| record["status"] == 101);
    assert_eq!((&record["ended_by"], &record["level"]), (&"caller".into(), &"INFO".into()), "{record}");
    assert!(record["duration_us"].as_u64().unwrap() >= 50_000, "{record}");
    assert_eq!(value("sidekey_tunnels{upstream=\"api\"}"), Some(0.0));
    assert_eq!(value("sidekey_tunnels_opened_total{upstream=\"api\"}"), Some(1.0));
    assert!(value("sidekey_tunnel_duration_seconds_sum{upstream=\"api\"}").unwrap() >= 0.05);
    assert_eq!(value("sidekey_request_body_bytes_total{upstream=\"api\"}"), Some(11.0));
    assert_eq!(value("sidekey_response_body_bytes_total{upstream=\"api\"}"), Some(11.0));
    let counted = "sidekey_requests_total{upstream=\"api\",caller=\"\",code=\"1xx\",outcome=\"upstream\"}";
    assert_eq!(value(counted), Some(1.0));
    assert_eq!(value("sidekey_upstream_connections{upstream=\"api\",state=\"active\"}"), Some(0.0));
}
