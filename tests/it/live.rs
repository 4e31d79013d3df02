//! `check --live`: what it says of every way in which a vendor can be well or ill. No secret is in it, whatever the
//! vendor says: that the harness asserts of all that the process writes.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use rustls::version::{TLS12, TLS13};
use serde_json::Value;
use sidekey::sandbox::Sandbox;
use socket2::{Domain, Socket, Type};
use tempfile::TempDir;

use crate::support::{Authority, Ended, Http2Origin, Identity, NameServer, OK, Origin, command, free_port};

/// What a vendor that was compromised could know, and say.
const SECRET: &str = "2718281828459045";

fn run(folder: &Path, config: &str, arguments: &[&str]) -> Ended {
    let file = folder.join("sidekey.toml");
    std::fs::write(folder.join("secret"), SECRET).unwrap();
    std::fs::write(&file, config).unwrap();
    command(&[&["check", "--live", "--config", file.to_str().unwrap()], arguments].concat())
}

/// The report of the one upstream in `config`, in both forms, which ended with `code`.
fn look(config: &str, code: i32) -> (String, Value) {
    look_in(&tempfile::tempdir().unwrap(), config, code)
}

fn look_in(folder: &TempDir, config: &str, code: i32) -> (String, Value) {
    let shown = run(folder.path(), config, &[]);
    assert_eq!(shown.code, Some(code), "{shown:?}");
    let mut reports = reports(folder.path(), config, code);
    assert_eq!(reports.len(), 1);
    (shown.stdout, reports.remove(0))
}

fn reports(folder: &Path, config: &str, code: i32) -> Vec<Value> {
    let told = run(folder, config, &["--json"]);
    assert_eq!(told.code, Some(code), "{told:?}");
    let told: Value = serde_json::from_str(&told.stdout).unwrap();
    assert_eq!(told["outcome"] == "failed", code == 1, "{told}");
    told["upstreams"].as_array().unwrap().clone()
}

/// An upstream, with what `more` adds.
fn upstream(url: &str, more: &str) -> String {
    format!("[upstream.api]\nurl = \"{url}\"\nauth.bearer = {{ token = \"file:secret\" }}\n{more}\n")
}

fn imagga(origin: &Origin) -> String {
    let auth = "auth.basic = { username = \"file:secret\", password = \"file:secret\" }";
    format!("[upstream.imagga]\npreset = \"imagga\"\nurl = \"{}\"\n{auth}\n", origin.url())
}

/// The codes of what was found, each with its level.
fn findings(report: &Value) -> Vec<(&str, &str)> {
    let findings = report["findings"].as_array().unwrap();
    findings.iter().map(|found| (found["level"].as_str().unwrap(), found["code"].as_str().unwrap())).collect()
}

const PROBE: &str = "probe = \"GET /v1/me\"";
/// On loopback, it is nothing to worry about.
const PLAIN: (&str, &str) = ("note", "plaintext");

fn status(line: &str, fields: &str) -> String {
    format!("HTTP/1.1 {line}\r\nContent-Length: 2\r\n{fields}\r\n{{}}")
}

#[test]
fn it_asks_in_the_version_that_was_agreed_on_and_says_which() {
    let authority = Authority::new();
    let identity = authority.server("localhost");
    let origin = Http2Origin::start(identity.serve_alpn(&["h2", "http/1.1"]));
    for (http, agreed, code) in [("auto", "2", 0), ("2", "2", 0)] {
        let folder = tempfile::tempdir().unwrap();
        let more = format!("tls = {{ {} }}\nhttp = \"{http}\"\n{PROBE}", authority.write(folder.path()));
        let config = upstream(&format!("https://localhost:{}", origin.port()), &more);
        let (shown, report) = look_in(&folder, &config, code);
        assert!(shown.contains(&format!("TLS 1.3, HTTP/{agreed}, ")), "{shown}");
        assert_eq!((&report["tls"]["http"], &report["probe"]["status"]), (&agreed.into(), &200.into()));
    }
    // Each looked once, and asked on the connection that it had looked at.
    assert_eq!((origin.connections(), origin.requests().len()), (4, 4));
}

#[test]
fn every_stand_in_is_good_and_says_what_is_left() {
    let sandbox = Sandbox::start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let config = sandbox.config_toml(folder.path(), "127.0.0.1:8080").unwrap();
    let reports = reports(folder.path(), &config, 0);
    assert_eq!(reports.len(), 6);
    for report in &reports {
        let name = report["name"].as_str().unwrap();
        assert_eq!(report["outcome"], "good", "{report}");
        assert!(report["tls"]["version"] == "1.3" && report["tls"]["days_left"].as_i64() > Some(1000), "{report}");
        assert_eq!(report["tls"]["chain"][0]["issuer"], "sidekey sandbox");
        for step in ["lookup", "connect", "tls"] {
            assert!(report[step]["ms"].as_f64().is_some(), "{step}: {report}");
        }
        let (credential, left) = match name {
            "imagga" => ("accepted", Some(1988)),
            "imagior" | "hub" | "hub-basic" => ("accepted", Some(1000)),
            _ => ("not_asked", None),
        };
        assert_eq!((report["credential"].as_str(), report["quota"]["left"].as_i64()), (Some(credential), left));
        match left {
            Some(_) => {
                assert_eq!(report["probe"]["status"], 200);
                assert!(report["clock"]["skew_ms"].as_i64().unwrap().abs() < 5000, "{report}");
            }
            None => assert_eq!(findings(report), [("note", "no_probe")]),
        }
    }
    let shown = run(folder.path(), &config, &["hub", "resci"]);
    assert_eq!(shown.code, Some(0));
    for line in
        ["accepted", "1000 credits left", "in step with the vendor's", "nothing was asked", "2 upstreams: 2 good"]
    {
        assert!(shown.stdout.contains(line), "{line}: {}", shown.stdout);
    }
    assert!(!shown.stdout.contains("imagga"), "{}", shown.stdout);
}

#[test]
fn a_credential_that_is_rejected_is_told_even_if_the_other_is_accepted() {
    let origin = Origin::plain(|conversation| {
        while let Some(request) = conversation.request() {
            let fallback = format!("Bearer {SECRET}-2");
            let is_fallback = request.fields.get("authorization") == Some(fallback.as_str());
            conversation.send(status(if is_fallback { "200 OK" } else { "401 Unauthorized" }, ""));
        }
    });
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("other"), format!("{SECRET}-2")).unwrap();
    let config = upstream(&origin.url(), &format!("fallback.bearer.token = \"file:other\"\n{PROBE}"));
    let (shown, report) = look_in(&folder, &config, 0);
    assert_eq!(report["credential"], "accepted", "{report}");
    assert_eq!(findings(&report), [PLAIN, ("warning", "main_credential_rejected")]);
    assert!(shown.contains("the one in `auth` is rejected"), "{shown}");
}

#[test]
fn a_rejected_credential_fails_and_a_doubtful_answer_does_not() {
    for (answer, code, verdict, finding) in [
        (status("401 Unauthorized", ""), 1, "rejected", Some(("failure", "credential_rejected"))),
        (status("403 Forbidden", ""), 1, "not_told", Some(("failure", "forbidden"))),
        (status("404 Not Found", ""), 0, "not_told", Some(("warning", "probe_unknown"))),
        (status("302 Found", "Location: /login\r\n"), 0, "not_told", Some(("warning", "redirected"))),
        (status("429 Too Many Requests", "Retry-After: 30\r\n"), 0, "not_told", Some(("warning", "rate_limited"))),
        (status("418 Teapot", ""), 0, "not_told", Some(("warning", "unexpected_status"))),
        (status("503 Service Unavailable", ""), 1, "not_told", Some(("failure", "vendor_fails"))),
        (OK.to_owned(), 0, "accepted", None),
    ] {
        let origin = Origin::answering(answer.clone());
        let (shown, report) = look(&upstream(&origin.url(), PROBE), code);
        assert_eq!(report["credential"], verdict, "{answer}");
        assert_eq!(findings(&report), [PLAIN].into_iter().chain(finding).collect::<Vec<_>>(), "{answer}");
        assert_eq!(shown.contains("asked again in 30 s"), verdict == "not_told" && answer.contains("Retry-After"));
        let asked = origin.requests();
        assert_eq!(asked[0].line, "GET /v1/me HTTP/1.1");
        assert_eq!(asked[0].fields.get("authorization"), Some(format!("Bearer {SECRET}").as_str()));
    }
}

#[test]
fn a_403_of_a_vendor_that_uses_it_for_its_quota_does_not_condemn_the_key() {
    let origin = Origin::answering(status("403 Forbidden", ""));
    let (shown, report) = look(&imagga(&origin), 0);
    assert_eq!((&report["outcome"], &report["credential"]), (&"warned".into(), &"not_told".into()));
    assert_eq!(findings(&report), [PLAIN, ("warning", "forbidden")]);
    assert!(shown.contains("the month's quota may be used up"), "{shown}");
    assert_eq!(origin.requests()[0].line, "GET /v2/usage HTTP/1.1");
}

#[test]
fn a_quota_is_numbers_and_nothing_else_of_a_body_is_shown() {
    let usage = |processed: &str| {
        let body =
            format!("{{\"result\":{{\"monthly_limit\":100,\"monthly_processed\":{processed}}},\"x\":\"<raw>\"}}");
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nX-Raw: <raw>\r\n\r\n{body}", body.len());
        let (shown, report) = look(&imagga(&Origin::answering(answer)), 0);
        assert!(!format!("{shown}{report}").contains("<raw>"), "{shown}");
        report
    };
    for (processed, left, finding) in [
        ("12", Some(88.0), None),
        ("95.5", Some(4.5), Some(("warning", "quota_low"))),
        ("100", Some(0.0), Some(("warning", "quota_used_up"))),
        ("\"\\u001b[2J\"", None, Some(("note", "quota_unknown"))),
        // A number, too, could be the key.
        (SECRET, None, Some(("note", "quota_unknown"))),
    ] {
        let report = usage(processed);
        assert_eq!(report["quota"]["left"].as_f64(), left, "{processed}");
        assert_eq!(findings(&report), [PLAIN].into_iter().chain(finding).collect::<Vec<_>>(), "{processed}");
        assert_eq!(report["credential"], "accepted");
    }
}

/// An origin on `localhost` with this identity, and an upstream that trusts `authority` and asks for `more`.
fn secure(identity: &Identity, authority: &Authority, folder: &TempDir, more: &str) -> (Origin, String) {
    let origin = Origin::tls(identity.serve(&[&TLS13, &TLS12], None), |conversation| conversation.answer_all(OK));
    let tls = format!("tls = {{ {} }}\n{more}", authority.write(folder.path()));
    let config = upstream(&format!("https://localhost:{}", origin.port()), &tls);
    (origin, config)
}

#[test]
fn a_certificate_that_is_not_valid_fails_before_anything_is_sent() {
    let authority = Authority::new();
    let stranger = Authority::new();
    for (identity, trusts, hint) in [
        (authority.server("other.example"), true, "tls.server_name"),
        (authority.expired_server("localhost"), true, "renew"),
        (stranger.server("localhost"), true, "tls.ca_file"),
        (authority.server("localhost"), false, "tls.ca_file"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (origin, config) = secure(&identity, &authority, &folder, PROBE);
        let config = if trusts { config } else { config.replace("tls = ", "# ") };
        let (shown, report) = look_in(&folder, &config, 1);
        assert_eq!(findings(&report), [("failure", "tls_certificate")]);
        assert!(report["tls"].is_null() && report["connect"]["ms"].is_number(), "{report}");
        assert!(shown.contains(hint), "{hint}: {shown}");
        assert!(origin.requests().is_empty());
    }
}

#[test]
fn a_certificate_that_expires_soon_is_a_warning() {
    let authority = Authority::new();
    for (lifetime, left, warns) in [(90, 10, true), (365, 29, true), (365, 31, false), (6, 4, false), (6, 1, true)] {
        let now = SystemTime::now();
        // An hour more, so that the day is not over while the test runs.
        let end = now + Duration::from_secs(left * 86_400 + 3600);
        let identity = authority.server_within("localhost", end - Duration::from_secs(lifetime * 86_400), end);
        let folder = tempfile::tempdir().unwrap();
        let (_origin, config) = secure(&identity, &authority, &folder, PROBE);
        let (shown, report) = look_in(&folder, &config, 0);
        let expected: &[_] = if warns { &[("warning", "certificate_expires_soon")] } else { &[] };
        assert_eq!(findings(&report), expected, "{lifetime} {left}");
        assert_eq!(report["tls"]["days_left"], left);
        let plural = if left == 1 { "" } else { "s" };
        assert!(shown.contains(&format!("{left} day{plural} left")), "{shown}");
    }
}

#[test]
fn a_name_in_a_certificate_can_neither_reach_the_terminal_nor_hold_the_key() {
    let authority = Authority::new();
    let identity = authority.server_called("localhost", &format!("\u{1b}[2J\u{202e}{SECRET} Ltd"));
    let folder = tempfile::tempdir().unwrap();
    let (_origin, config) = secure(&identity, &authority, &folder, "");
    let (shown, report) = look_in(&folder, &config, 0);
    let name = "\\u{1b}[2J\\u{202e}[redacted:api] Ltd";
    assert_eq!(report["tls"]["chain"][0]["subject"], name);
    assert!(shown.contains(name) && !shown.contains('\u{1b}'), "{shown}");
}

#[test]
fn a_clock_that_is_off_is_told_and_fails_where_it_breaks_signatures() {
    let hmac = "[upstream.api]\nurl = \"URL\"\nauth.hmac = { username = \"file:secret\", secret = \"file:secret\" }\n";
    for (scheme, skew, code, finding) in [
        ("bearer", 0, 0, None),
        ("bearer", 25, 0, None),
        ("bearer", 100, 0, Some(("warning", "clock_skew"))),
        ("bearer", 4000, 0, Some(("warning", "clock_skew"))),
        ("hmac", 100, 0, Some(("warning", "clock_skew"))),
        ("hmac", 400, 1, Some(("failure", "clock_skew"))),
    ] {
        for ahead in [true, false] {
            let origin = Origin::plain(move |conversation| {
                while conversation.request().is_some() {
                    let now = SystemTime::now();
                    let skew = Duration::from_secs(skew);
                    let date = httpdate::fmt_http_date(if ahead { now - skew } else { now + skew });
                    conversation.send(status("200 OK", &format!("Date: {date}\r\n")));
                }
            });
            let config = match scheme {
                "hmac" => format!("{}{PROBE}\n", hmac.replace("URL", &origin.url())),
                _ => upstream(&origin.url(), PROBE),
            };
            let (shown, report) = look(&config, code);
            assert_eq!(findings(&report), [PLAIN].into_iter().chain(finding).collect::<Vec<_>>(), "{scheme} {skew}");
            let told = report["clock"]["skew_ms"].as_f64().unwrap() / 1000.0;
            let skew = if ahead { skew as f64 } else { -(skew as f64) };
            assert!((told - skew).abs() < 10.0, "{told} is not {skew}");
            let side = if ahead { "ahead of the vendor's" } else { "behind the vendor's" };
            assert_eq!(shown.contains(side), skew != 0.0, "{shown}");
        }
    }
}

#[test]
fn what_keeps_a_connection_from_being_made_is_told_with_its_step() {
    let port = free_port();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = silent.local_addr().map(|address| (silent, address)).unwrap();
    // A queue of one, which is full: the kernel does not answer the next caller.
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    socket.listen(0).unwrap();
    let black_hole = socket.local_addr().unwrap().as_socket().unwrap();
    let connect = |_| TcpStream::connect_timeout(&black_hole, Duration::from_millis(200)).ok();
    let full: Vec<_> = (0..3).map(connect).collect();
    assert!(full.iter().any(Option::is_none), "the queue is not full");
    let short = "timeouts = { connect = \"200ms\", tls = \"200ms\", response = \"200ms\" }\n";
    let deaf = Origin::plain(|conversation| drop((conversation.request(), conversation.rest())));
    let garbage = Origin::answering("SSH-2.0-x\r\n\r\n");
    let garbage_at_once = Origin::plain(|conversation| {
        conversation.send("SSH-2.0-x\r\n\r\n");
        conversation.rest();
    });
    for (url, step, code) in [
        (format!("http://127.0.0.1:{port}"), "connect", "connection_refused"),
        (format!("http://{black_hole}"), "connect", "connection_timeout"),
        (format!("https://{}", silent.1), "tls", "tls_timeout"),
        (garbage_at_once.url().replace("http", "https"), "tls", "tls_protocol"),
        (deaf.url(), "probe", "response_timeout"),
        (garbage.url(), "probe", "response_malformed"),
    ] {
        let (shown, report) = look(&upstream(&url, &format!("{short}{PROBE}")), 1);
        let last = report["findings"].as_array().unwrap().last().unwrap();
        assert_eq!((&last["step"], &last["code"], &last["level"]), (&step.into(), &code.into(), &"failure".into()));
        assert!(shown.contains("fail"), "{shown}");
    }
}

#[test]
fn a_name_is_looked_up_and_its_addresses_are_judged_as_for_a_request() {
    let own = free_port();
    let names = NameServer::start(|name| match name {
        "private.test" => vec!["10.0.0.1"],
        "metadata.test" => vec!["169.254.169.254"],
        "own.test" => vec!["127.0.0.1"],
        _ => vec![],
    });
    for (name, more, code) in [
        ("gone.test", "", "dns_error"),
        ("private.test", "", "address_prohibited"),
        ("metadata.test", "allow_private = true\n", "address_prohibited"),
        ("own.test", "allow_private = true\n", "proxy_loop"),
    ] {
        let listener = format!("[listen.local]\naddress = \"127.0.0.1:{own}\"\n");
        let config = upstream(&format!("https://{name}:{own}"), &format!("{more}{PROBE}"));
        let (_, report) = look(&format!("{}{listener}{config}", names.server()), 1);
        assert_eq!(findings(&report), [("failure", code)], "{name}");
        assert!(report["connect"].is_null());
        let addresses = report["lookup"]["addresses"].as_array().map(Vec::len);
        assert_eq!(addresses, (name != "gone.test").then_some(1));
    }
}

#[test]
fn what_the_rules_refuse_is_not_sent_and_that_is_said() {
    for rules in ["deny = [\"GET /v1/**\"]", "allow = [\"POST /v1/messages\"]"] {
        let origin = Origin::ok();
        let (shown, report) = look(&upstream(&origin.url(), &format!("{PROBE}\n{rules}")), 0);
        assert_eq!(findings(&report), [PLAIN, ("warning", "not_allowed")], "{rules}");
        assert_eq!(report["credential"], "not_asked");
        assert!(origin.requests().is_empty(), "{rules}");
        assert!(shown.contains("let the rules allow it"), "{shown}");
    }
}

#[test]
fn a_probe_goes_out_as_it_is_written_and_is_shown_without_its_query() {
    let origin = Origin::ok();
    let (shown, report) = look(&upstream(&origin.url(), "probe = \"HEAD /v1/me?tenant=hush\""), 0);
    assert_eq!(origin.requests()[0].line, "HEAD /v1/me?tenant=hush HTTP/1.1");
    assert_eq!(report["probe"]["path"], "/v1/me");
    assert!(shown.contains("HEAD /v1/me: 200") && !format!("{shown}{report}").contains("hush"), "{shown}");
    // Both runs made one connection, which was the one that was timed.
    assert_eq!(origin.connections(), 2);
}

#[test]
fn no_pool_setting_makes_a_second_connection() {
    let origin = Origin::ok();
    look(&upstream(&origin.url(), &format!("pool = {{ max_idle = 0 }}\n{PROBE}")), 0);
    assert_eq!(origin.connections(), 2);
}

#[test]
fn the_timeout_ends_it_and_what_was_found_by_then_is_told() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", silent.local_addr().unwrap());
    // Five at once take as long as one.
    let config: String =
        (0..5).map(|n| upstream(&url, "").replace("upstream.api", &format!("upstream.u{n}"))).collect();
    let folder = tempfile::tempdir().unwrap();
    let began = Instant::now();
    let told = run(folder.path(), &config, &["--timeout", "1s", "--json"]);
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    assert_eq!(told.code, Some(1));
    let told: Value = serde_json::from_str(&told.stdout).unwrap();
    for report in told["upstreams"].as_array().unwrap() {
        assert_eq!(findings(report), [("failure", "timeout")]);
        assert_eq!(report["findings"][0]["step"], "tls");
        assert!(report["connect"]["ms"].is_number());
    }
}

#[test]
fn colour_is_for_terminals_and_no_color_wins() {
    let origin = Origin::ok();
    let folder = tempfile::tempdir().unwrap();
    let config = upstream(&origin.url(), PROBE);
    assert!(!run(folder.path(), &config, &[]).stdout.contains('\u{1b}'), "no terminal, no colour");
    let coloured = |variables: &[(&str, &str)], arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sidekey"));
        command.args(["check", "--live", "--config"]).arg(folder.path().join("sidekey.toml")).args(arguments);
        let output = command.envs(variables.iter().copied()).output().unwrap();
        assert!(output.status.success());
        output.stdout.contains(&0x1b)
    };
    let forced = ("CLICOLOR_FORCE", "1");
    assert!(coloured(&[forced], &[]));
    assert!(!coloured(&[forced, ("NO_COLOR", "1")], &[]));
    assert!(!coloured(&[forced], &["--json"]));
}

#[test]
fn what_cannot_be_asked_of_the_command_is_usage() {
    let folder = tempfile::tempdir().unwrap();
    let config = upstream("https://api.example", "");
    for arguments in [&["nobody"][..], &["--timeout", "0s"], &["--timeout", "5"]] {
        assert_eq!(run(folder.path(), &config, arguments).code, Some(2), "{arguments:?}");
    }
    let file = folder.path().join("sidekey.toml");
    for arguments in [&["--json"][..], &["api"], &["--timeout", "1s"]] {
        let ended = command(&[&["check", "--config", file.to_str().unwrap()], arguments].concat());
        assert_eq!(ended.code, Some(2), "{ended:?}");
    }
}

#[test]
fn a_config_that_cannot_be_served_is_78_and_nobody_is_asked() {
    let origin = Origin::ok();
    let ended = run(tempfile::tempdir().unwrap().path(), &upstream(&origin.url(), "probe = \"POST /v1/me\""), &[]);
    assert_eq!(ended.code, Some(78), "{ended:?}");
    assert!(ended.stderr.contains("`upstream.api.probe`: the method of a probe is `GET` or `HEAD`"), "{ended:?}");
    assert_eq!(origin.connections(), 0);
}

#[test]
fn the_page_has_every_code() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("docs/check.md")).unwrap();
    let is_code = |text: &&str| {
        text.contains('_')
            && text.split('_').all(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase()))
    };
    let mut codes = vec!["forbidden".to_owned(), "plaintext".to_owned(), "redirected".to_owned(), "timeout".to_owned()];
    for file in ["answer", "certificate", "clock", "look"] {
        let source = std::fs::read_to_string(root.join(format!("src/cli/live/{file}.rs"))).unwrap();
        let source = source.split("#[cfg(test)]").next().unwrap();
        codes.extend(source.split('"').skip(1).step_by(2).filter(is_code).map(str::to_owned));
    }
    assert!(codes.len() > 12, "{codes:?}");
    for code in codes {
        assert!(page.contains(&format!("| `{code}` |")), "`{code}`");
    }
}
