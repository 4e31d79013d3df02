//! Commands that are run by this process itself; what the broker runs is for the integration tests.

use std::fs::read_to_string;
use std::path::Path;
use std::time::{Duration, Instant};

use super::{CommandError, Commands, Invocation, RETRY, TIMEOUT, child};

const TTL: Duration = Duration::from_secs(300);

fn shell(script: &str) -> Vec<String> {
    ["sh", "-c", script].map(String::from).to_vec()
}

fn run(script: &str) -> Result<Vec<u8>, CommandError> {
    child::run(&shell(script), TIMEOUT).map(|output| output.to_vec())
}

#[test]
fn what_a_program_prints_is_read_and_what_it_complains_of_is_not() {
    assert_eq!(run("echo secret; echo complaint >&2"), Ok(b"secret\n".to_vec()));
    // Nothing is there to be asked.
    assert_eq!(run("cat"), Ok(Vec::new()));
    // The words are the program's as they are.
    let words = ["printf", "%s|", "a b", "$HOME", "*", ""].map(String::from);
    assert_eq!(child::run(&words, TIMEOUT).unwrap().as_slice(), b"a b|$HOME|*||");
}

#[test]
fn a_program_that_fails_is_told_by_how_it_ended() {
    assert_eq!(run("echo secret; exit 3"), Err(CommandError::Failed(3)));
    assert_eq!(run("echo secret; kill -9 $$"), Err(CommandError::Killed(9)));
    let start = |program: &str| child::run(&[program.to_owned()], TIMEOUT).map(drop);
    assert_eq!(start("sidekey-test-no-such-program"), Err(CommandError::NoProgram));
    assert_eq!(start("/dev/null/x"), Err(CommandError::NoProgram));
    assert_eq!(start("/dev/null"), Err(CommandError::Denied));
}

#[test]
fn a_program_is_ended_at_its_deadline_with_all_that_it_started() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("id");
    // Either would hold standard output open for a minute.
    let script = format!("sleep 60 & echo $! > {}; wait", file.display());
    let began = Instant::now();
    let outcome = child::run(&shell(&script), Duration::from_secs(2)).map(drop);
    assert_eq!(outcome, Err(CommandError::TimedOut));
    let started = read_to_string(&file).unwrap();
    let status = format!("/proc/{}/stat", started.trim());
    // Whoever takes in orphans may not have looked yet: then it is a zombie.
    let ended = |state: String| state.is_empty() || state.contains(") Z ") || state.contains(") X ");
    while !ended(read_to_string(&status).unwrap_or_default()) {
        assert!(began.elapsed() < Duration::from_secs(30), "it goes on");
        std::thread::yield_now();
    }
}

#[test]
fn a_program_that_prints_without_end_is_ended() {
    let began = Instant::now();
    let printed = run("yes").unwrap().len();
    assert!(printed > crate::secret::source::MAX_SECRET && printed < 100_000, "{printed}");
    assert!(began.elapsed() < TIMEOUT, "{:?}", began.elapsed());
}

/// A command that says how often it has been run.
fn counting(folder: &Path, then: &str) -> Vec<String> {
    shell(&format!("echo x >> {0}/runs; wc -l < {0}/runs; {then}", folder.display()))
}

#[test]
fn a_command_is_run_again_when_its_time_is_over_and_not_before() {
    let folder = tempfile::tempdir().unwrap();
    let mut commands = Commands::new();
    let began = Instant::now();
    let mut read = |after: u64, ttl: Duration| {
        let now = began + Duration::from_secs(after);
        let printed = commands.read(&counting(folder.path(), ""), ttl, TIMEOUT, now).unwrap();
        String::from_utf8(printed.to_vec()).unwrap().trim().to_owned()
    };
    let runs = [read(0, TTL), read(5, TTL), read(299, TTL), read(300, TTL), read(599, TTL), read(600, TTL)];
    assert_eq!(runs, ["1", "1", "1", "2", "2", "3"]);
    assert_eq!(read(601, Duration::from_millis(1)), "4", "a shorter time that was written since counts");
}

#[test]
fn a_command_that_failed_is_left_alone_for_a_while() {
    let folder = tempfile::tempdir().unwrap();
    let mut commands = Commands::new();
    let began = Instant::now();
    for (after, runs) in [(0, 1), (5, 1), (RETRY.as_secs() - 1, 1), (RETRY.as_secs(), 2)] {
        let now = began + Duration::from_secs(after);
        let outcome = commands.read(&counting(folder.path(), "exit 1"), TTL, TIMEOUT, now);
        assert_eq!(outcome.map(drop), Err(CommandError::Failed(1)));
        assert_eq!(read_to_string(folder.path().join("runs")).unwrap().lines().count(), runs, "{after}");
    }
}

#[test]
fn what_was_printed_can_be_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let invocation = Invocation::new(counting(folder.path(), "")).unwrap();
    let read = || super::read(&invocation, Path::new("")).unwrap().to_vec();
    assert_eq!((read(), read()), (b"1\n".to_vec(), b"1\n".to_vec()));
    super::run_again();
    assert_eq!(read(), b"2\n");
}

#[test]
fn what_was_printed_is_not_kept_for_longer_than_it_counts() {
    let mut commands = Commands::new();
    let began = Instant::now();
    let gone = shell("echo secret");
    commands.read(&gone, TTL, TIMEOUT, began).unwrap();
    let mut is_kept_after = |age: Duration| {
        commands.forget_overdue(began + age);
        commands.known[&gone].last.is_some()
    };
    assert!(is_kept_after(TTL / 2));
    assert!(!is_kept_after(TTL));
}

#[test]
fn a_program_with_a_slash_is_a_path_from_the_configs_folder() {
    let line = |program: &str| {
        let invocation = Invocation::new(vec![program.to_owned(), "a/b".to_owned()]).unwrap();
        invocation.command_line(Path::new("/etc/sidekey"))
    };
    assert_eq!(line("op"), ["op", "a/b"]);
    assert_eq!(line("./key"), ["/etc/sidekey/./key", "a/b"]);
    assert_eq!(line("/bin/key"), ["/bin/key", "a/b"]);
}
