//! A caller that has `Connection` name what must arrive.

use crate::support::{Origin, Sidekey};

/// A GET with `fields`.
fn with(fields: &str) -> String {
    format!("GET /api/x HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n")
}

#[test]
fn connection_cannot_take_the_credential_or_the_host_off() {
    let origin = Origin::ok();
    let sidekey = Sidekey::start(&origin.upstream("api"));
    sidekey.ask(with("Connection: authorization, host, content-length\r\n")).assert_passed_on(200);
    let arrived = origin.request().fields;
    let credential = format!("Bearer {}", sidekey.secret("env:TOKEN"));
    assert_eq!(arrived.get("authorization"), Some(credential.as_str()));
    assert_eq!(arrived.get("host"), Some(origin.authority().as_str()));
}
