//! Clients and servers that this project did not write: a real one of each protocol on either side of sidekey. They come
//! from Debian, PyPI (`requirements.txt`) and npm (`package.json`); `.ci/run` installs them and runs these tests.
//!
//! `origin.py` and `origin.mjs` are the upstreams, with the same paths; the other scripts are callers, which judge what
//! they get and end with success only if it is right.

mod clients;
mod contents;
mod curl;
mod events;
mod grpc;
mod http2;
mod listener_tls;
mod running;
mod uploads;
mod websocket;

use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use self::running::Program;
use crate::support::{Authority, Sidekey};

/// What the upstream is sent in place of whatever the caller sent.
const TOKEN: &str = "t0ken-of-the-programs-5b1e9c";

/// Which program is the upstream.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Hypercorn,
    Node,
}

const KINDS: [Kind; 2] = [Kind::Hypercorn, Kind::Node];

/// An upstream, and sidekey before it, where its name is `api`.
struct Behind {
    sidekey: Sidekey,
    origin: Program,
    origin_port: u16,
}

impl Behind {
    /// An upstream of this kind that speaks HTTP/1.1.
    fn start(kind: Kind) -> Self {
        Self::start_with(kind, "http/1.1", "", "")
    }

    /// One that speaks what `alpn` lists, behind a sidekey with `more` keys of the upstream, and `tables`.
    fn start_with(kind: Kind, alpn: &str, more: &str, tables: &str) -> Self {
        let folder = Folder::new();
        let command = match kind {
            Kind::Hypercorn => python("origin.py"),
            Kind::Node => node("origin.mjs"),
        };
        let origin = folder.start(command, alpn);
        let origin_port = origin.wait_for("port ").parse().unwrap();
        Self { sidekey: folder.sidekey(origin_port, more, tables), origin, origin_port }
    }

    /// The URL of `path` at the upstream, through sidekey.
    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base())
    }

    fn base(&self) -> String {
        format!("http://localhost:{}/api", self.sidekey.address().port())
    }

    /// The URL of `path` at the upstream itself.
    fn direct_url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.origin_port)
    }

    /// Runs a caller to its end with the base URL and `arguments`, and returns what it said. It must find all as it
    /// should be, and never get the credential.
    fn run(&self, mut caller: Command, arguments: &[&str]) -> String {
        caller.arg(self.base()).args(arguments);
        let said = Program::start(caller).finish();
        assert!(!said.contains(TOKEN), "the caller got the credential: {said}");
        said
    }
}

/// Where an upstream's certificate, its files and the credential are.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let authority = Authority::new();
        authority.write(folder.path());
        // Its subject is not its issuer: OpenSSL would take it for one that is signed by itself.
        let (certificate, key) = authority.server_called("localhost", "a vendor").pem();
        std::fs::write(at("cert.pem"), certificate).unwrap();
        write_secret(&at("key.pem"), &key);
        write_secret(&at("token"), TOKEN);
        let (certificate, key) = authority.client("app.example").pem();
        std::fs::write(at("client.pem"), certificate).unwrap();
        write_secret(&at("client.key"), &key);
        std::fs::create_dir(at("files")).unwrap();
        let numbers: String = (0..100_000).map(|number| format!("{number}\n")).collect();
        std::fs::write(at("files/numbers.txt"), numbers).unwrap();
        Self(folder)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn start(&self, mut command: Command, alpn: &str) -> Program {
        command.env("FOLDER", self.path()).env("TOKEN", TOKEN).env("ALPN", alpn);
        Program::start(command)
    }

    /// Starts sidekey before the upstream at `port`. `FOLDER` in `tables` is this folder.
    fn sidekey(self, port: u16, more: &str, tables: &str) -> Sidekey {
        let tables = tables.replace("FOLDER", self.path().to_str().unwrap());
        let config = format!(
            "[upstream.api]\nurl = \"https://localhost:{port}\"\nauth.bearer = {{ token = \"file:token\" }}\n\
             tls = {{ ca_file = {:?} }}\n{more}\n{tables}",
            self.path().join("ca.pem")
        );
        Sidekey::start_in(self.0, &config, "json")
    }
}

fn write_secret(path: &Path, text: &str) {
    use std::io::Write;
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).unwrap();
    writeln!(file, "{text}").unwrap();
}

fn repository() -> PathBuf {
    env!("CARGO_MANIFEST_DIR").into()
}

/// Where `.ci/run` puts what the scripts use.
fn installed() -> PathBuf {
    repository().join(".ci/cache/programs")
}

fn script(name: &str) -> PathBuf {
    repository().join("tests/it/programs").join(name)
}

fn python(name: &str) -> Command {
    let mut command = program(installed().join("bin/python"));
    // Nothing is written beside the scripts.
    command.arg("-B").arg(script(name));
    command
}

fn node(name: &str) -> Command {
    let mut command = program("node");
    command.arg(script(name)).env("NODE_PATH", installed().join("node_modules"));
    command
}

/// A program without the settings that would lead its requests elsewhere.
fn program(name: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(name);
    for variable in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
        command.env_remove(variable).env_remove(variable.to_uppercase());
    }
    command
}
