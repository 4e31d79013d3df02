//! An upstream, or whoever can make it redirect, sends the request elsewhere to have the credential come along.

use crate::support::{Origin, Sidekey, get, post};

/// Everything in an answer by which a client may be sent elsewhere.
const WAYS: [(&str, &str, &str); 9] = [
    ("301 Moved Permanently", "Location", "http://OTHER/x"),
    ("302 Found", "Location", "http://OTHER/x?q#f"),
    ("303 See Other", "Location", "//OTHER/x"),
    ("307 Temporary Redirect", "Location", "http://OTHER/x"),
    ("308 Permanent Redirect", "Location", "HTTP://OTHER"),
    ("300 Multiple Choices", "Location", "http://OTHER/x"),
    ("201 Created", "Location", "http://OTHER/x"),
    ("200 OK", "Refresh", "0; url=http://OTHER/x"),
    ("200 OK", "Content-Location", "http://OTHER/x"),
];

#[test]
fn a_redirect_to_another_origin_is_passed_on_and_not_followed() {
    let other = Origin::ok();
    let elsewhere = other.authority();
    let to = elsewhere.clone();
    let origin = Origin::plain(move |conversation| {
        while let Some(request) = conversation.request() {
            let way: usize = request.target()[1..].parse().unwrap();
            let (status, field, value) = WAYS[way];
            let value = value.replace("OTHER", &to);
            conversation.send(format!("HTTP/1.1 {status}\r\n{field}: {value}\r\nContent-Length: 0\r\n\r\n"));
        }
    });
    // The other origin is no stranger: its own credential stays where it is, too.
    let second = other.upstream("other").replace("env:TOKEN", "env:OTHER_TOKEN");
    for config in [origin.upstream("api"), origin.upstream("api") + &second] {
        let sidekey = Sidekey::start(&config);
        for (way, (status, field, value)) in WAYS.iter().enumerate() {
            for request in [get(&format!("/api/{way}")), post(&format!("/api/{way}"), "body")] {
                let answer = sidekey.ask(request);
                answer.assert_passed_on(status[..3].parse().unwrap());
                let passed_on = value.replace("OTHER", &elsewhere);
                assert_eq!(answer.fields.get(&field.to_ascii_lowercase()), Some(passed_on.as_str()));
            }
        }
    }
    assert_eq!(origin.requests().len(), 2 * 2 * WAYS.len());
    assert_eq!(other.connections(), 0);
}

#[test]
fn a_caller_that_follows_one_through_sidekey_gets_nowhere() {
    let other = Origin::ok();
    let to = format!("127.0.0.1:{}", other.port());
    // An own name of the listener means the listener, whatever the port: the path then names no upstream.
    for (authority, status) in [("other.test", 421), ("api.test.other.test", 421), ("169.254.169.254", 421), (&to, 404)]
    {
        let origin = Origin::answering(format!(
            "HTTP/1.1 302 Found\r\nLocation: http://{authority}/x\r\nContent-Length: 0\r\n\r\n"
        ));
        let sidekey = Sidekey::start(&format!("{}hosts = [\"api.test\"]\n", origin.upstream("api")));
        let answer = sidekey.ask("GET http://api.test/x HTTP/1.1\r\nHost: api.test\r\n\r\n");
        answer.assert_passed_on(302);
        let location = answer.fields.get("location").unwrap();
        let followed = sidekey.ask(format!("GET {location} HTTP/1.1\r\nHost: {authority}\r\n\r\n"));
        followed.assert_own(status, "destination_not_found");
        assert_eq!(origin.requests().len(), 1);
    }
    assert_eq!(other.connections(), 0);
}
