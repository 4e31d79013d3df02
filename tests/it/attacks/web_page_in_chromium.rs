//! A real browser shows a page that tries every way there is of reaching sidekey. The page is `web_page.html`.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Origin, Sidekey};

const PAGE: &str = include_str!("web_page.html");
/// A browser takes its time, on a busy machine above all.
const BROWSER_PATIENCE: Duration = Duration::from_secs(90);
/// Names by which the page is shown: of another site, of the same site by name, and by address.
const NAMES: [&str; 3] = ["evil.example", "localhost", "127.0.0.1"];
/// What the page tries, and whether a browser then says of which origin it is.
const ATTEMPTS: [(&str, bool); 16] = [
    ("fetch", true),
    ("fetch-no-cors", false),
    ("fetch-text", true),
    ("fetch-no-cors-text", true),
    ("fetch-json", true),
    ("fetch-credentials", true),
    ("rebound-fetch", true),
    ("form-post", true),
    ("form-get", false),
    ("image", false),
    ("script", false),
    ("style", false),
    ("frame", false),
    ("websocket", true),
    ("event-source", true),
    ("beacon", true),
];

/// A browser with a profile of its own. Dropped, it and all its processes are killed.
struct Chromium {
    process: Child,
    _profile: TempDir,
}

impl Chromium {
    /// Opens `url` as if it had been typed. Names under `.example` all lead to loopback.
    fn open(url: &str) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let folder = format!("--user-data-dir={}", profile.path().to_str().unwrap());
        let start = |program: &str| {
            let mut command = Command::new(program);
            command.args([
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--no-first-run",
            ]);
            command.args([
                "--disable-background-networking",
                "--disable-component-update",
                "--no-proxy-server",
                &folder,
            ]);
            command
                .args(["--disable-features=HttpsUpgrades", "--host-resolver-rules=MAP *.example 127.0.0.1"])
                .arg(url);
            command.env("HOME", profile.path()).process_group(0);
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()
        };
        let process =
            ["chromium", "chromium-browser", "google-chrome"].into_iter().find_map(|program| start(program).ok());
        Self { process: process.expect("a Chromium, as `.ci/run` installs it"), _profile: profile }
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-KILL", "--", &format!("-{}", self.process.id())]).status();
        let _ = self.process.wait();
    }
}

/// Serves the page, whatever name it is asked by, and takes its reports.
fn page() -> Origin {
    Origin::plain(|conversation| {
        while let Some(request) = conversation.request() {
            let body = if request.target().starts_with("/?") { PAGE } else { "" };
            let length = body.len();
            conversation
                .send(format!("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {length}\r\n\r\n{body}"));
        }
    })
}

/// Waits for something that a browser does.
fn until<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + BROWSER_PATIENCE;
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What the page saw under `name`.
fn report(page: &Origin, name: &str) -> Value {
    until(&format!("the report of {name}"), || {
        let reports = page.requests().into_iter().filter(|request| request.target() == "/report");
        reports
            .filter_map(|request| serde_json::from_slice(&request.body).ok())
            .find(|seen: &Value| seen["page"] == name)
    })
}

/// The statuses of the requests for `path`, once there is one. A browser may repeat what was answered with 421.
fn statuses(sidekey: &Sidekey, path: &str) -> Vec<u64> {
    until(path, || {
        let log = sidekey.log();
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let mut found: Vec<u64> =
            lines.filter(|line| line["path"] == path).filter_map(|line| line["status"].as_u64()).collect();
        found.dedup();
        (!found.is_empty()).then_some(found)
    })
}

#[test]
#[ignore = "needs Chromium, which .ci/run installs"]
fn no_page_in_a_browser_reaches_an_upstream() {
    let (origin, page) = (Origin::ok(), page());
    let sidekey = Sidekey::start(&origin.upstream("api"));
    for name in NAMES {
        let _chromium = Chromium::open(&format!("http://{name}:{}/?{}", page.port(), sidekey.address()));
        let seen = report(&page, name);
        for (attempt, _) in ATTEMPTS {
            assert_eq!(statuses(&sidekey, &format!("/api/{name}/{attempt}")), [403], "{attempt}");
            if seen[attempt].is_object() {
                assert_eq!(seen[attempt]["type"], "opaque", "{attempt} was read: {seen}");
            }
        }
        assert_eq!(seen["fetch"], "TypeError", "{seen}");
        assert_eq!(statuses(&sidekey, &format!("/api/{name}/link")), [403]);
    }
    // As if the page's name had come to mean loopback in the meantime.
    let rebound = format!("http://rebind.example:{}/api/rebound-visit", sidekey.address().port());
    let chromium = Chromium::open(&rebound);
    assert_eq!(statuses(&sidekey, "/api/rebound-visit"), [421]);
    drop(chromium);
    assert_eq!(origin.connections(), 0);
}

#[test]
#[ignore = "needs Chromium, which .ci/run installs"]
fn a_page_in_a_browser_can_read_what_its_origin_is_allowed_to() {
    let answer = "HTTP/1.1 200 OK\r\nX-Kept: 1\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok";
    let (origin, page) = (Origin::answering(answer), page());
    let allowed = format!("http://localhost:{}", page.port());
    let sidekey = Sidekey::start(&format!("[browser]\nallow_origins = [\"{allowed}\"]\n{}", origin.upstream("api")));
    let chromium = Chromium::open(&format!("{allowed}/?{}", sidekey.address()));
    let seen = report(&page, "localhost");
    for attempt in ["fetch", "fetch-text", "fetch-json"] {
        assert_eq!((&seen[attempt]["text"], &seen[attempt]["kept"]), (&"ok".into(), &"1".into()), "{attempt}: {seen}");
    }
    assert_eq!(seen["nowhere"]["status"], 404, "{seen}");
    assert!(seen["nowhere"]["text"].as_str().unwrap().contains("unknown-upstream"), "{seen}");
    assert_eq!(seen["fetch-credentials"], "TypeError", "{seen}");
    for (attempt, says_origin) in ATTEMPTS {
        let expected: &[u64] = match attempt {
            "rebound-fetch" => &[421],
            // The preflight, and what it allowed.
            "fetch-json" => &[204, 200],
            _ if says_origin => &[200],
            _ => &[403],
        };
        let path = format!("/api/localhost/{attempt}");
        until(&path, || (statuses(&sidekey, &path) == expected).then_some(()));
    }
    drop(chromium);
    let _other = Chromium::open(&format!("http://127.0.0.1:{}/?{}", page.port(), sidekey.address()));
    assert_eq!(report(&page, "127.0.0.1")["fetch"], "TypeError");
    for request in origin.requests() {
        assert!(request.target().starts_with("/localhost/") && !request.fields.has("origin"), "{request:?}");
    }
}
