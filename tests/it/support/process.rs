//! The binary as a process, and everything that it writes: none of it may hold one of its secrets.

use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::canary::{Canaries, LITERAL};
use super::{PATIENCE, until};

/// How a process ended, and what it wrote.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) took: Duration,
}

/// Runs the binary with `arguments` to its end. The secrets of the config that they name are looked for afterwards.
pub(crate) fn command(arguments: &[&str]) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sidekey"));
    command.args(arguments);
    Process::start(command, secrets_of(arguments)).wait()
}

/// As [`command`], within limits as `ulimit` has them, such as `-n 8`.
pub(crate) fn command_within(limits: &str, arguments: &[&str]) -> Ended {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit {limits} && exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_sidekey")]);
    command.args(arguments);
    Process::start(command, secrets_of(arguments)).wait()
}

fn secrets_of(arguments: &[&str]) -> Canaries {
    let file = arguments.iter().skip_while(|argument| **argument != "--config").nth(1);
    file.map(|file| Canaries::find(Path::new(file))).unwrap_or_default()
}

/// Runs `sidekey check` on `config`, written into `folder`, with a secret in each of `variables`.
pub(crate) fn check_with(folder: &Path, config: &str, variables: &[&str]) -> Ended {
    let file = folder.join("sidekey.toml");
    std::fs::write(&file, config).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_sidekey"));
    command.args(["check", "--config"]).arg(&file);
    let mut canaries = Canaries::find(&file);
    variables.iter().for_each(|name| canaries.add_variable(name));
    Process::start(command, canaries).wait()
}

/// A process with its secrets. When it is dropped it is asserted that none is in what it wrote.
pub(super) struct Process {
    pub(super) canaries: Canaries,
    /// Where it is, and where its temporary files go: all that is in here it has written.
    room: TempDir,
    child: Child,
    began: Instant,
    stdout: Arc<Mutex<Vec<u8>>>,
    stderr: Arc<Mutex<Vec<u8>>>,
    readers: Vec<JoinHandle<()>>,
    status: Option<ExitStatus>,
}

impl Process {
    pub(super) fn start(command: Command, canaries: Canaries) -> Self {
        Self::start_with_input(command, canaries, Stdio::null())
    }

    pub(super) fn start_with_input(mut command: Command, canaries: Canaries, input: Stdio) -> Self {
        let room = tempfile::tempdir().unwrap();
        // Whatever user it runs as.
        std::fs::set_permissions(room.path(), PermissionsExt::from_mode(0o777)).unwrap();
        command.current_dir(room.path()).env("TMPDIR", room.path()).env_remove("SIDEKEY_CONFIG");
        // One that no config refers to, and nothing has a reason to read.
        command.env("SIDEKEY_TEST_UNREFERENCED", LITERAL).envs(canaries.variables());
        command.stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (stdout, stderr) = (Arc::default(), Arc::default());
        let readers = vec![
            collect(child.stdout.take().unwrap(), Arc::clone(&stdout)),
            collect(child.stderr.take().unwrap(), Arc::clone(&stderr)),
        ];
        Self { canaries, room, child, began: Instant::now(), stdout, stderr, readers, status: None }
    }

    pub(super) fn room(&self) -> &Path {
        self.room.path()
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.stdout.lock().unwrap()).into_owned()
    }

    pub(super) fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.stderr.lock().unwrap()).into_owned()
    }

    pub(super) fn has_ended(&mut self) -> bool {
        if self.status.is_none() {
            self.status = self.child.try_wait().unwrap();
        }
        self.status.is_some()
    }

    /// Sends a signal by its name, such as `TERM`.
    pub(super) fn signal(&self, name: &str) {
        let script = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &script]).status().unwrap().success());
    }

    /// Waits for the end of the process and of what it wrote.
    pub(super) fn wait(&mut self) -> Ended {
        let waiting = Instant::now();
        while !self.has_ended() && waiting.elapsed() < PATIENCE * 2 {
            thread::sleep(Duration::from_millis(2));
        }
        let took = waiting.elapsed();
        assert!(self.has_ended(), "the process does not end: {}", self.stderr());
        until("the end of what was written", || self.readers.iter().all(JoinHandle::is_finished).then_some(()));
        let code = self.status.and_then(|status| status.code());
        Ended { code, stdout: self.stdout(), stderr: self.stderr(), took: took.min(self.began.elapsed()) }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It has ended, or a test failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            return;
        }
        until("the end of what was written", || self.readers.iter().all(JoinHandle::is_finished).then_some(()));
        self.canaries.assert_none_in(&self.stdout.lock().unwrap(), "standard output");
        self.canaries.assert_none_in(&self.stderr.lock().unwrap(), "standard error");
        assert_none_in_files(&self.canaries, self.room.path());
    }
}

fn assert_none_in_files(canaries: &Canaries, folder: &Path) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let file_type = entry.file_type().unwrap();
        if file_type.is_dir() {
            assert_none_in_files(canaries, &entry.path());
        } else if file_type.is_file() {
            canaries.assert_none_in(&std::fs::read(entry.path()).unwrap(), "a file");
        }
    }
}

fn collect(mut pipe: impl Read + Send + 'static, written: Arc<Mutex<Vec<u8>>>) -> JoinHandle<()> {
    thread::spawn(move || {
        let mut space = [0; 4096];
        while let Ok(length @ 1..) = pipe.read(&mut space) {
            written.lock().unwrap().extend_from_slice(&space[..length]);
        }
    })
}

#[test]
fn all_that_a_process_writes_is_looked_through() {
    for (script, found) in [
        ("echo \"$SIDEKEY_TEST_UNREFERENCED\"", true),
        ("echo \"$SIDEKEY_TEST_UNREFERENCED\" >&2", true),
        ("mkdir a; printf %s \"$SIDEKEY_TEST_UNREFERENCED\" | base64 > a/b", true),
        ("echo harmless", false),
    ] {
        let ran = std::panic::catch_unwind(|| {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            Process::start(command, Canaries::default()).wait();
        });
        assert_eq!(ran.is_err(), found, "{script}");
    }
}
