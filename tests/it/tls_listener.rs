//! TLS with callers: what is served in the clear is served alike, what is not TLS is not served at all, and certificates
//! change while it runs.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustls::ClientConfig;
use rustls::version::{TLS12, TLS13};
use tempfile::TempDir;

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
fn a_connection_that_ends_says_so() {
    let house = House::open();
    let mut caller = house.sidekey.connect_tls(&house.any()).unwrap();
    caller.send(get_with("/api/x", "Connection: close\r\n"));
    caller.response().assert_passed_on(200);
    // An end without `close_notify` would count as a reset.
    caller.assert_closed();
    let mut malformed = house.sidekey.connect_tls(&house.any()).unwrap();
    malformed.send("GET /api/x HTTP/1.1\r\nHost : localhost\r\n\r\n");
    malformed.response().assert_own(400, "http_request_error");
    malformed.assert_closed();
}

#[test]
fn an_answer_that_breaks_off_does_not_end_as_it_should() {
    let origin = Origin::plain(|conversation| {
        conversation.request();
        conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
        conversation.close();
    });
    let house = House::with(origin, "", "");
    let mut caller = house.sidekey.connect_tls(&house.any()).unwrap();
    // HTTP/1.0 would take any end for the answer's.
    caller.send("GET /api/x HTTP/1.0\r\nHost: localhost\r\n\r\n");
    let (rest, broken) = caller.rest();
    assert_eq!(broken, Broken::Reset, "{}", String::from_utf8_lossy(&rest));
}

#[test]
fn who_has_closed_its_side_gets_its_answer() {
    let (origin, answer) = Origin::patient();
    let house = House::with(origin, "", "");
    let mut caller = house.sidekey.connect_tls(&house.any()).unwrap();
    caller.send(get("/api/x"));
    caller.session().say_goodbye();
    until_true("the request at the origin", || house.origin.requests().len() == 1);
    // Long enough to be asked whether it is still there.
    assert_eq!(caller.line(), "HTTP/1.1 100 Continue");
    assert_eq!(caller.line(), "");
    answer.send(()).unwrap();
    caller.response().assert_passed_on(200);
    caller.assert_closed();
}

#[test]
fn who_goes_away_cancels_its_request() {
    let origin = Origin::plain(|conversation| {
        conversation.request();
        conversation.rest();
        conversation.close();
    });
    let house = House::with(origin, "", "");
    let mut caller = house.sidekey.connect_tls(&house.any()).unwrap();
    caller.send(get("/api/x"));
    until_true("the request at the origin", || house.origin.requests().len() == 1);
    // Without `close_notify`: it will read nothing more.
    caller.half_close();
    until_true("that the upstream's connection is closed", || house.origin.closed() == 1);
}

#[test]
fn who_reads_nothing_is_not_waited_for() {
    let origin = Origin::plain(|conversation| {
        conversation.request();
        let _ = conversation.try_send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 64 << 20));
        while conversation.try_send(vec![b'x'; 1 << 20]).is_ok() {}
    });
    let house = House::with(
        origin,
        "",
        "[server]\nworkers = 1\nwrite_timeout = \"300ms\"\n[admin]\naddress = \"127.0.0.1:0\"\n",
    );
    let mut caller = house.sidekey.connect_tls(&house.any()).unwrap();
    caller.send(get("/api/x"));
    until_true("that it is given up", || house.metric("sidekey_caller_connections{worker=\"0\"}") == 0);
    assert!(caller.rest().0.len() < 64 << 20);
}

#[test]
fn a_handshake_has_its_time_and_does_not_hold_up_the_end() {
    let server =
        "[server]\nworkers = 1\ndrain = \"20s\"\nheader_timeout = \"300ms\"\n[admin]\naddress = \"127.0.0.1:0\"\n";
    let house = House::with(Origin::ok(), "", server);
    let mut silent = house.sidekey.connect();
    let mut begun = house.sidekey.connect();
    begun.send([22, 3, 1]);
    silent.assert_closed();
    begun.assert_closed();
    until_true("that both are counted", || house.handshakes("slow") == 2);
    let mut house = House::with(Origin::ok(), "", "");
    let mut silent = house.sidekey.connect();
    until_true("that it is there", || {
        house.metric("sidekey_caller_connections{worker=\"0\"}")
            + house.metric("sidekey_caller_connections{worker=\"1\"}")
            == 1
    });
    let ended = house.sidekey.stop();
    assert!(ended.code == Some(0) && ended.took < Duration::from_secs(8), "{ended:?}");
    silent.assert_closed();
}

#[test]
fn what_was_sent_before_the_end_is_answered() {
    let mut house = House::open();
    let mut used = house.sidekey.connect_tls(&house.any()).unwrap();
    used.send(get("/api/x"));
    used.response().assert_passed_on(200);
    let mut idle = house.sidekey.connect_tls(&house.any()).unwrap();
    idle.send(get("/api/x"));
    idle.response().assert_passed_on(200);
    house.sidekey.hold();
    used.send(get("/api/last"));
    house.sidekey.signal("TERM");
    house.sidekey.signal("CONT");
    used.response().assert_passed_on(200);
    used.assert_closed();
    idle.assert_closed();
    assert_eq!(house.sidekey.wait().code, Some(0));
}

#[test]
fn a_thousand_handshakes_cut_half_way_leave_nothing() {
    let house = House::open();
    house.ask(&house.any(), &get("/api/x")).assert_passed_on(200);
    let hello = {
        let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
        let mut session = rustls::ClientConnection::new(house.any(), name).unwrap();
        let mut hello = Vec::new();
        session.write_tls(&mut hello).unwrap();
        hello
    };
    for count in 0..1000 {
        let mut socket = TcpStream::connect(house.sidekey.address()).unwrap();
        // Before the first byte, in the middle of the hello, after it, and after an answer to it.
        let part = [0, hello.len() / 2, hello.len(), hello.len()][count % 4];
        socket.write_all(&hello[..part]).unwrap();
        if count % 4 == 3 {
            socket.read_exact(&mut [0; 5]).unwrap();
        }
    }
    until_true("that all are gone", || {
        house.metric("sidekey_caller_connections{worker=\"0\"}")
            + house.metric("sidekey_caller_connections{worker=\"1\"}")
            == 0
    });
    until_true("that they are counted", || house.handshakes("gone") == 1000);
    assert_eq!(house.handshakes("full"), 1);
    assert!(!house.sidekey.log().contains("TLS with a caller failed"), "nobody is told of who goes away");
    house.ask(&house.any(), &get("/api/x")).assert_passed_on(200);
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
fn any_worker_resumes_what_another_began_and_a_new_certificate_ends_none() {
    for version in [&TLS12, &TLS13] {
        let house = House::with(Origin::ok(), "", often());
        let config = house.authority.reach(&[version], None);
        let mut first = house.sidekey.connect_tls(&config).unwrap();
        first.send(get("/api/x"));
        first.response().assert_passed_on(200);
        assert!(!first.session().is_resumed());
        // While the first is there, the second goes to the other worker.
        let mut second = house.sidekey.connect_tls(&config).unwrap();
        assert!(second.session().is_resumed());
        second.send(get("/api/x"));
        second.response().assert_passed_on(200);
        let new = house.authority.server("localhost");
        house.lay(&new);
        let fresh = house.any();
        until_true("the new certificate", || {
            house.sidekey.connect_tls(&fresh).unwrap().session().shown() == new.der()
                || house.sidekey.connect_tls(&house.any()).unwrap().session().shown() == new.der()
        });
        assert!(house.sidekey.connect_tls(&config).unwrap().session().is_resumed());
        // In TLS 1.3, the caller is done before sidekey is.
        until_true("that both are counted", || house.handshakes("resumed") >= 2);
    }
}

#[test]
fn certificates_change_under_load_and_no_request_fails() {
    let house = House::with(Origin::ok(), "", often());
    let (stop, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut kept = house.sidekey.connect_tls(&house.any()).unwrap();
                while !stop.load(Ordering::Relaxed) {
                    kept.send(get("/api/kept"));
                    kept.response().assert_passed_on(200);
                    house.ask(&house.any(), &get("/api/new")).assert_passed_on(200);
                    served.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let changed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for _ in 0..5 {
                let new = house.authority.server("localhost");
                house.lay(&new);
                until_true("the new certificate", || {
                    house.sidekey.connect_tls(&house.any()).unwrap().session().shown() == new.der()
                });
                let before = served.load(Ordering::Relaxed);
                until_true("requests since", || served.load(Ordering::Relaxed) > before + 5);
            }
        }));
        stop.store(true, Ordering::Relaxed);
        changed.unwrap();
    });
}

#[test]
fn a_certificate_that_is_wrong_changes_nothing_and_is_told() {
    let house = House::with(Origin::ok(), "", often());
    let first = house.sidekey.connect_tls(&house.any()).unwrap().session().shown();
    let folder = house.sidekey.folder();
    let others = house.authority.server("localhost");
    let (certificate, _) = others.pem();
    for (text, reason) in [
        (certificate.as_str(), "it is not the key of the certificate in `cert`"),
        (&certificate[..certificate.len() / 2], "the file"),
        ("", "the file is empty"),
        ("no certificate\n", "the file holds no certificate"),
    ] {
        fs::write(folder.join("server.pem"), text).unwrap();
        until_true(reason, || house.sidekey.log().contains(reason));
        house.until_stale(reason);
        assert_eq!(house.sidekey.connect_tls(&house.any()).unwrap().session().shown(), first, "{reason}");
    }
    house.lay(&house.authority.expired_server("localhost"));
    until_true("that it has expired", || house.sidekey.log().contains("the certificate has expired at 2021-01-01"));
    assert_eq!(house.sidekey.connect_tls(&house.any()).unwrap().session().shown(), first);
    house.lay(&others);
    until_true("the right one", || house.sidekey.connect_tls(&house.any()).unwrap().session().shown() == others.der());
    // It is told when all workers have it, of which the first may have shown it already.
    until_true("that it is in force", || house.metric("sidekey_config_last_reload_successful") == 1);
}

#[test]
fn whoever_shows_no_certificate_of_the_ca_is_kept_out() {
    let house = House::asking_certificates("");
    let stranger = Authority::new().client("app.example");
    let expired = house.authority.expired_client("app.example");
    let server = house.authority.server("app.example");
    for version in [&TLS12, &TLS13] {
        for identity in [None, Some(&stranger), Some(&expired), Some(&server)] {
            house.assert_kept_out(house.authority.reach(&[version], identity));
        }
    }
    until_true("that they are counted", || house.handshakes("certificate") == 8);
    until_true("the line", || house.sidekey.log().contains("\"outcome\":\"certificate\""));
    let client = house.authority.client("app.example");
    house.ask(&house.showing(&client), &get("/api/x")).assert_passed_on(200);
}

#[test]
fn where_certificates_are_asked_for_each_connection_shows_its_own() {
    let house = House::asking_certificates("");
    let client = house.authority.client("app.example");
    for version in [&TLS12, &TLS13] {
        let config = house.authority.reach(&[version], Some(&client));
        for _ in 0..3 {
            let mut caller = house.sidekey.connect_tls(&config).unwrap();
            caller.send(get("/api/x"));
            caller.response().assert_passed_on(200);
            assert!(!caller.session().is_resumed());
        }
    }
}

#[test]
fn another_ca_counts_from_when_the_file_has_it() {
    let house = House::asking_certificates(often());
    let old = house.showing(&house.authority.client("app.example"));
    house.ask(&old, &get("/api/x")).assert_passed_on(200);
    let next = Authority::new();
    let other = TempDir::new().unwrap();
    next.write(other.path());
    fs::rename(other.path().join("ca.pem"), house.sidekey.folder().join("ca.pem")).unwrap();
    let new = house.showing(&next.client("app.example"));
    until_true("that the new one counts", || {
        house.sidekey.connect_tls(&new).is_ok_and(|mut caller| {
            caller.try_send(get("/api/x")).is_ok()
                && std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| caller.response())).is_ok()
        })
    });
    let refused = house.handshakes("certificate");
    // Whoever has a connection keeps it; nobody gets another one.
    until_true("that the old one is refused", || {
        let asked = house.sidekey.connect_tls(&old).and_then(|mut caller| caller.try_send(get("/api/x")));
        drop(asked);
        house.handshakes("certificate") > refused
    });
}

#[test]
fn a_caller_is_known_by_a_name_of_its_certificate() {
    let callers = "[caller.shop]\nclient_cert = [\"shop.example\", \"spiffe://house/shop\"]\nupstreams = [\"api\"]\n\
                   [caller.reports]\nclient_cert = [\"reports.example\"]\nupstreams = []\n\
                   [caller.both]\ntoken = \"env:CALLER_TOKEN\"\nclient_cert = [\"both.example\"]\nupstreams = [\"api\"]\n";
    let house = House::asking_certificates(callers);
    let ask = |identity: &Identity| house.ask(&house.showing(identity), &get("/api/x"));
    for identity in [house.authority.client("Shop.Example"), house.authority.client_of_uri("spiffe://house/shop")] {
        ask(&identity).assert_passed_on(200);
        house.sidekey.access(|line| line["caller"] == "shop");
    }
    ask(&house.authority.client("reports.example")).assert_own(403, "http_request_denied");
    for stranger in ["x.shop.example", "example"] {
        ask(&house.authority.client(stranger)).assert_own(407, "http_request_denied");
    }
    ask(&house.authority.client_of_uri("spiffe://house/shop/x")).assert_own(407, "http_request_denied");
    // Of several, all have to be right.
    let both = house.showing(&house.authority.client("both.example"));
    house.ask(&both, &get("/api/x")).assert_own(407, "http_request_denied");
    let token = house.sidekey.secret("env:CALLER_TOKEN");
    let with_token = get_with("/api/x", &format!("Proxy-Authorization: Bearer {token}\r\n"));
    house.ask(&both, &with_token).assert_passed_on(200);
    let stranger = house.showing(&house.authority.client("example"));
    house.ask(&stranger, &with_token).assert_own(407, "http_request_denied");
    let requests =
        house.metric("sidekey_requests_total{upstream=\"api\",caller=\"shop\",code=\"2xx\",outcome=\"upstream\"}");
    assert_eq!(requests, 2);
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
