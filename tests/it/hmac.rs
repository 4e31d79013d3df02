//! The messaging Hub's signature, verified by the stand-in, which shares no code with the signer.

use sidekey::sandbox::Sandbox;

use crate::support::{Origin, Sidekey, get, post, until_true};

fn start(sandbox: &Sandbox) -> Sidekey {
    let folder = tempfile::tempdir().unwrap();
    let config = sandbox.config_toml(folder.path(), "127.0.0.1:0").unwrap();
    Sidekey::start_in(folder, &config, "json")
}

/// An origin that is no verifier, before which bodies up to 1 KiB are signed.
fn small() -> (Origin, Sidekey) {
    let origin = Origin::ok();
    let config = format!(
        "[upstream.hub]\nurl = \"{}\"\nauth.hmac = {{ username = \"env:KEY\", secret = \"file:secret\", \
         max_signed_body = \"1KiB\" }}\n",
        origin.url()
    );
    let sidekey = Sidekey::start(&config);
    (origin, sidekey)
}

#[test]
fn requests_with_and_without_a_body_are_signed_as_the_hub_wants_it() {
    let sandbox = Sandbox::start().unwrap();
    let sidekey = start(&sandbox);
    let message = r#"{"messages":[{"content":"Hello","destination_number":"+61491570156"}]}"#;
    assert_eq!(sidekey.ask(get("/hub/v1/messaging/credits")).status, 200);
    assert_eq!(sidekey.ask(post("/hub/v1/messages", message)).status, 202);
    let chunked = format!(
        "POST /hub/v1/messages HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n{}\r\n{:x}\r\n{}\r\n0\r\n\r\n",
        &message[..4],
        message.len() - 4,
        &message[4..]
    );
    assert_eq!(sidekey.ask(chunked).status, 202);
}

#[test]
fn any_method_and_target_is_signed_as_it_goes_on_the_wire() {
    let sandbox = Sandbox::start().unwrap();
    let sidekey = start(&sandbox);
    for target in ["/v1/x", "/v1/x?y=%2f%2F&z", "/v1//x/../y;a=b", "/v1/{x}|\"y\"?q={}", "/", "/?"] {
        for method in ["GET", "PUT", "DELETE", "PATCH", "POST", "OPTIONS"] {
            for body in ["", "some body"] {
                let request = post(&format!("/hub{target}"), body).replace("POST", method);
                let answer = sidekey.ask(request);
                // The stand-in knows no such thing, but knows who asks.
                assert_eq!(answer.status, 404, "{method} {target}: {}", answer.text());
            }
        }
    }
}

#[test]
fn what_a_caller_says_of_dates_and_digests_is_not_signed() {
    let sandbox = Sandbox::start().unwrap();
    let sidekey = start(&sandbox);
    let lies = "Date: Sat, 30 Jul 2016 05:13:23 GMT\r\nX-Date: Sat, 30 Jul 2016 05:13:23 GMT\r\nDigest: SHA-256=x\r\n\
                Content-MD5: x\r\nx-Content-MD5: y\r\nrequest-line: GET / HTTP/1.1\r\nAccount: sub\r\n\
                Authorization: hmac username=\"x\"\r\n";
    let request = get("/hub/v1/messaging/credits").replacen("\r\n", &format!("\r\n{lies}"), 1);
    assert_eq!(sidekey.ask(request).status, 200);
}

#[test]
fn the_field_has_the_hubs_grammar() {
    let (origin, sidekey) = small();
    sidekey.ask(get("/hub/v1/x?a=b")).assert_passed_on(200);
    sidekey.ask(post("/hub/v1/x", "body")).assert_passed_on(200);
    let requests = origin.requests();
    for (request, names) in requests.iter().zip(["Date request-line", "Date Content-MD5 request-line"]) {
        let key = sidekey.secret("env:KEY");
        let start = format!("hmac username=\"{key}\", algorithm=\"hmac-sha256\", headers=\"{names}\", signature=\"");
        let field = request.fields.get("authorization").unwrap();
        assert!(field.starts_with(&start) && field.ends_with("=\""), "{field}");
        assert!(request.fields.get("date").unwrap().ends_with(" GMT"));
    }
    assert!(!requests[0].fields.has("content-md5"));
    // printf body | md5sum
    assert_eq!(requests[1].fields.get("content-md5"), Some("841a2d689ad86bd1611447453c22c6fc"));
    assert_eq!(requests[1].fields.get("content-length"), Some("4"));
}

#[test]
fn a_body_too_large_to_sign_is_413_and_nothing_is_sent() {
    let (origin, sidekey) = small();
    sidekey.ask(post("/hub/x", &"x".repeat(1024))).assert_passed_on(200);
    let reached = origin.connections();
    let long = "x".repeat(1025);
    sidekey.ask(post("/hub/x", &long)).assert_own(413, "http_request_error");
    sidekey.ask(post("/hub/x", &"x".repeat(300_000))).assert_own(413, "http_request_error");
    let chunked = "POST /hub/x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
    sidekey.ask(format!("{chunked}401\r\n{long}\r\n0\r\n\r\n")).assert_own(413, "http_request_error");
    // It is refused by its length alone, before it has come.
    let announced = "POST /hub/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1025\r\nExpect: 100-continue\r\n\r\n";
    let answer = sidekey.ask(announced);
    answer.assert_own(413, "http_request_error");
    assert!(answer.interim.is_empty());
    assert_eq!((origin.connections(), origin.requests().len()), (reached, 1));
}

#[test]
fn a_body_to_be_signed_is_wanted_at_once_from_a_caller_that_expects_100() {
    let (origin, sidekey) = small();
    let mut caller = sidekey.connect();
    caller.send("POST /hub/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!((caller.line().as_str(), caller.line().as_str()), ("HTTP/1.1 100 Continue", ""));
    caller.send("body");
    caller.response().assert_passed_on(200);
    assert_eq!(origin.request().body, b"body");
}

#[test]
fn a_body_to_be_signed_that_breaks_off_is_not_sent() {
    let (origin, sidekey) = small();
    let mut caller = sidekey.connect();
    caller.send("POST /hub/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nhalf");
    caller.half_close();
    caller.response().assert_own(400, "http_request_error");
    until_true("the access record", || sidekey.log().contains("\"status\":400"));
    assert_eq!(origin.connections(), 0);
}
