//! sidekey is told to end, under load or not, or is killed.

use std::collections::HashSet;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use super::echo;
use crate::support::{PATIENCE, Sidekey, get, holds, post, until_true};

/// What was sent before the signal came has begun, though nobody may have read or even accepted it.
#[test]
fn what_was_sent_before_sigterm_is_answered() {
    let origin = echo(|| {});
    let room = tempfile::tempdir().unwrap();
    let path = room.path().join("proxy.sock");
    let listen =
        format!("[listen.local]\naddress = \"127.0.0.1:0\"\n[listen.file]\naddress = \"unix:{}\"\n", path.display());
    let config = format!("[server]\nworkers = 2\ndrain = \"20s\"\n{listen}{}", origin.upstream("api"));
    let mut sidekey = Sidekey::start(&config);
    let mut kept: Vec<_> = (0..20).map(|_| sidekey.connect()).collect();
    for caller in &mut kept {
        caller.send(get("/api/warm"));
        caller.response().assert_passed_on(200);
    }
    let mut accepted: Vec<_> = (0..20).map(|_| sidekey.connect()).collect();
    // That it has been is known by what comes after it on the same listener.
    sidekey.ask(get("/api/warm")).assert_passed_on(200);
    sidekey.hold();
    let mut waiting: Vec<_> = (0..20).map(|_| sidekey.connect()).collect();
    waiting.extend((0..20).map(|_| sidekey.connect_to_file(&path)));
    for caller in kept.iter_mut().chain(&mut accepted).chain(&mut waiting) {
        caller.send(post("/api/sent", "body"));
    }
    sidekey.signal("TERM");
    sidekey.signal("CONT");
    for (number, caller) in kept.iter_mut().chain(&mut accepted).chain(&mut waiting).enumerate() {
        let answer = caller.response();
        assert_eq!((answer.status, answer.text().as_str()), (200, "/sent"), "caller {number}");
        caller.assert_closed();
    }
    let ended = sidekey.wait();
    assert_eq!(ended.code, Some(0));
    assert!(ended.took < Duration::from_secs(10), "{ended:?}");
}

/// What became of one request under load.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Whole { last: bool },
    Unanswered,
    Cut(String),
}

/// Sends a request on `caller`, and reads its answer, which is its target.
fn exchange(caller: &mut TcpStream, request: &str, target: &str) -> Outcome {
    let mut answer = Vec::new();
    let mut space = [0; 1024];
    // Where it fails, the answer tells.
    let _ = caller.write_all(request.as_bytes());
    while !answer.ends_with(format!("\r\n\r\n{target}").as_bytes()) {
        match caller.read(&mut space) {
            Ok(length @ 1..) => answer.extend_from_slice(&space[..length]),
            Ok(0) | Err(_) if answer.is_empty() => return Outcome::Unanswered,
            Ok(_) | Err(_) => return Outcome::Cut(String::from_utf8_lossy(&answer).into_owned()),
        }
    }
    Outcome::Whole { last: holds(&answer, b"\r\nconnection: close\r\n") }
}

/// Asks until sidekey ends: on one connection as long as it stands, or on a new one each time. Returns what was not
/// answered, and how many answers said that they were the last.
fn ask_until_the_end(address: SocketAddr, number: usize) -> (Vec<String>, usize) {
    let (mut unanswered, mut lasts) = (Vec::new(), 0);
    let mut caller = None;
    for round in 0.. {
        let mut stream = match caller.take().map_or_else(|| TcpStream::connect(address), Ok) {
            Ok(stream) => stream,
            Err(error) => {
                assert!(matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset), "{error}");
                break;
            }
        };
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let target = format!("/{number}-{round}");
        let request =
            if round % 2 == 0 { get(&format!("/api{target}")) } else { post(&format!("/api{target}"), "body") };
        match exchange(&mut stream, &request, &target) {
            Outcome::Whole { last } => lasts += usize::from(last),
            Outcome::Unanswered => unanswered.push(target),
            Outcome::Cut(answer) => panic!("a part of an answer: {answer}"),
        }
        caller = number.is_multiple_of(2).then_some(stream);
        if unanswered.len() > 1 {
            break;
        }
    }
    (unanswered, lasts)
}

#[test]
fn sigterm_under_load_loses_no_request_that_has_begun() {
    const CALLERS: usize = 200;
    let origin = echo(|| thread::sleep(Duration::from_millis(50)));
    let config = format!("[server]\nworkers = 2\ndrain = \"20s\"\n{}", origin.upstream("api"));
    let mut sidekey = Sidekey::start(&config);
    let address = sidekey.address();
    let callers: Vec<_> =
        (0..CALLERS).map(|number| thread::spawn(move || ask_until_the_end(address, number))).collect();
    until_true("load", || origin.requests().len() > 3 * CALLERS);
    let ended = sidekey.stop();
    assert_eq!(ended.code, Some(0));
    assert!(!ended.stderr.contains("took longer"), "nothing was cut");
    let ends: Vec<_> = callers.into_iter().map(|caller| caller.join().unwrap()).collect();
    let lasts: usize = ends.iter().map(|(_, lasts)| lasts).sum();
    assert!(lasts > CALLERS / 4, "hardly anything was under way: {lasts}");
    let arrived: HashSet<_> = origin.requests().iter().map(|request| request.target().to_owned()).collect();
    for target in ends.iter().flat_map(|(unanswered, _)| unanswered) {
        assert!(!arrived.contains(target), "{target} reached the vendor, and was not answered");
    }
}

#[test]
fn after_sigkill_another_takes_the_unix_socket_over() {
    let (sent, is_sent) = channel::<()>();
    let is_sent = Mutex::new(is_sent);
    let origin = echo(move || is_sent.lock().unwrap().recv().unwrap_or_default());
    let room = tempfile::tempdir().unwrap();
    let path = room.path().join("proxy.sock");
    let config = format!("{}[listen.file]\naddress = \"unix:{}\"\n", origin.upstream("api"), path.display());
    let mut first = Sidekey::start(&config);
    let mut caller = first.connect_to_file(&path);
    caller.send(get("/api/never"));
    until_true("the request at the origin", || origin.requests().len() == 1);
    let written = std::fs::read(first.folder().join("sidekey.toml")).unwrap();
    first.signal("KILL");
    assert_eq!(first.wait().code, None);
    assert!(caller.rest().0.is_empty(), "no part of an answer");
    assert!(path.exists(), "nobody was left to remove it");
    assert_eq!(std::fs::read(first.folder().join("sidekey.toml")).unwrap(), written);
    let second = Sidekey::start(&config);
    let mut caller = second.connect_to_file(&path);
    caller.send(get("/api/x"));
    sent.send(()).unwrap();
    sent.send(()).unwrap();
    assert_eq!(caller.response().text(), "/x");
    let left: Vec<_> = std::fs::read_dir(room.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["proxy.sock"]);
}

#[test]
fn after_sigkill_another_takes_the_port_over() {
    let origin = echo(|| {});
    let mut first = Sidekey::start(&origin.upstream("api"));
    let address = first.address();
    let mut callers: Vec<_> = (0..10).map(|_| first.connect()).collect();
    for caller in &mut callers {
        caller.send(get("/api/x"));
        caller.response().assert_passed_on(200);
    }
    first.signal("KILL");
    assert_eq!(first.wait().code, None);
    // Its callers' connections are not gone yet.
    let second = Sidekey::start(&format!("{}[listen.local]\naddress = \"{address}\"\n", origin.upstream("api")));
    assert_eq!(second.address(), address);
    second.ask(get("/api/x")).assert_passed_on(200);
}
