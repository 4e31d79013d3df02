//! What the log says of a request, how much it says, and the ids by which a request is found again.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::any;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use rustls::version::TLS13;
use serde_json::Value;

use crate::support::{Authority, OK, Origin, Sidekey, free_port, get, get_with, post};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

/// An origin that answers everything with `answer`, and sidekey before it, with more in the upstream's table and after it.
fn start(answer: &str, more: &str) -> (Origin, Sidekey) {
    let origin = Origin::answering(answer);
    let sidekey = Sidekey::start(&format!("{}{more}", origin.upstream("api")));
    (origin, sidekey)
}

fn status(line: &str, fields: &str) -> String {
    format!("HTTP/1.1 {line}\r\nContent-Length: 0\r\n{fields}\r\n")
}

/// All lines, and those of requests, of a log in JSON.
fn lines(log: &str) -> Vec<Value> {
    log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}"))).collect()
}

fn records(log: &str) -> Vec<Value> {
    lines(log).into_iter().filter(|line| line["target"] == "access").collect()
}

fn is_new(id: &str) -> bool {
    id.len() == 36 && id.split('-').map(str::len).eq([8, 4, 4, 4, 12]) && id.as_bytes()[14] == b'7'
}

#[test]
fn a_sane_id_is_the_same_at_the_vendor_the_caller_and_in_the_log() {
    let (origin, sidekey) = start(OK, "");
    let longest = "i".repeat(128);
    for id in ["a", "0199a1b2-3c4d-7e5f-8a6b-7c8d9e0f1a2b", "Root=1-67891233-abc/x.y~z+0==", &longest] {
        let answer = sidekey.ask(get_with("/api/x", &format!("X-Request-Id: {id}\r\n")));
        answer.assert_passed_on(200);
        assert_eq!(answer.fields.get("x-request-id"), Some(id));
        assert_eq!(origin.requests().last().unwrap().fields.get("x-request-id"), Some(id));
        assert_eq!(sidekey.access(|record| record["request_id"] == id)["status"], 200);
    }
    // What no vendor gets to see.
    let answer = sidekey.ask(get_with("/nothing/x", "X-Request-Id: not-found\r\n"));
    answer.assert_own(404, "destination_not_found");
    assert_eq!(answer.fields.get("x-request-id"), Some("not-found"));
    let record = sidekey.access(|record| record["request_id"] == "not-found");
    assert_eq!((&record["answered_by"], &record["problem"]), (&"sidekey".into(), &"unknown-upstream".into()));
    let asked = "OPTIONS /api/x HTTP/1.1\r\nHost: localhost\r\nMax-Forwards: 0\r\nX-Request-Id: options\r\n\r\n";
    assert_eq!(sidekey.ask(asked).fields.get("x-request-id"), Some("options"));
    assert_eq!(sidekey.access(|record| record["request_id"] == "options")["answered_by"], "sidekey");
}

#[test]
fn any_other_id_and_none_is_replaced_by_a_new_one() {
    let (origin, sidekey) = start(OK, "");
    let too_long = format!("X-Request-Id: {}\r\n", "i".repeat(129));
    for fields in [
        "",
        "X-Request-Id:\r\n",
        "X-Request-Id: two words\r\n",
        "X-Request-Id: a\"b\r\n",
        "X-Request-Id: a\\b\r\n",
        "X-Request-Id: {\"a\":1}\r\n",
        "X-Request-Id: one\r\nX-Request-Id: two\r\n",
        "X-Request-Id: one, two\r\n",
        "X-Request-Id: \u{e9}\r\n",
        &too_long,
        // Other spellings of it are not it, and do not cross beside it.
        "X_Request_Id: mine\r\n",
        "Connection: X-Request-Id\r\nX-Request_Id: mine\r\n",
    ] {
        let answer = sidekey.ask(get_with("/api/x", fields));
        let id = answer.fields.get("x-request-id").unwrap();
        assert!(is_new(id), "{fields}: {id}");
        let request = origin.requests().pop().unwrap();
        assert_eq!(request.fields.get("x-request-id"), Some(id), "{fields}");
        assert!(!request.fields.0.iter().any(|(_, value)| value == "mine"), "{request:?}");
        sidekey.access(|record| record["request_id"] == id);
    }
    sidekey.ask("nonsense\r\n\r\n").assert_own(400, "http_request_error");
    assert!(is_new(sidekey.access(|record| record["status"] == 400)["request_id"].as_str().unwrap()));
}

#[test]
fn no_id_that_a_caller_sends_can_break_a_log_line() {
    let (_origin, mut sidekey) = start(OK, "");
    let config = Config { cases: 200, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let ran = runner.run(&(vec(any::<u8>(), 0..160), any::<bool>()), |(mut id, legal)| {
        id.retain(|byte| !b"\r\n".contains(byte) && (!legal || *byte >= b' '));
        let mut request = b"GET /api/x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n".to_vec();
        for name in ["X-Request-Id: ", "traceparent: 00-", "tracestate: "] {
            request.extend([name.as_bytes(), &id, b"\r\n"].concat());
        }
        let answer = sidekey.ask([&request[..], b"\r\n"].concat());
        let told = answer.fields.get("x-request-id").unwrap();
        assert!(told.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~+/=".contains(&b)), "{told}");
        Ok(())
    });
    ran.unwrap();
    let records = records(&sidekey.stop().stderr);
    assert_eq!(records.len(), 200);
    for record in records {
        assert!(matches!(record["request_id"].as_str().unwrap().len(), 1..=128), "{record}");
    }
}

#[test]
fn the_vendors_own_id_is_in_the_log_and_not_on_the_answer() {
    for (vendors, logged) in [
        ("X-Request-Id: vendor-1\r\n", Some("vendor-1")),
        ("X-Request-Id: ours\r\n", None),
        ("X-Request-Id: not one word\r\n", None),
        ("X-Request-Id: first\r\nX-Request-Id: second\r\n", Some("first")),
    ] {
        let (_origin, sidekey) = start(&status("200 OK", vendors), "");
        let answer = sidekey.ask(get_with("/api/x", "X-Request-Id: ours\r\n"));
        assert_eq!(answer.fields.get("x-request-id"), Some("ours"), "{vendors}");
        let record = sidekey.access(|record| record["request_id"] == "ours");
        assert_eq!(record.get("upstream_request_id").and_then(Value::as_str), logged, "{record}");
    }
}

/// The harness asserts that none is in the log, nor a caller's token at the origin.
#[test]
fn an_id_that_holds_a_secret_is_none() {
    let caller = "\n[caller.shop]\ntoken = \"file:shop\"\nupstreams = [\"api\"]\n";
    let (origin, sidekey) = start(OK, caller);
    let (token, key) = (sidekey.secret("file:shop").to_owned(), sidekey.secret("env:TOKEN").to_owned());
    for secret in [&token, &key] {
        let fields = format!("Proxy-Authorization: Bearer {token}\r\nX-Request-Id: {secret}\r\n");
        sidekey.ask(get_with("/api/x", &fields)).assert_passed_on(200);
        assert!(is_new(origin.requests().last().unwrap().fields.get("x-request-id").unwrap()));
    }
    // What gets no further is logged as well.
    let fields = format!("Proxy-Authorization: Bearer {token}\r\nX-Request-Id: {key}\r\nMax-Forwards: 0\r\n");
    let refused = sidekey.ask(format!("OPTIONS /api/x HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n"));
    assert!(is_new(refused.fields.get("x-request-id").unwrap()), "{:?}", refused.fields);
    // Nobody who is known: the token is in the wrong place.
    sidekey.ask(get_with("/api/x", &format!("X-Request-Id: {token}\r\n"))).assert_own(407, "http_request_denied");
    assert!(is_new(sidekey.access(|record| record["status"] == 407)["request_id"].as_str().unwrap()));
}

#[test]
fn a_token_in_the_form_of_a_trace_id_is_not_logged() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("shop"), TRACE).unwrap();
    let origin = Origin::ok();
    let callers = "\n[caller.shop]\ntoken = \"file:shop\"\nupstreams = [\"api\"]\n";
    let sidekey = Sidekey::start_in(folder, &format!("{}{callers}", origin.upstream("api")), "json");
    let fields = format!("Proxy-Authorization: Bearer {TRACE}\r\ntraceparent: 00-{TRACE}-{PARENT}-01\r\n");
    sidekey.ask(get_with("/api/x", &fields)).assert_passed_on(200);
    assert_ne!(sidekey.access(|_| true)["trace_id"], TRACE);
}

#[test]
fn an_id_can_be_signed() {
    let origin = Origin::ok();
    let sidekey = Sidekey::start(&format!(
        "[upstream.api]\nurl = \"{}\"\n[upstream.api.auth.hmac]\nusername = \"env:USER\"\nsecret = \"env:KEY\"\n\
         headers = [\"Date\", \"X-Request-Id\", \"request-line\"]\n",
        origin.url()
    ));
    let id = sidekey.ask(get("/api/x")).fields.get("x-request-id").unwrap().to_owned();
    let request = origin.request();
    assert_eq!(request.fields.get("x-request-id"), Some(id.as_str()));
    let signed = request.fields.get("authorization").unwrap();
    assert!(signed.contains("headers=\"Date X-Request-Id request-line\""), "{signed}");
}

#[test]
fn a_valid_trace_is_passed_on_as_it_is() {
    let (origin, sidekey) = start(OK, "");
    for parent in [format!("00-{TRACE}-{PARENT}-01"), format!("cc-{TRACE}-{PARENT}-00-more")] {
        let fields = format!("traceparent: {parent}\r\ntracestate: a=1\r\ntracestate: b=2\r\n");
        sidekey.ask(get_with("/api/x", &fields)).assert_passed_on(200);
        let request = origin.requests().pop().unwrap();
        assert_eq!(request.fields.get("traceparent"), Some(parent.as_str()));
        assert_eq!(request.fields.all("tracestate"), ["a=1", "b=2"]);
        assert_eq!(sidekey.access(|_| true)["trace_id"], TRACE);
    }
    // A request that goes nowhere is part of its trace, too.
    let fields = format!("traceparent: 00-{TRACE}-{PARENT}-01\r\n");
    sidekey.ask(get_with("/nothing/x", &fields)).assert_own(404, "destination_not_found");
    assert_eq!(sidekey.access(|record| record["status"] == 404)["trace_id"], TRACE);
}

#[test]
fn a_trace_that_is_not_valid_is_begun_anew_without_its_state() {
    let (origin, sidekey) = start(OK, "");
    for parents in [
        String::new(),
        format!("traceparent: 00-{TRACE}-{PARENT}\r\n"),
        format!("traceparent: 00-{}-{PARENT}-01\r\n", "0".repeat(32)),
        format!("traceparent: ff-{TRACE}-{PARENT}-01\r\n"),
        format!("traceparent: 00-{}-{PARENT}-01\r\n", TRACE.to_uppercase()),
        format!("traceparent: 00-{TRACE}-{PARENT}-01\r\ntraceparent: 00-{TRACE}-{PARENT}-01\r\n"),
    ] {
        sidekey.ask(get_with("/api/x", &format!("{parents}tracestate: a=1\r\n"))).assert_passed_on(200);
        let fields = origin.requests().pop().unwrap().fields;
        assert!(!fields.has("tracestate"), "{parents}");
        let begun: Vec<_> = fields.get("traceparent").unwrap().split('-').map(str::to_owned).collect();
        let lengths: Vec<_> = begun.iter().map(String::len).collect();
        assert_eq!((lengths, begun[0].as_str(), begun[3].as_str()), (vec![2, 32, 16, 2], "00", "00"), "{parents}");
        assert_ne!(begun[1], TRACE);
        sidekey.access(|record| record["trace_id"] == *begun[1]);
    }
}

#[test]
fn a_vendor_need_not_see_a_trace() {
    let (origin, sidekey) = start(OK, "trace = false\n");
    sidekey.ask(get_with("/api/x", &format!("traceparent: 00-{TRACE}-{PARENT}-01\r\ntracestate: a=1\r\n")));
    sidekey.ask(get("/api/y"));
    for request in origin.requests() {
        assert!(!request.fields.has("traceparent") && !request.fields.has("tracestate"), "{request:?}");
    }
    assert_eq!(sidekey.access(|record| record["path"] == "/api/x")["trace_id"], TRACE);
    assert!(sidekey.access(|record| record["path"] == "/api/y").get("trace_id").is_none());
}

#[test]
fn a_record_tells_the_phases_that_there_were() {
    let authority = Authority::new();
    let origin = Origin::tls(authority.server("localhost").serve(&[&TLS13], None), |it| it.answer_all(OK));
    let folder = tempfile::tempdir().unwrap();
    let tls = authority.write(folder.path());
    let config = format!(
        "[upstream.api]\nurl = \"https://localhost:{}\"\nauth.bearer = {{ token = \"env:TOKEN\" }}\ntls = {{ {tls} }}\n",
        origin.port()
    );
    let sidekey = Sidekey::start_in(folder, &config, "json");
    let mut caller = sidekey.connect();
    for path in ["/api/first", "/api/second"] {
        caller.send(post(path, "body"));
        caller.response().assert_passed_on(200);
    }
    let first = sidekey.access(|record| record["path"] == "/api/first");
    let of = |field: &str| first[field].as_u64().unwrap_or_else(|| panic!("no {field}: {first}"));
    assert!(of("connect_us") > 0 && of("tls_us") > 0, "{first}");
    assert!(of("lookup_us") + of("connect_us") + of("tls_us") + of("wait_us") <= of("duration_us"), "{first}");
    let second = sidekey.access(|record| record["path"] == "/api/second");
    assert!(
        ["lookup_us", "connect_us", "tls_us", "queue_us", "retries"].iter().all(|field| second.get(field).is_none())
    );
    for (record, reused) in [(&first, false), (&second, true)] {
        assert_eq!(
            (&record["reused"], &record["sent"], &record["answered_by"]),
            (&reused.into(), &4.into(), &"upstream".into())
        );
        assert!(record["wait_us"].as_u64().is_some() && record.get("problem").is_none(), "{record}");
    }
}

#[test]
fn a_record_of_a_connection_that_did_not_come_about_says_how_far_it_came() {
    let port = free_port();
    let sidekey = Sidekey::start(&format!(
        "[upstream.api]\nurl = \"http://127.0.0.1:{port}\"\nauth.bearer = {{ token = \"env:TOKEN\" }}\n"
    ));
    sidekey.ask(post("/api/x", "body")).assert_own(502, "connection_refused");
    let record = sidekey.access(|record| record["status"] == 502);
    assert!(record["connect_us"].as_u64().is_some(), "{record}");
    assert_eq!((&record["sent"], &record["problem"]), (&0.into(), &"connection-refused".into()));
    assert!(["lookup_us", "tls_us", "wait_us", "reused"].iter().all(|field| record.get(field).is_none()), "{record}");
}

#[test]
fn a_request_that_was_sent_again_says_so() {
    let origin = Origin::plain(|conversation| {
        conversation.request().unwrap();
        conversation.send(OK);
        // The next one meets a connection that closes.
        if conversation.index == 0 {
            drop(conversation.request());
            conversation.close();
        }
    });
    let sidekey = Sidekey::start(&origin.upstream("api"));
    sidekey.ask(get("/api/first")).assert_passed_on(200);
    sidekey.ask(get("/api/second")).assert_passed_on(200);
    assert!(sidekey.access(|record| record["path"] == "/api/first").get("retries").is_none());
    let record = sidekey.access(|record| record["path"] == "/api/second");
    assert_eq!((&record["retries"], &record["reused"]), (&1.into(), &false.into()), "{record}");
    assert!(record["connect_us"].as_u64().is_some(), "{record}");
}

#[test]
fn ordinary_requests_are_sampled_and_others_are_not() {
    let origin = Origin::plain(|conversation| {
        while let Some(request) = conversation.request() {
            let (_, line) = request.target().split_once("/status/").unwrap();
            conversation.send(status(&format!("{line} x"), ""));
        }
    });
    let log = "[log]\nsample_success = \"1/4\"\nslow = \"1h\"\n";
    let mut sidekey = Sidekey::start(&format!("{log}{}", origin.upstream("api")));
    let mut caller = sidekey.connect();
    for code in [200, 302, 401, 404, 503] {
        for _ in 0..12 {
            // An id does not decide.
            caller.send(get_with(&format!("/api/status/{code}"), "X-Request-Id: same\r\n"));
            caller.response().assert_passed_on(code);
        }
    }
    for _ in 0..12 {
        caller.send(get("/nothing/x"));
        caller.response().assert_own(404, "destination_not_found");
    }
    let records = records(&sidekey.stop().stderr);
    let count =
        |status: u16, by: &str| records.iter().filter(|it| it["status"] == status && it["answered_by"] == by).count();
    assert_eq!((count(200, "upstream"), count(302, "upstream")), (3, 3));
    for code in [401, 404, 503] {
        assert_eq!(count(code, "upstream"), 12, "{code}");
    }
    assert_eq!(count(404, "sidekey"), 12);
}

#[test]
fn of_successes_that_are_not_logged_the_slow_and_the_odd_still_are() {
    let origin = Origin::plain(|conversation| {
        while let Some(request) = conversation.request() {
            if request.target() == "/slow" {
                std::thread::sleep(Duration::from_millis(400));
            }
            let echoed = request.fields.get("authorization").unwrap().to_owned();
            let fields = if request.target() == "/echo" { format!("X-Key: {echoed}\r\n") } else { String::new() };
            if request.target() == "/cut" {
                conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
                return;
            }
            conversation.send(status("200 OK", &fields));
        }
    });
    let upstream = format!("{}deny = [\"GET /denied\"]\nmode = \"report\"\n", origin.upstream("api"));
    let mut sidekey = Sidekey::start(&format!("[log]\nsample_success = 0\nslow = \"400ms\"\n{upstream}"));
    for path in ["plain", "slow", "echo", "denied", "plain"] {
        sidekey.ask(get(&format!("/api/{path}"))).assert_passed_on(200);
    }
    let mut caller = sidekey.connect();
    caller.send(get("/api/cut"));
    caller.cut_response();
    drop(caller);
    let records = records(&sidekey.stop().stderr);
    let written: Vec<_> =
        records.iter().map(|it| it["path"].as_str().unwrap()).filter(|path| *path != "/api/plain").collect();
    assert_eq!(written, ["/api/slow", "/api/echo", "/api/denied", "/api/cut"]);
    // A busy machine can make any request slow.
    assert!(
        records.iter().filter(|it| it["path"] == "/api/plain").all(|it| it["duration_us"].as_u64() >= Some(400_000))
    );
}

/// Everything that is written at `level`, of a start, four requests and a stop.
fn written_at(level: &str) -> Vec<Value> {
    let origin = Origin::plain(|conversation| {
        while let Some(request) = conversation.request() {
            conversation.send(status(request.target().trim_start_matches('/'), ""));
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("sidekey.sock");
    let listen = format!("[listen.local]\naddress = \"unix:{}\"\n", socket.display());
    let config = format!("[log]\nlevel = \"{level}\"\n{listen}{}", origin.upstream("api"));
    let mut sidekey = Sidekey::start_in(folder, &config, "json");
    let mut caller = sidekey.connect_to_file(&socket);
    for path in ["/api/200", "/api/404", "/api/500", "/nothing"] {
        caller.send(get(path));
        caller.response();
    }
    lines(&sidekey.stop().stderr)
}

#[test]
fn what_says_less_than_the_level_is_not_written() {
    let levels = |lines: &[Value], target: &str| {
        let lines = lines.iter().filter(|line| line["target"] == target);
        lines.map(|line| line["level"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let lines = written_at("error");
    assert!(lines.is_empty(), "{lines:?}");
    let lines = written_at("warn");
    assert_eq!(levels(&lines, "access"), ["WARN", "WARN"]);
    assert!(lines.iter().all(|line| line["level"] == "WARN"), "{lines:?}");
    let lines = written_at("info");
    assert_eq!(levels(&lines, "access"), ["INFO", "INFO", "WARN", "WARN"]);
    assert!(levels(&lines, "upstream").is_empty() && !levels(&lines, "server").is_empty(), "{lines:?}");
    let lines = written_at("debug");
    assert_eq!(levels(&lines, "upstream"), ["DEBUG"]);
    let targets = ["access", "config", "process", "server", "upstream"];
    assert!(lines.iter().all(|line| targets.contains(&line["target"].as_str().unwrap())), "{lines:?}");
}

#[test]
fn the_config_chooses_the_format_and_a_flag_goes_before_it() {
    let origin = Origin::ok();
    let config = |format: &str| format!("[log]\nformat = \"{format}\"\n{}", origin.upstream("api"));
    for (written, flag, is_json) in [("human", "", false), ("json", "", true), ("human", "json", true)] {
        let mut sidekey = Sidekey::start_in(tempfile::tempdir().unwrap(), &config(written), flag);
        sidekey.ask(get("/api/x")).assert_passed_on(200);
        let log = sidekey.stop().stderr;
        assert!(log.lines().count() > 2 && log.lines().all(|line| line.starts_with('{') == is_json), "{log}");
        // No terminal, no colour.
        assert!(!log.contains('\u{1b}'), "{log}");
    }
}

#[test]
fn a_line_for_people_says_first_what_matters() {
    let origin = Origin::ok();
    let mut sidekey = Sidekey::start_in(tempfile::tempdir().unwrap(), &origin.upstream("api"), "human");
    sidekey.ask(get_with("/api/x", "X-Request-Id: mine\r\n")).assert_passed_on(200);
    sidekey.ask(get("/nothing/x")).assert_own(404, "destination_not_found");
    let log = sidekey.stop().stderr;
    let line = log.lines().find(|line| line.contains("request_id=mine")).unwrap();
    assert!(line.contains(" INFO  200 GET /api/x api ") && line.contains("ms sent=0 received=2 connect="), "{line}");
    assert!(!line.contains("answered_by") && !line.contains("trace_id") && !line.contains("_us"), "{line}");
    assert!(log.contains(" WARN  404 GET /nothing/x ") && log.contains("answered_by=sidekey"), "{log}");
}

#[test]
fn a_vendor_that_refuses_the_credential_is_a_warning_and_a_flood_of_them_is_one() {
    let origin = Origin::answering(status("401 Unauthorized", ""));
    let config = format!("{}{}", origin.upstream("api"), origin.upstream("other"));
    let mut sidekey = Sidekey::start(&config);
    let mut caller = sidekey.connect();
    for _ in 0..20 {
        for path in ["/api/x", "/other/x"] {
            caller.send(get(path));
            caller.response().assert_passed_on(401);
        }
    }
    let lines = lines(&sidekey.stop().stderr);
    assert_eq!(lines.iter().filter(|line| line["target"] == "access").count(), 40);
    let warnings: Vec<_> = lines.iter().filter(|line| line["target"] == "upstream").collect();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    for (warning, upstream) in warnings.into_iter().zip(["api", "other"]) {
        assert_eq!((&warning["level"], &warning["upstream"]), (&"WARN".into(), &upstream.into()));
        assert_eq!(warning["credential"], "auth");
        assert_eq!((&warning["scheme"], &warning["rejected"]), (&"bearer".into(), &1.into()));
        let (read, now) = (warning["secret_read"].as_str().unwrap(), warning["timestamp"].as_str().unwrap());
        assert!(read.len() == "2026-11-22T06:20:22Z".len() && read.ends_with('Z'), "{warning}");
        assert!(read.trim_end_matches('Z') <= now, "{warning}");
        assert!(warning["secret_age_s"].as_u64().unwrap() < 60, "{warning}");
    }
}
