//! A caller that sends a credential of its own beside sidekey's.

use super::{MINE, assert_only_ours, bearer, with, with_api_key, with_hmac};
use crate::support::{Origin, Sidekey, holds};

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

#[test]
fn a_credential_that_the_caller_repeats_arrives_once_and_is_ours() {
    let own = format!(
        "Authorization: Bearer {MINE}\r\nX-Api-Key: {MINE}\r\nAccept: */*\r\nauthorization: {MINE}\r\n\
         x-api-key: {MINE}\r\nAUTHORIZATION: {MINE}, {MINE}\r\nAuthorization:{MINE}\r\nAuthorization:\t{MINE}\r\n\
         Proxy-Authorization: Basic {MINE}\r\nAuthorization:\r\n"
    );
    let origin = Origin::ok();
    let sidekey = Sidekey::start(&origin.upstream("api"));
    sidekey.ask(with(&own.replace("X-Api-Key", "Authorization").replace("x-api-key", "authorization")));
    assert_only_ours(&origin, 1, "authorization", &bearer(&sidekey));

    let origin = Origin::ok();
    let sidekey = Sidekey::start(&with_api_key(&origin, "X-Api-Key"));
    sidekey.ask(with(&own)).assert_passed_on(200);
    assert_only_ours(&origin, 1, "x-api-key", sidekey.secret("file:key"));
    assert!(!origin.request().fields.has("authorization"));

    let origin = Origin::ok();
    let sidekey = Sidekey::start(&with_hmac(&origin));
    let dates = format!("Date: {MINE}\r\nDate: {MINE}\r\nX-Date: {MINE}\r\nContent-MD5: {MINE}\r\nDigest: {MINE}\r\n");
    sidekey.ask(with(&(own.replace("-Api-Key", "-Date").replace("-api-key", "-date") + &dates))).assert_passed_on(200);
    assert_only_ours(&origin, 1, "authorization", "hmac username=");
    assert_eq!(origin.request().fields.all("date").len(), 1);
}
