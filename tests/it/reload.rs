//! Config and secrets that change while sidekey runs: what is new comes into force whole, what is wrong changes nothing.

use std::fs;
use std::os::unix::fs::{FileExt, symlink};
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Instant;

use serde_json::Value;

use crate::support::{Caller, LITERAL, OK, Origin, Response, Sidekey, get, until, until_true};

const BY_SIGNAL: &str = "[server]\nworkers = 2\ndrain = \"2s\"\n[reload]\ninterval = \"0s\"\n";
const OFTEN: &str = "[server]\nworkers = 2\ndrain = \"2s\"\n[reload]\ninterval = \"20ms\"\n";

fn upstream(origin: &Origin) -> String {
    format!("[upstream.api]\nurl = \"{}\"\nauth.bearer = {{ token = \"file:token\" }}\n", origin.url())
}

/// The `number`th secret of a test; nothing that sidekey says may hold it.
fn secret(number: usize) -> String {
    format!("{LITERAL}{number}")
}

/// Replaces a file as a careful writer does.
fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::rename(new, path).unwrap();
}

fn ask(caller: &mut Caller, target: &str) -> Response {
    caller.send(get(target));
    caller.response()
}

/// The credentials that the origin got, in the order of the requests.
fn credentials(origin: &Origin) -> Vec<String> {
    origin.requests().iter().map(|request| request.fields.get("authorization").unwrap().to_owned()).collect()
}

fn last_credential(origin: &Origin) -> Option<String> {
    credentials(origin).pop()
}

/// Asks until the origin gets this secret.
fn until_it_sends(sidekey: &Sidekey, origin: &Origin, secret: &str) {
    until_true("the new secret", || {
        sidekey.ask(get("/api/x")).assert_passed_on(200);
        last_credential(origin).unwrap() == format!("Bearer {secret}")
    });
}

/// How many lines of the log hold this.
fn lines(sidekey: &Sidekey, text: &str) -> usize {
    sidekey.log().lines().filter(|line| line.contains(text)).count()
}

#[test]
fn a_rotated_secret_is_used_and_warm_connections_stay() {
    let origin = Origin::ok();
    let sidekey = Sidekey::start(&format!("{}{}", OFTEN.replace("workers = 2", "workers = 1"), upstream(&origin)));
    let mut caller = sidekey.connect();
    ask(&mut caller, "/api/x").assert_passed_on(200);
    for number in 0..3 {
        replace(&sidekey.folder().join("token"), &secret(number));
        until_true("the new secret", || {
            ask(&mut caller, "/api/x").assert_passed_on(200);
            last_credential(&origin).unwrap() == format!("Bearer {}", secret(number))
        });
    }
    assert_eq!(origin.connections(), 1, "the same upstream, so the same connection");
    until_true("three reloads in the log", || lines(&sidekey, "in force: what the files say now") == 3);
    assert!(sidekey.log().contains("\"rotated\":\"api\""), "{}", sidekey.log());
}

/// How often `text` stands in what the process may write to.
#[cfg(target_os = "linux")]
fn in_memory(sidekey: &Sidekey, text: &str) -> usize {
    let memory = fs::File::open(format!("/proc/{}/mem", sidekey.id())).unwrap();
    let maps = fs::read_to_string(format!("/proc/{}/maps", sidekey.id())).unwrap();
    let places = maps.lines().filter(|line| line.contains(" rw")).map(|line| {
        let (start, end) = line.split(' ').next().unwrap().split_once('-').unwrap();
        (u64::from_str_radix(start, 16).unwrap(), u64::from_str_radix(end, 16).unwrap())
    });
    let found = places.map(|(start, end)| {
        let mut bytes = vec![0; (end - start) as usize];
        // Some have gone meanwhile, and some cannot be read.
        let _ = memory.read_exact_at(&mut bytes, start);
        bytes.windows(text.len()).filter(|window| *window == text.as_bytes()).count()
    });
    found.sum()
}

#[cfg(target_os = "linux")]
#[test]
fn a_secret_that_was_rotated_away_is_wiped() {
    let origin = Origin::ok();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("first"), secret(7)).unwrap();
    // Not by the harness, which would make up a secret for it.
    let config = format!("{OFTEN}{}", upstream(&origin).replace("\"file:token\"", "'file:first'"));
    let sidekey = Sidekey::start_with(folder, &config, "json", |command| {
        command.arg("--no-hardening");
    });
    assert!(in_memory(&sidekey, &secret(7)) > 0);
    replace(&sidekey.folder().join("first"), &secret(8));
    until_true("the reload", || sidekey.log().contains("in force: what the files say now"));
    until_true("that nothing is left", || in_memory(&sidekey, &secret(7)) == 0);
    assert!(in_memory(&sidekey, &secret(8)) > 0);
}

#[test]
fn a_link_that_kubernetes_swaps_is_followed() {
    let origin = Origin::ok();
    let folder = tempfile::tempdir().unwrap();
    let mounted = folder.path().join("mounted");
    let version = |number: usize| {
        let version = mounted.join(format!("..version{number}"));
        fs::create_dir_all(&version).unwrap();
        fs::write(version.join("token"), secret(number)).unwrap();
        let fresh = mounted.join("..data_tmp");
        symlink(&version, &fresh).unwrap();
        fs::rename(fresh, mounted.join("..data")).unwrap();
    };
    version(0);
    symlink("..data/token", mounted.join("token")).unwrap();
    let config = upstream(&origin).replace("file:token", "file:mounted/token");
    let sidekey = Sidekey::start_in(folder, &format!("{OFTEN}{config}"), "json");
    until_it_sends(&sidekey, &origin, &secret(0));
    version(1);
    until_it_sends(&sidekey, &origin, &secret(1));
}

#[test]
fn sighup_reloads_at_once_and_requests_under_way_keep_what_they_began_with() {
    let (release, released) = channel::<()>();
    let released = Mutex::new(released);
    let origin = Origin::plain(move |conversation| {
        while let Some(request) = conversation.request() {
            if request.target() == "/slow" {
                released.lock().unwrap().recv().unwrap();
            }
            conversation.send(OK);
        }
    });
    let sidekey = Sidekey::start(&format!("{BY_SIGNAL}{}", upstream(&origin)));
    let mut slow = sidekey.connect();
    slow.send(get("/api/slow"));
    until_true("the slow request", || origin.requests().len() == 1);
    // The upstream gets another name, too: the request that is under way belongs to none that is in force.
    replace(&sidekey.folder().join("token"), &secret(0));
    let config = fs::read_to_string(sidekey.folder().join("sidekey.toml")).unwrap();
    replace(&sidekey.folder().join("sidekey.toml"), &config.replace("upstream.api", "upstream.other"));
    sidekey.signal("HUP");
    until_true("the reload", || sidekey.log().contains("in force: what the files say now"));
    until_true("both workers", || {
        sidekey.ask(get("/other/x")).status == 200 && sidekey.ask(get("/api/x")).status == 404
    });
    release.send(()).unwrap();
    slow.response().assert_passed_on(200);
}

#[test]
fn what_is_wrong_changes_nothing_and_is_said_once() {
    let origin = Origin::ok();
    let sidekey = Sidekey::start(&format!("{OFTEN}{}", upstream(&origin)));
    let (config, token) = (sidekey.folder().join("sidekey.toml"), sidekey.folder().join("token"));
    let (good, first) = (fs::read_to_string(&config).unwrap(), sidekey.secret("file:token").to_owned());
    let mut faults = 0;
    let mut expect = |reason: &str| {
        faults += 1;
        until_true(reason, || lines(&sidekey, "not reloaded") == faults);
        let said = sidekey.log().lines().rfind(|line| line.contains("not reloaded")).unwrap().to_owned();
        assert!(said.contains(reason), "{reason}: {said}");
        until_it_sends(&sidekey, &origin, &first);
    };
    fs::remove_file(&token).unwrap();
    expect("`upstream.api.auth.bearer.token`: `file:token` does not exist");
    fs::write(&token, "").unwrap();
    expect("`file:token` is empty");
    fs::write(&token, "two\nlines").unwrap();
    expect("holds a line break");
    fs::write(&token, &first).unwrap();
    until_true("that all is well", || sidekey.log().contains("the files say again what is in force"));
    replace(&config, &good[..good.len() / 2]);
    expect("sidekey.toml:");
    replace(&config, &good.replace("workers = 2", "workers = 3"));
    expect("`server.workers` has changed, which needs a restart");
    replace(&config, &good.replace("workers = 2", "workers = 2\nmax_connections = 7"));
    expect("`server.max_connections` has changed, which needs a restart");
    replace(&config, &good.replace("127.0.0.1:0", "127.0.0.1:1"));
    expect("`listen` has changed, which needs a restart");
    fs::remove_file(&config).unwrap();
    expect("there is no such file");
    // Whoever may write there keeps no reload from coming after: a pipe is not waited for, nor is an endless file read.
    assert!(Command::new("mkfifo").arg(&config).status().unwrap().success());
    expect("expected a regular file");
    let endless = sidekey.folder().join("endless");
    fs::File::create(&endless).unwrap().set_len(1 << 40).unwrap();
    fs::rename(&endless, &config).unwrap();
    expect("the file has more than 4 MiB");
    replace(&config, &good);
    until_true("that all is well again", || lines(&sidekey, "the files say again what is in force") == 2);
    assert_eq!(lines(&sidekey, "in force: what the files say now"), 0);
}

#[test]
fn upstreams_come_and_go_and_change() {
    let (first, second) = (Origin::ok(), Origin::answering("HTTP/1.1 203 Other\r\nContent-Length: 0\r\n\r\n"));
    let sidekey = Sidekey::start(&format!("{OFTEN}{}", upstream(&first)));
    let config = sidekey.folder().join("sidekey.toml");
    let good = fs::read_to_string(&config).unwrap();
    sidekey.ask(get("/api/x")).assert_passed_on(200);
    replace(&config, &good.replace(&first.url(), &second.url()));
    until_true("the other origin", || sidekey.ask(get("/api/x")).status == 203);
    replace(&config, &good.replace("upstream.api", "upstream.renamed"));
    until_true("the other name", || {
        sidekey.ask(get("/renamed/x")).status == 200 && sidekey.ask(get("/api/x")).status == 404
    });
}

#[test]
fn a_reload_does_not_open_it_to_everyone() {
    let origin = Origin::ok();
    let caller = "[caller.app]\ntoken = \"file:app\"\nupstreams = [\"api\"]\n";
    let sidekey = Sidekey::start(&format!("{OFTEN}{}{caller}", upstream(&origin)));
    let config = sidekey.folder().join("sidekey.toml");
    let good = fs::read_to_string(&config).unwrap();
    assert_eq!(sidekey.ask(get("/api/x")).status, 407);
    // As it would be if somebody were still writing it.
    replace(&config, &good.replace(caller, ""));
    until_true("that it is refused", || lines(&sidekey, "every `[caller.NAME]` is gone") == 1);
    assert_eq!(sidekey.ask(get("/api/x")).status, 407);
    assert!(origin.requests().is_empty());
}

#[test]
fn the_log_follows_the_config_too() {
    let origin = Origin::ok();
    let sidekey = Sidekey::start(&format!("{OFTEN}{}", upstream(&origin)));
    let config = sidekey.folder().join("sidekey.toml");
    let good = fs::read_to_string(&config).unwrap();
    sidekey.ask(get("/api/before")).assert_passed_on(200);
    sidekey.access(|line| line["path"] == "/api/before");
    replace(&config, &format!("{good}\n[log]\nlevel = \"warn\"\n"));
    until_true("that no success is logged any more", || {
        let known = lines(&sidekey, "/api/quiet");
        sidekey.ask(get("/api/quiet")).assert_passed_on(200);
        // Its line would be there before that of the next one, which is a failure and is logged at every level.
        let failures = lines(&sidekey, "/nothing");
        assert_eq!(sidekey.ask(get("/nothing")).status, 404);
        until_true("the failure", || lines(&sidekey, "/nothing") > failures);
        lines(&sidekey, "/api/quiet") == known
    });
}

#[test]
fn an_optional_upstream_without_a_secret_is_unavailable_alone() {
    let (with, without) = (Origin::ok(), Origin::ok());
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        "{OFTEN}{}[upstream.late]\noptional = true\nurl = \"{}\"\nauth.bearer = {{ token = 'file:late' }}\n",
        upstream(&with),
        without.url()
    );
    let sidekey = Sidekey::start_in(folder, &config, "json");
    sidekey.ask(get("/api/x")).assert_passed_on(200);
    let refused = sidekey.ask(get("/late/x"));
    refused.assert_own(503, "proxy_configuration_error");
    assert!(sidekey.log().contains("`file:late` does not exist"), "{}", sidekey.log());
    assert!(without.requests().is_empty());
    replace(&sidekey.folder().join("late"), &secret(0));
    until_true("the late secret", || sidekey.ask(get("/late/x")).status == 200);
    // Once there was one, the last good one stays.
    fs::remove_file(sidekey.folder().join("late")).unwrap();
    until("that it is missed", || sidekey.log().contains("not reloaded").then_some(()));
    sidekey.ask(get("/late/x")).assert_passed_on(200);
    sidekey.ask(get("/api/x")).assert_passed_on(200);
}

#[test]
fn rotations_and_reloads_under_load_lose_no_request() {
    churn(30);
}

#[test]
#[ignore = "takes a minute: a thousand reloads, each of which waits until the files have settled"]
fn a_thousand_rotations_and_a_thousand_reloads_under_load_lose_no_request() {
    churn(1000);
}

/// Neither the access lines nor their number are what this is about: without them, what is written is short.
const CHURNED: &str = "[server]\nworkers = 2\ndrain = \"2s\"\n[reload]\ninterval = \"0s\"\n\
    [log]\nsample_success = 0\nslow = \"1h\"\n[admin]\naddress = \"127.0.0.1:0\"\n";

/// Ends the load, however its test ends.
struct EndOfLoad<'a>(&'a AtomicBool);

impl Drop for EndOfLoad<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Rotates the secret, and changes the config, so many times, while callers ask.
fn churn(times: usize) {
    let origin = Origin::ok();
    let sidekey = Sidekey::start(&format!("{CHURNED}{}", upstream(&origin)));
    let admin = sidekey.admin_address();
    let generation = || {
        let mut caller = sidekey.connect_to(admin);
        let status: Value = serde_json::from_str(&ask(&mut caller, "/status").text()).unwrap();
        usize::try_from(status["config"]["generation"].as_u64().unwrap()).unwrap()
    };
    let config = sidekey.folder().join("sidekey.toml");
    let good = fs::read_to_string(&config).unwrap();
    let before = sidekey.memory("VmRSS");
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let load = EndOfLoad(&done);
        let asking: Vec<_> = (0..2)
            .map(|_| {
                let mut caller = sidekey.connect();
                let done = &done;
                scope.spawn(move || {
                    let mut asked = 0;
                    while !done.load(Ordering::Relaxed) {
                        ask(&mut caller, "/api/x").assert_passed_on(200);
                        asked += 1;
                    }
                    asked
                })
            })
            .collect();
        let began = Instant::now();
        for number in 0..times {
            replace(&sidekey.folder().join("token"), &secret(number));
            replace(
                &config,
                &good.replace("auth.bearer", &format!("timeouts.idle = \"{}s\"\nauth.bearer", number + 1)),
            );
            sidekey.signal("HUP");
            until_true("the reload", || generation() == number + 2);
        }
        drop(load);
        let asked: usize = asking.into_iter().map(|caller| caller.join().unwrap()).sum();
        assert!(asked >= times, "there was load: {asked} requests");
        eprintln!("{asked} requests while {times} reloads took {:?}", began.elapsed());
    });
    until_it_sends(&sidekey, &origin, &secret(times - 1));
    let grown = sidekey.memory("VmRSS").saturating_sub(before);
    assert!(grown < 16 << 20, "{grown} bytes more after {times} reloads");
}
