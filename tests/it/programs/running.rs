//! A program that a test runs: it says what happens a line at a time, and is told by lines.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::support::until;

/// What has to come up, such as an interpreter with its libraries, may take its time on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running program, which is killed when this is dropped.
pub(super) struct Program {
    child: Child,
    called: String,
    lines: Receiver<String>,
    errors: Arc<Mutex<Vec<u8>>>,
}

impl Program {
    pub(super) fn start(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let called = format!("{command:?}");
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{called}: {error}"));
        let (out, mut err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let (said, lines) = channel();
        thread::spawn(move || {
            let lines = BufReader::new(out).lines().map_while(Result::ok);
            // The test may be over.
            lines.for_each(|line| drop(said.send(line)));
        });
        let errors = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&errors);
        thread::spawn(move || {
            let mut space = [0; 4096];
            while let Ok(length @ 1..) = err.read(&mut space) {
                noted.lock().unwrap().extend_from_slice(&space[..length]);
            }
        });
        Self { child, called, lines, errors }
    }

    /// What comes after `begin` in the next line that begins so.
    pub(super) fn wait_for(&self, begin: &str) -> String {
        loop {
            let Ok(line) = self.lines.recv_timeout(PATIENCE) else {
                panic!("{} does not say `{begin}`: {}", self.called, self.errors());
            };
            if let Some(rest) = line.strip_prefix(begin) {
                return rest.to_owned();
            }
        }
    }

    pub(super) fn tell(&mut self, line: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    /// Waits until it ends, which must be with success, and returns what it said.
    pub(super) fn finish(mut self) -> String {
        drop(self.child.stdin.take());
        let mut said = String::new();
        // The channel ends with the program's output.
        while let Ok(line) = self.lines.recv_timeout(PATIENCE * 2) {
            said.push_str(&line);
            said.push('\n');
        }
        let status = until("its end", || self.child.try_wait().unwrap());
        assert!(status.success(), "{}: {status}\n{said}{}", self.called, self.errors());
        said
    }

    pub(super) fn signal(&self, name: &str) {
        let script = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &script]).status().unwrap().success());
    }

    fn errors(&self) -> String {
        String::from_utf8_lossy(&self.errors.lock().unwrap()).into_owned()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It has ended, or the test is over.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("--- {} wrote ---\n{}", self.called, self.errors());
        }
    }
}
