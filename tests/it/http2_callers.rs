//! HTTP/2 from callers, with prior knowledge on the port of HTTP/1.1: what a request means is the same, and what HTTP/2
//! alone can go wrong in ends a stream, not the connection.

use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::Reason;
use http::{HeaderMap, HeaderName, HeaderValue, Request};

use crate::support::http2::{
    ACK, DATA, END_HEADERS, END_STREAM, Frame, FrameCaller, GOAWAY, HEADERS, PING, PREFACE, RST_STREAM, SETTINGS,
    fields, frame, get_fields, get_frame, get_http2,
};
use crate::support::{Broken, OK, Origin, PATIENCE, Request as Asked, Sidekey, get, get_with, until_true};

/// Answers each request with its target.
fn echo() -> Origin {
    Origin::plain(|conversation| {
        while let Some(request) = conversation.request() {
            let target = request.target().to_owned();
            conversation.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{target}", target.len()));
        }
    })
}

fn last(origin: &Origin) -> Asked {
    origin.requests().pop().unwrap()
}

fn server(keys: &str) -> String {
    format!("[server]\nworkers = 1\ndrain = \"2s\"\n{keys}\n")
}

#[test]
fn both_versions_are_spoken_on_one_port_and_mean_the_same() {
    let origin = echo();
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let mut caller = sidekey.connect_http2();
    for authority in ["localhost", "api.localhost:80", "127.0.0.1"] {
        let path = if authority.starts_with("api") { "/x%2F?y" } else { "/api/x%2F?y" };
        let answer = caller.ask(get_http2(authority, path)).unwrap();
        assert_eq!((answer.status, answer.text()), (200, "/x%2F?y".to_owned()));
        assert!(answer.field("x-request-id").is_some() && answer.field("date").is_some());
        let request = last(&origin);
        assert_eq!(request.line, "GET /x%2F?y HTTP/1.1");
        assert_eq!(request.fields.get("host"), Some(origin.authority().as_str()));
        assert!(request.fields.get("authorization").unwrap().contains(sidekey.secret("env:TOKEN")));
    }
    assert_eq!(sidekey.ask(get("/api/1")).text(), "/1");
    caller.ask(get_http2("unknown.example", "/x")).unwrap().assert_own(421, "unknown-host");
    caller.ask(get_http2("localhost", "/nobody/x")).unwrap().assert_own(404, "unknown-upstream");
}

#[test]
fn a_preface_may_come_byte_by_byte_and_one_that_is_none_is_refused() {
    let origin = echo();
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let mut slow = sidekey.connect();
    for byte in [PREFACE, &frame(SETTINGS, 0, 0, &[]), &get_frame(1, "/api/x")].concat() {
        slow.send([byte]);
    }
    let mut slow = FrameCaller { caller: slow };
    slow.await_frame(HEADERS);
    assert_eq!(slow.await_frame(DATA).payload, b"/x");
    for bad in ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r!", "PRI * HTTP/2.0\r\nHost: a\r\n\r\n", "GET / HTTP/2.0\r\n\r\n"] {
        let answer = sidekey.ask(bad);
        answer.assert_own(505, "http_request_error");
    }
    // Between two requests, it is none.
    let mut caller = sidekey.connect();
    caller.send(get("/api/x"));
    caller.response().assert_passed_on(200);
    caller.send(PREFACE);
    caller.response().assert_own(505, "http_request_error");
    // Others begin with the same letter.
    for method in ["P", "PR", "PRI", "POST", "PUT", "PATCH", "PROPFIND"] {
        let mut caller = sidekey.connect();
        caller.send(&method[..1]);
        caller.send(format!("{} /api/x HTTP/1.1\r\nHost: localhost\r\n\r\n", &method[1..]));
        assert_eq!(caller.response().text(), "/x", "{method}");
    }
}

#[test]
fn an_answer_to_head_ends_with_its_header_whoever_gives_it() {
    let origin = Origin::answering("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n");
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let mut frames = sidekey.connect_frames(&[]);
    for (stream, path) in [(1, "/nobody/x"), (3, "/api/x"), (5, "/nobody/x")] {
        let head = [(":method", "HEAD"), (":scheme", "http"), (":authority", "localhost"), (":path", path)];
        frames.send(frame(HEADERS, END_HEADERS | END_STREAM, stream, &fields(&head)));
        let answer = frames.await_frame(HEADERS);
        assert_eq!((answer.stream, answer.flags & END_STREAM), (stream, END_STREAM), "{path}");
    }
}

#[test]
fn a_slow_preface_is_header_timeout_and_one_without_settings_closed() {
    let origin = Origin::ok();
    let sidekey = Sidekey::start(&(server("header_timeout = \"300ms\"") + &origin.upstream("api")));
    let mut slow = sidekey.connect();
    slow.send(&PREFACE[..20]);
    slow.response().assert_own(408, "http_request_error");
    let mut silent = FrameCaller { caller: sidekey.connect() };
    silent.send(PREFACE);
    silent.rest();
}

#[test]
fn bodies_are_framed_anew_by_their_length_or_in_chunks_and_trailers_cross() {
    let origin = Origin::plain(|conversation| {
        while conversation.request().is_some() {
            conversation.send(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: grpc-status\r\n\r\n\
                 2\r\nok\r\n0\r\ngrpc-status: 0\r\n\r\n",
            );
        }
    });
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let mut caller = sidekey.connect_http2();
    let post = || Request::post("http://localhost/api/x");
    let known = post().header("content-length", "4").body(()).unwrap();
    let answer = caller.post(known, b"body").unwrap();
    assert_eq!((answer.text().as_str(), answer.trailers["grpc-status"].to_str().unwrap()), ("ok", "0"));
    let request = last(&origin);
    assert_eq!((request.fields.get("content-length"), request.body.as_slice()), (Some("4"), &b"body"[..]));
    let unknown = post().header("te", "trailers").header("trailer", "x-sum").body(()).unwrap();
    let (answer, mut sending) = caller.begin(unknown, false);
    sending.send_data(Bytes::from_static(b"some"), false).unwrap();
    sending.send_data(Bytes::from_static(b" body"), false).unwrap();
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", HeaderValue::from_static("9"));
    trailers.insert("authorization", HeaderValue::from_static("never"));
    sending.send_trailers(trailers).unwrap();
    assert_eq!(caller.answer(answer).unwrap().status, 200);
    let request = last(&origin);
    assert_eq!(request.fields.get("transfer-encoding"), Some("chunked"));
    assert_eq!(request.fields.get("te"), Some("trailers"));
    assert_eq!((request.body.as_slice(), request.trailers.get("x-sum")), (&b"some body"[..], Some("9")));
    assert!(!request.trailers.has("authorization"));
    let empty = caller.ask(post().body(()).unwrap()).unwrap();
    assert_eq!(empty.status, 200);
    assert_eq!(last(&origin).fields.get("content-length"), Some("0"));
}

#[test]
fn there_may_be_as_many_trailers_as_in_http_1() {
    for (count, status, seen) in [(128, 200, 1), (129, 400, 0)] {
        let origin = Origin::plain(|conversation| {
            while conversation.request().is_some() {
                conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
            }
        });
        let sidekey = Sidekey::start(&origin.upstream("api"));
        let mut caller = sidekey.connect_http2();
        let request = Request::post("http://localhost/api/x").header("te", "trailers").body(()).unwrap();
        let (answer, mut sending) = caller.begin(request, false);
        sending.send_data(Bytes::from_static(b"body"), false).unwrap();
        let mut trailers = HeaderMap::new();
        for number in 0..count {
            let name: HeaderName = format!("x-{number}").parse().unwrap();
            trailers.insert(name, HeaderValue::from_static("1"));
        }
        sending.send_trailers(trailers).unwrap();
        assert_eq!(caller.answer(answer).unwrap().status, status, "{count}");
        let whole = origin.requests().into_iter().filter(|request| request.trailers.has("x-0"));
        assert_eq!(whole.count(), seen, "{count}");
    }
}

#[test]
fn large_bodies_stream_both_ways() {
    let origin = Origin::plain(|conversation| {
        while let Some(request) = conversation.request() {
            conversation.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", request.body.len()));
            conversation.send(request.body);
        }
    });
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let mut caller = sidekey.connect_http2();
    static LARGE: [u8; 3_000_000] = [b'x'; 3_000_000];
    let request = Request::post("http://localhost/api/x").body(()).unwrap();
    let answer = caller.post(request, &LARGE).unwrap();
    assert_eq!((answer.status, answer.body.len()), (200, LARGE.len()));
    let answer = caller.ask(get_http2("localhost", "/api/x")).unwrap();
    assert_eq!((answer.status, answer.body.len()), (200, 0));
}

#[test]
fn expect_100_continue_works() {
    let origin = Origin::plain(|conversation| {
        while conversation.head().is_some() {
            conversation.send("HTTP/1.1 100 Continue\r\n\r\n");
            assert_eq!(conversation.exactly(4).unwrap(), b"body");
            conversation.send(OK);
        }
    });
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let mut caller = sidekey.connect_http2();
    let request = Request::post("http://localhost/api/x").header("expect", "100-continue");
    let answer = caller.post(request.header("content-length", "4").body(()).unwrap(), b"body").unwrap();
    assert_eq!(answer.text(), "ok");
    // Nothing can be answered before the body has come, which is held back until it is asked for.
    let mut frames = sidekey.connect_frames(&[]);
    let expecting = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/api/x"),
        (":authority", "localhost"),
        ("expect", "100-continue"),
        ("content-length", "4"),
    ];
    frames.send(frame(HEADERS, END_HEADERS, 1, &fields(&expecting)));
    let asked = frames.await_frame(HEADERS);
    assert_eq!(asked.flags & END_STREAM, 0);
    frames.send(frame(DATA, END_STREAM, 1, b"body"));
    frames.await_frame(HEADERS);
    assert_eq!(frames.await_frame(DATA).payload, b"ok");
}

#[test]
fn a_caller_that_expects_100_and_is_refused_is_not_asked_for_its_body() {
    let origin = Origin::plain(|conversation| {
        conversation.head().unwrap();
        conversation.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno.");
    });
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let mut frames = sidekey.connect_frames(&[]);
    let expecting = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/api/x"),
        (":authority", "localhost"),
        ("expect", "100-continue"),
        ("content-length", "4"),
    ];
    frames.send(frame(HEADERS, END_HEADERS, 1, &fields(&expecting)));
    frames.await_frame(HEADERS);
    // Were the first header the question, another would come before the body.
    let next =
        std::iter::repeat_with(|| frames.next().unwrap()).find(|next| [HEADERS, DATA].contains(&next.kind)).unwrap();
    assert_eq!((next.kind, &next.payload[..]), (DATA, &b"no."[..]));
}

#[test]
fn authority_and_host_must_agree_and_one_is_needed() {
    let origin = echo();
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let mut caller = sidekey.connect_http2();
    let with = |uri: &str, hosts: &[&str]| {
        let mut request = Request::get(uri);
        for host in hosts {
            request = request.header("host", *host);
        }
        request.body(()).unwrap()
    };
    for (uri, hosts) in [("http://localhost/api/x", &["localhost"][..]), ("http://localhost/api/x", &["LOCALHOST"])] {
        assert_eq!(caller.ask(with(uri, hosts)).unwrap().text(), "/x", "{hosts:?}");
    }
    for (uri, hosts) in [
        ("http://localhost/api/x", &["api.localhost"][..]),
        ("http://api.localhost/x", &["localhost"]),
        ("http://localhost/api/x", &["localhost:80"]),
        ("http://localhost/api/x", &["localhost", "localhost"]),
        ("http://user@localhost/api/x", &[]),
    ] {
        caller.ask(with(uri, hosts)).unwrap().assert_own(400, "malformed-request");
    }
    // What h2 does not send.
    let mut frames = sidekey.connect_frames(&[]);
    let method = (":method", "GET");
    let (scheme, path) = ((":scheme", "http"), (":path", "/api/x"));
    frames.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, &fields(&[method, scheme, path])));
    frames.await_frame(HEADERS);
    assert!(String::from_utf8(frames.await_frame(DATA).payload).unwrap().contains("malformed-request"));
    frames.send(frame(HEADERS, END_HEADERS | END_STREAM, 3, &fields(&[method, scheme, path, ("host", "localhost")])));
    frames.await_frame(HEADERS);
    assert_eq!(frames.await_frame(DATA).payload, b"/x");
    assert_eq!(origin.requests().len(), 3);
    // As of any malformed request, nothing of it is in the log.
    let record = sidekey.access(|record| record["status"] == 400);
    assert_eq!((&record["path"], &record["method"]), (&"-".into(), &"-".into()));
}

#[test]
fn what_is_malformed_in_http_2_ends_its_stream_alone() {
    let origin = echo();
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let mut frames = sidekey.connect_frames(&[]);
    let whole = [(":method", "GET"), (":scheme", "http"), (":authority", "localhost"), (":path", "/api/x")];
    let with = |field: (&'static str, &'static str)| fields(&[&whole[..], &[field]].concat());
    let malformed = [
        // RFC 9113 8.2.2.
        with(("connection", "close")),
        with(("upgrade", "h2c")),
        with(("keep-alive", "5")),
        with(("transfer-encoding", "chunked")),
        with(("proxy-connection", "close")),
        with(("te", "gzip")),
        // RFC 9113 8.3: pseudo-fields first, once each, and no others.
        with((":path", "/api/y")),
        fields(&[whole[0], whole[1], ("x", "y"), whole[2], whole[3]]),
        fields(&whole[..3]),
        fields(&[whole[0], whole[2], whole[3]]),
        // RFC 8441 4: only of `CONNECT`, which has a path then.
        fields(&[(":protocol", "websocket"), whole[0], whole[1], whole[2], whole[3]]),
        fields(&[(":method", "CONNECT"), (":protocol", "websocket"), whole[1], whole[2]]),
        // RFC 9113 8.1.1: this one has no body.
        with(("content-length", "5")),
    ];
    let mut stream = 1;
    for block in malformed {
        frames.send(frame(HEADERS, END_HEADERS | END_STREAM, stream, &block));
        let reset = frames.await_frame(RST_STREAM);
        assert_eq!((reset.stream, reset.code()), (stream, Reason::PROTOCOL_ERROR));
        stream += 2;
    }
    // The connection is as good as before.
    frames.send(get_frame(stream, "/api/x"));
    assert_eq!(frames.await_frame(HEADERS).stream, stream);
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn what_http_1_refuses_is_refused_in_http_2() {
    let origin = echo();
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let mut caller = sidekey.connect_http2();
    let mut many = get_http2("localhost", "/api/x");
    for number in 0..129 {
        let name: HeaderName = format!("x-{number}").parse().unwrap();
        many.headers_mut().insert(name, HeaderValue::from_static("y"));
    }
    caller.ask(many).unwrap().assert_own(431, "header-too-large");
    let mut large = get_http2("localhost", "/api/x");
    large.headers_mut().insert("x", HeaderValue::from_str(&"y".repeat(65_600)).unwrap());
    caller.ask(large).unwrap().assert_own(431, "header-too-large");
    let connect = Request::connect("localhost:80").body(()).unwrap();
    caller.ask(connect).unwrap().assert_own(405, "method-not-allowed");
    let trace = Request::builder().method("TRACE").uri("http://localhost/api/x").body(()).unwrap();
    caller.ask(trace).unwrap().assert_own(405, "method-not-allowed");
    let mut frames = sidekey.connect_frames(&[]);
    for (at, path) in ["*", "/\u{e9}", "/?\"", "api/x", "/a\\b"].into_iter().enumerate() {
        let stream = u32::try_from(2 * at + 1).unwrap();
        let asked = [(":method", "OPTIONS"), (":scheme", "http"), (":authority", "localhost"), (":path", path)];
        frames.send(frame(HEADERS, END_HEADERS | END_STREAM, stream, &fields(&asked)));
        loop {
            let came = frames.next().unwrap();
            if came.kind == DATA {
                assert!(String::from_utf8(came.payload).unwrap().contains("malformed-request"), "{path}");
                break;
            }
            // h2 itself may have refused it.
            if came.kind == RST_STREAM {
                break;
            }
        }
    }
    assert_eq!(origin.connections(), 0);
    caller.ask(get_http2("localhost", "/api/x")).unwrap();
}

#[test]
fn a_connect_that_announces_a_body_is_refused_and_the_others_go_on() {
    let (origin, answer) = Origin::patient();
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let mut frames = sidekey.connect_frames(&[]);
    frames.send(get_frame(1, "/api/x"));
    until_true("the request at the origin", || origin.requests().len() == 1);
    let connect = [(":method", "CONNECT"), (":authority", "localhost"), ("content-length", "5")];
    let socket = [(":protocol", "websocket"), (":scheme", "http"), (":path", "/api/socket")];
    let asked = [&connect[..1], &socket, &connect[1..]].concat();
    for (stream, asked) in [(3, &connect[..]), (5, &asked)] {
        frames.send(frame(HEADERS, END_HEADERS, stream, &fields(asked)));
        assert_eq!(frames.await_frame(HEADERS).stream, stream);
        let text = frames.await_frame(DATA);
        assert!(String::from_utf8(text.payload).unwrap().contains("A CONNECT request has no body."));
        // RFC 9113 8.1: the answer is whole, and no more of the request is wanted.
        assert_eq!(text.flags & END_STREAM, END_STREAM);
        let reset = frames.await_frame(RST_STREAM);
        assert_eq!((reset.stream, reset.code()), (stream, Reason::NO_ERROR));
    }
    answer.send(()).unwrap();
    assert_eq!(frames.await_frame(HEADERS).stream, 1);
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn a_reset_is_no_end_of_a_body_whatever_it_says() {
    let origin = Origin::plain(|conversation| {
        drop((conversation.head(), conversation.rest()));
        conversation.close();
    });
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let mut caller = sidekey.connect_http2();
    for reason in [Reason::NO_ERROR, Reason::CANCEL] {
        let begun = origin.closed();
        let (answer, mut sending) = caller.begin(Request::post("http://localhost/api/x").body(()).unwrap(), false);
        sending.send_data(Bytes::from_static(b"half"), false).unwrap();
        until_true("the request at the origin", || {
            caller.idle(Duration::from_millis(1));
            origin.connections() > begun
        });
        sending.send_reset(reason);
        until_true("the upstream's side to end", || {
            caller.idle(Duration::from_millis(1));
            origin.closed() > begun
        });
        drop(answer);
    }
    assert!(!origin.raw().windows(5).any(|bytes| bytes == b"0\r\n\r\n"), "it looks whole");
}

#[test]
fn an_answer_that_does_not_wait_for_the_requests_end_stops_it_without_an_error() {
    let origin = echo();
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let mut frames = sidekey.connect_frames(&[]);
    let asked = |length| {
        let mut head = vec![(":method", "POST"), (":scheme", "http"), (":authority", "localhost"), (":path", "/api/x")];
        head.extend([("content-length", length)]);
        fields(&head)
    };
    frames.send(frame(SETTINGS, ACK, 0, &[]));
    // Its END_STREAM comes later than its last byte, and than the answer.
    frames.send(frame(HEADERS, END_HEADERS, 1, &asked("4")));
    frames.send(frame(DATA, 0, 1, b"body"));
    let answered = frames.await_frame(DATA);
    assert_eq!((answered.payload.as_slice(), answered.flags & END_STREAM), (&b"/x"[..], END_STREAM));
    assert_eq!(frames.await_frame(RST_STREAM).code(), Reason::NO_ERROR);
    frames.send(frame(DATA, END_STREAM, 1, b""));
    // What nobody has read of a body takes none of the connection's window: more than that in all comes through.
    for stream in (3..).step_by(2).take(30) {
        let head = [(":method", "POST"), (":scheme", "http"), (":authority", "nobody"), (":path", "/")];
        frames.send(frame(HEADERS, END_HEADERS, stream, &fields(&head)));
        (0..7).for_each(|_| frames.send(frame(DATA, 0, stream, &[b'x'; 16_384])));
        assert_eq!(frames.await_frame(RST_STREAM).code(), Reason::NO_ERROR);
    }
    frames.send(get_frame(101, "/api/x"));
    assert_eq!(frames.await_frame(HEADERS).stream, 101);
    assert_eq!(last(&origin).line, "GET /x HTTP/1.1");
}

#[test]
fn what_comes_with_its_own_reset_is_not_begun() {
    let origin = echo();
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let mut frames = sidekey.connect_frames(&[]);
    // There is a connection on which it could leave at once.
    frames.send(get_frame(1, "/api/x"));
    frames.await_frame(DATA);
    let cancel = frame(RST_STREAM, 0, 3, &u32::from(Reason::CANCEL).to_be_bytes());
    frames.send([get_frame(3, "/api/never"), cancel, get_frame(5, "/api/x")].concat());
    assert_eq!(frames.await_frame(HEADERS).stream, 5);
    assert!(!origin.requests().iter().any(|request| request.target() == "/never"));
}

#[test]
fn the_crumbs_of_a_cookie_are_one_field_in_http_1() {
    let origin = Origin::ok();
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let request = Request::get("http://localhost/api/x").header("cookie", "a=b").header("cookie", "c=d");
    sidekey.connect_http2().ask(request.body(()).unwrap()).unwrap();
    assert_eq!(origin.request().fields.get("cookie"), Some("a=b; c=d"));
}

#[test]
fn an_upgrade_to_http_2_is_neither_honoured_nor_forwarded() {
    let origin = Origin::ok();
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let upgrade = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n";
    for fields in [upgrade, "Connection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"] {
        let answer = sidekey.ask(get_with("/api/x", fields));
        answer.assert_passed_on(200);
        assert_eq!(answer.text(), "ok");
        let request = last(&origin);
        for name in ["upgrade", "http2-settings", "connection"] {
            assert!(!request.fields.has(name), "{name}");
        }
    }
}

#[test]
fn a_hundred_requests_are_under_way_at_once_and_limits_count_each() {
    let (origin, answer) = Origin::patient();
    let limits = "limits = { concurrency = 60, wait = \"0s\" }\n";
    let sidekey = Sidekey::start(&(server("max_connections = 100") + &origin.upstream("api") + limits));
    let mut caller = sidekey.connect_http2();
    let begun: Vec<_> = (0..100).map(|_| caller.begin(get_http2("localhost", "/api/x"), true).0).collect();
    until_true("the requests at the origin", || origin.requests().len() == 60);
    (0..60).for_each(|_| answer.send(()).unwrap());
    let statuses: Vec<_> = begun.into_iter().map(|begun| caller.answer(begun).unwrap().status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 60);
    assert_eq!(statuses.iter().filter(|status| **status == 429).count(), 40);
}

#[test]
fn one_that_is_cancelled_frees_its_place_and_ends_the_work() {
    let (origin, answer) = Origin::patient();
    let limits = "limits = { concurrency = 1, wait = \"0s\" }\n";
    let sidekey = Sidekey::start(&(origin.upstream("api") + limits));
    let mut caller = sidekey.connect_http2();
    let (first, mut sending) = caller.begin(get_http2("localhost", "/api/x"), true);
    until_true("the request at the origin", || origin.requests().len() == 1);
    caller.ask(get_http2("localhost", "/api/x")).unwrap().assert_own(429, "too-many-requests");
    sending.send_reset(Reason::CANCEL);
    drop((first, sending));
    caller.idle(Duration::from_millis(1));
    let record = sidekey.access(|record| record["status"].is_null());
    assert_eq!(record["cut"], true, "{record}");
    (0..2).for_each(|_| answer.send(()).unwrap());
    assert_eq!(caller.ask(get_http2("localhost", "/api/x")).unwrap().text(), "ok");
}

/// The next frame of `kind`, be it after a silence that is longer than others have patience for.
fn await_slowly(frames: &mut FrameCaller, kind: u8) -> Frame {
    let began = Instant::now();
    loop {
        match frames.next() {
            Ok(frame) if frame.kind == kind => return frame,
            Ok(_) | Err(Broken::Silent) if began.elapsed() < 2 * PATIENCE => {}
            other => panic!("no frame of type {kind}: {other:?}"),
        }
    }
}

#[test]
#[ignore = "takes half a minute: a caller is asked after a silence of 20 s, and has 10 s to answer"]
fn a_caller_that_has_vanished_is_found_out_and_one_that_answers_is_served() {
    let (origin, answer) = Origin::patient();
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let [mut vanished, mut silent] = ["/api/vanished", "/api/silent"].map(|path| {
        let mut frames = sidekey.connect_frames(&[]);
        frames.send(get_frame(1, path));
        frames
    });
    until_true("both at the origin", || origin.requests().len() == 2);
    let asked = await_slowly(&mut silent, PING);
    assert_eq!(asked.flags, 0);
    silent.send(frame(PING, ACK, 0, &asked.payload));
    await_slowly(&mut vanished, PING);
    vanished.rest();
    assert_eq!(sidekey.access(|record| record["path"] == "/api/vanished")["cut"], true);
    (0..2).for_each(|_| answer.send(()).unwrap());
    silent.await_frame(DATA);
}

#[test]
fn a_caller_that_goes_away_ends_all_that_it_asked_for() {
    let (ended, ending) = channel();
    let ended = Mutex::new(ended);
    let origin = Origin::plain(move |conversation| {
        let request = conversation.request().unwrap();
        if request.target() == "/begun" {
            conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
        }
        conversation.rest();
        ended.lock().unwrap().send(()).unwrap();
    });
    let mut sidekey = Sidekey::start(&origin.upstream("api").replace("2s", "15s"));
    let mut frames = sidekey.connect_frames(&[]);
    frames.send([get_frame(1, "/api/waits"), get_frame(3, "/api/begun")].concat());
    frames.await_frame(DATA);
    until_true("both at the origin", || origin.requests().len() == 2);
    drop(frames);
    (0..2).for_each(|_| ending.recv_timeout(PATIENCE).unwrap());
    for path in ["/api/waits", "/api/begun"] {
        assert_eq!(sidekey.access(|record| record["path"] == path)["cut"], true);
    }
    // Nothing of it is left that a drain would wait for.
    let began = Instant::now();
    sidekey.stop();
    assert!(began.elapsed() < Duration::from_secs(10), "it waited for its deadline");
}

#[test]
fn a_caller_that_reads_nothing_is_left_with_all_that_it_asked_for() {
    let (ended, ending) = channel();
    let ended = Mutex::new(ended);
    let origin = Origin::plain(move |conversation| {
        conversation.request();
        conversation.rest();
        ended.lock().unwrap().send(()).unwrap();
    });
    let sidekey = Sidekey::start(&(server("write_timeout = \"500ms\"") + &origin.upstream("api")));
    let mut frames = sidekey.connect_frames(&[]);
    frames.send(get_frame(1, "/api/waits"));
    until_true("it at the origin", || origin.requests().len() == 1);
    while frames.try_send(frame(PING, 0, 0, &[0; 8]).repeat(1000)) {}
    ending.recv_timeout(PATIENCE).expect("the upstream's connection is closed");
}

#[test]
fn deadlines_are_each_streams_own() {
    let origin = Origin::plain(|conversation| {
        while let Some(request) = conversation.request() {
            match request.target() {
                "/hang" => return drop(conversation.rest()),
                "/stall" => {
                    conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
                    return drop(conversation.rest());
                }
                "/break" => return conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"),
                _ => conversation.send(OK),
            }
        }
    });
    let keys = "timeouts = { request = \"600ms\", idle = \"300ms\" }\n";
    let sidekey = Sidekey::start(&(origin.upstream("api") + keys));
    let mut caller = sidekey.connect_http2();
    let [hangs, stalls, breaks] =
        ["/api/hang", "/api/stall", "/api/break"].map(|path| caller.begin(get_http2("localhost", path), true).0);
    let (status, error) = caller.cut_answer(stalls);
    assert_eq!((status.as_u16(), error.reason()), (200, Some(Reason::CANCEL)));
    let (status, error) = caller.cut_answer(breaks);
    assert_eq!((status.as_u16(), error.reason()), (200, Some(Reason::INTERNAL_ERROR)));
    caller.answer(hangs).unwrap().assert_own(504, "request-timeout");
    assert_eq!(caller.ask(get_http2("localhost", "/api/x")).unwrap().text(), "ok");
    let record = sidekey.access(|record| record["path"] == "/api/stall");
    assert_eq!(
        (&record["cut"], &record["error"]),
        (&true.into(), &"the upstream stopped in the middle of its body".into())
    );
}

#[test]
fn a_body_that_the_caller_stops_sending_is_body_timeout() {
    let origin = Origin::plain(|conversation| drop((conversation.head(), conversation.rest())));
    let sidekey = Sidekey::start(&(server("body_timeout = \"300ms\"") + &origin.upstream("api")));
    let mut caller = sidekey.connect_http2();
    let request = Request::post("http://localhost/api/x").header("content-length", "100").body(()).unwrap();
    let (answer, mut sending) = caller.begin(request, false);
    sending.send_data(Bytes::from_static(b"half"), false).unwrap();
    caller.answer(answer).unwrap().assert_own(408, "body-timeout");
    caller.ask(get_http2("nobody.example", "/")).unwrap().assert_own(421, "unknown-host");
}

#[test]
fn an_idle_connection_is_told_to_go_and_closed() {
    let origin = Origin::ok();
    let sidekey = Sidekey::start(&(server("keep_alive = \"300ms\"") + &origin.upstream("api")));
    let mut frames = sidekey.connect_frames(&[]);
    frames.send(get_frame(1, "/api/x"));
    frames.assert_goes_away(Reason::NO_ERROR);
    // Nor does one stay that says much, and asks nothing.
    let mut frames = sidekey.connect_frames(&[]);
    let began = Instant::now();
    while frames.try_send(frame(SETTINGS, 0, 0, &[])) && began.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(began.elapsed() < Duration::from_secs(10), "it is still open");
}

#[test]
fn draining_finishes_what_has_begun_and_refuses_the_rest() {
    let (origin, answer) = Origin::patient();
    let mut sidekey = Sidekey::start(&(server("") + &origin.upstream("api")).replace("2s", "15s"));
    let mut idle = sidekey.connect_frames(&[]);
    idle.await_frame(SETTINGS);
    let mut frames = sidekey.connect_frames(&[]);
    frames.send(get_frame(1, "/api/x"));
    until_true("the request at the origin", || origin.requests().len() == 1);
    sidekey.signal("TERM");
    let away = frames.await_frame(GOAWAY);
    assert_eq!(away.code(), Reason::NO_ERROR);
    idle.assert_goes_away(Reason::NO_ERROR);
    answer.send(()).unwrap();
    assert_eq!(frames.await_frame(DATA).payload, b"ok");
    frames.rest();
    let began = Instant::now();
    sidekey.wait();
    assert!(began.elapsed() < Duration::from_secs(10), "it waited for its deadline");
}

#[test]
fn whoever_stays_while_callers_should_leave_is_told_so_by_goaway() {
    let origin = Origin::ok();
    let sidekey = Sidekey::start(&(server("drain_delay = \"10s\"") + &origin.upstream("api")));
    let mut early = sidekey.connect_frames(&[]);
    early.await_frame(SETTINGS);
    sidekey.signal("TERM");
    early.assert_goes_away(Reason::NO_ERROR);
    // Who comes later is served once.
    let mut late = sidekey.connect_frames(&[]);
    late.send(get_frame(1, "/api/x"));
    let frames = late.rest();
    assert!(frames.iter().any(|frame| frame.kind == DATA && frame.payload == b"ok"), "{frames:?}");
    assert!(frames.iter().any(|frame| frame.kind == GOAWAY), "{frames:?}");
    sidekey.signal("TERM");
}

#[test]
fn a_peer_that_opens_no_window_is_not_waited_for_without_end() {
    let (sent, sending) = channel();
    let sent = Mutex::new(sent);
    let origin = Origin::plain(move |conversation| {
        while let Some(request) = conversation.request() {
            let length = if request.target() == "/large" { 60_000 } else { 10 };
            conversation.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"));
            let _ = conversation.try_send("x".repeat(length));
            sent.lock().unwrap().send(()).unwrap();
        }
    });
    let sidekey = Sidekey::start(&(server("write_timeout = \"500ms\"") + &origin.upstream("api")));
    for (path, window) in [("large", 0), ("large", 1), ("large", 20_000), ("small", 0), ("small", 1)] {
        let mut frames = sidekey.connect_frames(&crate::support::http2::setting(4, window));
        frames.send(get_frame(1, &format!("/api/{path}")));
        let reset = frames.await_frame(RST_STREAM);
        assert_eq!((reset.stream, reset.code()), (1, Reason::CANCEL), "{path} {window}");
        sending.recv().unwrap();
        // The others go on: one without a body, that is.
        let head = [(":method", "HEAD"), (":scheme", "http"), (":authority", "nobody"), (":path", "/")];
        frames.send(frame(HEADERS, END_HEADERS | END_STREAM, 3, &fields(&head)));
        let head = frames.await_frame(HEADERS);
        assert_eq!((head.stream, head.flags & END_STREAM), (3, END_STREAM));
    }
}

#[test]
fn a_hundred_streams_are_offered_and_extended_connect() {
    let origin = Origin::ok();
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let mut frames = sidekey.connect_frames(&[]);
    let settings = frames.await_frame(SETTINGS);
    let listed: Vec<_> =
        settings.payload.chunks(6).map(|one| (one[1], u32::from_be_bytes(one[2..6].try_into().unwrap()))).collect();
    // RFC 9113 6.5.2, RFC 8441 3.
    assert!(listed.contains(&(3, 100)) && listed.contains(&(8, 1)), "{listed:?}");
    assert_eq!(frames.await_frame(SETTINGS).flags, ACK);
    frames.send(frame(HEADERS, END_HEADERS, 1, &get_fields("/api/x")));
    frames.send(frame(DATA, END_STREAM, 1, b""));
    assert_eq!(frames.await_frame(HEADERS).stream, 1);
}
