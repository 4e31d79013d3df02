//! The admin listener: who may ask, what it tells, and what `sidekey health` makes of it.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Origin, Sidekey, check_with, command, free_port, get, get_from, until, until_true};

const ADMIN: &str = "\n[admin]\naddress = \"127.0.0.1:0\"\n";

fn start(origin: &Origin, admin: &str) -> Sidekey {
    Sidekey::start(&(origin.upstream("api") + admin))
}

fn status(sidekey: &Sidekey) -> Value {
    let response = sidekey.ask_admin("/status", "");
    assert_eq!(response.status, 200);
    assert_eq!(response.fields.get("content-type"), Some("application/json"));
    serde_json::from_slice(&response.body).unwrap()
}

/// One request to the admin listener, and the status of its answer.
fn asked(sidekey: &Sidekey, request: &str) -> u16 {
    let mut caller = sidekey.connect_to(sidekey.admin_address());
    caller.send(request);
    caller.response_to(request.split(' ').next().unwrap()).status
}

#[test]
fn there_is_no_admin_listener_unless_the_config_has_one() {
    let origin = Origin::ok();
    let sidekey = start(&origin, "");
    assert_eq!(sidekey.ask(get("/api/")).status, 200);
    assert!(!sidekey.log().contains("admin"), "{}", sidekey.log());
}

#[test]
fn it_tells_whether_the_process_lives_and_is_ready() {
    let origin = Origin::ok();
    let sidekey = start(&origin, ADMIN);
    for (page, text) in [("/livez", "alive\n"), ("/readyz", "ready\n")] {
        let response = sidekey.ask_admin(page, "");
        assert_eq!((response.status, response.text().as_str()), (200, text));
        assert_eq!(response.fields.get("cache-control"), Some("no-store"));
        assert_eq!(response.fields.get("x-content-type-options"), Some("nosniff"));
        assert_eq!(response.fields.get("cross-origin-resource-policy"), Some("same-origin"));
    }
    let index = sidekey.ask_admin("/", "").text();
    for page in ["/livez", "/readyz", "/metrics", "/status"] {
        assert!(index.contains(page), "{index}");
    }
}

#[test]
fn it_only_tells() {
    let origin = Origin::ok();
    let sidekey = start(&origin, ADMIN);
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"] {
        let mut caller = sidekey.connect_to(sidekey.admin_address());
        caller.send(format!("{method} /status HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"));
        let response = caller.response();
        assert_eq!((response.status, response.fields.get("allow")), (405, Some("GET, HEAD")), "{method}");
        assert_eq!(response.fields.get("content-type"), Some("application/problem+json"));
    }
    assert_eq!(asked(&sidekey, "HEAD /status HTTP/1.1\r\nHost: localhost\r\n\r\n"), 200);
    for page in ["/nothing", "/metrics/", "//metrics", "/api/", "/%6detrics"] {
        let response = sidekey.ask_admin(page, "");
        assert_eq!(response.status, 404, "{page}");
        let problem: Value = serde_json::from_slice(&response.body).unwrap();
        assert_eq!(problem["status"], 404);
    }
    assert!(origin.requests().is_empty(), "no request is proxied there");
}

#[test]
fn a_host_that_is_not_its_own_is_refused() {
    let origin = Origin::ok();
    let sidekey = start(&origin, &format!("{ADMIN}names = [\"sidekey-admin.default.svc\"]\n"));
    for host in ["localhost", "LOCALHOST:1", "127.0.0.1:9901", "[::1]", "sidekey-admin.default.svc:9901"] {
        assert_eq!(asked(&sidekey, &get_from(host, "/status")), 200, "{host}");
    }
    // What a page could have mean this address, by the name that it came from.
    for host in ["rebound.example", "api.localhost", "127.0.0.1.example", "localhost.", "10.0.0.1", "[::2]", "a b", ""]
    {
        assert_eq!(asked(&sidekey, &get_from(host, "/status")), 421, "{host}");
    }
    for request in [
        "GET http://rebound.example/status HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET http://localhost/status HTTP/1.1\r\nHost: rebound.example\r\n\r\n",
        "GET /status HTTP/1.1\r\nHost: localhost\r\nHost: rebound.example\r\n\r\n",
    ] {
        assert_eq!(asked(&sidekey, request), 421, "{request}");
    }
}

#[test]
fn where_other_machines_may_ask_they_may_do_so_by_address() {
    let origin = Origin::ok();
    let sidekey = start(&origin, "\n[admin]\naddress = \"127.0.0.1:0\"\ndangerously_open = true\n");
    // As Prometheus does, by the address of the pod.
    for host in ["10.0.0.1:9901", "[2001:db8::1]:9901"] {
        assert_eq!(asked(&sidekey, &get_from(host, "/metrics")), 200, "{host}");
    }
    assert_eq!(asked(&sidekey, &get_from("rebound.example", "/metrics")), 421);
}

#[test]
fn no_web_page_may_ask_not_even_one_that_may_use_the_proxy() {
    let origin = Origin::ok();
    let sidekey = start(&origin, &format!("{ADMIN}\n[browser]\nallow_origins = [\"http://localhost:3000\"]\n"));
    for fields in [
        "Origin: http://localhost:3000\r\n",
        "Origin: http://localhost:3000\r\nSec-Fetch-Site: cross-site\r\n",
        "Origin: https://evil.example\r\n",
        "Origin: null\r\n",
        "Sec-Fetch-Site: cross-site\r\n",
        "Sec-Fetch-Site: same-site\r\n",
        "Sec-Fetch-Site: none\r\nSec-Fetch-Site: cross-site\r\n",
    ] {
        for page in ["/status", "/metrics", "/livez"] {
            let response = sidekey.ask_admin(page, fields);
            assert_eq!(response.status, 403, "{page} {fields}");
            assert!(!response.fields.has("access-control-allow-origin"), "{page} {fields}");
        }
    }
    // Typed by a person.
    assert_eq!(sidekey.ask_admin("/status", "Sec-Fetch-Site: none\r\n").status, 200);
    let preflight = "OPTIONS /status HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost:3000\r\n\
                     Access-Control-Request-Method: GET\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(asked(&sidekey, preflight), 403);
}

#[test]
fn status_tells_names_times_and_counts_and_no_secret() {
    let origin = Origin::answering("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n");
    let gone = "[upstream.gone]\nurl = \"http://127.0.0.1:1\"\nauth.api-key = { key = \"env:KEY\" }\n\
                [upstream.later]\noptional = true\npreset = \"imagior\"\nauth.bearer = { token = \"file:unusable\" }\n";
    let folder = tempfile::tempdir().unwrap();
    // With its prefix no key is accepted.
    std::fs::write(folder.path().join("unusable"), "Bearer not-the-key-alone").unwrap();
    let sidekey = Sidekey::start_in(folder, &(origin.upstream("api") + gone + ADMIN), "json");
    let before = status(&sidekey);
    assert_eq!((&before["ready"], &before["draining"]), (&Value::Bool(true), &Value::Bool(false)));
    assert_eq!(before["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(before["config"]["generation"], 1);
    assert!(before["config"]["file"].as_str().unwrap().ends_with("sidekey.toml"));
    assert!(before["config"].as_object().unwrap()["stale"].is_null());
    assert_eq!((&before["workers"], &before["stuck_workers"]), (&1.into(), &Value::Array(Vec::new())));
    assert_eq!(before["upstreams"][0]["last_failure"], Value::Null);
    assert!(before["upstreams"][0]["credentials"][0].as_object().unwrap()["last_rejected"].is_null());

    assert_eq!(sidekey.ask(get("/api/")).status, 401);
    assert_eq!(sidekey.ask(get("/gone/")).status, 502);
    assert_eq!(sidekey.ask(get("/later/")).status, 503);
    let after = until("the account", || Some(status(&sidekey)).filter(|now| now["caller_connections"] == 0));
    let [api, gone, later] = &after["upstreams"].as_array().unwrap()[..] else { panic!("{after}") };
    assert_eq!((&api["name"], &api["credentials"][0]["scheme"]), (&"api".into(), &"bearer".into()));
    assert_eq!(api["origin"], origin.url());
    assert_eq!(api["connections"]["idle"], 1);
    assert!(api["credentials"][0]["last_rejected"].as_str().unwrap().ends_with('Z'), "{api}");
    assert_eq!(gone["last_failure"]["problem"], "connection-refused");
    assert_eq!((&gone["preset"], &gone["usable"]), (&Value::Null, &true.into()));
    assert_eq!((&later["preset"], &later["usable"]), (&"imagior".into(), &false.into()));
    // That no secret is in it, the harness asserts; nor is there a word of the vendor's.
    assert!(!after.to_string().contains("Unauthorized"), "{after}");
}

#[test]
fn while_it_drains_it_lives_and_is_not_ready() {
    let origin = Origin::plain(|conversation| {
        conversation.head();
        conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nha");
        // Until sidekey goes away.
        conversation.rest();
    });
    let mut sidekey = start(&origin, ADMIN);
    let mut caller = sidekey.connect();
    caller.send(get("/api/"));
    caller.head();
    let admin = sidekey.admin_address();
    sidekey.signal("TERM");
    until_true("that it is not ready", || sidekey.ask_admin("/readyz", "").status == 503);
    let response = sidekey.ask_admin("/readyz", "");
    assert!(response.text().starts_with("draining"), "{}", response.text());
    assert_eq!(sidekey.ask_admin("/livez", "").status, 200);
    assert_eq!(status(&sidekey)["draining"], true);
    assert_eq!(sidekey.wait().code, Some(0));
    assert!(std::net::TcpStream::connect(admin).is_err(), "it ends with the process");
}

#[test]
fn whoever_holds_connections_open_keeps_no_probe_out() {
    let origin = Origin::ok();
    let sidekey = start(&origin, ADMIN);
    let held: Vec<_> = (0..200)
        .map(|_| {
            let mut caller = sidekey.connect_to(sidekey.admin_address());
            caller.send("GET /livez HT");
            caller
        })
        .collect();
    let began = Instant::now();
    assert_eq!(sidekey.ask_admin("/livez", "").status, 200);
    // Well before any of them is given up.
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    drop(held);
}

#[test]
fn one_request_a_connection_and_garbage_ends_it() {
    let origin = Origin::ok();
    let sidekey = start(&origin, ADMIN);
    let mut caller = sidekey.connect_to(sidekey.admin_address());
    caller.send(get("/livez") + &get("/livez"));
    assert_eq!(caller.response().status, 200);
    assert!(caller.rest().0.is_empty(), "nothing follows");
    for garbage in [
        "\x16\x03\x01\x02\x00\x01\x00\x01\r\n\r\n".to_owned(),
        format!("GET /livez HTTP/1.1\r\n{}", "x".repeat(65_536)),
    ] {
        let mut caller = sidekey.connect_to(sidekey.admin_address());
        let _ = caller.try_send(garbage);
        let (answer, _) = caller.rest();
        assert!(!answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    }
    assert_eq!(sidekey.ask_admin("/livez", "").status, 200);
}

#[test]
fn an_upstream_that_is_the_admin_listener_is_a_loop() {
    let folder = tempfile::tempdir().unwrap();
    // The config has to name it twice.
    let port = free_port();
    let config = format!(
        "[admin]\naddress = \"127.0.0.1:{port}\"\n[upstream.own]\nurl = \"http://127.0.0.1:{port}\"\n\
         auth.bearer = {{ token = \"env:TOKEN\" }}\n"
    );
    let sidekey = Sidekey::start_in(folder, &config, "json");
    sidekey.ask(get("/own/metrics")).assert_own(508, "proxy_loop_detected");
}

#[test]
fn an_address_that_others_reach_has_to_be_said_to_be_open() {
    let folder = tempfile::tempdir().unwrap();
    let check = |admin: &str| {
        let config = format!("{admin}\n[upstream.a]\nurl = \"https://a.test\"\nauth.bearer.token = \"env:TOKEN\"\n");
        check_with(folder.path(), &config, &["TOKEN"])
    };
    let refused = check("[admin]\naddress = \"0.0.0.0:9901\"\n");
    assert_eq!(refused.code, Some(78));
    assert!(refused.stderr.contains("sidekey.toml:2:11  `admin.address`"), "{}", refused.stderr);
    assert!(refused.stderr.contains("`dangerously_open = true`"), "{}", refused.stderr);
    for fine in [
        "[admin]",
        "[admin]\naddress = \"[::1]:9901\"",
        "[admin]\naddress = \"0.0.0.0:9901\"\ndangerously_open = true",
        "[admin]\naddress = \"unix:admin.sock\"\nmode = \"0660\"",
    ] {
        assert_eq!(check(fine).code, Some(0), "{fine}");
    }
    for (wrong, told) in [
        ("[admin]\naddress = \"9901\"", "expected an address"),
        ("[admin]\nadress = \"127.0.0.1:9901\"", "did you mean `address`?"),
        (
            "[admin]\naddress = \"127.0.0.1:1\"\n[listen.a]\naddress = \"127.0.0.1:1\"",
            "`admin` has this address already",
        ),
        ("admin = 1", "expected a table"),
    ] {
        let ended = check(wrong);
        assert_eq!(ended.code, Some(78), "{wrong}");
        assert!(ended.stderr.contains(told), "{wrong}: {}", ended.stderr);
    }
}

fn health(folder: &Path, more: &[&str]) -> (Option<i32>, String, String) {
    let file = folder.join("sidekey.toml");
    let ended = command(&[&["health", "--config", file.to_str().unwrap()], more].concat());
    (ended.code, ended.stdout, ended.stderr)
}

#[test]
fn health_asks_whether_it_is_ready_and_needs_no_secret() {
    let origin = Origin::plain(|conversation| {
        conversation.head();
        conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nha");
        conversation.rest();
    });
    let folder = tempfile::tempdir().unwrap();
    // A socket, as the port of an address could be any.
    let admin = "\n[admin]\naddress = \"unix:admin.sock\"\n";
    let mut sidekey = Sidekey::start_in(folder, &(origin.upstream("api") + admin), "json");
    let folder = sidekey.folder();
    let ready = (Some(0), "ready\n".to_owned(), String::new());
    // `command` gives it none of the variables that the config names.
    assert_eq!(health(&folder, &[]), ready);
    assert_eq!(health(&folder, &["--live"]), (Some(0), "alive\n".to_owned(), String::new()));
    // What else is wrong in the file is not its affair.
    let text = std::fs::read_to_string(folder.join("sidekey.toml")).unwrap();
    std::fs::write(folder.join("sidekey.toml"), format!("{text}\n[upstream.wrong]\n[unknown]\n")).unwrap();
    assert_eq!(health(&folder, &[]), ready);
    // Nor is a file that is no config any more: the proxy goes on with what it has, and must not be killed for it.
    for (wrong, told) in [
        (format!("[upstream.api\nurl = \n{text}"), "error: 1 problem"),
        (format!("{text}names = [\n"), "error: 1 problem"),
        (text.replace("[admin]\n", "[admin]\nmod = \"0600\"\n"), "did you mean `mode`?"),
    ] {
        std::fs::write(folder.join("sidekey.toml"), &wrong).unwrap();
        assert_eq!(health(&folder, &["--live"]), (Some(0), "alive\n".to_owned(), String::new()), "{wrong}");
        std::fs::write(folder.join("sidekey.toml"), wrong.replace("admin.sock", "no.sock")).unwrap();
        let (code, _, stderr) = health(&folder, &[]);
        assert!(code == Some(78) && stderr.contains(told), "{wrong}: {stderr}");
    }
    std::fs::write(folder.join("sidekey.toml"), &text).unwrap();

    let mut caller = sidekey.connect();
    caller.send(get("/api/"));
    caller.head();
    sidekey.signal("TERM");
    until_true("that it drains", || health(&folder, &[]).0 == Some(1));
    let (code, stdout, stderr) = health(&folder, &[]);
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    assert_eq!(stderr, "error: draining: begun requests are finished, and no more are taken\n");
    assert_eq!(health(&folder, &["--live"]).0, Some(0));
    sidekey.wait();
    let (code, _, stderr) = health(&folder, &[]);
    assert_eq!(code, Some(1));
    assert!(stderr.starts_with("error: not answering\n"), "{stderr}");
    assert!(!folder.join("admin.sock").exists(), "it takes its socket away");
}

#[test]
fn health_says_why_it_cannot_tell() {
    let folder = tempfile::tempdir().unwrap();
    let tell = |config: &str| {
        std::fs::write(folder.path().join("sidekey.toml"), config).unwrap();
        health(folder.path(), &[])
    };
    for (config, code, told) in [
        ("", 1, "no `[admin]`"),
        ("[admin]\naddress = \"127.0.0.1:0\"", 1, "port 0"),
        ("[admin]\naddress = \"nonsense\"", 78, "admin.address"),
        ("[admin]\naddress = \"127.0.0.1:1\"", 1, "not answering"),
        ("[admin", 78, "sidekey.toml:1"),
    ] {
        let (ended, stdout, stderr) = tell(config);
        assert_eq!((ended, stdout.as_str()), (Some(code), ""), "{config}");
        assert!(stderr.contains(told), "{config}: {stderr}");
    }
    // Nobody answers in time.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let began = Instant::now();
    let (code, _, stderr) = tell(&format!("[admin]\naddress = \"{}\"", silent.local_addr().unwrap()));
    assert_eq!((code, stderr.as_str()), (Some(1), "error: no answer within a second\n"));
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    // Another program has the port.
    let other = Origin::answering("HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\n\x1b[2Jnope\n");
    let (code, _, stderr) = tell(&format!("[admin]\naddress = \"{}\"", other.authority()));
    assert_eq!((code, stderr.as_str()), (Some(1), "error: [2Jnope\n"));
}

#[test]
fn http_1_0_alone_may_name_no_host() {
    let origin = Origin::ok();
    let sidekey = start(&origin, ADMIN);
    assert_eq!(asked(&sidekey, "GET /livez HTTP/1.0\r\n\r\n"), 200);
    assert_eq!(asked(&sidekey, "GET /livez HTTP/1.1\r\n\r\n"), 421);
}

#[test]
fn the_page_on_status_has_all_that_it_tells() {
    let origin = Origin::ok();
    let caller = "[caller.shop]\ntoken = \"env:SHOP\"\nupstreams = [\"api\"]\n";
    let told = status(&start(&origin, &format!("{caller}{ADMIN}")));
    let keys = |at: &str, value: &Value| -> Vec<String> {
        value.as_object().unwrap().keys().map(|key| format!("{at}{key}")).collect()
    };
    let mut there: BTreeSet<String> = keys("", &told).into_iter().collect();
    for (section, at, value) in [
        ("config", "config.", &told["config"]),
        ("listeners", "listeners[].", &told["listeners"][0]),
        ("upstreams", "upstreams[].", &told["upstreams"][0]),
        ("callers", "callers[].", &told["callers"][0]),
    ] {
        assert!(there.remove(section), "{section}");
        there.extend(keys(at, value));
    }
    let docs = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md")).unwrap();
    let table = docs.split("## `/status`").nth(1).unwrap().split("\n## ").next().unwrap();
    let mut documented = BTreeSet::new();
    for row in table.lines().filter(|line| line.starts_with("| `")) {
        // Of the names in a row, the first says to what all of them belong.
        let names: Vec<&str> = row.split('|').nth(1).unwrap().split('`').skip(1).step_by(2).collect();
        let at = names[0].rfind('.').map_or("", |dot| &names[0][..=dot]);
        documented.extend(names.iter().map(|name| format!("{at}{}", name.strip_prefix(at).unwrap_or(name))));
    }
    assert_eq!(documented, there);
}
