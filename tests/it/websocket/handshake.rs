//! What is a handshake, and what becomes of one that is refused, or of what only looks like one.

use super::{AGREED, ASKING, asking, asking_with, assert_echoes, echo, echoing, open};
use crate::support::{OK, Origin, Sidekey, get, get_with};

#[test]
fn a_handshake_goes_with_the_credential_and_comes_back_as_the_upstream_said_it() {
    let origin = Origin::plain(|conversation| {
        conversation.head().unwrap();
        conversation.send(AGREED.replace(
            "\r\n\r\n",
            "\r\nSec-WebSocket-Protocol: chat\r\nProxy-Status: x\r\nKeep-Alive: 1\r\nContent-Length: 5\r\nX-Request-Id: theirs\r\n\r\n",
        ));
        conversation.rest();
    });
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let mut caller = sidekey.connect();
    let more = "Sec-WebSocket-Protocol: chat, superchat\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\
                Authorization: Bearer callers\r\nTE: trailers\r\nHTTP2-Settings: x\r\nKeep-Alive: 5\r\n";
    caller.send(asking_with("/api/socket?a=b", more));
    let answer = caller.head();
    assert_eq!(answer.status, 101);
    for (name, value) in [
        ("upgrade", Some("websocket")),
        ("connection", Some("Upgrade")),
        ("sec-websocket-accept", Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")),
        ("sec-websocket-protocol", Some("chat")),
        ("proxy-status", None),
        ("keep-alive", None),
        ("content-length", None),
        ("transfer-encoding", None),
    ] {
        assert_eq!(answer.fields.get(name), value, "{name}");
    }
    assert_ne!(answer.fields.get("x-request-id"), Some("theirs"));
    let arrived = origin.request();
    assert_eq!(arrived.line, "GET /socket?a=b HTTP/1.1");
    let bearer = format!("Bearer {}", sidekey.secret("env:TOKEN"));
    for (name, value) in [
        ("authorization", Some(bearer.as_str())),
        ("upgrade", Some("websocket")),
        ("connection", Some("Upgrade")),
        ("sec-websocket-version", Some("13")),
        ("sec-websocket-key", Some("dGhlIHNhbXBsZSBub25jZQ==")),
        ("sec-websocket-protocol", Some("chat, superchat")),
        ("sec-websocket-extensions", Some("permessage-deflate")),
        ("te", None),
        ("keep-alive", None),
        ("content-length", None),
    ] {
        assert_eq!(arrived.fields.get(name), value, "{name}");
    }
}

#[test]
fn a_refused_handshake_is_an_answer_like_any_other_and_the_connection_goes_on() {
    let refused = "HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nContent-Length: 3\r\n\r\nno!";
    let origin = Origin::answering(refused);
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let mut caller = sidekey.connect();
    // What comes with it is a request, then.
    for next in [get("/api/next"), asking("/api/next"), String::new()] {
        caller.send(format!("{}{next}", asking("/api/socket")));
        for _ in 0..=usize::from(!next.is_empty()) {
            let answer = caller.response();
            answer.assert_passed_on(426);
            assert_eq!((answer.text().as_str(), answer.fields.has("upgrade")), ("no!", false));
        }
    }
    assert_eq!((origin.requests().len(), origin.connections()), (5, 1));
    // And what is no request is none.
    caller.send(format!("{}\x01\x02\r\n\r\n", asking("/api/socket")));
    caller.response().assert_passed_on(426);
    caller.response().assert_own(400, "http_request_error");
    caller.assert_closed();
}

#[test]
fn what_is_not_quite_a_handshake_goes_without_its_upgrade() {
    let origin = Origin::ok();
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let with = |from: &str, to: &str| get_with("/api/x", &ASKING.replace(from, to));
    for request in [
        with("Upgrade: websocket", "Upgrade: h2c"),
        with("Upgrade: websocket", "Upgrade: TLS/1.0"),
        with("Upgrade: websocket", "Upgrade: websocket, h2c"),
        with("Upgrade: websocket", "Upgrade: h2c, websocket"),
        with("Upgrade: websocket", "Upgrade: websocket\r\nUpgrade: h2c"),
        with("Upgrade: websocket", "Upgrade: websocket\r\nUpgrade: websocket"),
        with("Upgrade: websocket", "Upgrade: websocket/13"),
        with("keep-alive, Upgrade", "keep-alive"),
        with("Version: 13", "Version: 8"),
        with("Key: dGhlIHNhbXBsZSBub25jZQ==", "Key: short"),
        with("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", ""),
        asking("/api/x").replace("GET", "POST"),
        asking_with("/api/x", "Content-Length: 2\r\n") + "hi",
        asking_with("/api/x", "Transfer-Encoding: chunked\r\n") + "2\r\nhi\r\n0\r\n\r\n",
        asking("/api/x").replace("HTTP/1.1", "HTTP/1.0"),
    ] {
        let before = origin.requests().len();
        let mut caller = sidekey.connect();
        caller.send(&request);
        caller.response().assert_passed_on(200);
        let arrived = origin.requests()[before].fields.clone();
        assert!(!arrived.has("upgrade") && !arrived.has("connection"), "{request}: {arrived:?}");
    }
}

#[test]
fn a_switch_that_was_not_agreed_on_is_502() {
    for answer in [
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket, x\r\nConnection: Upgrade\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\r\n",
        "HTTP/1.0 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    ] {
        let origin = Origin::answering(answer);
        let sidekey = Sidekey::start(&origin.upstream("api"));
        let told = sidekey.ask(asking("/api/socket"));
        told.assert_own(502, "http_protocol_error");
        assert_eq!(origin.requests().len(), 1, "{answer}");
    }
    // What is agreed to, to whoever did not ask.
    let origin = Origin::answering(AGREED);
    let sidekey = Sidekey::start(&origin.upstream("api"));
    for request in [get("/api/x"), get_with("/api/x", &ASKING.replace("websocket", "h2c"))] {
        sidekey.ask(request).assert_own(502, "http_protocol_error");
    }
}

#[test]
fn no_page_opens_a_websocket_but_those_that_may_ask() {
    let origin = echoing();
    let config = format!("[browser]\nallow_origins = [\"https://app.example\"]\n{}", origin.upstream("api"));
    let sidekey = Sidekey::start(&config);
    let own = format!("Origin: http://{}\r\n", sidekey.address());
    for fields in [
        "Origin: https://evil.example\r\n",
        "Origin: null\r\n",
        "Origin: https://app.example.evil.example\r\n",
        "Origin: https://app.example\r\nOrigin: https://evil.example\r\n",
        "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: websocket\r\n",
        &own,
    ] {
        sidekey.ask(asking_with("/api/socket", fields)).assert_own(403, "http_request_denied");
    }
    assert_eq!(origin.connections(), 0, "nothing was sent");
    let mut caller = sidekey.connect();
    caller.send(asking_with("/api/socket", "Origin: https://app.example\r\nSec-Fetch-Site: cross-site\r\n"));
    assert_eq!(caller.head().status, 101);
    assert_echoes(&mut caller, "from a page");
    assert!(!origin.request().fields.has("origin"));
}

#[test]
fn a_handshake_that_may_not_go_is_refused_as_any_request_is() {
    let origin = echoing();
    let rules = "allow = [\"GET /open/*\"]\nlimits = { concurrency = 1 }\n";
    let config =
        format!("{}{rules}[caller.shop]\ntoken = \"env:SHOP\"\nupstreams = [\"api\"]\n", origin.upstream("api"));
    let sidekey = Sidekey::start(&config);
    let token = format!("Proxy-Authorization: Bearer {}\r\n", sidekey.secret("env:SHOP"));
    sidekey.ask(asking("/api/open/x")).assert_own(407, "http_request_denied");
    sidekey.ask(asking_with("/api/closed", &token)).assert_own(403, "http_request_denied");
    sidekey.ask(asking_with("/nobody/open/x", &token)).assert_own(404, "destination_not_found");
    assert_eq!(origin.connections(), 0, "nothing was sent");
    // It is under way until its end.
    let mut caller = sidekey.connect();
    caller.send(asking_with("/api/open/x", &token));
    assert_eq!(caller.head().status, 101);
    for _ in 0..2 {
        assert_echoes(&mut caller, "still open");
        sidekey.ask(asking_with("/api/open/y", &token)).assert_own(429, "http_request_denied");
    }
    caller.half_close();
    caller.assert_closed();
    sidekey.access(|record| record["status"] == 101);
    let mut next = sidekey.connect();
    next.send(asking_with("/api/open/y", &token));
    assert_eq!(next.head().status, 101);
}

#[test]
fn a_handshake_may_go_on_a_kept_connection_which_is_not_kept_again() {
    let origin = Origin::plain(|conversation| {
        conversation.request().unwrap();
        conversation.send(OK);
        echo(conversation);
    });
    let sidekey = Sidekey::start(&origin.upstream("api"));
    for round in 1..=2 {
        sidekey.ask(get("/api/x")).assert_passed_on(200);
        let (mut caller, _) = open(&sidekey);
        assert_echoes(&mut caller, "hello");
        caller.half_close();
        caller.assert_closed();
        assert_eq!(origin.connections(), round);
    }
}

#[test]
fn a_handshake_that_was_sent_is_not_sent_again() {
    let origin = Origin::plain(|conversation| {
        if conversation.request().is_some() {
            conversation.send(OK);
            conversation.head();
            conversation.close();
        }
    });
    let retry = "retry = { on = [\"reset\", \"503\"], attempts = 3 }\n";
    let sidekey = Sidekey::start(&format!("{}{retry}", origin.upstream("api")));
    sidekey.ask(get("/api/x")).assert_passed_on(200);
    sidekey.ask(asking("/api/socket")).assert_own(502, "http_response_incomplete");
    assert_eq!((origin.requests().len(), origin.connections()), (2, 1));
}

#[test]
fn where_bodies_are_scrubbed_there_are_no_websockets() {
    let origin = Origin::ok();
    let sidekey = Sidekey::start(&format!("{}scrub = \"body\"\n", origin.upstream("api")));
    sidekey.ask(asking("/api/socket")).assert_passed_on(200);
    assert!(!origin.request().fields.has("upgrade"));
}

#[test]
fn a_credential_that_comes_back_in_the_handshake_is_taken_out() {
    let origin = Origin::plain(|conversation| {
        let request = conversation.head().unwrap();
        let echoed = format!("\r\nSec-WebSocket-Protocol: {}\r\n\r\n", request.fields.get("authorization").unwrap());
        conversation.send(AGREED.replace("\r\n\r\n", &echoed));
        conversation.rest();
    });
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let (caller, answer) = open(&sidekey);
    assert_eq!(answer.fields.get("sec-websocket-protocol"), Some("[redacted:api]"));
    drop(caller);
    assert_eq!(sidekey.access(|record| record["status"] == 101)["scrubbed"], 1);
}
