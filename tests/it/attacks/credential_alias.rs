//! A credential of the caller's under a name that some server takes for the real one.

use crate::support::{Origin, Sidekey};

/// A GET with `fields`.
fn with(fields: &str) -> String {
    format!("GET /api/x HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n")
}

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
