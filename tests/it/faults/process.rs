//! sidekey's own process: out of file descriptors, short of memory, its clock set.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use rustls::version::TLS13;

use super::echo;
use crate::support::{Authority, Conversation, OK, Origin, PATIENCE, Sidekey, get, post, until_true};

/// Has the command started by a shell, after `script`.
fn after(script: String) -> impl FnOnce(&mut Command) {
    move |command| {
        let program = std::mem::replace(command, Command::new("sh"));
        command.args(["-c", &format!("{script} && exec \"$0\" \"$@\"")]);
        command.arg(program.get_program()).args(program.get_args());
    }
}

fn start_after(script: &str, config: &str) -> Sidekey {
    Sidekey::start_with(tempfile::tempdir().unwrap(), config, "json", after(script.to_owned()))
}

#[test]
fn as_many_descriptors_are_taken_as_may_be_had() {
    let origin = Origin::ok();
    let sidekey = start_after("ulimit -S -n 64 && ulimit -H -n 512", &origin.upstream("api"));
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", sidekey.id())).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    assert_eq!(line.split_whitespace().skip(3).take(2).collect::<Vec<_>>(), ["512", "512"], "{line}");
    until_true("that it is told", || sidekey.log().contains("\"limit\":512"));
}

#[test]
fn accepting_goes_on_when_descriptors_are_free_again() {
    let origin = Origin::ok();
    // By default it lets in no more than it has descriptors for.
    let config = format!("[server]\nworkers = 1\nmax_connections = 1000\n{}", origin.upstream("api"));
    let sidekey = start_after("ulimit -n 48", &config);
    let mut callers: Vec<_> = (0..64).map(|_| sidekey.connect()).collect();
    until_true("that no descriptor is left", || sidekey.log().contains("cannot accept; trying again"));
    // Who was accepted is told so; a request is no crash.
    callers[0].send(get("/api/x"));
    let answer = callers[0].response();
    answer.assert_own(503, "connection_limit_reached");
    let record = sidekey.access(|record| record["status"] == 503);
    assert!(record["error"].as_str().unwrap().contains("os error 24"), "{record}");
    // Who was not waits.
    let mut last = callers.pop().unwrap();
    last.send(get("/api/x"));
    last.assert_silent(Duration::from_millis(300));
    callers.truncate(8);
    last.response().assert_passed_on(200);
    callers[0].send(get("/api/x"));
    callers[0].response().assert_passed_on(200);
    let said = sidekey.log().matches("cannot accept; trying again").count();
    assert!(said <= 2, "said {said} times, though it is tried ten times a second");
}

/// A memory limit as a container has one, where this system lets a test make it.
struct MemoryLimit(PathBuf);

impl MemoryLimit {
    const BYTES: u64 = 32 * 1024 * 1024;

    fn make() -> Option<Self> {
        let name = format!("sidekey-test-{}", std::process::id());
        let kinds = [("memory", "memory.limit_in_bytes"), ("", "memory.max")];
        kinds.into_iter().find_map(|(hierarchy, key)| {
            let group = Path::new("/sys/fs/cgroup").join(hierarchy).join(&name);
            std::fs::create_dir(&group).ok()?;
            let made = Self(group);
            std::fs::write(made.0.join(key), Self::BYTES.to_string()).ok().map(|()| made)
        })
    }
}

impl Drop for MemoryLimit {
    fn drop(&mut self) {
        // It goes when the last process in it has.
        let _ = std::fs::remove_dir(&self.0);
    }
}

/// Bodies of any size, either way, streamed and held to be signed, over TLS and not, and callers that stop reading.
#[test]
fn thirty_two_mebibytes_are_enough_under_load() {
    const LENGTH: usize = 1024 * 1024;
    let authority = Authority::new();
    let download =
        [format!("HTTP/1.1 200 OK\r\nContent-Length: {LENGTH}\r\n\r\n").as_bytes(), &vec![b'x'; LENGTH]].concat();
    let script = move |conversation: &mut Conversation| {
        while let Some(request) = conversation.request() {
            conversation.send(if request.line.starts_with("GET") { &download } else { OK.as_bytes() });
        }
    };
    let secure = Origin::tls(authority.server("127.0.0.1").serve(&[&TLS13], None), script.clone());
    let signed = Origin::plain(script);
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        "[server]\nworkers = 2\n{}tls = {{ {} }}\n[upstream.hub]\nurl = \"{}\"\nauth.hmac = {{ username = \"env:KEY\", secret = \"env:SECRET\" }}\n",
        secure.upstream("api"),
        authority.write(folder.path()),
        signed.url()
    );
    let limit = MemoryLimit::make();
    let enter =
        limit.as_ref().map_or("true".to_owned(), |limit| format!("echo $$ > {}/cgroup.procs", limit.0.display()));
    let sidekey = Sidekey::start_with(folder, &config, "json", after(enter));
    let address = sidekey.address();
    let upload = |target: &str, length: usize| post(target, &"y".repeat(length));
    let requests =
        [get("/api/download"), upload("/api/upload", LENGTH), upload("/hub/signed", 64 * 1024), get("/hub/download")];
    let callers: Vec<_> = (0..48)
        .map(|number| {
            let request = requests[number % 4].clone();
            let answer = if matches!(number % 4, 0 | 3) { LENGTH } else { 2 };
            thread::spawn(move || {
                let mut caller = TcpStream::connect(address).unwrap();
                caller.set_read_timeout(Some(PATIENCE)).unwrap();
                for _ in 0..2 {
                    caller.write_all(request.as_bytes()).unwrap();
                    // Some keep theirs waiting, each at another place.
                    thread::sleep(Duration::from_millis(number as u64));
                    assert_eq!(whole_body(&mut caller), answer, "caller {number}");
                }
            })
        })
        .collect();
    callers.into_iter().for_each(|caller| caller.join().unwrap());
    // The binary's own pages are the kernel's to drop; those of this build are many.
    let peak = sidekey.memory("VmHWM") - sidekey.memory("RssFile");
    assert!(peak < MemoryLimit::BYTES, "{peak} bytes");
    // Before the limit, which goes once nothing is in it.
    drop(sidekey);
}

/// Reads an answer to its end, and says how long its body was.
fn whole_body(caller: &mut TcpStream) -> usize {
    let mut space = vec![0; 64 * 1024];
    let mut head = Vec::new();
    let header = loop {
        let read = caller.read(&mut space).unwrap();
        assert_ne!(read, 0, "no answer");
        head.extend_from_slice(&space[..read]);
        if let Some(end) = memchr::memmem::find(&head, b"\r\n\r\n") {
            break end + 4;
        }
    };
    let text = String::from_utf8_lossy(&head[..header]).into_owned();
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
    let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse().unwrap();
    let mut body = head.len() - header;
    while body < length {
        let read = caller.read(&mut space).unwrap();
        assert_ne!(read, 0, "cut");
        body += read;
    }
    body
}

/// `clock_gettime` with a wall clock that is ten years off, as soon as a file is there.
const CLOCK: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <time.h>
#include <unistd.h>
int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int before = errno, outcome = real(clock, now);
    if (clock == CLOCK_REALTIME && access(FORWARD, F_OK) == 0) now->tv_sec += 315360000;
    if (clock == CLOCK_REALTIME && access(BACK, F_OK) == 0) now->tv_sec -= 315360000;
    errno = before;
    return outcome;
}
"#;

#[test]
fn a_clock_that_jumps_ends_nothing() {
    let room = tempfile::tempdir().unwrap();
    let (source, library) = (room.path().join("clock.c"), room.path().join("clock.so"));
    let jumps = [("FORWARD", room.path().join("forward")), ("BACK", room.path().join("back"))];
    std::fs::write(&source, CLOCK).unwrap();
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).arg("-ldl");
    compiler.args(jumps.iter().map(|(name, file)| format!("-D{name}=\"{}\"", file.display())));
    assert!(compiler.status().expect("the C compiler with which sidekey is built").success());

    let (answer, may_answer) = channel::<()>();
    let may_answer = Mutex::new(may_answer);
    let origin = echo(move || may_answer.lock().unwrap().recv().unwrap_or_default());
    let folder = tempfile::tempdir().unwrap();
    let sidekey = Sidekey::start_with(folder, &origin.upstream("api"), "json", |command| {
        command.env("LD_PRELOAD", &library);
    });
    let mut kept = sidekey.connect();
    let mut ask = |target: &str| {
        let before = origin.requests().len();
        kept.send(get(&format!("/api{target}")));
        until_true("the request at the origin", || origin.requests().len() > before);
        answer.send(()).unwrap();
        assert_eq!(kept.response().text(), target);
        let record = sidekey.access(|record| record["path"] == format!("/api{target}"));
        assert!(record["duration_us"].as_u64().unwrap() < 60_000_000, "{record}");
        record["timestamp"].as_str().unwrap()[..4].parse::<i32>().unwrap()
    };
    let now = ask("/before");
    for ((name, file), years) in jumps.iter().zip([10, -10]) {
        std::fs::write(file, "").unwrap();
        let then = ask(&format!("/{name}"));
        assert!((then - now - years).abs() <= 1, "the clock was set: {then}");
        std::fs::remove_file(file).unwrap();
        ask(&format!("/after-{name}"));
    }
    // What is under way sees both jumps.
    let mut under_way = sidekey.connect();
    under_way.send(get("/api/under-way"));
    until_true("the request at the origin", || origin.requests().last().unwrap().target() == "/under-way");
    for (_, file) in &jumps {
        std::fs::write(file, "").unwrap();
        under_way.assert_silent(Duration::from_millis(100));
    }
    answer.send(()).unwrap();
    assert_eq!(under_way.response().text(), "/under-way");
}
