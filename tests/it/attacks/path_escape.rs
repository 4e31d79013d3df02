//! A path that the rules read in one way and the origin in another: where rules are in force, it is refused whole.

use crate::support::{Origin, Sidekey, get};

const ESCAPES: [&str; 36] = [
    "/allowed/../secret",
    "/allowed/..",
    "/allowed/.",
    "/allowed/./../secret",
    "/./allowed/x",
    "/allowed/%2e%2e/secret",
    "/allowed/%2E./secret",
    "/allowed/.%2e/secret",
    "/allowed/a%2eb",
    "/allowed/%252e%252e/secret",
    "/allowed/%25%32%65/secret",
    "/allowed%2f..%2fsecret",
    "/allowed/%2Fsecret",
    "/allowed/..%2fsecret",
    "/allowed/..%5csecret",
    "/allowed/%5C..%5Csecret",
    "/allowed/..;/secret",
    "/allowed;x=y/secret",
    "/allowed/;/../secret",
    "/allowed/%3b/secret",
    "/allowed/%3F/../x",
    "/secret%23/allowed",
    "//secret",
    "/allowed//secret",
    "/allowed//../secret",
    "//allowed/../secret",
    "/allowed/x//",
    "/allowed/%",
    "/allowed/%2",
    "/allowed/%zz",
    "/allowed/%00",
    "/allowed/x%00/../secret",
    "/allowed/%0d%0aHost:%20evil",
    "/allowed/%c0%ae%c0%ae/secret",
    "/allowed/%c0%af../secret",
    "/allowed/%ff",
];

#[test]
fn where_rules_are_in_force_a_path_with_two_readings_is_400_and_reaches_nothing() {
    for rules in ["allow = [\"* /allowed/**\"]\n", "deny = [\"* /secret/**\"]\n"] {
        let origin = Origin::ok();
        let sidekey = Sidekey::start(&format!("{}{rules}", origin.upstream("api")));
        for escape in ESCAPES {
            for request in [
                get(&format!("/api{escape}")),
                format!("GET {escape} HTTP/1.1\r\nHost: api.localhost\r\n\r\n"),
                format!("GET http://api.localhost{escape} HTTP/1.1\r\nHost: x\r\n\r\n"),
            ] {
                let answer = sidekey.ask(&request);
                answer.assert_own(400, "http_request_error");
                assert!(answer.text().contains("ambiguous-request"), "{request}: {}", answer.text());
            }
        }
        // A backslash is in no URL: the grammar refuses it, with or without rules.
        sidekey.ask(get("/api/allowed\\..\\secret")).assert_own(400, "http_request_error");
        assert_eq!(origin.connections(), 0);
        sidekey.ask(get("/api/allowed/a%20b/.well-known/a..b?x=../..//;%2e")).assert_passed_on(200);
        assert_eq!(origin.request().line, "GET /allowed/a%20b/.well-known/a..b?x=../..//;%2e HTTP/1.1");
    }
}

#[test]
fn without_rules_every_byte_of_a_path_passes_untouched() {
    let origin = Origin::ok();
    let sidekey = Sidekey::start(&origin.upstream("api"));
    for escape in ESCAPES {
        sidekey.ask(get(&format!("/api{escape}"))).assert_passed_on(200);
        assert_eq!(origin.requests().pop().unwrap().line, format!("GET {escape} HTTP/1.1"));
    }
}
