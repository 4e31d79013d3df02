//! A caller that has `Connection` name what must arrive.

use super::{MINE, assert_only_ours, bearer, with_api_key, with_hmac};
use crate::support::{Origin, Sidekey};

#[test]
fn what_connection_names_arrives_once_all_the_same_if_it_is_ours() {
    let names = "Connection: authorization, x-api-key, host, content-length, transfer-encoding\r\n\
                 Connection: date, content-md5, te\r\nConnection: Connection\r\n";
    let own = format!("Authorization: {MINE}\r\nX-Api-Key: {MINE}\r\n{names}");
    let posts = [
        format!("POST /api/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n{own}\r\nbody"),
        format!(
            "POST /api/x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n{own}\r\n4\r\nbody\r\n0\r\n\r\n"
        ),
    ];
    let origins = [Origin::ok(), Origin::ok(), Origin::ok()];
    let [by_bearer, by_key, by_hmac] = &origins;
    let configs = [by_bearer.upstream("api"), with_api_key(by_key, "X-Api-Key"), with_hmac(by_hmac)];
    let sidekeys = configs.map(|config| Sidekey::start(&config));
    for post in posts {
        for sidekey in &sidekeys {
            sidekey.ask(&post).assert_passed_on(200);
        }
    }
    assert_only_ours(by_bearer, 2, "authorization", &bearer(&sidekeys[0]));
    assert_only_ours(by_key, 2, "x-api-key", sidekeys[1].secret("file:key"));
    assert_only_ours(by_hmac, 2, "authorization", "hmac username=");
    for origin in &origins {
        for request in origin.requests() {
            assert_eq!(request.fields.get("host"), Some(origin.authority().as_str()));
            assert_eq!(request.body, b"body");
            assert!(!request.fields.has("connection"));
        }
    }
    let signed = &by_hmac.requests()[0].fields;
    assert!(signed.get("date").is_some() && signed.get("content-md5").is_some());
}
