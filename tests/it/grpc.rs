//! What clients of gRPC are told by sidekey itself: HTTP 200 and trailers alone, which is where they look.

use http::Request;

use crate::support::http2::{END_HEADERS, END_STREAM, FrameCaller, HEADERS, Http2Answer, fields, frame};
use crate::support::{Origin, Sidekey, until_true};

const CALLERS: &str = "[caller.shop]\ntoken = \"env:SHOP\"\nupstreams = [\"api\"]\n";

/// Its body has ended: the stream may be over before more could be sent.
fn call(authority: &str, content_type: &str) -> Request<()> {
    let request = Request::post(format!("http://{authority}/pack.Service/Method")).header("te", "trailers");
    request.header("content-type", content_type).body(()).unwrap()
}

#[track_caller]
fn assert_refusal(answer: &Http2Answer, code: &str, slug: &str, error: &str) {
    assert_eq!((answer.status, answer.field("content-type")), (200, Some("application/grpc")), "{answer:?}");
    assert_eq!(answer.field("grpc-status"), Some(code), "{answer:?}");
    let message = answer.field("grpc-message").unwrap();
    assert!(message.starts_with(&format!("sidekey: {slug}: ")), "{message}");
    assert_eq!(answer.field("proxy-status"), Some(&*format!("sidekey; error={error}")));
    assert!(answer.field("x-request-id").is_some() && answer.field("content-length").is_none(), "{answer:?}");
    assert!(answer.body.is_empty() && answer.trailers.is_empty(), "{answer:?}");
}

#[test]
fn grpc_clients_are_told_a_code_and_the_problem() {
    let origin = Origin::ok();
    let gone = "[upstream.gone]\nurl = \"http://127.0.0.1:1\"\nhttp = \"2\"\nauth.bearer = { token = \"env:TOKEN\" }\n";
    let sidekey = Sidekey::start(&format!("{}{gone}", origin.upstream("api")));
    let mut caller = sidekey.connect_http2();
    let mut ask = |authority: &str| caller.ask(call(authority, "application/grpc+proto")).unwrap();
    assert_refusal(&ask("nobody.localhost"), "12", "unknown-upstream", "destination_not_found");
    assert_refusal(&ask("unknown.example"), "12", "unknown-host", "destination_not_found");
    assert_refusal(&ask("gone.localhost"), "14", "connection-refused", "connection_refused");
    // The log, and so the metrics, keep the status that any other client would get.
    until_true("the access lines", || {
        sidekey.log().contains("\"status\":421") && sidekey.log().contains("\"status\":502")
    });
    assert!(!sidekey.log().contains("\"status\":200"));
    assert_eq!(origin.connections(), 0);
}

#[test]
fn grpc_clients_that_bring_no_token_are_unauthenticated() {
    let origin = Origin::ok();
    let sidekey = Sidekey::start(&format!("{}{CALLERS}", origin.upstream("api")));
    let answer = sidekey.connect_http2().ask(call("api.localhost", "application/grpc")).unwrap();
    assert_refusal(&answer, "16", "unknown-caller", "http_request_denied");
}

#[test]
fn a_refused_grpc_call_ends_with_its_header() {
    let origin = Origin::ok();
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let mut caller: FrameCaller = sidekey.connect_frames(&[]);
    let asked = [(":method", "POST"), (":scheme", "http"), (":authority", "nobody.localhost"), (":path", "/p.S/M")];
    let asked = [&asked[..], &[("content-type", "application/grpc"), ("te", "trailers")]].concat();
    caller.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, &fields(&asked)));
    let answer = caller.await_frame(HEADERS);
    assert_eq!((answer.stream, answer.flags & END_STREAM), (1, END_STREAM));
}

#[test]
fn whoever_does_not_speak_grpc_is_told_by_status_and_problem() {
    let origin = Origin::ok();
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let mut caller = sidekey.connect_http2();
    for content_type in ["application/grpc-web", "application/json"] {
        let answer = caller.ask(call("nobody.localhost", content_type)).unwrap();
        answer.assert_own(404, "unknown-upstream");
    }
    let http1 =
        "POST / HTTP/1.1\r\nHost: nobody.localhost\r\nContent-Type: application/grpc\r\nContent-Length: 0\r\n\r\n";
    sidekey.ask(http1).assert_own(404, "destination_not_found");
}
