//! Under systemd: what it is told, the sockets that it passes, and the units in `deploy/systemd`.

use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::support::{Origin, PATIENCE, Sidekey, get};

/// The service manager's end.
struct Manager {
    socket: UnixDatagram,
    folder: TempDir,
}

impl Manager {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(folder.path().join("notify")).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { socket, folder }
    }

    fn start(&self, config: &str, watchdog: Option<Duration>) -> Sidekey {
        Sidekey::start_with(tempfile::tempdir().unwrap(), config, "json", |command| {
            command.env("NOTIFY_SOCKET", self.folder.path().join("notify"));
            if let Some(watchdog) = watchdog {
                command.env("WATCHDOG_USEC", watchdog.as_micros().to_string());
            }
        })
    }

    fn next(&self) -> String {
        let mut message = [0; 4096];
        let length = self.socket.recv(&mut message).unwrap();
        String::from_utf8(message[..length].to_vec()).unwrap()
    }
}

#[test]
fn systemd_is_told_of_readiness_reload_and_stop() {
    let (manager, origin) = (Manager::new(), Origin::ok());
    let mut sidekey = manager.start(&origin.upstream("api"), None);
    // As it is a hardened process that says so.
    assert!(sidekey.log().contains("\"seccomp\":\"holds\""));
    let ready = format!("READY=1\nSTATUS=listening on {}\n", sidekey.address());
    assert_eq!(manager.next(), ready);
    sidekey.ask(get("/api/x")).assert_passed_on(200);
    for _ in 0..2 {
        sidekey.signal("HUP");
        let reloading = manager.next();
        let time = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap().lines().next().unwrap();
        assert!(time.parse::<u64>().unwrap() > 0, "{reloading}");
        assert_eq!(manager.next(), ready);
    }
    sidekey.signal("TERM");
    assert!(manager.next().starts_with("STOPPING=1\n"));
    assert_eq!(sidekey.wait().code, Some(0));
}

#[test]
fn the_watchdog_is_fed_twice_in_its_time_while_all_goes_well_and_not_before_it_is_ready() {
    let (manager, origin) = (Manager::new(), Origin::ok());
    let config = format!("[server]\nworkers = 3\n{}", origin.upstream("api"));
    let sidekey = manager.start(&config, Some(Duration::from_millis(300)));
    assert!(manager.next().starts_with("READY=1\n"));
    let began = Instant::now();
    for _ in 0..5 {
        assert_eq!(manager.next(), "WATCHDOG=1\n");
    }
    // The first comes at once, the others each after half of the time.
    assert!(began.elapsed() >= Duration::from_millis(500), "{:?}", began.elapsed());
    // A process that is held says nothing.
    sidekey.hold();
    manager.socket.set_nonblocking(true).unwrap();
    while manager.socket.recv(&mut [0; 64]).is_ok() {}
    manager.socket.set_nonblocking(false).unwrap();
    manager.socket.set_read_timeout(Some(Duration::from_millis(700))).unwrap();
    assert!(manager.socket.recv(&mut [0; 64]).is_err());
    sidekey.signal("CONT");
    manager.socket.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(manager.next(), "WATCHDOG=1\n");
}

#[test]
fn a_manager_that_cannot_be_told_is_a_line_in_the_log() {
    let origin = Origin::ok();
    let sidekey = Sidekey::start_with(tempfile::tempdir().unwrap(), &origin.upstream("api"), "json", |command| {
        command.env("NOTIFY_SOCKET", "/nowhere/notify").env("WATCHDOG_USEC", "20000");
    });
    sidekey.ask(get("/api/x")).assert_passed_on(200);
    crate::support::until_true("the line", || sidekey.log().contains("cannot tell the service manager"));
    sidekey.ask(get("/api/x")).assert_passed_on(200);
    assert_eq!(sidekey.log().matches("cannot tell the service manager").count(), 1);
}

/// Makes `command` one that finds its standard input among what systemd passes, once for each of `names`.
fn activate(command: &mut Command, names: &str) {
    let count = names.split(':').count();
    let script = match count {
        1 => "exec 3<&0 </dev/null; LISTEN_PID=$$ exec \"$@\"",
        _ => "exec 3<&0 4<&0 </dev/null; LISTEN_PID=$$ exec \"$@\"",
    };
    let mut shell = Command::new("sh");
    shell.args(["-c", script, "sh"]).arg(command.get_program()).args(command.get_args());
    shell.env("LISTEN_FDS", count.to_string()).env("LISTEN_FDNAMES", names);
    *command = shell;
}

fn start_activated(socket: impl Into<OwnedFd>, names: &str, config: &str) -> Sidekey {
    let folder = tempfile::tempdir().unwrap();
    Sidekey::start_with_input(folder, config, "json", Stdio::from(socket.into()), |command| activate(command, names))
}

fn listen_on(name: &str) -> String {
    format!("[listen.local]\naddress = \"systemd:{name}\"\n")
}

#[test]
fn who_connects_during_a_restart_is_served_after_it() {
    let origin = Origin::ok();
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let config = format!("{}{}", listen_on("local"), origin.upstream("api"));
    let start = || start_activated(socket.try_clone().unwrap(), "local", &config);
    let mut first = start();
    assert_eq!(first.address(), socket.local_addr().unwrap());
    first.ask(get("/api/x")).assert_passed_on(200);
    assert_eq!(first.stop().code, Some(0));
    let mut caller = first.connect();
    caller.send(get("/api/x"));
    let _second = start();
    caller.response().assert_passed_on(200);
}

#[test]
fn a_unix_socket_of_systemds_is_not_removed() {
    let origin = Origin::ok();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.sock");
    let socket = UnixListener::bind(&path).unwrap();
    let config = format!("{}{}", listen_on("app"), origin.upstream("api"));
    let mut sidekey = start_activated(socket.try_clone().unwrap(), "app", &config);
    assert!(sidekey.log().contains(&format!("unix:{}", path.display())));
    let mut caller = sidekey.connect_to_file(&path);
    caller.send(get("/api/x"));
    caller.response().assert_passed_on(200);
    assert_eq!(sidekey.stop().code, Some(0));
    assert!(path.exists());
}

#[test]
fn sockets_of_one_name_are_one_listeners() {
    let origin = Origin::ok();
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let config = format!("{}{}", listen_on("local"), origin.upstream("api"));
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("sidekey.toml"), config.replace("\"env:TOKEN\"", "\"file:token\"")).unwrap();
    std::fs::write(folder.path().join("token"), "made-up").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_sidekey"));
    command.args(["run", "--log-format", "json", "--config"]).arg(folder.path().join("sidekey.toml"));
    activate(&mut command, "local:local");
    let mut process = command.stdin(OwnedFd::from(socket.try_clone().unwrap())).stderr(Stdio::piped()).spawn().unwrap();
    let log = std::io::BufReader::new(process.stderr.take().unwrap());
    let told = std::io::BufRead::lines(log).map_while(Result::ok).filter(|line| line.contains("\"listening\"")).take(2);
    assert_eq!(told.count(), 2);
    drop(TcpStream::connect(socket.local_addr().unwrap()).unwrap());
    Command::new("kill").arg(process.id().to_string()).status().unwrap();
    process.wait().unwrap();
}

/// What becomes of a start with `config` and one socket under the name `names`.
fn refused(socket: impl Into<OwnedFd>, names: &str, config: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("sidekey.toml"), config.replace("\"env:TOKEN\"", "\"file:token\"")).unwrap();
    std::fs::write(folder.path().join("token"), "made-up").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_sidekey"));
    command.args(["run", "--config"]).arg(folder.path().join("sidekey.toml"));
    activate(&mut command, names);
    command.stdin(Stdio::from(socket.into())).output().unwrap()
}

#[test]
fn a_reload_does_not_open_a_socket_of_systemds_to_anyone() {
    let origin = Origin::ok();
    let socket = TcpListener::bind("0.0.0.0:0").unwrap();
    let caller = "[caller.app]\ntoken = \"env:APP\"\nupstreams = [\"api\"]\n";
    let config = format!("[reload]\ninterval = \"20ms\"\n{}{}{caller}", listen_on("local"), origin.upstream("api"));
    let sidekey = start_activated(socket.try_clone().unwrap(), "local", &config);
    let ask = || {
        let mut caller = sidekey.connect_to(([127, 0, 0, 1], sidekey.address().port()).into());
        caller.send(get("/api/x"));
        caller.response().status
    };
    assert_eq!(ask(), 407);
    let file = sidekey.folder().join("sidekey.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace(caller, "")).unwrap();
    crate::support::until_true("the refusal", || sidekey.log().contains("other machines may reach `listen.local`"));
    assert_eq!(ask(), 407);
}

#[test]
fn sockets_and_listeners_that_do_not_match_stop_the_start() {
    let upstream = Origin::ok().upstream("api");
    let loopback = || TcpListener::bind("127.0.0.1:0").unwrap();
    let other = "[listen.other]\naddress = \"127.0.0.1:0\"\n";
    let on = |name: &str| format!("{}{upstream}", listen_on(name));
    for (ended, told) in [
        (refused(loopback(), "other", &on("local")), "systemd has passed no socket for `listen.local`"),
        (refused(loopback(), "local", &format!("{other}{upstream}")), "no listener has the socket `local`"),
        (refused(UnixDatagram::unbound().unwrap(), "local", &on("local")), "the socket `local` that systemd passed is"),
        (refused(TcpListener::bind("0.0.0.0:0").unwrap(), "local", &on("local")), "other machines may reach"),
    ] {
        let said = String::from_utf8(ended.stderr).unwrap();
        assert!(ended.status.code() == Some(1) && said.contains(told), "{told}: {said}");
    }
}

fn unit(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/systemd").join(name)).unwrap()
}

#[test]
fn the_units_have_what_the_config_beside_them_names() {
    let (service, socket, config) = (unit("sidekey.service"), unit("sidekey.socket"), unit("sidekey.toml"));
    let named = |prefix: &str| {
        let parts = config.split('"').filter_map(|part| part.strip_prefix(prefix).map(str::to_owned));
        parts.collect::<Vec<_>>()
    };
    let credentials = named("credential:");
    assert!(credentials.len() >= 3);
    for name in &credentials {
        assert!(service.contains(&format!("\nLoadCredential={name}:/etc/sidekey/credentials/{name}\n")), "{name}");
    }
    assert_eq!(service.matches("\nLoadCredential=").count(), credentials.len());
    assert_eq!(named("systemd:"), ["local"]);
    assert!(socket.contains("\nFileDescriptorName=local\n"));
}

#[test]
#[ignore = "needs systemd-analyze"]
fn the_service_scores_under_two() {
    let analyzed = Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--no-pager", "deploy/systemd/sidekey.service"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let told = String::from_utf8(analyzed.stdout).unwrap();
    let score =
        told.lines().find_map(|line| line.split_once("Overall exposure level for")?.1.split_once(": ")).unwrap().1;
    let score: f32 = score.split(' ').next().unwrap().parse().unwrap();
    assert!(score < 2.0, "{told}");
}
