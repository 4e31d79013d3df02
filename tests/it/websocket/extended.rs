//! A WebSocket of HTTP/2 (RFC 8441): one stream among others, and a handshake of HTTP/1.1 to the upstream.

use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use h2::Reason;
use http::{HeaderValue, Request};
use sha1::{Digest, Sha1};

use super::AGREED;
use crate::support::http2::{Http2Caller, Http2Tunnel, connect_http2, get_http2};
use crate::support::{Conversation, OK, Origin, Sidekey, until_true};

const SERVER: &str = "[server]\nworkers = 1\ndrain = \"2s\"\n";

/// The header of an upstream that agrees to what was asked, as the key has it.
fn agreed(request: &crate::support::Request) -> String {
    let key = request.fields.get("sec-websocket-key").unwrap();
    let accept = Sha1::new().chain_update(key).chain_update("258EAFA5-E914-47DA-95CA-C5AB0DC85B11").finalize();
    AGREED.replace("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", &STANDARD.encode(accept))
}

/// By its path a request says what becomes of it.
fn origin() -> Origin {
    Origin::plain(|conversation: &mut Conversation| {
        while let Some(request) = conversation.head() {
            match request.target() {
                "/x" => conversation.send(OK),
                "/ordinary" => conversation.send("HTTP/1.1 204 No Content\r\n\r\n"),
                "/refused" => conversation.send("HTTP/1.1 426 Upgrade Required\r\nContent-Length: 3\r\n\r\nno!"),
                "/another" => conversation.send(AGREED),
                "/flood" => {
                    conversation.send(agreed(&request));
                    while conversation.try_send([0; 65_536]).is_ok() {}
                }
                "/broken" => {
                    conversation.send(agreed(&request));
                    conversation.some().unwrap();
                    conversation.reset();
                    return;
                }
                _ => {
                    let more = "\r\nSec-WebSocket-Protocol: chat\r\nContent-Length: 5\r\n\r\n";
                    conversation.send(agreed(&request).replace("\r\n\r\n", more));
                    while let Ok(came) = conversation.some() {
                        conversation.send(came);
                    }
                    conversation.close();
                    return;
                }
            }
        }
    })
}

fn open(caller: &mut Http2Caller, path: &str) -> Http2Tunnel {
    let tunnel = caller.open(connect_http2("websocket", path));
    assert_eq!(tunnel.head.status(), 200, "{:?}", tunnel.head);
    tunnel
}

fn assert_echoes(caller: &Http2Caller, tunnel: &mut Http2Tunnel, text: impl Into<Bytes>) {
    let text = text.into();
    tunnel.sending.send_data(text.clone(), false).unwrap();
    assert_eq!(caller.hear(tunnel, text.len()).unwrap(), text);
}

#[test]
fn it_is_a_handshake_to_the_upstream_and_a_stream_among_others_to_the_caller() {
    let origin = origin();
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let mut caller = sidekey.connect_http2();
    let mut asked = connect_http2("websocket", "/api/socket?a=b");
    for (name, value) in
        [("sec-websocket-protocol", "chat, x"), ("authorization", "Bearer callers"), ("te", "trailers")]
    {
        asked.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    let mut tunnel = caller.open(asked);
    assert_eq!(
        (tunnel.head.status().as_u16(), &tunnel.head.headers()["sec-websocket-protocol"]),
        (200, &HeaderValue::from_static("chat"))
    );
    for name in ["upgrade", "connection", "sec-websocket-accept", "content-length", "proxy-status"] {
        assert!(!tunnel.head.headers().contains_key(name), "{name}");
    }
    let arrived = origin.request();
    assert_eq!(arrived.line, "GET /socket?a=b HTTP/1.1");
    let bearer = format!("Bearer {}", sidekey.secret("env:TOKEN"));
    for (name, value) in [
        ("authorization", Some(bearer.as_str())),
        ("connection", Some("Upgrade")),
        ("upgrade", Some("websocket")),
        ("sec-websocket-version", Some("13")),
        ("sec-websocket-protocol", Some("chat, x")),
        ("te", None),
        ("content-length", None),
    ] {
        assert_eq!(arrived.fields.get(name), value, "{name}");
    }
    let mut another = open(&mut caller, "/api/socket");
    for number in 0..20 {
        assert_echoes(&caller, &mut tunnel, format!("message {number}"));
        assert_echoes(&caller, &mut another, vec![b'x'; number * 1_000 + 1]);
        assert_eq!(caller.ask(get_http2("localhost", "/api/x")).unwrap().status, 200);
    }
    // Far more than a window, both ways.
    let large = (0..1_000_000_u32).map(|number| number.to_le_bytes()[0]).collect::<Vec<u8>>();
    assert_echoes(&caller, &mut another, large);
    tunnel.sending.send_data(Bytes::new(), true).unwrap();
    assert_eq!(caller.hear(&mut tunnel, 1).unwrap(), b"");
    let record = sidekey.access(|record| record["ended_by"] == "caller");
    assert_eq!((&record["status"], &record["method"]), (&200.into(), &"GET".into()), "{record}");
    assert_eq!((&record["sent"], &record["received"], record.get("cut")), (&190.into(), &190.into(), None), "{record}");
    assert_echoes(&caller, &mut another, "the other goes on");
}

#[test]
fn no_answer_of_another_kind_opens_one() {
    let origin = origin();
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let mut caller = sidekey.connect_http2();
    for path in ["/api/ordinary", "/api/another"] {
        caller.ask(connect_http2("websocket", path)).unwrap().assert_own(502, "upgrade-failed");
    }
    // Not quite a handshake is an ordinary request, which must not look like an open one either.
    let mut old = connect_http2("websocket", "/api/x");
    old.headers_mut().insert("sec-websocket-version", HeaderValue::from_static("8"));
    caller.ask(old).unwrap().assert_own(502, "upgrade-failed");
    assert!(!origin.requests().pop().unwrap().fields.has("upgrade"));
    let refused = caller.ask(connect_http2("websocket", "/api/refused")).unwrap();
    assert_eq!((refused.status, refused.text().as_str(), refused.field("proxy-status")), (426, "no!", None));
    let asked = origin.requests().len();
    for protocol in ["connect-udp", "h2c", "websocket, x"] {
        caller.ask(connect_http2(protocol, "/api/x")).unwrap().assert_own(501, "protocol-not-supported");
    }
    caller.ask(Request::connect("localhost:80").body(()).unwrap()).unwrap().assert_own(405, "method-not-allowed");
    caller.ask(connect_http2("websocket", "/nobody/x")).unwrap().assert_own(404, "unknown-upstream");
    caller.ask(connect_http2("websocket", "/api/x\\y")).unwrap().assert_own(400, "malformed-request");
    assert_eq!(origin.requests().len(), asked, "nothing was sent");
    assert_eq!(caller.ask(get_http2("localhost", "/api/x")).unwrap().status, 200);
}

#[test]
fn a_reset_of_either_side_ends_it_alone_and_is_one_to_the_other() {
    let origin = origin();
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let mut caller = sidekey.connect_http2();
    let mut kept = open(&mut caller, "/api/socket");
    for (length, reason) in [(5, Reason::CANCEL), (6, Reason::INTERNAL_ERROR), (7, Reason::NO_ERROR)] {
        let before = origin.closed();
        let mut reset = open(&mut caller, "/api/socket");
        assert_echoes(&caller, &mut reset, vec![b'x'; length]);
        reset.sending.send_reset(reason);
        until_true("the upstream's side to end", || {
            assert_echoes(&caller, &mut kept, "the other goes on");
            origin.closed() > before
        });
        let record = sidekey.access(|record| record["status"] == 200 && record["sent"] == length);
        assert_eq!(
            (&record["cut"], record.get("ended_by"), record.get("error")),
            (&true.into(), None, None),
            "{record}"
        );
    }
    let mut broken = open(&mut caller, "/api/broken");
    broken.sending.send_data(Bytes::from_static(b"go"), false).unwrap();
    assert_eq!(caller.hear(&mut broken, 1).unwrap_err().reason(), Some(Reason::CANCEL));
    let record = sidekey.access(|record| record["level"] == "WARN");
    assert!(record["error"].as_str().unwrap().starts_with("the upstream's side of the tunnel broke off"), "{record}");
    assert_echoes(&caller, &mut kept, "the other goes on");
    drop(caller);
    let record = sidekey.access(|record| record["sent"].as_u64() > Some(50));
    assert_eq!((&record["cut"], record.get("error")), (&true.into(), None), "{record}");
}

#[test]
fn trailers_are_no_end_of_it_and_reset_it() {
    let origin = origin();
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let mut caller = sidekey.connect_http2();
    let mut kept = open(&mut caller, "/api/socket");
    let mut tunnel = open(&mut caller, "/api/socket");
    assert_echoes(&caller, &mut tunnel, "before");
    tunnel.sending.send_trailers(http::HeaderMap::new()).unwrap();
    assert_eq!(caller.hear(&mut tunnel, 1).unwrap_err().reason(), Some(Reason::PROTOCOL_ERROR));
    until_true("the upstream's side to end", || {
        assert_echoes(&caller, &mut kept, "the other goes on");
        origin.closed() > 0
    });
    let record = sidekey.access(|record| record["status"] == 200);
    assert_eq!((&record["cut"], record.get("ended_by")), (&true.into(), None), "{record}");
}

#[test]
fn a_caller_that_resets_it_is_noticed_though_the_upstream_takes_nothing() {
    let (done, waits) = channel();
    let waits = Mutex::new(waits);
    let origin = Origin::plain(move |conversation| {
        let request = conversation.head().unwrap();
        conversation.send(agreed(&request));
        // A test that is over does not tell.
        let _ = waits.lock().unwrap().recv();
    });
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let mut caller = sidekey.connect_http2();
    let mut stuck = open(&mut caller, "/api/deaf");
    let mut sent = 0;
    while let Some(room) = caller.room(&mut stuck, Duration::from_millis(500)) {
        stuck.sending.send_data(vec![0; room].into(), false).unwrap();
        sent += room;
    }
    assert!(sent > 100_000, "{sent}");
    // Nobody reads the stream any more, as there is nowhere to pass it on.
    stuck.sending.send_reset(Reason::CANCEL);
    caller.idle(Duration::from_millis(1));
    assert_eq!(sidekey.access(|record| record["status"] == 200)["cut"], true);
    done.send(()).unwrap();
}

#[test]
fn a_caller_that_takes_nothing_holds_up_no_other_stream_and_is_cut() {
    let origin = origin();
    let server = format!("{SERVER}write_timeout = \"400ms\"\n");
    let sidekey = Sidekey::start(&format!("{server}{}", origin.upstream("api")));
    let mut caller = sidekey.connect_http2_with_room();
    let stuck = open(&mut caller, "/api/flood");
    let mut other = open(&mut caller, "/api/socket");
    for _ in 0..10 {
        assert_echoes(&caller, &mut other, "still here");
    }
    let record = sidekey.access(|record| record["status"] == 200);
    assert_eq!((&record["cut"], record.get("error")), (&true.into(), None), "{record}");
    // Its windows let 64 KiB through; a little more is held here.
    assert!(record["received"].as_u64().unwrap() < 256 * 1024, "{record}");
    assert_echoes(&caller, &mut other, "the other goes on");
    drop(stuck);
}

#[test]
fn a_drain_leaves_it_its_time_and_then_cuts_it() {
    let origin = origin();
    let mut sidekey = Sidekey::start(&format!("{SERVER}{}", origin.upstream("api")));
    let mut caller = sidekey.connect_http2();
    let mut tunnel = open(&mut caller, "/api/socket");
    sidekey.signal("TERM");
    until_true("the drain", || sidekey.log().contains("stopping"));
    for _ in 0..10 {
        assert_echoes(&caller, &mut tunnel, "meanwhile");
    }
    caller.hear(&mut tunnel, 1).unwrap_err();
    let ended = sidekey.wait();
    let record = ended.stderr.lines().find(|line| line.contains("\"ended_by\"")).expect("its record");
    assert!(record.contains("\"cut\":true,\"ended_by\":\"drain\""), "{record}");
    assert_eq!(ended.code, Some(0));
}
