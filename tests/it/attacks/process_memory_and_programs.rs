//! Another process of the same user reads sidekey's memory, or sidekey itself is taken over and starts a shell. What a
//! hardened process can still open is tried in `src/hardening/tests.rs`, from inside.

use std::fs::{self, read_dir, read_to_string};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use rustix::process::{Resource, Rlimit, geteuid, getrlimit, setrlimit};
use serde_json::Value;

use crate::support::{Origin, Sidekey, get};

/// A user without privileges, by custom `nobody`.
const NOBODY: u32 = 65_534;

fn start(origin: &Origin, more: &[&str]) -> Sidekey {
    let folder = tempfile::tempdir().unwrap();
    Sidekey::start_with(folder, &origin.upstream("api"), "json", |command| {
        command.args(more);
    })
}

/// The line about hardening.
fn told(sidekey: &Sidekey) -> Value {
    let log = sidekey.log();
    let mut lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.find(|line| line["target"] == "process").expect("a line about the process")
}

/// The values of `field` in the status of every thread.
fn of_every_thread(sidekey: &Sidekey, field: &str) -> Vec<String> {
    let of_thread = |path: &Path| {
        let status = read_to_string(path.join("status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
        line.trim_start_matches(':').trim().to_owned()
    };
    let threads = read_dir(format!("/proc/{}/task", sidekey.id())).unwrap();
    threads.map(|thread| of_thread(&thread.unwrap().path())).collect()
}

#[test]
fn one_line_says_of_every_measure_whether_it_holds() {
    let origin = Origin::ok();
    let line = told(&start(&origin, &[]));
    for measure in ["not_dumpable", "no_core_files", "no_new_privs", "seccomp"] {
        assert_eq!(line[measure], "holds", "{line}");
    }
    // Not every kernel has it.
    let landlock = line["landlock"].as_str().unwrap();
    match line["level"].as_str().unwrap() {
        "INFO" => assert_eq!((landlock, &line["message"]), ("holds", &"hardened".into())),
        _ => assert!(landlock.starts_with("does not hold: this system"), "{line}"),
    }
}

#[test]
fn without_hardening_the_log_says_so_and_nothing_is_given_up() {
    let origin = Origin::ok();
    let sidekey = start(&origin, &["--no-hardening"]);
    let line = told(&sidekey);
    assert_eq!((&line["level"], &line["message"]), (&"WARN".into(), &"not hardened: `--no-hardening`".into()));
    let before = read_to_string("/proc/self/status").unwrap();
    let filtered = before.lines().any(|line| line.starts_with("Seccomp:") && !line.ends_with('0'));
    assert!(filtered || of_every_thread(&sidekey, "Seccomp").iter().all(|mode| mode == "0"));
}

#[test]
fn no_thread_escapes() {
    let origin = Origin::ok();
    let config = format!("[server]\nworkers = 3\n{}", origin.upstream("api"));
    let sidekey = Sidekey::start(&config);
    sidekey.ask(get("/api/x")).assert_passed_on(200);
    let threads = of_every_thread(&sidekey, "Name").len();
    assert!(threads >= 5, "three workers, the log's writer and the main thread: {threads}");
    assert!(of_every_thread(&sidekey, "Seccomp").iter().all(|mode| mode == "2"), "2 is a filter");
    assert!(of_every_thread(&sidekey, "NoNewPrivs").iter().all(|set| set == "1"));
}

/// Whether a process of the same user as `sidekey`, which runs as `user`, can read the file `name` of it.
fn can_read(sidekey: &Sidekey, user: Option<u32>, name: &str) -> bool {
    let mut reader = Command::new("cat");
    reader.arg(format!("/proc/{}/{name}", sidekey.id()));
    if let Some(user) = user {
        reader.uid(user).gid(user);
    }
    let output = reader.output().unwrap();
    assert!(output.status.success() || String::from_utf8_lossy(&output.stderr).contains("ermission denied"));
    output.status.success()
}

#[test]
fn memory_and_environment_are_closed_to_the_same_user() {
    let program = env!("CARGO_BIN_EXE_sidekey");
    // Root may read everything, so root tests as somebody else.
    let user = geteuid().is_root().then_some(NOBODY);
    if user.is_some() && Command::new(program).arg("--version").uid(NOBODY).output().is_err() {
        return eprintln!("skipped: another user cannot run {program}");
    }
    let origin = Origin::ok();
    for (more, readable) in [(&["--no-hardening"][..], true), (&[], false)] {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().to_owned();
        let sidekey = Sidekey::start_with(folder, &origin.upstream("api"), "json", |command| {
            command.args(more);
            if let Some(user) = user {
                command.uid(user).gid(user);
                for path in [place.join("sidekey.toml"), place] {
                    chown(path, Some(user), Some(user)).unwrap();
                }
            }
        });
        for name in ["environ", "maps", "auxv"] {
            assert_eq!(can_read(&sidekey, user, name), readable, "{name} {more:?}");
        }
        sidekey.ask(get("/api/x")).assert_passed_on(200);
    }
}

#[test]
fn a_crash_leaves_no_core() {
    let limit = getrlimit(Resource::Core);
    // Children have it from here: without hardening, a crash would leave one.
    setrlimit(Resource::Core, Rlimit { current: limit.maximum, ..limit }).unwrap();
    let origin = Origin::ok();
    let files = |sidekey: &Sidekey| read_dir(sidekey.room()).unwrap().map(|entry| entry.unwrap().path()).collect();
    // Not QUIT: who runs the tests in the background may have it ignored.
    for signal in ["ABRT", "SYS"] {
        let mut sidekey = start(&origin, &[]);
        sidekey.signal(signal);
        assert_eq!(sidekey.wait().code, None, "{signal} ends it");
        assert_eq!(files(&sidekey), Vec::<std::path::PathBuf>::new());
    }
    // That there would be one can be seen only where the kernel puts it into the working directory.
    let pattern = read_to_string("/proc/sys/kernel/core_pattern").unwrap_or_default();
    if pattern.trim() == "core" && limit.maximum != Some(0) {
        let mut sidekey = start(&origin, &["--no-hardening"]);
        sidekey.signal("ABRT");
        sidekey.wait();
        let cores: Vec<_> = files(&sidekey);
        assert!(!cores.is_empty(), "a core file");
        // Or the harness would find the secrets in it.
        cores.into_iter().for_each(|core| fs::remove_file(core).unwrap());
    }
}

#[test]
fn names_are_still_looked_up() {
    if !Path::new("/etc/resolv.conf").exists() {
        return eprintln!("skipped: there is no /etc/resolv.conf");
    }
    let sidekey = Sidekey::start(
        "[upstream.api]\nurl = \"https://nobody.invalid\"\nauth.bearer = { token = \"env:TOKEN\" }\n\
         timeouts = { lookup = \"200ms\" }\n",
    );
    sidekey.ask(get("/api/x"));
    let record = sidekey.access(|_| true);
    let error = record["error"].as_str().unwrap();
    assert!(!error.contains("the system's resolver configuration"), "{error}");
}
