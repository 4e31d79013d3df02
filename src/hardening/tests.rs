//! A process of the tests' own is hardened as `sidekey run` is, and tries what it may not do any more.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::channel;
use std::thread;

use rustix::process::{DumpableBehavior, Resource, dumpable_behavior, getrlimit};

use super::{Hardening, NotHeld, Places, close_memory};
use crate::BoundAddress;

/// Names the folder, in the environment of the process that tries.
const CHILD: &str = "SIDEKEY_TEST_HARDENED";

/// Runs the test `name` again, as a process that is told to be the one that tries, and asserts that it went well.
fn in_a_process_of_its_own(name: &str) -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "it is how the process is told")]
    if let Some(folder) = std::env::var_os(CHILD) {
        return Some(folder.into());
    }
    let folder = tempfile::tempdir().unwrap();
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", &format!("hardening::tests::{name}")])
        .env(CHILD, folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success() && said.contains("1 passed"), "{said}\n{}", String::from_utf8_lossy(&child.stderr));
    None
}

fn start_a_program() -> io::Result<bool> {
    Command::new("/bin/sh").args(["-c", "exit 0"]).status().map(|status| status.success())
}

fn assert_denied<T>(attempt: io::Result<T>, what: &str) {
    let error = attempt.map(drop).expect_err(what);
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{what}: {error}");
}

#[test]
fn a_hardened_process_reads_what_it_serves_with_and_nothing_else() {
    let Some(root) = in_a_process_of_its_own("a_hardened_process_reads_what_it_serves_with_and_nothing_else") else {
        return;
    };
    let at = |path: &str| root.join(path);
    for folder in ["config", "keys/v1", "sockets", "elsewhere"] {
        fs::create_dir_all(at(folder)).unwrap();
    }
    for file in ["config/sidekey.toml", "config/other", "keys/v1/token", "elsewhere/secret"] {
        fs::write(at(file), "text").unwrap();
    }
    // As a link in the config's folder leads away from it.
    symlink(at("keys/v1/token"), at("config/token")).unwrap();
    let _listener = UnixListener::bind(at("sockets/proxy.sock")).unwrap();
    assert!(start_a_program().unwrap() && File::open("/etc/passwd").is_ok(), "nothing is forbidden before");
    // A thread that is there already stands for another process that replaces files.
    let (replace, replacing) = channel::<()>();
    let other = {
        let (new, old) = (at("elsewhere/new"), at("config/sidekey.toml"));
        thread::spawn(move || {
            replacing.recv().unwrap();
            fs::write(&new, "replaced").and_then(|()| fs::rename(&new, &old))
        })
    };

    let files = [at("config/sidekey.toml"), at("config/token")];
    let places = Places::new(&files, &[BoundAddress::Unix(at("sockets/proxy.sock"))]);
    let hardening = Hardening::apply(close_memory(), &places);

    match hardening.landlock {
        Ok(()) => {}
        // Nothing is there to be tried: that the log says so is for the integration tests.
        Err(NotHeld::Unsupported | NotHeld::Partial) => return,
        Err(error) => panic!("{error}"),
    }
    assert_eq!(fs::read(at("config/sidekey.toml")).unwrap(), b"text");
    assert_eq!(fs::read(at("config/token")).unwrap(), b"text");
    replace.send(()).unwrap();
    other.join().unwrap().unwrap();
    assert_eq!(fs::read(at("config/sidekey.toml")).unwrap(), b"replaced");
    for resolver in ["/etc/resolv.conf", "/etc/hosts"].map(Path::new).into_iter().filter(|path| path.exists()) {
        File::open(resolver).unwrap();
    }
    fs::remove_file(at("sockets/proxy.sock")).unwrap();

    assert_denied(File::open(at("elsewhere/secret")), "reading another file");
    assert_denied(File::open("/etc/passwd"), "reading what belongs to the system");
    assert_denied(fs::read_dir("/"), "listing another folder");
    assert_denied(OpenOptions::new().write(true).open(at("config/other")), "writing a file that may be read");
    assert_denied(fs::write(at("config/made"), ""), "making a file");
    assert_denied(fs::remove_file(at("config/other")), "removing a file");
    assert_denied(fs::rename(at("config/other"), at("config/moved")), "renaming a file");
    assert_denied(UnixListener::bind(at("sockets/made.sock")), "making a socket");
}

#[test]
fn a_hardened_process_starts_no_program_from_any_thread() {
    if in_a_process_of_its_own("a_hardened_process_starts_no_program_from_any_thread").is_none() {
        return;
    }
    let (go, going) = channel::<()>();
    let earlier = thread::spawn(move || {
        going.recv().unwrap();
        start_a_program()
    });
    let hardening = Hardening::apply(close_memory(), &Places::new(&[], &[]));
    assert!(hardening.seccomp.is_ok() && hardening.no_new_privs.is_ok());
    go.send(()).unwrap();
    for attempt in [start_a_program(), earlier.join().unwrap(), thread::spawn(start_a_program).join().unwrap()] {
        // Landlock would say EACCES: it is the filter that refuses.
        assert_eq!(attempt.unwrap_err().raw_os_error(), Some(libc::EPERM));
    }
}

#[test]
fn closed_memory_stays_closed() {
    if in_a_process_of_its_own("closed_memory_stays_closed").is_none() {
        return;
    }
    let memory = close_memory();
    assert!(memory.not_dumpable.is_ok() && memory.no_core_files.is_ok());
    assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
    let limit = getrlimit(Resource::Core);
    assert_eq!((limit.current, limit.maximum), (Some(0), Some(0)));
}

#[test]
fn the_root_folder_is_never_opened_as_a_whole() {
    let socket = BoundAddress::Unix("/proxy.sock".into());
    let places = Places::new(&["/sidekey.toml".into(), "/etc/../sidekey.toml".into()], &[socket]);
    assert!(places.remove_from.is_empty());
    assert!(!places.read.contains(&PathBuf::from("/")), "{:?}", places.read);
}
