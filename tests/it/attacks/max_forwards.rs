//! `Max-Forwards` (RFC 9110 7.6.2) limits OPTIONS, and nothing else; no reading of it differs from the upstream's.

use crate::support::{Origin, Response, Sidekey};

const ALLOWED: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

fn options(fields: &str) -> String {
    format!("OPTIONS /api/x HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n")
}

fn assert_answered_here(answer: &Response) {
    assert_eq!((answer.status, answer.fields.get("allow")), (204, Some(ALLOWED)), "{answer:?}");
    assert_eq!(answer.fields.get("proxy-status"), Some("sidekey"));
    assert!(!answer.fields.has("content-length") && !answer.fields.has("transfer-encoding"));
}

#[test]
fn an_options_request_with_no_hop_left_is_answered_here() {
    let origin = Origin::ok();
    let sidekey = Sidekey::start(&origin.upstream("api"));
    for none in ["0", "00"] {
        let mut caller = sidekey.connect();
        for _ in 0..2 {
            caller.send(options(&format!("Max-Forwards: {none}\r\n")));
            assert_answered_here(&caller.response());
        }
    }
    assert_eq!(origin.connections(), 0);
    let logged = sidekey.access(|line| line["status"] == 204);
    assert_eq!((&logged["method"], &logged["level"]), (&"OPTIONS".into(), &"INFO".into()));
}

#[test]
fn an_options_request_with_hops_left_goes_on_with_one_less() {
    let origin = Origin::ok();
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let passed = [("1", "0"), ("10", "9"), ("007", "6"), ("18446744073709551616", "18446744073709551614")];
    for (sent, _) in passed {
        sidekey.ask(options(&format!("Max-Forwards: {sent}\r\n"))).assert_passed_on(200);
    }
    sidekey.ask(options("")).assert_passed_on(200);
    let arrived = origin.requests();
    for (request, (sent, left)) in arrived.iter().zip(passed) {
        assert_eq!(request.fields.all("max-forwards"), [left], "{sent}");
    }
    assert!(!arrived[4].fields.has("max-forwards"));
}

#[test]
fn what_is_not_one_number_is_refused() {
    let origin = Origin::ok();
    let sidekey = Sidekey::start(&origin.upstream("api"));
    for odd in ["", "-1", "+1", "1.0", "0x1", "1 1", "1, 0", "0, 0", "a", "\u{660}"] {
        sidekey.ask(options(&format!("Max-Forwards: {odd}\r\n"))).assert_own(400, "http_request_error");
    }
    sidekey.ask(options("Max-Forwards: 1\r\nmax-forwards: 1\r\n")).assert_own(400, "http_request_error");
    assert_eq!(origin.connections(), 0);
}

#[test]
fn other_methods_pass_with_it_as_it_is_and_trace_does_not() {
    let origin = Origin::ok();
    let sidekey = Sidekey::start(&origin.upstream("api"));
    for odd in ["0", "a"] {
        let request = options(&format!("Max-Forwards: {odd}\r\n"));
        sidekey.ask(request.replace("OPTIONS", "GET")).assert_passed_on(200);
        assert_eq!(origin.requests().pop().unwrap().fields.get("max-forwards"), Some(odd));
        sidekey.ask(request.replace("OPTIONS", "TRACE")).assert_own(405, "http_request_denied");
    }
    assert_eq!(origin.requests().len(), 2);
}

#[test]
fn it_answers_for_no_host_that_is_unknown_and_no_page() {
    let origin = Origin::ok();
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let last = options("Max-Forwards: 0\r\n");
    sidekey.ask(last.replace("localhost", "rebind.example")).assert_own(421, "destination_not_found");
    sidekey.ask(last.replace("/api/", "/other/")).assert_own(404, "destination_not_found");
    let page = options("Max-Forwards: 0\r\nOrigin: http://evil.example\r\n");
    sidekey.ask(page).assert_own(403, "http_request_denied");
    assert_eq!(origin.connections(), 0);
}
