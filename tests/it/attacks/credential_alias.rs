//! A credential of the caller's under a name that some server takes for the real one.

use super::{MINE, assert_only_ours, bearer, with, with_api_key};
use crate::support::{Origin, Sidekey};

#[test]
fn a_field_that_the_scheme_owns_is_taken_off_under_every_alias() {
    let origin = Origin::ok();
    let config = format!(
        "[upstream.api]\nurl = \"{}\"\nauth.api-key = {{ key = \"file:key\", header = \"x-api-key\", prefix = \"\" }}\n",
        origin.url()
    );
    let sidekey = Sidekey::start(&config);
    let own = "X-Api-Key: mine\r\nx-api-key: mine\r\nX_API_KEY: mine\r\nx_api-key: mine\r\nx-api_key: mine\r\n\
               Authorization: mine\r\n";
    sidekey.ask(with(own)).assert_passed_on(200);
    let chunked = "POST /api/x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\
                   Trailer: X-Api-Key, X_Api_Key, X-Sum, Authorization\r\n\r\n3\r\nabc\r\n0\r\n\
                   X-Api-Key: mine\r\nX_Api_Key: mine\r\nX-Sum: 6\r\nAuthorization: mine\r\nHost: mine\r\n\
                   Content-Length: 7\r\nX-Forwarded-For: mine\r\n\r\n";
    sidekey.ask(chunked).assert_passed_on(200);
    for request in origin.requests() {
        assert_eq!(request.fields.all("x-api-key"), [sidekey.secret("file:key")]);
        assert!(!request.fields.has("authorization"));
    }
    let trailers = &origin.requests()[1].trailers;
    assert_eq!(trailers.get("x-sum"), Some("6"));
    assert_eq!(trailers.all("host").len() + trailers.all("content-length").len(), 0);
    let raw = String::from_utf8(origin.raw()).unwrap();
    assert!(!raw.contains("mine"), "{raw}");
}

#[test]
fn whatever_a_server_could_read_as_authorization_stays_here() {
    let origin = Origin::ok();
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let names = [
        "Authorization_",
        "_Authorization",
        "Authorization.",
        "-Authorization-",
        "authorization~",
        "HTTP_AUTHORIZATION",
        "HTTP-Authorization",
        "X-Authorization",
        "X_AUTHORIZATION",
        "HTTP_X_AUTHORIZATION",
        "Proxy_Authorization",
        "proxy.authorization",
        "X-Proxy-Authorization",
    ];
    let fields: String = names.iter().map(|name| format!("{name}: Bearer {MINE}\r\n")).collect();
    sidekey.ask(with(&fields)).assert_passed_on(200);
    assert_only_ours(&origin, 1, "authorization", &bearer(&sidekey));
}

#[test]
fn a_field_of_the_configs_own_is_ours_under_every_alias_too() {
    for (header, names) in [
        ("x-api-key", ["x.api.key", "X~Api!Key", "HTTP_X_API_KEY", "x-api-key_", "X-X-Api-Key"]),
        ("my_key", ["my-key", "My.Key", "HTTP_MY_KEY", "my_key.", "X-My-Key"]),
        ("x.key", ["x-key", "x_key", "HTTP_X_KEY", "X-Key-", "x-x-key"]),
    ] {
        let origin = Origin::ok();
        let sidekey = Sidekey::start(&with_api_key(&origin, header));
        let fields: String = names.iter().map(|name| format!("{name}: {MINE}\r\n")).collect();
        sidekey.ask(with(&fields)).assert_passed_on(200);
        assert_only_ours(&origin, 1, header, sidekey.secret("file:key"));
    }
}

#[test]
fn what_only_looks_alike_crosses() {
    let origin = Origin::ok();
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let names =
        ["authorizations", "x-authorization-id", "http-referer", "x-request-id", "my_field", "my.field", "cookie"];
    let fields: String = names.iter().map(|name| format!("{name}: theirs\r\n")).collect();
    sidekey.ask(with(&fields)).assert_passed_on(200);
    for name in names {
        assert_eq!(origin.request().fields.get(name), Some("theirs"), "{name}");
    }
}
