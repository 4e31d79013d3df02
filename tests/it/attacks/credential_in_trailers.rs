//! A credential after the body, where servers that merge trailers into the header would find it.

use super::{MINE, assert_only_ours, bearer, with_api_key, with_hmac};
use crate::support::{Origin, Sidekey};

/// A chunked POST that announces and sends every name with the caller's credential, and one that may cross.
fn post() -> String {
    let names = [
        "Authorization",
        "authorization",
        "AUTHORIZATION_",
        "HTTP_AUTHORIZATION",
        "X-Authorization",
        "Proxy-Authorization",
        "X-Api-Key",
        "x_api_key",
        "X.Api.Key",
        "Date",
        "Content-MD5",
        "Host",
        "Content-Length",
        "Transfer-Encoding",
        "Connection",
        "X-Forwarded-For",
    ];
    let trailers: String = names.iter().map(|name| format!("{name}: {MINE}\r\n")).collect();
    format!(
        "POST /api/x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum, {}\r\n\r\n\
         4\r\nbody\r\n0\r\nX-Sum: 6\r\n{}\r\n",
        names.join(", "),
        // Framing in trailers has to be well-formed to be read at all.
        trailers
            .replace(&format!("Content-Length: {MINE}"), "Content-Length: 0")
            .replace(&format!("Transfer-Encoding: {MINE}\r\n"), "")
    )
}

#[test]
fn no_credential_crosses_after_the_body() {
    let origin = Origin::ok();
    let sidekey = Sidekey::start(&origin.upstream("api"));
    sidekey
        .ask(
            post()
                .replace("X-Api-Key", "X-Proxy-Authorization")
                .replace("x_api_key", "_authorization")
                .replace("X.Api.Key", "Authorization.")
                .replace("Date", "X_Authorization")
                .replace("Content-MD5", "authorization-"),
        )
        .assert_passed_on(200);
    assert_only_ours(&origin, 1, "authorization", &bearer(&sidekey));
    let trailers = origin.request().trailers;
    assert_eq!(trailers.get("x-sum"), Some("6"));
    assert!(!trailers.has("host") && !trailers.has("content-length"));
}

#[test]
fn nor_one_under_the_configs_own_name() {
    let origin = Origin::ok();
    let sidekey = Sidekey::start(&with_api_key(&origin, "X-Api-Key"));
    sidekey.ask(post().replace("Date", "X-Api-Key_").replace("Content-MD5", "HTTP_X_API_KEY")).assert_passed_on(200);
    assert_only_ours(&origin, 1, "x-api-key", sidekey.secret("file:key"));
    assert_eq!(origin.request().trailers.get("x-sum"), Some("6"));
}

#[test]
fn a_signed_body_has_no_trailers() {
    let origin = Origin::ok();
    let sidekey = Sidekey::start(&with_hmac(&origin));
    sidekey.ask(post()).assert_passed_on(200);
    assert_only_ours(&origin, 1, "authorization", "hmac username=");
    assert_eq!(origin.request().fields.get("content-length"), Some("4"));
    assert!(!origin.request().trailers.has("x-sum"));
}
