//! A redirect to the upstream's own origin stays on sidekey, in the form in which the caller named that upstream; any
//! other one is passed on as it is, and none is followed.

use crate::support::{Origin, Sidekey};

/// Redirects to what the request's query says, where `SELF` is the origin's own authority.
fn redirecting() -> Origin {
    Origin::plain(|conversation| {
        while let Some(request) = conversation.request() {
            let own = request.fields.get("host").unwrap().to_owned();
            let to = request.target().split_once('?').unwrap().1.replace("SELF", &own);
            conversation.send(format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n"));
        }
    })
}

fn location(sidekey: &Sidekey, host: &str, path: &str, to: &str) -> String {
    let answer = sidekey.ask(format!("GET {path}?{to} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    answer.assert_passed_on(302);
    answer.fields.get("location").unwrap().to_owned()
}

#[test]
fn a_redirect_to_the_own_origin_stays_on_sidekey() {
    let origin = redirecting();
    let sidekey = Sidekey::start(&format!("{}hosts = [\"api.example\"]\n", origin.upstream("api")));
    for (to, path) in [
        ("http://SELF/next?a=%2F", "/next?a=%2F"),
        ("HTTP://SELF/next", "/next"),
        ("http://SELF", "/"),
        ("http://SELF?q", "/?q"),
        ("//SELF/next", "/next"),
    ] {
        assert_eq!(location(&sidekey, "localhost:99", "/api/x", to), format!("http://localhost:99/api{path}"), "{to}");
        let own = sidekey.address().to_string();
        assert_eq!(location(&sidekey, &own, "/api/x", to), format!("http://{own}/api{path}"), "{to}");
        assert_eq!(location(&sidekey, "api.example", "/x", to), format!("http://api.example{path}"), "{to}");
        assert_eq!(location(&sidekey, "api.localhost:99", "/x", to), format!("http://api.localhost:99{path}"), "{to}");
    }
    assert_eq!(location(&sidekey, "localhost", "/api/x", "/next"), "http://localhost/api/next");
    // Relative to what the caller asked for, these are right as they are.
    assert_eq!(location(&sidekey, "api.example", "/x", "/next"), "/next");
    assert_eq!(location(&sidekey, "localhost", "/api/a/x", "next"), "next");
    assert_eq!(location(&sidekey, "localhost", "/api/a/x", "../next"), "../next");
}

#[test]
fn a_redirect_elsewhere_is_passed_on_as_it_is() {
    let origin = redirecting();
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let port = origin.port();
    for to in [
        "http://elsewhere.example/SELF",
        "https://SELF/next",
        "http://user@SELF/next",
        "http://SELF.evil.example/next",
        "//elsewhere.example/next",
        "ftp://SELF/next",
        "http://127.0.0.1/next",
        "mailto:someone@example.com",
    ] {
        let passed_on = to.replace("SELF", &format!("127.0.0.1:{port}"));
        assert_eq!(location(&sidekey, "localhost", "/api/x", to), passed_on);
    }
}

#[test]
fn an_http_1_0_caller_without_host_gets_a_path() {
    let origin = redirecting();
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let answer = sidekey.ask("GET /api/x?http://SELF/next HTTP/1.0\r\n\r\n");
    assert_eq!(answer.fields.get("location"), Some("/api/next"));
}

#[test]
fn a_redirect_is_not_followed_and_following_it_works() {
    let origin = redirecting();
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let to = location(&sidekey, &sidekey.address().to_string(), "/api/x", "http://SELF/next?/end");
    assert_eq!(origin.requests().len(), 1);
    let path = to.strip_prefix(&format!("http://{}", sidekey.address())).unwrap();
    assert_eq!(location(&sidekey, "localhost", path.split_once('?').unwrap().0, "/end"), "http://localhost/api/end");
    assert_eq!(origin.requests()[1].target(), "/next?/end");
}
