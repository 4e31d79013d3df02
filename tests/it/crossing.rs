//! What crosses, both ways, and what does not: read off the bytes that the origin got.

use crate::support::{Origin, Sidekey, get, get_with, holds, post};

#[test]
fn hop_by_hop_fields_and_those_that_connection_names_stop_here() {
    let origin = Origin::ok();
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let stops = [
        "Connection: x-mine, keep-alive",
        "Connection: X-Other",
        "X-Mine: 1",
        "X-Other: 2",
        "Keep-Alive: timeout=5",
        "Proxy-Connection: keep-alive",
        "Proxy-Authenticate: Basic",
        "Upgrade: websocket",
        "TE: gzip",
    ];
    let request = get_with("/api/x", &format!("{}\r\nX-Kept: a\r\nX-Kept: b\r\nAccount: sub\r\n", stops.join("\r\n")));
    sidekey.ask(request).assert_passed_on(200);
    let arrived = origin.request().fields;
    for stop in stops {
        let name = stop.split(':').next().unwrap().to_lowercase();
        assert!(!arrived.has(&name), "{name}: {arrived:?}");
    }
    assert_eq!(arrived.all("x-kept"), ["a", "b"]);
    assert_eq!(arrived.get("account"), Some("sub"));
}

#[test]
fn where_a_request_came_from_is_not_told() {
    let origin = Origin::ok();
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let told = "Forwarded: for=192.0.2.9\r\nX-Forwarded-For: 192.0.2.9\r\nX-Forwarded-Host: evil.192.0.2.9\r\n\
                X-Forwarded-Proto: 192.0.2.9\r\nX_Forwarded_For: 192.0.2.9\r\nX-Real-IP: 192.0.2.9\r\n\
                X-Forwarded-Anything: 192.0.2.9\r\nx_real_ip: 192.0.2.9\r\n";
    sidekey.ask(get_with("/api/x", told)).assert_passed_on(200);
    assert!(!holds(&origin.raw(), b"192.0.2.9"), "{}", String::from_utf8_lossy(&origin.raw()));
}

#[test]
fn host_is_the_upstreams_own() {
    let origin = Origin::ok();
    let sidekey = Sidekey::start(&format!("{}hosts = [\"api.example\"]\n", origin.upstream("api")));
    for request in [
        get("/api/x"),
        "GET /x HTTP/1.1\r\nHost: api.localhost\r\n\r\n".to_owned(),
        "GET /x HTTP/1.1\r\nHost: API.example:444\r\n\r\n".to_owned(),
        "GET http://api.example/x HTTP/1.1\r\nHost: other.example\r\n\r\n".to_owned(),
        "GET /api/x HTTP/1.0\r\n\r\n".to_owned(),
    ] {
        sidekey.ask(request).assert_passed_on(200);
    }
    for request in origin.requests() {
        assert_eq!(request.line, "GET /x HTTP/1.1");
        assert_eq!(request.fields.all("host"), [origin.authority().as_str()]);
    }
}

#[test]
fn bodies_are_framed_anew_and_arrive_whole() {
    let origin = Origin::plain(|conversation| {
        while let Some(request) = conversation.request() {
            let [first, second] = [&request.body[..3], &request.body[3..]];
            conversation.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            for piece in [first, second] {
                conversation.send(format!("{:X};ext=\"1\"\r\n{}\r\n", piece.len(), String::from_utf8_lossy(piece)));
            }
            conversation.send("0\r\n\r\n");
        }
    });
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let counted = sidekey.ask(post("/api/x", "hello"));
    let chunked = sidekey.ask(
        "POST /api/x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nhe\r\n003\r\nllo\r\n0\r\n\r\n",
    );
    for answer in [counted, chunked] {
        assert_eq!(answer.text(), "hello");
        assert_eq!(answer.fields.get("transfer-encoding"), Some("chunked"));
    }
    let requests = origin.requests();
    assert_eq!((requests[0].fields.get("content-length"), requests[0].body.as_slice()), (Some("5"), &b"hello"[..]));
    assert_eq!(requests[1].fields.get("transfer-encoding"), Some("chunked"));
    assert_eq!(requests[1].body, b"hello");
}

#[test]
fn a_post_without_a_body_says_so_and_a_get_says_nothing() {
    let origin = Origin::ok();
    let sidekey = Sidekey::start(&origin.upstream("api"));
    for method in ["POST", "PUT", "PATCH", "GET", "DELETE"] {
        sidekey.ask(get("/api/x").replace("GET", method)).assert_passed_on(200);
        let request = origin.requests().pop().unwrap();
        let length = matches!(method, "POST" | "PUT" | "PATCH").then_some("0");
        assert_eq!(request.fields.get("content-length"), length, "{method}");
        assert!(!request.fields.has("transfer-encoding"), "{method}");
    }
    sidekey.ask(post("/api/x", "")).assert_passed_on(200);
    assert_eq!(origin.requests().pop().unwrap().fields.get("content-length"), Some("0"));
    let chunked = "POST /api/x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    sidekey.ask(chunked).assert_passed_on(200);
}

#[test]
fn trailers_pass_to_a_caller_that_takes_them() {
    let origin = Origin::answering(
        "HTTP/1.1 200 OK\r\nTrailer: X-Sum, Content-Length\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\
         X-Sum: 42\r\nContent-Length: 9\r\nConnection: x\r\nX-Request-Id: vendors\r\n\r\n",
    );
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let answer = sidekey.ask(get_with("/api/x", "TE: trailers, deflate;q=0.5\r\n"));
    assert_eq!((answer.text().as_str(), answer.trailers.get("x-sum")), ("ok", Some("42")));
    assert!(["content-length", "connection", "x-request-id"].iter().all(|name| !answer.trailers.has(name)));
    let arrived = origin.request().fields;
    assert_eq!(arrived.get("te"), Some("trailers"));
    assert!(arrived.get("connection").unwrap().eq_ignore_ascii_case("te"));
    assert_eq!(sidekey.ask(get("/api/x")).text(), "ok");
}

#[test]
fn a_requests_trailers_pass_announced_or_not() {
    for announced in ["", "Trailer: X-Sum\r\n"] {
        let origin = Origin::ok();
        let sidekey = Sidekey::start(&origin.upstream("api"));
        let request = format!(
            "POST /api/x HTTP/1.1\r\nHost: localhost\r\n{announced}Transfer-Encoding: chunked\r\n\r\n\
             4\r\nbody\r\n0\r\nX-Sum: 42\r\nContent-Length: 9\r\nX-Forwarded-For: 192.0.2.9\r\n\r\n"
        );
        sidekey.ask(request).assert_passed_on(200);
        let arrived = origin.request();
        assert_eq!((arrived.body.as_slice(), arrived.trailers.get("x-sum")), (&b"body"[..], Some("42")), "{announced}");
        assert!(["content-length", "x-forwarded-for"].iter().all(|name| !arrived.trailers.has(name)));
    }
}

#[test]
fn an_answer_ends_with_its_trailers() {
    for scrub in ["headers", "body"] {
        let origin = Origin::plain(|conversation| {
            conversation.answer_all(
                "HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 42\r\n\r\n",
            );
        });
        let sidekey = Sidekey::start(&format!("{}scrub = \"{scrub}\"\n", origin.upstream("api")));
        let mut caller = sidekey.connect();
        for (number, lines) in ["TE: trailers\r\n", ""].into_iter().cycle().take(4).enumerate() {
            caller.send(get_with(&format!("/api/{number}"), lines));
            assert_eq!(caller.response().text(), "ok");
            let record = sidekey.access(|record| record["path"] == format!("/api/{number}"));
            assert_eq!(record.get("cut"), None, "{record}");
        }
        assert_eq!(origin.connections(), 1, "{scrub}: its connection is used again");
    }
}

#[test]
fn an_answers_hop_by_hop_fields_stop_here() {
    let origin = Origin::answering(
        "HTTP/1.1 200 Fine By Me\r\nConnection: X-Inner, keep-alive\r\nX-Inner: 1\r\nKeep-Alive: timeout=5\r\n\
         Proxy-Authenticate: Basic\r\nUpgrade: h2c\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-Kept: 1\r\n\
         Content-Length: 2\r\n\r\nok",
    );
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let answer = sidekey.ask(get("/api/x"));
    for name in ["x-inner", "keep-alive", "proxy-authenticate", "upgrade", "connection"] {
        assert!(!answer.fields.has(name), "{name}: {answer:?}");
    }
    assert_eq!(answer.fields.all("set-cookie"), ["a=1", "b=2"]);
    assert_eq!(answer.fields.get("x-kept"), Some("1"));
}
