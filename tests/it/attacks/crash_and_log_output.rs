//! A secret is to be had from what sidekey writes: errors, logs, answers, panics. Each test provokes as much of that as it
//! can; that no secret is in it, the harness asserts for each.

use std::fs;

use crate::support::{
    Authority, Broken, LITERAL, OK, Origin, QUERY, Sidekey, command, command_within, free_port, get, post,
};

/// A right upstream, but for what is put in place of each `@`.
fn bearer(more: &str) -> String {
    format!("[upstream.api]\nurl = \"https://api.example\"\n{more}\n").replace('@', LITERAL)
}

/// Runs every command that reads a config with one that is wrong.
fn assert_refused(config: &[u8], files: &[(&str, &str)]) {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        fs::write(folder.path().join(name), content.replace('@', LITERAL)).unwrap();
    }
    let file = folder.path().join("sidekey.toml");
    fs::write(&file, config).unwrap();
    for arguments in [&["run"][..], &["run", "--log-format", "human"], &["run", "--no-hardening"], &["check"]] {
        let ended = command(&[arguments, &["--config", file.to_str().unwrap()]].concat());
        assert_eq!(ended.code, Some(78), "{}: {ended:?}", String::from_utf8_lossy(config));
        assert!(ended.stdout.is_empty() && !ended.stderr.is_empty(), "{ended:?}");
    }
}

#[test]
fn a_secret_in_the_wrong_place_of_a_config_is_not_repeated() {
    for more in [
        "auth.bearer = { token = \"@\" }",
        "auth.bearer = { token = \"env:@\" }",
        "auth.bearer = \"@\"",
        "auth.bearer = { token = [\"@\"] }",
        "auth.basic = { username = \"@\", password = \"@\" }",
        "auth.api-key = { key = \"@\", header = \"@\", prefix = \"@\\n\" }",
        "auth.hmac = { username = \"@\", secret = \"@\", algorithm = \"@\", headers = [\"@\"] }",
        "auth.bearer = { token = \"env:X\" }\ntls = { server_name = \"@\" }",
        "auth.bearer = { token = \"env:X\" }\ntimeouts = { connect = \"@\" }",
        "auth.bearer = { token = \"env:X\" }\npool = { max_idle = \"@\" }",
        "auth.bearer = { token = \"@\"",
        "auth.bearer = { token = @ }",
        "auth.bearer = { token = '@\n' }",
        "auth.bearer = { token = \"\\q@\" }",
        "= \"@\"",
        "auth.bearer = { token = \"env:X\" }\nurl = \"https://again:@@api.example\"",
    ] {
        assert_refused(bearer(more).as_bytes(), &[]);
    }
    for url in ["https://user:@@api.example", "https://api.example/@", "https://api.example?@", "@", "http://@.example"]
    {
        let config = format!("[upstream.api]\nurl = \"{url}\"\nauth.bearer = {{ token = \"env:X\" }}\n");
        assert_refused(config.replacen('@', LITERAL, 1).as_bytes(), &[]);
    }
    let server =
        format!("[server]\ndrain = \"{LITERAL}\"\nworkers = \"{LITERAL}\"\n[listen.a]\naddress = \"{LITERAL}\"\n");
    assert_refused(server.as_bytes(), &[]);
    assert_refused(&[format!("# {LITERAL}\n").as_bytes(), b"\xff\xfe", LITERAL.as_bytes()].concat(), &[]);
}

#[test]
fn a_file_that_is_not_what_it_should_be_is_not_repeated() {
    let long = "@".repeat(10_000);
    for (scheme, content) in [
        ("bearer = { token = \"file:secret\" }", "Bearer @"),
        ("bearer = { token = \"file:secret\" }", "@\nX-Injected: @"),
        ("bearer = { token = \"file:secret\" }", " @"),
        ("bearer = { token = \"file:secret\" }", "@\0"),
        ("bearer = { token = \"file:secret\" }", &long),
        ("basic = { username = \"file:secret\", password = \"file:secret\" }", "@:@"),
        ("hmac = { username = \"file:secret\", secret = \"file:secret\" }", "@\"@"),
    ] {
        assert_refused(bearer(&format!("auth.{scheme}")).as_bytes(), &[("secret", content)]);
    }
    let tls = "auth.bearer = { token = \"file:token\" }\ntls = { ca_file = \"ca.pem\", client_cert = \"ca.pem\", \
               client_key = \"file:key.pem\" }";
    let (certificate, key) = Authority::new().client("caller.example").pem();
    let (_, other) = Authority::new().client("caller.example").pem();
    let broken = key.replacen("\nM", "\n@", 1);
    for (certificate, key) in [
        (certificate.as_str(), "@"),
        (&certificate, "-----BEGIN PRIVATE KEY-----\n@\n-----END PRIVATE KEY-----\n"),
        (&certificate, &broken),
        (&certificate, &other),
        ("@", &key),
        ("-----BEGIN CERTIFICATE-----\n@\n-----END CERTIFICATE-----\n", &key),
    ] {
        assert_refused(
            bearer(tls).as_bytes(),
            &[("token", "t0ken-of-the-tls"), ("ca.pem", certificate), ("key.pem", key)],
        );
    }
}

#[test]
fn other_commands_have_no_secret_to_tell() {
    for arguments in [
        &["--help"][..],
        &["--version"],
        &["run", "--help"],
        &["check", "--help"],
        &["demo", "--help"],
        &["completions", "bash"],
        &["demo", "--once", "--port", "0"],
    ] {
        assert_eq!(command(arguments).code, Some(0), "{arguments:?}");
    }
    for arguments in [&["run", "--log-format", LITERAL][..2], &["frobnicate"], &[]] {
        assert_eq!(command(arguments).code, Some(2), "{arguments:?}");
    }
}

#[test]
fn a_bad_request_is_told_without_what_it_carried() {
    let origin = Origin::ok();
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let secret = format!("Authorization: Bearer {LITERAL}\r\nCookie: {LITERAL}\r\n");
    for (first, more) in [
        ("GET /api/x HTTP/1.1", "Content-Length: 1\r\nContent-Length: 2\r\n"),
        ("GET /api/x HTTP/1.1", "Transfer-Encoding: gzip\r\n"),
        ("GET /api/x HTTP/1.1", "Host: other\r\n"),
        ("GET /api/x HTTP/1.1", " folded\r\n"),
        ("GET /api/x HTTP/9.9", ""),
        ("GET  /api/x HTTP/1.1", ""),
        ("TRACE /api/x HTTP/1.1", ""),
        ("CONNECT api:443 HTTP/1.1", ""),
        ("GET /unknown/x HTTP/1.1", ""),
        ("GET http://unknown.example/x HTTP/1.1", ""),
    ] {
        let first = first.replacen("/x", &format!("/x?{QUERY}={LITERAL}"), 1);
        let mut caller = sidekey.connect();
        caller.send(format!("{first}\r\nHost: localhost\r\n{secret}{more}\r\n"));
        assert!(caller.response().status >= 400, "{first}");
    }
    let mut caller = sidekey.connect();
    caller.send(format!("GET /api/x HTTP/1.1\r\nHost: localhost\r\nX: {}", LITERAL.repeat(8000)));
    assert_eq!(caller.response().status, 431);
    assert!(origin.requests().is_empty());
}

/// What came of the credential, as an upstream would say it where it can make trouble.
fn repeated(request: &[u8]) -> String {
    let text = String::from_utf8_lossy(request).into_owned();
    let line = text.lines().find(|line| line.starts_with("authorization:")).expect("a credential");
    line.trim_start_matches("authorization: ").to_owned()
}

#[test]
fn an_upstream_that_answers_with_the_credential_in_malformed_answers_does_not_get_it_logged() {
    for answer in [
        "HTTP/1.1 @ OK\r\n\r\n",
        "@\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: @\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: @\r\n\r\n",
        "HTTP/1.1 200 OK\r\n@\r\n\r\n",
        "HTTP/1.1 200 OK\r\n @\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: @\r\n\r\n",
    ] {
        let origin = Origin::plain(move |conversation| {
            while let Ok(request) = conversation.some() {
                conversation.send(answer.replace('@', &repeated(&request)));
                conversation.close();
            }
        });
        let sidekey = Sidekey::start(&origin.upstream("api"));
        let answered = sidekey.ask(post("/api/x", ""));
        assert_eq!(answered.status, 502, "{answer}");
        sidekey.access(|record| record["status"] == 502);
    }
    // In the middle of a body, where the header has gone out.
    let origin = Origin::plain(|conversation| {
        let request = conversation.some().unwrap();
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n";
        conversation.send(format!("{head}{}\r\n", repeated(&request)));
        conversation.close();
    });
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let mut caller = sidekey.connect();
    caller.send(post("/api/x", ""));
    let (_, broken) = caller.cut_response();
    assert!(matches!(broken, Broken::Closed | Broken::Reset));
    sidekey.access(|record| record["cut"] == true);
}

#[test]
fn an_upstream_that_cannot_be_reached_is_told_without_the_credential() {
    let authority = Authority::new();
    let untrusted = Origin::tls(authority.server("localhost").serve(rustls::ALL_VERSIONS, None), |conversation| {
        conversation.answer_all(OK);
    });
    let plain = Origin::plain(|conversation| {
        conversation.send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        conversation.rest();
    });
    let closed = format!("127.0.0.1:{}", free_port());
    for url in [
        format!("http://{closed}"),
        format!("https://localhost:{}", untrusted.port()),
        plain.url().replace("http:", "https:"),
        "https://nobody.invalid".to_owned(),
    ] {
        let config = format!(
            "[upstream.api]\nurl = \"{url}\"\nauth.basic = {{ username = \"env:USER_NAME\", password = \"file:p\" }}\n\
             timeouts = {{ lookup = \"200ms\" }}\n"
        );
        let sidekey = Sidekey::start(&config);
        assert!(sidekey.ask(get(&format!("/api/x?{QUERY}"))).status >= 502, "{url}");
        assert!(sidekey.access(|_| true)["error"].is_string());
    }
}

/// The runtime panics where it cannot have the descriptors that signals need: so a limit of them makes a real panic, whose
/// payload begins as this.
const PAYLOAD: &str = "failed to create UnixStream";

#[test]
fn a_panic_is_told_by_its_place_and_not_by_its_payload() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sidekey.toml");
    let listen = "[server]\nworkers = 1\n[listen.local]\naddress = \"127.0.0.1:0\"\n";
    fs::write(folder.path().join("token"), LITERAL).unwrap();
    fs::write(&file, format!("{listen}{}", bearer("auth.bearer = { token = \"file:token\" }"))).unwrap();
    // With a log, and without one.
    for arguments in [&["run", "--config", file.to_str().unwrap()][..], &["demo", "--once"]] {
        let told = (3..12).map(|files| command_within(&format!("-n {files}"), arguments)).find(|ended| {
            assert!(!ended.stderr.contains(PAYLOAD), "{ended:?}");
            ended.stderr.contains("panicked")
        });
        let told = told.expect("a panic");
        assert_eq!(told.code, Some(101), "{told:?}");
        assert!(told.stderr.contains("unix.rs:") && told.stderr.contains("main"), "{told:?}");
    }
}
