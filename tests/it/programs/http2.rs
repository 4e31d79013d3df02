//! HTTP/2 on either side, or both: curl, h2load, nghttp, httpx and Node as callers with prior knowledge, nghttpd, Hypercorn,
//! Node and nginx as upstreams over TLS.

use std::collections::HashSet;
use std::process::Command;

use serde_json::Value;

use super::curl::curl;
use super::running::Program;
use super::{Behind, Folder, KINDS, Kind, node, program, python};

const H2: &str = "h2,http/1.1";

/// What a program says that ends by itself, with success.
fn output_of(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(output.status.success(), "{command:?}: {said}");
    said
}

fn version_at_upstream(behind: &Behind, arguments: &[&str]) -> (Value, Value) {
    let got = curl(&[arguments, &["--write-out", "%{stderr}%{http_version}", &behind.url("/about")]].concat());
    let said: Value = serde_json::from_slice(&got.body).unwrap();
    (got.told.as_str().into(), said["version"].clone())
}

#[test]
#[ignore = "needs programs that `.ci/run` installs: curl, Hypercorn, Node"]
fn programs_each_side_speaks_its_own_version() {
    for kind in KINDS {
        for (alpn, versions) in [(H2, ["2", "2.0"]), ("http/1.1", ["1.1", "1.1"])] {
            let behind = Behind::start_with(kind, alpn, "", "");
            for (argument, spoken) in [("--http1.1", "1.1"), ("--http2-prior-knowledge", "2")] {
                let (caller, upstream) = version_at_upstream(&behind, &[argument]);
                assert_eq!(caller, spoken, "{kind:?} {alpn}");
                assert!(versions.iter().any(|version| upstream == *version), "{kind:?} {alpn}: {upstream}");
            }
        }
    }
}

#[test]
#[ignore = "needs programs that `.ci/run` installs: curl, Hypercorn, Node"]
fn programs_an_upstream_of_http_1_1_alone_is_never_offered_http2() {
    let behind = Behind::start_with(Kind::Node, H2, "http = \"1.1\"", "");
    assert_eq!(version_at_upstream(&behind, &["--http2-prior-knowledge"]), ("2".into(), "1.1".into()));
}

#[test]
#[ignore = "needs programs that `.ci/run` installs: Starlette, Node, Python's and Node's clients"]
fn programs_clients_work_over_http2_on_both_sides() {
    for kind in KINDS {
        let behind = Behind::start_with(kind, H2, "", "");
        behind.run(python("clients.py"), &["httpx-http2"]);
        behind.run(python("clients.py"), &["aiohttp"]);
        behind.run(node("clients.mjs"), &["http2"]);
        behind.run(node("clients.mjs"), &["fetch"]);
        behind.run(python("uploads.py"), &[]);
    }
}

#[test]
#[ignore = "needs programs that `.ci/run` installs: curl, Hypercorn, Node"]
fn programs_contents_pass_over_http2_as_over_http_1_1() {
    for kind in KINDS {
        let behind = Behind::start_with(kind, H2, "", "");
        // Directly by ALPN, and with prior knowledge: h2 throughout.
        for arguments in [&["--http2-prior-knowledge"][..], &["--http2-prior-knowledge", "--range", "1000-1999"]] {
            let got = behind.curl_both_ways("/files/numbers.txt", arguments);
            assert_eq!(got.status, if arguments.len() == 1 { 200 } else { 206 });
        }
        let tag = behind
            .curl_both_ways("/files/numbers.txt", &["--http2-prior-knowledge", "--head", "--output", "/dev/null"]);
        let condition = format!("If-None-Match: {}", tag.field("etag").unwrap());
        let arguments = ["--http2-prior-knowledge", "--header", &condition];
        assert_eq!(behind.curl_both_ways("/files/numbers.txt", &arguments).status, 304);
        behind.curl_both_ways("/coded/br", &["--http2-prior-knowledge"]);
    }
}

#[test]
#[ignore = "needs programs that `.ci/run` installs: curl, Hypercorn, Node"]
fn programs_trailers_pass_between_all_versions() {
    // Hypercorn sends none in HTTP/1.1.
    for (kind, alpn) in [(Kind::Node, "http/1.1"), (Kind::Node, H2), (Kind::Hypercorn, H2)] {
        let behind = Behind::start_with(kind, alpn, "", "");
        for version in ["--http1.1", "--http2-prior-knowledge"] {
            // `Connection` has to name TE in HTTP/1.1, and does not exist in HTTP/2 (RFC 9110 10.1.4).
            let mut arguments = vec![version, "--header", "TE: trailers"];
            if version == "--http1.1" {
                arguments.extend(["--header", "Connection: TE"]);
            }
            let got = curl(&[&arguments[..], &[&behind.url("/trailers")]].concat());
            assert_eq!(
                (&*got.body, got.field("x-checksum")),
                (&b"body\n"[..], Some("abc")),
                "{kind:?} {alpn} {version}"
            );
        }
    }
}

#[test]
#[ignore = "needs programs that `.ci/run` installs: h2load, nghttpd"]
fn programs_a_hundred_streams_at_once_are_all_answered() {
    let folder = Folder::new();
    let port = crate::support::free_port();
    let mut command = program("nghttpd");
    command.arg(format!("--htdocs={}", folder.path().join("files").display())).arg("--address=127.0.0.1");
    command.arg(port.to_string()).args([folder.path().join("key.pem"), folder.path().join("cert.pem")]);
    let origin = Program::start(command);
    let behind = Behind { sidekey: folder.sidekey(port, "http = \"2\"", ""), origin, origin_port: port };
    let url = behind.url("/numbers.txt");
    // Connections are refused until it listens.
    let is_up = || curl(&[&url]).status == 200;
    crate::support::until_true("nghttpd", is_up);
    let said = output_of(program("h2load").args(["-n", "2000", "-c", "2", "-m", "100", &url]));
    assert!(said.contains("2000 succeeded, 0 failed, 0 errored"), "{said}");
    let said = output_of(program("nghttp").args(["--null-out", "--stat", "--multiply=50", &url]));
    assert_eq!(said.matches(" 200 ").count(), 50, "{said}");
    drop(behind.origin);
}

/// A server that goes away says so with GOAWAY, and takes no stream that comes after the last it names: no request is lost
/// to it that may be sent again.
#[test]
#[ignore = "needs programs that `.ci/run` installs: h2load, nginx"]
fn programs_no_get_fails_while_the_upstream_goes_away() {
    let folder = Folder::new();
    let port = crate::support::free_port();
    let log = folder.path().join("connections.log");
    let origin = Program::start(nginx(&folder, port));
    let behind = Behind { sidekey: folder.sidekey(port, "http = \"2\"", ""), origin, origin_port: port };
    let url = behind.url("/numbers.txt");
    // Connections are refused until it listens.
    let is_up = || curl(&["--head", &url]).status == 200;
    crate::support::until_true("nginx", is_up);
    let said = output_of(program("h2load").args(["-n", "10000", "-c", "4", "-m", "20", "-H", ":method: HEAD", &url]));
    assert!(said.contains("10000 succeeded, 0 failed, 0 errored"), "{said}");
    // It went away again and again, in the midst of it.
    let connections: HashSet<String> = std::fs::read_to_string(log).unwrap().lines().map(str::to_owned).collect();
    assert!((20..1000).contains(&connections.len()), "{} connections", connections.len());
}

/// An nginx that ends each connection with GOAWAY at its 500th request, and notes the connection of each.
fn nginx(folder: &Folder, port: u16) -> Command {
    let at = folder.path().display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {at}/{kind};\n"))
        .concat();
    let config = format!(
        "daemon off; master_process off; pid {at}/nginx.pid; error_log {at}/nginx.log;
        events {{}}
        http {{
            log_format connection \"$connection\";
            access_log {at}/connections.log connection;
            keepalive_requests 500;
            {temporary}
            server {{
                listen 127.0.0.1:{port} ssl http2;
                ssl_certificate {at}/cert.pem;
                ssl_certificate_key {at}/key.pem;
                root {at}/files;
            }}
        }}"
    );
    let path = folder.path().join("nginx.conf");
    std::fs::write(&path, config).unwrap();
    let mut command = program("nginx");
    // What it says before it has read the config goes nowhere else, either.
    command.arg("-e").arg(folder.path().join("nginx.log")).arg("-c").arg(path);
    command
}

/// Each event leaves at once over HTTP/2, too.
#[test]
#[ignore = "needs programs that `.ci/run` installs: Starlette, Node, Python's and Node's clients"]
fn programs_server_sent_events_leave_at_once_from_http2() {
    for kind in KINDS {
        let behind = Behind::start_with(kind, H2, "", "");
        behind.run(python("events.py"), &["httpx-sse"]);
        behind.run(node("events.mjs"), &["eventsource"]);
        behind.origin.wait_for("stream finished");
    }
}
