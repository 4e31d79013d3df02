//! A credential in what one reader takes for a field of its own, and another for the end of the line before.

use super::{MINE, assert_only_ours, bearer, with};
use crate::support::{Origin, Sidekey};

#[test]
fn a_folded_line_is_refused_wherever_it_stands() {
    let origin = Origin::ok();
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let chunked = "Transfer-Encoding: chunked\r\n\r\n0\r\n";
    for fields in [
        format!("X: a\r\n Authorization: {MINE}\r\n"),
        format!("X: a\r\n\tAuthorization: {MINE}\r\n"),
        format!("X:\r\n Authorization: {MINE}\r\n"),
        format!("X: a\r\n \r\nAuthorization: {MINE}\r\n"),
        format!("X: a\r\n  \t Authorization: {MINE}\r\n"),
        format!("X: a\r\n\x0bAuthorization: {MINE}\r\n"),
        format!("Authorization:\r\n {MINE}\r\n"),
        format!("Transfer-Encoding:\r\n chunked\r\nAuthorization: {MINE}\r\n"),
        format!("Content-Length: 1\r\n 0\r\nAuthorization: {MINE}\r\n"),
        format!("{chunked}X: a\r\n Authorization: {MINE}\r\n"),
        format!("{chunked} Authorization: {MINE}\r\n"),
    ] {
        let answer = sidekey.ask(with(&fields));
        assert_eq!(answer.status, 400, "{fields:?}");
        answer.assert_own(400, "http_request_error");
    }
    let behind_the_request_line = format!("GET /api/x HTTP/1.1\r\n Authorization: {MINE}\r\nHost: localhost\r\n\r\n");
    sidekey.ask(behind_the_request_line).assert_own(400, "http_request_error");
    assert_eq!(origin.connections(), 0);
    sidekey.ask(with("")).assert_passed_on(200);
    assert_only_ours(&origin, 1, "authorization", &bearer(&sidekey));
}
