//! Starting, stopping, and what is written meanwhile.

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Broken, Origin, QUERY, Sidekey, command, get, post, until_true};

fn server(drain: &str) -> String {
    format!("[server]\nworkers = 1\ndrain = \"{drain}\"\n")
}

#[test]
fn sigterm_and_sigint_finish_what_has_begun() {
    for signal in ["TERM", "INT"] {
        let (origin, answer) = Origin::patient();
        let mut sidekey = Sidekey::start(&format!("{}{}", server("20s"), origin.upstream("api")));
        let mut idle = sidekey.connect();
        let mut caller = sidekey.connect();
        caller.send(get("/api/x"));
        until_true("the request at the origin", || origin.requests().len() == 1);
        sidekey.signal(signal);
        until_true("that it stops", || sidekey.log().contains("stopping"));
        idle.assert_closed();
        let refused = std::net::TcpStream::connect(sidekey.address());
        assert!(refused.is_err(), "no new connection while it stops");
        answer.send(()).unwrap();
        let answered = caller.response();
        answered.assert_passed_on(200);
        assert_eq!(answered.fields.get("connection"), Some("close"));
        caller.assert_closed();
        let ended = sidekey.wait();
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(ended.took < Duration::from_secs(10), "{ended:?}");
    }
}

#[test]
fn an_upload_that_has_begun_is_finished_too() {
    let origin = Origin::ok();
    let mut sidekey = Sidekey::start(&format!("{}{}", server("20s"), origin.upstream("api")));
    let mut caller = sidekey.connect();
    caller.send("POST /api/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nbo");
    until_true("the request at the origin", || origin.requests().len() == 1);
    sidekey.signal("TERM");
    until_true("that it stops", || sidekey.log().contains("stopping"));
    caller.send("dy");
    caller.response().assert_passed_on(200);
    assert_eq!(sidekey.wait().code, Some(0));
}

#[test]
fn connections_that_wait_for_nothing_do_not_hold_the_end_up() {
    let origin = Origin::ok();
    let mut sidekey = Sidekey::start(&format!("{}{}", server("60s"), origin.upstream("api")));
    let mut new = sidekey.connect();
    let mut used = sidekey.connect();
    used.send(get("/api/x"));
    used.response().assert_passed_on(200);
    let ended = sidekey.stop();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.took < Duration::from_secs(10), "{ended:?}");
    new.assert_closed();
    used.assert_closed();
}

#[test]
fn what_takes_longer_than_drain_is_cut() {
    let (origin, _answer) = Origin::patient();
    let mut sidekey = Sidekey::start(&format!("{}{}", server("400ms"), origin.upstream("api")));
    let mut caller = sidekey.connect();
    caller.send(get("/api/x"));
    until_true("the request at the origin", || origin.requests().len() == 1);
    let ended = sidekey.stop();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.took >= Duration::from_millis(390) && ended.took < Duration::from_secs(10), "{ended:?}");
    assert!(ended.stderr.contains("\"connections\":1"), "{ended:?}");
    let (rest, broken) = caller.rest();
    assert!(rest.is_empty() && matches!(broken, Broken::Closed | Broken::Reset));
}

#[test]
fn a_second_signal_ends_at_once() {
    let (origin, _answer) = Origin::patient();
    let mut sidekey = Sidekey::start(&format!("{}{}", server("60s"), origin.upstream("api")));
    let mut caller = sidekey.connect();
    caller.send(get("/api/x"));
    until_true("the request at the origin", || origin.requests().len() == 1);
    sidekey.signal("TERM");
    until_true("that it stops", || sidekey.log().contains("stopping"));
    sidekey.signal("TERM");
    let ended = sidekey.wait();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.took < Duration::from_secs(5), "{ended:?}");
}

#[test]
fn a_unix_socket_has_its_mode_and_is_removed() {
    let origin = Origin::ok();
    let listen = "[listen.file]\naddress = \"unix:proxy.sock\"\nmode = \"0660\"\n";
    let mut sidekey = Sidekey::start(&format!("{}{listen}", origin.upstream("api")));
    let path = sidekey.folder().join("proxy.sock");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
    let mut caller = sidekey.connect_to_file(&path);
    for _ in 0..2 {
        caller.send(get("/api/x"));
        caller.response().assert_passed_on(200);
    }
    assert_eq!(sidekey.stop().code, Some(0));
    assert!(!path.exists());
}

#[test]
fn a_port_that_is_taken_is_said_to_be_so() {
    let origin = Origin::ok();
    let first = Sidekey::start(&origin.upstream("api"));
    let address = first.address();
    let file = first.folder().join("second.toml");
    let config = format!(
        "[listen.local]\naddress = \"{address}\"\n[upstream.api]\nurl = \"{}\"\nauth.bearer = {{ token = \"file:token\" }}\n",
        origin.url()
    );
    std::fs::write(&file, config).unwrap();
    std::fs::write(first.folder().join("token"), "t0ken").unwrap();
    let ended = command(&["run", "--config", file.to_str().unwrap()]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains(&address.to_string()) && ended.stderr.contains("in use"), "{ended:?}");
    assert!(ended.stderr.contains("listen.local"), "{ended:?}");
}

#[test]
fn an_access_record_says_what_happened_and_not_what_was_asked() {
    let origin = Origin::answering("HTTP/1.1 201 Created\r\nContent-Length: 5\r\n\r\nhello");
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let request = post(&format!("/api/path?{QUERY}=1"), "body").replacen("\r\n", "\r\nX-Mine: unlogged\r\n", 1);
    sidekey.ask(request).assert_passed_on(201);
    let record = sidekey.access(|_| true);
    for (field, value) in [
        ("level", Value::from("INFO")),
        ("status", 201.into()),
        ("method", "POST".into()),
        ("path", "/api/path".into()),
        ("upstream", "api".into()),
        ("sent", 4.into()),
        ("received", 5.into()),
    ] {
        assert_eq!(record[field], value, "{record}");
    }
    assert!(record["duration_us"].as_u64().is_some());
    assert!(record["timestamp"].as_str().unwrap().ends_with('Z'));
    assert!(record.get("cut").is_none() && record.get("error").is_none(), "{record}");
    sidekey.ask(get(&format!("http://user.example/x?{QUERY}"))).assert_own(421, "destination_not_found");
    let record = sidekey.access(|record| record["status"] == 421);
    assert_eq!((&record["path"], &record["level"]), (&"/x".into(), &"WARN".into()));
    assert!(!sidekey.log().contains("unlogged"));
}

#[test]
fn every_request_has_one_record() {
    let origin = Origin::ok();
    let mut sidekey = Sidekey::start(&origin.upstream("api"));
    let mut caller = sidekey.connect();
    for _ in 0..50 {
        caller.send(get("/api/x"));
        caller.response().assert_passed_on(200);
    }
    caller.send("nonsense\r\n\r\n");
    caller.response().assert_own(400, "http_request_error");
    let log = sidekey.stop().stderr;
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let records = lines.iter().filter(|line| line["target"] == "access");
    assert_eq!(records.clone().count(), 51);
    assert_eq!(records.filter(|record| record["status"] == 200).count(), 50);
}

#[test]
fn a_log_for_people_is_one_line_to_read() {
    let origin = Origin::ok();
    let mut sidekey = Sidekey::start_in(tempfile::tempdir().unwrap(), &origin.upstream("api"), "human");
    sidekey.ask(get(&format!("/api/x?{QUERY}"))).assert_passed_on(200);
    let log = sidekey.stop().stderr;
    assert!(log.lines().any(|line| line.contains(" INFO  200 GET /api/x api ")), "{log}");
    assert!(!log.contains('{'), "{log}");
}

#[test]
fn the_first_answer_comes_soon() {
    let origin = Origin::ok();
    let began = Instant::now();
    let sidekey = Sidekey::start(&origin.upstream("api"));
    sidekey.ask(get("/api/x")).assert_passed_on(200);
    // 50 ms are promised of the release build on an idle machine.
    assert!(began.elapsed() < Duration::from_secs(3));
}

#[test]
fn a_log_that_nobody_reads_holds_up_neither_requests_nor_the_end() {
    let origin = Origin::ok();
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("sidekey.sock");
    let config = folder.path().join("sidekey.toml");
    let listen = format!("[listen.local]\naddress = \"unix:{}\"\n", socket.display());
    let upstream = format!("[upstream.api]\nurl = \"{}\"\nauth.bearer = {{ token = \"file:token\" }}\n", origin.url());
    std::fs::write(&config, listen + &upstream).unwrap();
    std::fs::write(folder.path().join("token"), "some-token").unwrap();
    let mut process = std::process::Command::new(env!("CARGO_BIN_EXE_sidekey"))
        .args(["run", "--log-format", "json", "--config"])
        .arg(&config)
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    until_true("the socket", || socket.exists());
    // Many times what a pipe holds.
    for _ in 0..100 {
        use std::io::{Read, Write};
        let mut caller = std::os::unix::net::UnixStream::connect(&socket).unwrap();
        let path = "x".repeat(8000);
        write!(caller, "GET /api/{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        caller.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    let began = Instant::now();
    std::process::Command::new("kill").arg(process.id().to_string()).status().unwrap();
    assert_eq!(process.wait().unwrap().code(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[test]
fn while_it_takes_leave_it_accepts_and_every_answer_says_so() {
    let origin = Origin::ok();
    let leaving = "[server]\nworkers = 2\ndrain_delay = \"700ms\"\ndrain = \"20s\"\n";
    let mut sidekey = Sidekey::start(&format!("{leaving}{}", origin.upstream("api")));
    let mut kept = sidekey.connect();
    kept.send(get("/api/x"));
    kept.response().assert_passed_on(200);
    let began = Instant::now();
    sidekey.signal("TERM");
    until_true("that it stops", || sidekey.log().contains("stopping"));
    until_true("that answers are the last ones", || {
        let mut caller = sidekey.connect();
        caller.send(get("/api/x"));
        let answer = caller.response();
        answer.assert_passed_on(200);
        let last = answer.fields.get("connection") == Some("close");
        if last {
            caller.assert_closed();
        }
        last
    });
    kept.send(get("/api/x"));
    let answer = kept.response();
    answer.assert_passed_on(200);
    assert_eq!(answer.fields.get("connection"), Some("close"));
    kept.assert_closed();
    assert_eq!(sidekey.wait().code, Some(0));
    assert!(began.elapsed() >= Duration::from_millis(700));
    assert!(std::net::TcpStream::connect(sidekey.address()).is_err());
}
