//! TLS with callers: what is served in the clear is served alike, what is not TLS is not served at all, and certificates
//! change while it runs.

mod certificates;
mod ending;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ClientConfig;
use rustls::version::{TLS12, TLS13};

use crate::support::{
    Authority, Broken, Identity, Origin, PATIENCE, Response, Sidekey, get, get_with, post, until_true,
};

const SERVER: &str = "[server]\nworkers = 2\ndrain = \"10s\"\n[admin]\naddress = \"127.0.0.1:0\"\n";
/// A fatal `internal_error`, and any other alert's beginning.
const TURNED_AWAY: &[u8] = &[21, 3, 3, 0, 2, 2, 80];
const ALERT: u8 = 21;

/// A listener with TLS, and the CA of its certificate, which is also that of its callers' where it asks for any.
struct House {
    authority: Authority,
    origin: Origin,
    sidekey: Sidekey,
}

impl House {
    fn open() -> Self {
        Self::with(Origin::ok(), "", "")
    }

    /// `tls`: further keys of it. `more`: further tables.
    fn with(origin: Origin, tls: &str, more: &str) -> Self {
        let authority = Authority::new();
        let folder = tempfile::tempdir().unwrap();
        authority.write(folder.path());
        // Called otherwise than its CA, or OpenSSL would take it for signed by itself.
        lay(folder.path(), &authority.server_called("localhost", "sidekey"));
        let server = if more.contains("[server]") { "" } else { SERVER };
        let config = format!(
            "{server}{more}[listen.tls]\naddress = \"127.0.0.1:0\"\ntls = {{ cert = \"server.pem\", key = \"file:server.key\"{tls} }}\n{}",
            origin.upstream("api")
        );
        let sidekey = Sidekey::start_in(folder, &config, "json");
        Self { authority, origin, sidekey }
    }

    fn asking_certificates(more: &str) -> Self {
        Self::with(Origin::ok(), ", client_ca = \"ca.pem\"", more)
    }

    fn any(&self) -> Arc<ClientConfig> {
        self.authority.reach(&[&TLS13, &TLS12], None)
    }

    fn showing(&self, identity: &Identity) -> Arc<ClientConfig> {
        self.authority.reach(&[&TLS13, &TLS12], Some(identity))
    }

    fn ask(&self, config: &Arc<ClientConfig>, request: &str) -> Response {
        let mut caller = self.sidekey.connect_tls(config).unwrap();
        caller.send(request);
        caller.response()
    }

    /// Asserts that a connection of `config` comes to nothing: neither the handshake, nor a request after it.
    fn assert_kept_out(&self, config: Arc<ClientConfig>) {
        let mut socket = TcpStream::connect(self.sidekey.address()).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
        let mut session = rustls::ClientConnection::new(config, name).unwrap();
        let mut stream = rustls::Stream::new(&mut session, &mut socket);
        let asked = stream.write_all(get("/api/x").as_bytes()).and_then(|()| stream.read(&mut [0; 64]));
        let error = asked.expect_err("it was let in");
        let error = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
        assert!(matches!(error, Some(rustls::Error::AlertReceived(_))), "told why: {error:?}");
        assert!(self.origin.requests().is_empty());
    }

    fn handshakes(&self, outcome: &str) -> u64 {
        self.metric(&format!("sidekey_caller_tls_handshakes_total{{outcome=\"{outcome}\"}}"))
    }

    fn metric(&self, series: &str) -> u64 {
        let page = self.sidekey.ask_admin("/metrics", "").text();
        let line = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ').map(str::to_owned));
        line.unwrap_or_else(|| panic!("no {series}")).parse::<f64>().unwrap() as u64
    }

    fn lay(&self, identity: &Identity) {
        lay(&self.sidekey.folder(), identity);
    }

    fn until_stale(&self, reason: &str) {
        until_true("that it is stale", || self.metric("sidekey_config_last_reload_successful") == 0);
        let status = self.sidekey.ask_admin("/status", "").text();
        assert!(status.contains(reason), "{status}");
    }
}

/// Puts certificate and key where the config says they are, each at once.
fn lay(folder: &Path, identity: &Identity) {
    let (certificate, key) = identity.pem();
    for (name, text) in [("server.pem", certificate), ("server.key", key)] {
        let new = folder.join("new");
        fs::write(&new, text).unwrap();
        fs::set_permissions(&new, fs::Permissions::from_mode(0o600)).unwrap();
        fs::rename(new, folder.join(name)).unwrap();
    }
}

fn often() -> &'static str {
    "[reload]\ninterval = \"20ms\"\n"
}

#[test]
fn tls_1_2_and_1_3_are_served_and_a_connection_is_kept() {
    let house = House::open();
    for version in [&TLS12, &TLS13] {
        let mut caller = house.sidekey.connect_tls(&house.authority.reach(&[version], None)).unwrap();
        for _ in 0..3 {
            caller.send(get("/api/x"));
            caller.response().assert_passed_on(200);
            caller.send(post("/api/x", "body"));
            caller.response().assert_passed_on(200);
        }
    }
    assert_eq!(house.handshakes("full"), 2);
    assert!(house.metric("sidekey_listener_certificate_expires_timestamp_seconds{listener=\"tls\"}") > 0);
}

#[test]
fn http_1_1_is_agreed_on_and_who_offers_only_what_is_not_spoken_is_told() {
    let house = House::open();
    let mut caller = house.sidekey.connect_tls(&house.authority.reach_offering(&["http/1.1"])).unwrap();
    assert_eq!(caller.session().protocol().as_deref(), Some("http/1.1"));
    caller.send(get("/api/x"));
    caller.response().assert_passed_on(200);
    house.assert_no_protocol(&["acme-tls/1"]);
    until_true("that it is counted", || house.handshakes("protocol") == 1);
}

impl House {
    fn assert_no_protocol(&self, protocols: &[&str]) {
        let error = self.sidekey.connect_tls(&self.authority.reach_offering(protocols)).err().unwrap();
        assert!(error.to_string().contains("NoApplicationProtocol"), "{error}");
    }
}

#[test]
fn large_bodies_pass_both_ways() {
    const LENGTH: usize = 3_000_000;
    let origin = Origin::plain(|conversation| {
        while let Some(request) = conversation.request() {
            let length = request.body.len();
            conversation.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"));
            conversation.send(request.body);
        }
    });
    let house = House::with(origin, "", "");
    let body: String = (0..LENGTH).map(|at| char::from(b'a' + (at % 23) as u8)).collect();
    for version in [&TLS12, &TLS13] {
        let mut caller = house.sidekey.connect_tls(&house.authority.reach(&[version], None)).unwrap();
        let answer = {
            caller.send(post("/api/x", &body));
            caller.response()
        };
        answer.assert_passed_on(200);
        assert!(answer.body == body.as_bytes(), "{} bytes", answer.body.len());
    }
}

#[test]
fn a_redirect_keeps_the_caller_on_tls() {
    let origin = Origin::plain(|conversation| {
        while let Some(request) = conversation.request() {
            let own = request.fields.get("host").unwrap().to_owned();
            conversation
                .send(format!("HTTP/1.1 302 Found\r\nLocation: http://{own}/next\r\nContent-Length: 0\r\n\r\n"));
        }
    });
    let house = House::with(origin, "", "");
    let answer = house.ask(&house.any(), &get("/api/x"));
    assert_eq!(answer.fields.get("location"), Some("https://localhost/api/next"));
}

#[test]
fn http_in_the_clear_gets_an_alert_and_nothing_else() {
    let server = "[server]\nworkers = 1\n[admin]\naddress = \"127.0.0.1:0\"\n";
    let house = House::with(Origin::ok(), "", server);
    for text in [get("/api/x"), post("/api/x", "body"), "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned()] {
        let mut caller = house.sidekey.connect();
        caller.send(text);
        let (answer, broken) = caller.rest();
        assert!(
            answer.first() == Some(&ALERT) && answer.len() == 7 && broken == Broken::Closed,
            "{answer:?} {broken:?}"
        );
    }
    until_true("that they are counted", || house.handshakes("plaintext") == 3);
    assert!(house.origin.requests().is_empty());
    until_true("the line", || house.sidekey.log().contains("TLS with a caller failed"));
    let log = house.sidekey.log();
    // Many are no more lines than one.
    assert_eq!(log.lines().filter(|line| line.contains("TLS with a caller failed")).count(), 1, "{log}");
    assert!(log.contains("\"outcome\":\"plaintext\""), "{log}");
}

#[test]
fn curl_is_served_and_follows_a_redirect() {
    let origin = Origin::plain(|conversation| {
        while let Some(request) = conversation.request() {
            let own = request.fields.get("host").unwrap().to_owned();
            conversation.send(match request.target() {
                "/next" => "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhere".to_owned(),
                _ => format!("HTTP/1.1 302 Found\r\nLocation: http://{own}/next\r\nContent-Length: 0\r\n\r\n"),
            });
        }
    });
    let house = House::with(origin, ", client_ca = \"ca.pem\"", "");
    let folder = house.sidekey.folder();
    let (certificate, key) = house.authority.client("app.example").pem();
    fs::write(folder.join("app.pem"), certificate).unwrap();
    fs::write(folder.join("app.key"), key).unwrap();
    let url = format!("https://localhost:{}/api/x", house.sidekey.address().port());
    let curl = |more: &[&str]| {
        let mut command = Command::new("curl");
        command.current_dir(&folder).args(["-sSL", "--ipv4", "--http1.1", "--cacert", "ca.pem"]).args(more).arg(&url);
        command.output().unwrap()
    };
    let answer = curl(&["--cert", "app.pem", "--key", "app.key"]);
    assert_eq!(answer.stdout, b"here", "{}", String::from_utf8_lossy(&answer.stderr));
    let without = curl(&[]);
    assert!(!without.status.success() && without.stdout.is_empty());
}

#[test]
fn who_is_one_too_many_gets_an_alert() {
    let house = House::with(Origin::ok(), "", "[server]\nworkers = 1\nmax_connections = 1\n");
    let mut first = house.sidekey.connect_tls(&house.any()).unwrap();
    let mut second = house.sidekey.connect();
    assert_eq!(second.rest(), (TURNED_AWAY.to_vec(), Broken::Closed));
    first.send(get("/api/x"));
    first.response().assert_passed_on(200);
}

#[test]
fn a_listener_stays_with_tls_or_without_until_a_restart() {
    let house = House::asking_certificates(often());
    let path = house.sidekey.folder().join("sidekey.toml");
    let config = fs::read_to_string(&path).unwrap();
    for changed in [
        ", client_ca = \"ca.pem\"",
        "tls = { cert = \"server.pem\", key = \"file:server.key\", client_ca = \"ca.pem\" }",
    ] {
        fs::write(&path, config.replace(changed, "")).unwrap();
        house.until_stale("`listen` has changed, which needs a restart");
        house.assert_kept_out(house.any());
        fs::write(&path, &config).unwrap();
        until_true("that it is well again", || house.metric("sidekey_config_last_reload_successful") == 1);
    }
}

#[test]
fn a_page_of_the_listeners_own_origin_may_ask_where_it_is_listed() {
    let house = House::with(Origin::ok(), "", "[browser]\nallow_origins = [\"https://localhost:8443\"]\n");
    let ask = |origin: &str| house.ask(&house.any(), &get_with("/api/x", &format!("Origin: {origin}\r\n")));
    ask("https://localhost:8443").assert_passed_on(200);
    ask("http://localhost:8443").assert_own(403, "http_request_denied");
}

#[test]
fn an_idle_tls_connection_is_closed_in_time() {
    let house = House::with(Origin::ok(), "", "[server]\nworkers = 1\nkeep_alive = \"300ms\"\n");
    let began = Instant::now();
    let mut caller = house.sidekey.connect_tls(&house.any()).unwrap();
    caller.assert_closed();
    assert!(began.elapsed() >= Duration::from_millis(290));
}
