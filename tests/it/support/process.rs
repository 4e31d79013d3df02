//! The binary as a process, and everything that it writes.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::{PATIENCE, until};

/// How a process ended, and what it wrote.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) took: Duration,
}

/// Runs the binary with `arguments` to its end.
pub(crate) fn command(arguments: &[&str]) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sidekey"));
    command.args(arguments);
    Process::start(command).wait()
}

/// Runs `sidekey check` on `config`, written into `folder`, with a value in each of `variables`.
pub(crate) fn check_with(folder: &Path, config: &str, variables: &[&str]) -> Ended {
    let file = folder.join("sidekey.toml");
    std::fs::write(&file, config).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_sidekey"));
    command.args(["check", "--config"]).arg(file);
    command.envs(variables.iter().map(|name| (name, "v4lue")));
    Process::start(command).wait()
}

pub(super) struct Process {
    child: Child,
    began: Instant,
    stdout: Arc<Mutex<Vec<u8>>>,
    stderr: Arc<Mutex<Vec<u8>>>,
    readers: Vec<JoinHandle<()>>,
    status: Option<ExitStatus>,
}

impl Process {
    pub(super) fn start(mut command: Command) -> Self {
        command.env_remove("SIDEKEY_CONFIG").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (stdout, stderr) = (Arc::default(), Arc::default());
        let readers = vec![
            collect(child.stdout.take().unwrap(), Arc::clone(&stdout)),
            collect(child.stderr.take().unwrap(), Arc::clone(&stderr)),
        ];
        Self { child, began: Instant::now(), stdout, stderr, readers, status: None }
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
