//! sidekey under test: a process with a config of its own, whose secrets are canaries.

use std::fs::read_to_string;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use rustls::ClientConfig;
use serde_json::Value;
use tempfile::TempDir;

use super::canary::{Canaries, QUERY};
use super::http2::{FrameCaller, Http2Caller};
use super::process::{Ended, Process};
use super::wire::Record;
use super::{Caller, until};

/// A running sidekey. When it is dropped it is stopped, and it is asserted that no secret has got out.
pub(crate) struct Sidekey {
    process: Process,
    addresses: Vec<String>,
    heard: Mutex<Vec<Record>>,
    folder: TempDir,
}

impl Sidekey {
    /// Starts with `config`, to which a `[server]` and a listener are added if it has none. Every `env:NAME` and every
    /// relative `file:NAME` in it gets a canary.
    pub(crate) fn start(config: &str) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), config, "json")
    }

    /// As [`start`](Self::start), in a folder that has files already, with log lines of `log_format`; empty: no flag.
    pub(crate) fn start_in(folder: TempDir, config: &str, log_format: &str) -> Self {
        Self::start_with(folder, config, log_format, |_| {})
    }

    /// As [`start_in`](Self::start_in), with what `adjust` makes of the command, once all files are there.
    pub(crate) fn start_with(
        folder: TempDir,
        config: &str,
        log_format: &str,
        adjust: impl FnOnce(&mut Command),
    ) -> Self {
        Self::start_with_input(folder, config, log_format, Stdio::null(), adjust)
    }

    /// As [`start_with`](Self::start_with), with `input` as standard input.
    pub(crate) fn start_with_input(
        folder: TempDir,
        config: &str,
        log_format: &str,
        input: Stdio,
        adjust: impl FnOnce(&mut Command),
    ) -> Self {
        let mut text = config.to_owned();
        if !text.contains("[server]") {
            text.insert_str(0, "[server]\nworkers = 1\ndrain = \"2s\"\n\n");
        }
        if !text.contains("[listen.") {
            text.push_str("\n[listen.local]\naddress = \"127.0.0.1:0\"\n");
        }
        let listeners = text.matches("[listen.").count();
        let file = folder.path().join("sidekey.toml");
        std::fs::write(&file, &text).unwrap();
        let canaries = Canaries::plant(folder.path(), &text);
        let mut command = Command::new(env!("CARGO_BIN_EXE_sidekey"));
        command.arg("run");
        if !log_format.is_empty() {
            command.args(["--log-format", log_format]);
        }
        command.arg("--config").arg(&file);
        adjust(&mut command);
        let mut process = Process::start_with_input(command, canaries, input);
        let addresses = until("listening", || {
            assert!(!process.has_ended(), "sidekey did not start: {}", process.wait().stderr);
            let addresses = if is_quiet(&text) { bound(&text) } else { listening(&process.stderr()) };
            (addresses.len() == listeners).then_some(addresses)
        });
        Self { process, addresses, heard: Mutex::default(), folder }
    }

    /// Where the first listener is.
    pub(crate) fn address(&self) -> SocketAddr {
        self.nth_address(0)
    }

    /// Where a listener is, in the order of the config.
    pub(crate) fn nth_address(&self, index: usize) -> SocketAddr {
        self.addresses[index].parse().unwrap()
    }

    /// Where the admin listener is.
    pub(crate) fn admin_address(&self) -> SocketAddr {
        let line = until("the admin listener", || {
            let log = self.log();
            log.lines().find(|line| line.contains("admin listener bound")).map(str::to_owned)
        });
        let line: Value = serde_json::from_str(&line).unwrap();
        line["address"].as_str().unwrap().parse().unwrap()
    }

    /// What the admin listener answers to a GET of `page`, with `fields`, each with its line's end.
    pub(crate) fn ask_admin(&self, page: &str, fields: &str) -> super::Response {
        let mut caller = self.connect_to(self.admin_address());
        caller.send(super::get_with(page, fields));
        caller.response()
    }

    pub(crate) fn connect(&self) -> Caller {
        self.connect_to(self.address())
    }

    pub(crate) fn connect_to(&self, address: SocketAddr) -> Caller {
        Caller::tcp(address, self.hear())
    }

    /// By TLS, to the first listener. An error: sidekey would not.
    pub(crate) fn connect_tls(&self, config: &Arc<ClientConfig>) -> std::io::Result<Caller> {
        Caller::tls(self.address(), Arc::clone(config), self.hear())
    }

    pub(crate) fn connect_to_file(&self, path: &Path) -> Caller {
        Caller::unix(path, self.hear())
    }

    pub(crate) fn connect_http2(&self) -> Http2Caller {
        Http2Caller::new(self.address(), self.hear(), 65_535)
    }

    /// One that has room for the others while it does not read what comes on some of its streams.
    pub(crate) fn connect_http2_with_room(&self) -> Http2Caller {
        Http2Caller::new(self.address(), self.hear(), 1 << 20)
    }

    /// A caller that sends any frames, and begins with `settings`.
    pub(crate) fn connect_frames(&self, settings: &[u8]) -> FrameCaller {
        FrameCaller::new(self.connect(), settings)
    }

    /// One request on a connection of its own, and its answer.
    pub(crate) fn ask(&self, request: impl AsRef<[u8]>) -> super::Response {
        let mut caller = self.connect();
        caller.send(request);
        caller.response()
    }

    fn hear(&self) -> Record {
        let record = Record::default();
        self.heard.lock().unwrap().push(record.clone());
        record
    }

    /// The secret behind a reference, such as `env:TOKEN`.
    pub(crate) fn secret(&self, reference: &str) -> &str {
        self.process.canaries.secret(reference)
    }

    pub(crate) fn folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// The process's working directory, which is empty but for what it writes.
    pub(crate) fn room(&self) -> PathBuf {
        self.process.room().to_owned()
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Everything on standard error until now.
    pub(crate) fn log(&self) -> String {
        self.process.stderr()
    }

    /// Waits for the access record that `which` picks.
    pub(crate) fn access(&self, which: impl Fn(&Value) -> bool) -> Value {
        until("an access record", || {
            let log = self.log();
            let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            lines.filter(|line| line["target"] == "access").find(|line| which(line))
        })
    }

    /// `VmHWM` or another size from `/proc`, in bytes.
    pub(crate) fn memory(&self, what: &str) -> u64 {
        let status = read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with(what)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }

    pub(crate) fn signal(&self, name: &str) {
        self.process.signal(name);
    }

    /// Stops the process where it is, until it gets `CONT`.
    pub(crate) fn hold(&self) {
        self.signal("STOP");
        let stat = format!("/proc/{}/stat", self.process.id());
        until("that it is held", || read_to_string(&stat).unwrap().contains(") T ").then_some(()));
    }

    /// Waits for the process to end by itself.
    pub(crate) fn wait(&mut self) -> Ended {
        self.process.wait()
    }

    /// SIGTERM, and how it ended.
    pub(crate) fn stop(&mut self) -> Ended {
        self.signal("TERM");
        self.wait()
    }
}

impl Drop for Sidekey {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- sidekey wrote ---\n{}", self.log());
            return;
        }
        if !self.process.has_ended() {
            self.signal("TERM");
            self.process.wait();
        }
        // That no secret is in it, the process asserts for itself.
        let log = self.process.stderr();
        assert!(!log.contains(QUERY), "a query got out to the log: {log}");
        assert!(!log.contains("panicked"), "sidekey panicked: {log}");
        for record in self.heard.lock().unwrap().iter() {
            self.process.canaries.assert_none_in(&record.lock().unwrap(), "a caller");
        }
    }
}

/// Whether the log of this config does not say that sidekey listens.
fn is_quiet(config: &str) -> bool {
    ["warn", "error"].iter().any(|level| config.contains(&format!("\nlevel = \"{level}\"\n")))
}

/// Of the Unix sockets in a config, those that are there.
fn bound(config: &str) -> Vec<String> {
    let path = |line: &str| line.strip_prefix("address = \"unix:")?.strip_suffix('"').map(str::to_owned);
    config.lines().filter_map(path).filter(|path| Path::new(path).exists()).collect()
}

/// The addresses that the log says sidekey listens at, in JSON or for a reader.
fn listening(log: &str) -> Vec<String> {
    let address = |line: &str| match serde_json::from_str::<Value>(line) {
        Ok(line) => (line["message"] == "listening").then(|| line["address"].as_str().unwrap().to_owned()),
        Err(_) => line.split_once(" listening address=").map(|(_, address)| address.to_owned()),
    };
    log.split_inclusive('\n').filter(|line| line.ends_with('\n')).filter_map(|line| address(line.trim_end())).collect()
}
