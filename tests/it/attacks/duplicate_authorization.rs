//! A caller that sends a credential of its own beside sidekey's.

use crate::support::{Origin, Sidekey, holds};

/// A GET with `fields`.
fn with(fields: &str) -> String {
    format!("GET /api/x HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n")
}

#[test]
fn the_credential_goes_on_once_and_the_callers_own_goes_nowhere() {
    let origin = Origin::ok();
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let own = "Authorization: Bearer mine\r\nauthorization: Basic bWluZTptaW5l\r\nAUTHORIZATION: mine\r\n\
               Proxy-Authorization: Basic bWluZTptaW5l\r\nproxy_authorization: mine\r\n";
    sidekey.ask(with(own)).assert_passed_on(200);
    let arrived = origin.request().fields;
    let credential = format!("Bearer {}", sidekey.secret("env:TOKEN"));
    assert_eq!(arrived.all("authorization"), [credential.as_str()]);
    assert!(!holds(&origin.raw(), b"mine") && !holds(&origin.raw(), b"bWluZTptaW5l"));
}
