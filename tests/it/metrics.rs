//! The metrics: that they count what happened, that no request makes a series, and that the documentation, the dashboard
//! and the alert rules speak of what there is.

mod deployed;
mod page;
mod standing;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rustls::version::{TLS12, TLS13};

use self::page::Page;
use crate::support::{Authority, Conversation, OK, Origin, Sidekey, get, get_with, post, until, until_true};

fn scrape(sidekey: &Sidekey) -> Page {
    let response = sidekey.ask_admin("/metrics", "");
    assert_eq!(response.fields.get("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    Page::parse(response.text())
}

/// Waits for a page on which `name` with `labels` is `value`: a request is counted when its answer has gone.
fn scrape_until(sidekey: &Sidekey, name: &str, labels: &[(&str, &str)], value: f64) -> Page {
    until(&format!("{name} {labels:?} {value}"), || {
        Some(scrape(sidekey)).filter(|page| page.value(name, labels) == value)
    })
}

/// sidekey with every kind of upstream, and every kind of thing that can become of a request done to it.
struct Busy {
    sidekey: Sidekey,
    origins: [Origin; 5],
}

impl Busy {
    fn start() -> Self {
        let authority = Authority::new();
        let folder = tempfile::tempdir().unwrap();
        let trusted = authority.write(folder.path());
        // With its prefix no key is accepted.
        std::fs::write(folder.path().join("unusable"), "Bearer not-the-key-alone").unwrap();
        let (certificate, key) = authority.server("localhost").pem();
        std::fs::write(folder.path().join("server.pem"), certificate).unwrap();
        std::fs::write(folder.path().join("server.key"), key).unwrap();
        let api = Origin::tls(authority.server("localhost").serve(&[&TLS13, &TLS12], None), answer_by_path);
        let (hub, strict, lenient, guarded) = (Origin::ok(), Origin::ok(), Origin::ok(), Origin::ok());
        let config = format!(
            "[server]\nworkers = 2\ndrain = \"2s\"\n\
             [upstream.api]\nurl = \"https://localhost:{}\"\nauth.bearer = {{ token = \"env:TOKEN\" }}\ntls = {{ {trusted} }}\n\
             [upstream.hub]\nurl = \"{}\"\nauth.hmac = {{ username = \"env:USER\", secret = \"env:SECRET\" }}\n\
             [upstream.strict]\nurl = \"{}\"\nallow = [\"GET /fine\"]\nauth.bearer = {{ token = \"env:TOKEN\" }}\n\
             [upstream.lenient]\nurl = \"{}\"\nallow = []\nmode = \"report\"\nauth.bearer = {{ token = \"env:TOKEN\" }}\n\
             [upstream.guarded]\nurl = \"{}\"\nauth.bearer = {{ token = \"env:TOKEN\" }}\n\
             fallback.bearer = {{ token = \"env:OTHER\" }}\nbreaker.failures = 5\nobey_retry_after = true\n\
             limits = {{ rate = \"100/s\", concurrency = 9, wait = \"1s\" }}\n\
             [upstream.down]\nurl = \"http://127.0.0.1:1\"\nauth.bearer = {{ token = \"env:TOKEN\" }}\n\
             [upstream.later]\noptional = true\npreset = \"imagior\"\nauth.bearer = {{ token = \"file:unusable\" }}\n\
             [caller.shop]\ntoken = \"env:SHOP\"\nupstreams = [\"api\", \"hub\", \"strict\", \"lenient\", \"guarded\", \"down\", \"later\"]\n\
             [caller.desk]\ntoken = \"env:DESK\"\nupstreams = [\"api\"]\nlimits.concurrency = 9\n\
             [listen.plain]\naddress = \"127.0.0.1:0\"\n[listen.tls]\naddress = \"127.0.0.1:0\"\n\
             tls = {{ cert = \"server.pem\", key = \"file:server.key\" }}\n\
             [admin]\naddress = \"127.0.0.1:0\"\n",
            api.port(),
            hub.url(),
            strict.url(),
            lenient.url(),
            guarded.url(),
        );
        let busy =
            Self { sidekey: Sidekey::start_in(folder, &config, "json"), origins: [api, hub, strict, lenient, guarded] };
        busy.work();
        busy
    }

    fn field(&self, caller: &str) -> String {
        format!("Proxy-Authorization: Bearer {}\r\n", self.sidekey.secret(caller))
    }

    fn ask(&self, caller: &str, target: &str) -> u16 {
        self.sidekey.ask(get_with(target, &self.field(caller))).status
    }

    fn work(&self) {
        let sidekey = &self.sidekey;
        for (target, status) in [
            ("/api/ok", 200),
            ("/api/ok", 200),
            ("/api/302", 302),
            ("/api/401", 401),
            ("/api/404", 404),
            ("/api/429", 429),
            ("/api/500", 500),
            ("/hub/x", 200),
            ("/strict/fine", 200),
            ("/strict/other", 403),
            ("/lenient/any", 200),
            ("/guarded/", 200),
            ("/down/", 502),
            ("/later/", 503),
            ("/nothing/", 404),
        ] {
            assert_eq!(self.ask("env:SHOP", target), status, "{target}");
        }
        assert_eq!(self.ask("env:DESK", "/api/ok"), 200);
        assert_eq!(self.ask("env:DESK", "/hub/x"), 403);
        assert_eq!(sidekey.ask(get("/api/ok")).status, 407);
        assert_eq!(sidekey.ask("GARBAGE\r\n\r\n").status, 400);
        assert_eq!(sidekey.ask(get_with("/api/ok", "Origin: https://evil.example\r\n")).status, 403);
        let body = post("/api/ok", "12345").replacen("\r\n", &format!("\r\n{}", self.field("env:SHOP")), 1);
        assert_eq!(sidekey.ask(body).status, 200);
        // One that is cut by the upstream, and two whose callers go away: in the answer, and before there is one.
        let mut caller = sidekey.connect();
        caller.send(get_with("/api/cut", &self.field("env:SHOP")));
        caller.cut_response();
        let mut caller = sidekey.connect();
        caller.send(get_with("/api/half", &self.field("env:SHOP")));
        caller.head();
        caller.reset();
        scrape_until(sidekey, "sidekey_requests_in_flight", &[], 0.0);
        let mut caller = sidekey.connect();
        caller.send(get_with("/api/hang", &self.field("env:SHOP")));
        // Only then is it certain to have a connection.
        let [api, ..] = &self.origins;
        until_true("that it has come", || api.requests().iter().any(|request| request.target() == "/hang"));
        assert_eq!(scrape(sidekey).value("sidekey_requests_in_flight", &[]), 1.0);
        caller.reset();
        scrape_until(sidekey, "sidekey_requests_in_flight", &[], 0.0);
    }
}

fn answer_by_path(conversation: &mut Conversation) {
    while let Some(request) = conversation.request() {
        let answer = match request.target() {
            "/cut" => {
                conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nha");
                return conversation.close();
            }
            "/half" => {
                conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nha");
                conversation.rest();
                return;
            }
            "/hang" => {
                conversation.rest();
                return;
            }
            target if target.starts_with("/ok") => OK.to_owned(),
            status => format!("HTTP/1.1 {} Such\r\nContent-Length: 0\r\n\r\n", &status[1..]),
        };
        conversation.send(answer);
    }
}

#[test]
fn what_becomes_of_a_request_is_counted_where_it_belongs() {
    let busy = Busy::start();
    let page = scrape(&busy.sidekey);
    let by = |upstream, caller, code, outcome| {
        let labels = [("upstream", upstream), ("caller", caller), ("code", code), ("outcome", outcome)];
        page.value("sidekey_requests_total", &labels)
    };
    assert_eq!(by("api", "shop", "2xx", "upstream"), 3.0);
    assert_eq!(by("api", "desk", "2xx", "upstream"), 1.0);
    assert_eq!(by("api", "shop", "3xx", "upstream"), 1.0);
    assert_eq!(by("api", "shop", "4xx", "upstream"), 3.0);
    assert_eq!(by("api", "shop", "5xx", "upstream"), 1.0);
    assert_eq!(by("api", "shop", "2xx", "cut"), 1.0);
    assert_eq!(by("api", "shop", "2xx", "gone"), 1.0);
    assert_eq!(by("api", "shop", "none", "gone"), 1.0);
    assert_eq!(by("strict", "shop", "4xx", "sidekey"), 1.0);
    assert_eq!(by("down", "shop", "5xx", "sidekey"), 1.0);
    assert_eq!(by("hub", "desk", "4xx", "sidekey"), 1.0);
    // Web page, unknown caller, garbage; unknown upstream.
    assert_eq!(by("", "", "4xx", "sidekey"), 3.0);
    assert_eq!(by("", "shop", "4xx", "sidekey"), 1.0);

    let problems: [(&str, &[(&str, f64)]); 5] = [
        ("", &[("web-page", 1.0), ("malformed-request", 1.0), ("unknown-caller", 1.0), ("unknown-upstream", 1.0)]),
        ("strict", &[("not-allowed", 1.0)]),
        ("hub", &[("not-for-caller", 1.0)]),
        ("down", &[("connection-refused", 1.0)]),
        ("later", &[("credential-unusable", 1.0)]),
    ];
    for (upstream, counts) in problems {
        let all: f64 = counts.iter().map(|(_, count)| count).sum();
        assert_eq!(page.value("sidekey_problems_total", &[("upstream", upstream)]), all, "{upstream}: {}", page.text);
        for (problem, count) in counts {
            let labels = [("upstream", upstream), ("problem", problem)];
            assert_eq!(page.value("sidekey_problems_total", &labels), *count, "{labels:?}: {}", page.text);
        }
    }

    for (name, upstream, value) in [
        ("sidekey_request_duration_seconds_count", "api", 12.0),
        ("sidekey_upstream_first_byte_seconds_count", "api", 11.0),
        ("sidekey_request_body_bytes_total", "api", 5.0),
        ("sidekey_response_body_bytes_total", "api", 12.0),
        ("sidekey_upstream_unauthorized_total", "api", 1.0),
        ("sidekey_upstream_throttled_total", "api", 1.0),
        ("sidekey_limited_requests_total", "api", 0.0),
        ("sidekey_would_refuse_total", "lenient", 1.0),
        ("sidekey_credentials_placed_total", "api", 12.0),
        ("sidekey_credentials_placed_total", "strict", 1.0),
        ("sidekey_signing_seconds_count", "hub", 1.0),
        ("sidekey_signing_seconds_count", "api", 0.0),
        ("sidekey_upstream_connections_failed_total", "down", 1.0),
        ("sidekey_upstream_connections_opened_total", "down", 0.0),
        ("sidekey_secret_usable", "later", 0.0),
        ("sidekey_secret_usable", "api", 1.0),
    ] {
        assert_eq!(page.value(name, &[("upstream", upstream)]), value, "{name} {upstream}: {}", page.text);
    }
    // Each request went on a connection that was made for it, or was there.
    let (opened, reused) = ("sidekey_upstream_connections_opened_total", "sidekey_upstream_connections_reused_total");
    assert_eq!(page.value(opened, &[("upstream", "api")]) + page.value(reused, &[("upstream", "api")]), 12.0);
    assert_eq!(
        page.value("sidekey_upstream_tls_seconds_count", &[("upstream", "api")]),
        page.value(opened, &[("upstream", "api")])
    );
    assert_eq!(page.value("sidekey_upstream_tls_seconds_count", &[("upstream", "hub")]), 0.0);
    assert_eq!(page.value("sidekey_upstream_connections", &[("state", "active")]), 0.0);
    assert_eq!(page.value("sidekey_upstream_connections", &[("upstream", "hub"), ("state", "idle")]), 1.0);
    assert_eq!(page.value("sidekey_build_info", &[("version", env!("CARGO_PKG_VERSION"))]), 1.0);
    assert_eq!(
        (page.value("sidekey_ready", &[]), page.value("sidekey_config_last_reload_successful", &[])),
        (1.0, 1.0)
    );
}

#[test]
fn connections_of_callers_are_counted_by_worker_and_off_again() {
    let origin = Origin::ok();
    let config = "[server]\nworkers = 2\ndrain = \"1s\"\n".to_owned()
        + &origin.upstream("api")
        + "[admin]\naddress = \"127.0.0.1:0\"\n";
    let sidekey = Sidekey::start(&config);
    let callers: Vec<_> = (0..4).map(|_| sidekey.connect()).collect();
    let page = scrape_until(&sidekey, "sidekey_caller_connections", &[], 4.0);
    for worker in ["0", "1"] {
        assert_eq!(page.value("sidekey_caller_connections", &[("worker", worker)]), 2.0, "{}", page.text);
    }
    drop(callers);
    let page = scrape_until(&sidekey, "sidekey_caller_connections", &[], 0.0);
    assert_eq!(page.value("sidekey_caller_connections_accepted_total", &[]), 4.0);
}

#[test]
fn a_credential_that_was_taken_out_of_an_answer_is_counted() {
    let origin = Origin::plain(|conversation| {
        while let Some(request) = conversation.request() {
            let echoed = request.fields.get("authorization").unwrap().to_owned();
            conversation.send(format!("HTTP/1.1 200 OK\r\nX-Echo: {echoed}\r\nContent-Length: 0\r\n\r\n"));
        }
    });
    let sidekey = Sidekey::start(&(origin.upstream("api") + "[admin]\naddress = \"127.0.0.1:0\"\n"));
    assert_eq!(sidekey.ask(get("/api/")).status, 200);
    scrape_until(&sidekey, "sidekey_scrubbed_total", &[("upstream", "api")], 1.0);
}

#[test]
fn no_request_makes_a_series() {
    let busy = Busy::start();
    let series = |page: &Page| -> BTreeSet<String> {
        let of = |line: &str| line.rsplit_once(' ').unwrap().0.to_owned();
        page.text.lines().filter(|line| !line.starts_with('#')).map(of).collect()
    };
    let before = series(&scrape(&busy.sidekey));
    let shop = busy.field("env:SHOP");
    for number in 0..40 {
        for request in [
            format!("M{number} /api/ok?x={number} HTTP/1.1\r\nHost: localhost\r\n{shop}\r\n"),
            get_with(&format!("/unknown{number}/x"), &shop),
            format!("GET / HTTP/1.1\r\nHost: host{number}.example\r\n{shop}\r\n"),
            get_with("/api/ok", &format!("Proxy-Authorization: Bearer caller{number}\r\n")),
            get_with("/api/ok", &format!("Origin: https://o{number}.example\r\n")),
        ] {
            busy.sidekey.ask(request);
        }
    }
    let page = scrape_until(&busy.sidekey, "sidekey_problems_total", &[("problem", "web-page")], 41.0);
    let mut after = series(&page);
    after.retain(|name| !before.contains(name));
    // A kind of thing that had not happened yet.
    let new: Vec<_> = after.into_iter().collect();
    assert_eq!(new, ["sidekey_problems_total{upstream=\"\",problem=\"unknown-host\"}"]);
}

#[test]
fn whoever_accepts_openmetrics_gets_it() {
    let busy = Busy::start();
    let page = busy.sidekey.ask_admin("/metrics", "Accept: application/openmetrics-text;version=1.0.0\r\n");
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!(page.fields.get("content-type"), Some(kind));
    let text = page.text();
    assert!(text.ends_with("\n# EOF\n"), "{text}");
    assert!(text.contains("# TYPE sidekey_requests counter\n"), "{text}");
    // Whichever format a scrape has, the series are the same.
    let strip = |text: &str| -> BTreeSet<String> {
        let of = |line: &str| line.rsplit_once(' ').unwrap().0.to_owned();
        text.lines().filter(|line| !line.starts_with('#')).map(of).collect()
    };
    assert_eq!(strip(&text), strip(&scrape(&busy.sidekey).text));
}

#[test]
fn the_process_is_measured_though_it_cannot_open_proc_any_more() {
    let busy = Busy::start();
    let page = scrape(&busy.sidekey);
    let resident = page.value("process_resident_memory_bytes", &[]);
    let known = busy.sidekey.memory("VmRSS:") as f64;
    assert!((known / 2.0..known * 2.0).contains(&resident), "{resident} {known}");
    let open = std::fs::read_dir(format!("/proc/{}/fd", busy.sidekey.id())).unwrap().count() as f64;
    let told = page.value("process_open_fds", &[]);
    // Linux before 6.2 does not tell.
    assert!(told == 0.0 || (told - open).abs() <= 3.0, "{told} {open}");
    assert!(page.value("process_max_fds", &[]) >= told);
    assert!(page.value("process_cpu_seconds_total", &[]) > 0.0);
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
    assert!((now - page.value("process_start_time_seconds", &[])).abs() < 300.0);
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(repository().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn the_page_on_metrics_has_all_of_them_with_their_labels() {
    let busy = Busy::start();
    let page = scrape(&busy.sidekey);
    let docs = read("docs/metrics.md");
    let rows = docs.lines().filter(|line| line.starts_with("| `sidekey_") || line.starts_with("| `process_"));
    let documented: BTreeMap<&str, (&str, BTreeSet<&str>)> = rows
        .map(|row| {
            let cells: Vec<_> = row.split('|').map(str::trim).collect();
            let labels = cells[3].split('`').skip(1).step_by(2).collect();
            (cells[1].trim_matches('`'), (cells[2], labels))
        })
        .collect();
    let there: BTreeMap<&str, (&str, BTreeSet<&str>)> =
        page.families().into_iter().map(|(name, labels)| (name, (&*page.types[name], labels))).collect();
    assert!(there.len() > 30, "{there:?}");
    assert_eq!(documented, there);
}

#[test]
fn nothing_is_lost_between_workers() {
    let origin = Origin::ok();
    let config = "[server]\nworkers = 4\ndrain = \"1s\"\n".to_owned()
        + &origin.upstream("api")
        + "[admin]\naddress = \"127.0.0.1:0\"\n";
    let sidekey = Sidekey::start(&config);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut caller = sidekey.connect();
                for _ in 0..50 {
                    caller.send(get("/api/"));
                    assert_eq!(caller.response().status, 200);
                    // Whoever scrapes meanwhile disturbs nobody.
                    scrape(&sidekey);
                }
            });
        }
    });
    let page = scrape_until(&sidekey, "sidekey_requests_total", &[("code", "2xx"), ("outcome", "upstream")], 400.0);
    for name in ["sidekey_request_duration_seconds_count", "sidekey_credentials_placed_total"] {
        assert_eq!(page.value(name, &[("upstream", "api")]), 400.0, "{name}");
    }
    assert_eq!(page.value("sidekey_response_body_bytes_total", &[]), 800.0);
    assert_eq!(page.value("sidekey_requests_in_flight", &[]), 0.0);
}
