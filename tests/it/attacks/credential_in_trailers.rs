//! A credential after the body, where servers that merge trailers into the header would find it.

use super::{MINE, assert_only_ours, bearer, with_api_key, with_hmac};
use crate::support::{Origin, Sidekey};

/// What no vendor's upstream may see in trailers.
const NEVER: [&str; 7] = [
    "Authorization",
    "Authorization_",
    "HTTP_AUTHORIZATION",
    "X-Authorization",
    "Proxy-Authorization",
    "Host",
    "Connection",
];

/// A chunked POST that announces, and sends, `names` with the caller's credential, and one that may cross.
fn post(names: &[&str]) -> String {
    let trailers: String = names.iter().map(|name| format!("{name}: {MINE}\r\n")).collect();
    format!(
        "POST /api/x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum, {}\r\n\r\n\
         4\r\nbody\r\n0\r\nX-Sum: 6\r\n{trailers}Content-Length: 0\r\n\r\n",
        names.join(", ")
    )
}

#[test]
fn no_credential_crosses_after_the_body() {
    let origin = Origin::ok();
    let sidekey = Sidekey::start(&origin.upstream("api"));
    sidekey.ask(post(&NEVER)).assert_passed_on(200);
    assert_only_ours(&origin, 1, "authorization", &bearer(&sidekey));
    let trailers = origin.request().trailers;
    assert_eq!(trailers.get("x-sum"), Some("6"));
    assert!(!trailers.has("content-length"));
}

#[test]
fn nor_one_under_the_configs_own_name() {
    let origin = Origin::ok();
    let sidekey = Sidekey::start(&with_api_key(&origin, "X-Api-Key"));
    let own = ["X-Api-Key", "x_api_key", "X.Api.Key", "X-Api-Key_", "HTTP_X_API_KEY"];
    sidekey.ask(post(&[&own[..], &NEVER].concat())).assert_passed_on(200);
    assert_only_ours(&origin, 1, "x-api-key", sidekey.secret("file:key"));
    assert_eq!(origin.request().trailers.get("x-sum"), Some("6"));
}

#[test]
fn a_signed_body_has_no_trailers() {
    let origin = Origin::ok();
    let sidekey = Sidekey::start(&with_hmac(&origin));
    sidekey.ask(post(&NEVER)).assert_passed_on(200);
    assert_only_ours(&origin, 1, "authorization", "hmac username=");
    assert_eq!(origin.request().fields.get("content-length"), Some("4"));
    assert!(!origin.request().trailers.has("x-sum"));
}
