//! An upstream that cannot be reached, does not answer, or answers what is not HTTP.

use std::time::{Duration, Instant};

use crate::support::{BlackHole, Origin, QUERY, Sidekey, free_port, get, post};

fn to(url: &str, timeouts: &str) -> String {
    format!("[upstream.api]\nurl = \"{url}\"\nauth.bearer = {{ token = \"env:TOKEN\" }}\n{timeouts}\n")
}

#[test]
fn an_upstream_that_refuses_is_502() {
    let port = free_port();
    let sidekey = Sidekey::start(&to(&format!("http://127.0.0.1:{port}"), ""));
    let answer = sidekey.ask(get(&format!("/api/x?{QUERY}")));
    answer.assert_own(502, "connection_refused");
    assert!(!answer.text().contains(&port.to_string()), "no address in the answer");
    let record = sidekey.access(|record| record["status"] == 502);
    assert!(record["error"].as_str().unwrap().contains("refused"), "{record}");
    assert_eq!(record["request_id"], answer.fields.get("x-request-id").unwrap());
    // The connection is as good as before, with and without a body.
    let mut caller = sidekey.connect();
    caller.send(post("/api/x", "body"));
    caller.response().assert_own(502, "connection_refused");
    caller.send(get("/api/x"));
    caller.response().assert_own(502, "connection_refused");
}

#[test]
fn a_name_that_does_not_resolve_is_502() {
    let sidekey = Sidekey::start(&to("https://no-such-host.invalid", ""));
    let answer = sidekey.ask(get("/api/x"));
    answer.assert_own(502, "dns_error");
    assert!(!answer.text().contains("no-such-host"));
}

#[test]
fn an_upstream_that_does_not_answer_in_time_is_504() {
    let origin = Origin::plain(|conversation| drop((conversation.request(), conversation.rest())));
    let sidekey = Sidekey::start(&to(&origin.url(), "timeouts = { response = \"300ms\" }"));
    for request in [get("/api/x"), post("/api/x", "body")] {
        let began = Instant::now();
        sidekey.ask(request).assert_own(504, "http_response_timeout");
        assert!(began.elapsed() >= Duration::from_millis(290));
    }
}

#[test]
fn an_upstream_that_cannot_be_connected_to_in_time_is_504() {
    let silent = BlackHole::at(([127, 0, 0, 1], 0).into());
    let url = format!("http://{}", silent.address());
    let sidekey = Sidekey::start(&to(&url, "timeouts = { connect = \"300ms\" }"));
    sidekey.ask(get("/api/x")).assert_own(504, "connection_timeout");
}

#[test]
fn an_upstream_that_closes_before_it_answers_is_502() {
    for reset in [false, true] {
        let origin = Origin::plain(move |conversation| {
            conversation.request();
            if reset {
                conversation.reset();
            }
        });
        let sidekey = Sidekey::start(&origin.upstream("api"));
        sidekey.ask(get("/api/x")).assert_own(502, "http_response_incomplete");
        sidekey.ask(post("/api/x", "body")).assert_own(502, "http_response_incomplete");
        // A connection that was new had no keep-alive race to lose.
        assert_eq!(origin.requests().len(), 2);
    }
}

#[test]
fn an_answer_that_is_cut_in_its_header_is_502() {
    let origin = Origin::plain(|conversation| {
        conversation.request();
        conversation.send("HTTP/1.1 200 OK\r\nContent-Le");
    });
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let answer = sidekey.ask(get("/api/x"));
    assert_eq!(answer.status, 502, "{answer:?}");
}

#[test]
fn what_an_upstream_says_of_itself_is_passed_on() {
    for status in ["400 Bad Request", "401 Unauthorized", "403 Forbidden", "429 Too Many Requests", "500 Oh", "503 No"]
    {
        let origin = Origin::answering(format!(
            "HTTP/1.1 {status}\r\nRetry-After: 7\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 4\r\n\r\nbody"
        ));
        let sidekey = Sidekey::start(&origin.upstream("api"));
        let answer = sidekey.ask(get("/api/x"));
        answer.assert_passed_on(status[..3].parse().unwrap());
        assert_eq!(answer.fields.get("retry-after"), Some("7"));
        assert_eq!(answer.fields.get("www-authenticate"), Some("Basic realm=\"x\""));
        assert_eq!(answer.text(), "body");
    }
}
