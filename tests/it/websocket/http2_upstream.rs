//! WebSockets to an upstream that is spoken to in HTTP/2 (RFC 8441): an extended `CONNECT`, and one stream among others.

use std::io::Write;
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::thread;

use bytes::Bytes;
use h2::Reason;

use super::{asking, asking_with, open};
use crate::support::http2::{ACK, END_STREAM, HEADERS, connect_http2, get_http2};
use crate::support::{
    Authority, Broken, Caller, Frames, Http2Origin, Kind, Origin, PATIENCE, Sidekey, get, until_true,
};

const ENABLE_CONNECT_PROTOCOL: u16 = 8;

/// sidekey with one worker before `origin`, which is known to speak HTTP/2.
fn before(origin: &Origin, more: &str) -> Sidekey {
    let upstream = origin.upstream("api");
    Sidekey::start(&format!("[server]\nworkers = 1\n\n{upstream}http = \"2\"\n{more}\n"))
}

/// The same before one over TLS.
fn before_tls(port: u16, authority: &Authority) -> Sidekey {
    let folder = tempfile::tempdir().unwrap();
    let tls = authority.write(folder.path());
    let auth = "auth.bearer = { token = \"env:TOKEN\" }";
    let upstream = format!("[upstream.api]\nurl = \"https://localhost:{port}\"\n{auth}\ntls = {{ {tls} }}");
    Sidekey::start_in(folder, &format!("[server]\nworkers = 1\n\n{upstream}\nhttp = \"2\"\n"), "json")
}

/// An origin that opens WebSockets; `script` gets each of its connections, and their number.
fn opening(script: impl Fn(usize, &mut Frames<'_>) + Send + Sync + 'static) -> Origin {
    Origin::plain(move |conversation| {
        let index = conversation.index;
        if let Some(mut frames) = Frames::begin(conversation, &[(ENABLE_CONNECT_PROTOCOL, 1)]) {
            script(index, &mut frames);
        }
    })
}

/// The stream of the next handshake, which is held open.
fn asked(frames: &mut Frames<'_>) -> Option<u32> {
    let header = frames.until(Kind::Headers)?;
    assert_eq!(header.flags & END_STREAM, 0, "it is to carry more");
    Some(header.stream)
}

/// The same, agreed to.
fn agree(frames: &mut Frames<'_>) -> Option<u32> {
    let stream = asked(frames)?;
    frames.head(stream, 200, &[], false);
    Some(stream)
}

/// Sends back what comes on its streams until nothing does; `done`: on which stream the other side has ended.
fn echo(frames: &mut Frames<'_>, done: impl Fn(u32) -> bool) {
    while let Some(data) = frames.until(Kind::Data) {
        frames.data(data.stream, &data.payload, data.flags & END_STREAM != 0);
        if data.flags & END_STREAM != 0 && done(data.stream) {
            return;
        }
    }
}

fn assert_passes(caller: &mut Caller, text: &str) {
    caller.send(text);
    assert_eq!(caller.exactly(text.len()), text.as_bytes());
}

fn large() -> Vec<u8> {
    (0..2_000_000_u32).map(|number| number.to_le_bytes()[0]).collect()
}

#[test]
fn it_is_an_extended_connect_beside_other_requests_and_a_handshake_to_a_caller_in_http_1_1() {
    let authority = Authority::new();
    let origin = Http2Origin::start(authority.server("localhost").serve_alpn(&["h2"]));
    let sidekey = before_tls(origin.port(), &authority);
    sidekey.ask(get("/api/x")).assert_passed_on(200);
    let mut caller = sidekey.connect();
    let more = "Sec-WebSocket-Protocol: chat, x\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\
                Authorization: Bearer callers\r\nTE: trailers\r\nHTTP2-Settings: x\r\n";
    // What comes with it arrives behind it.
    caller.send(format!("{}early", asking_with("/api/socket?a=%2F", more)));
    let answer = caller.head();
    for (name, value) in [
        ("upgrade", Some("websocket")),
        ("connection", Some("Upgrade")),
        ("sec-websocket-accept", Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")),
        ("sec-websocket-protocol", Some("chat")),
        ("transfer-encoding", None),
        ("content-length", None),
    ] {
        assert_eq!(answer.fields.get(name), value, "{name}");
    }
    assert_eq!((answer.status, caller.exactly(5)), (101, b"early".to_vec()));
    let arrived = origin.requests().pop().unwrap();
    assert_eq!((arrived.method.as_str(), arrived.protocol.as_deref()), ("CONNECT", Some("websocket")));
    assert_eq!(arrived.url, format!("https://localhost:{}/socket?a=%2F", origin.port()));
    let bearer = format!("Bearer {}", sidekey.secret("env:TOKEN"));
    for (name, value) in [
        ("authorization", Some(bearer.as_str())),
        ("sec-websocket-version", Some("13")),
        ("sec-websocket-protocol", Some("chat, x")),
        ("sec-websocket-extensions", Some("permessage-deflate")),
        ("sec-websocket-key", None),
        ("upgrade", None),
        ("connection", None),
        ("http2-settings", None),
        ("te", None),
        ("host", None),
        ("content-length", None),
    ] {
        assert_eq!(arrived.fields.get(name), value, "{name}");
    }
    // Far more than a window, both ways.
    let (mut sending, sent) = (caller.socket(), large());
    let sender = thread::spawn(move || sending.write_all(&sent).unwrap());
    assert_eq!(caller.exactly(large().len()), large());
    sender.join().unwrap();
    sidekey.ask(get("/api/x")).assert_passed_on(200);
    caller.half_close();
    caller.assert_closed();
    let record = sidekey.access(|record| record["status"] == 101);
    assert_eq!((&record["sent"], &record["received"]), (&2_000_005.into(), &2_000_005.into()), "{record}");
    assert_eq!((&record["ended_by"], record.get("cut")), (&"caller".into(), None), "{record}");
    assert_eq!(origin.connections(), 1);
}

#[test]
fn callers_in_http2_have_it_too() {
    let authority = Authority::new();
    let origin = Http2Origin::start(authority.server("localhost").serve_alpn(&["h2"]));
    let sidekey = before_tls(origin.port(), &authority);
    let mut caller = sidekey.connect_http2();
    let mut tunnel = caller.open(connect_http2("websocket", "/api/socket"));
    assert_eq!(tunnel.head.status(), 200);
    assert_eq!(tunnel.head.headers()["sec-websocket-protocol"], "chat");
    for name in ["upgrade", "connection", "sec-websocket-accept"] {
        assert!(!tunnel.head.headers().contains_key(name), "{name}");
    }
    assert!(!origin.requests()[0].fields.has("sec-websocket-key"));
    tunnel.sending.send_data(large().into(), false).unwrap();
    assert_eq!(caller.hear(&mut tunnel, large().len()).unwrap(), large());
    assert_eq!(caller.ask(get_http2("localhost", "/api/x")).unwrap().status, 200);
    tunnel.sending.send_data(Bytes::new(), true).unwrap();
    assert_eq!(caller.hear(&mut tunnel, 1).unwrap(), b"");
    let record = sidekey.access(|record| record["ended_by"] == "caller");
    assert_eq!((&record["status"], record.get("cut")), (&200.into(), None), "{record}");
    assert_eq!(origin.connections(), 1);
}

#[test]
fn a_refused_one_is_an_answer_like_any_other_and_the_callers_connection_goes_on() {
    let authority = Authority::new();
    let origin = Http2Origin::start(authority.server("localhost").serve_alpn(&["h2"]));
    let sidekey = before_tls(origin.port(), &authority);
    let mut caller = sidekey.connect();
    caller.send(format!("{}{}", asking("/api/refused"), get("/api/x")));
    let refused = caller.response();
    refused.assert_passed_on(403);
    assert_eq!((refused.text().as_str(), refused.fields.has("upgrade")), ("no!", false));
    caller.response().assert_passed_on(200);
    let refused = sidekey.connect_http2().ask(connect_http2("websocket", "/api/refused")).unwrap();
    assert_eq!((refused.status, refused.text().as_str()), (403, "no!"));
    assert_eq!(origin.connections(), 1);
}

#[test]
fn who_refuses_one_may_want_to_hear_no_more_of_it() {
    let origin = opening(|_, frames| {
        let stream = asked(frames).unwrap();
        frames.head(stream, 403, &[], false);
        frames.data(stream, b"no!", true);
        // RFC 9113 8.1.
        frames.reset(stream, Reason::NO_ERROR);
        frames.answer_all();
    });
    let sidekey = before(&origin, "");
    let refused = sidekey.ask(asking("/api/socket"));
    refused.assert_passed_on(403);
    assert_eq!(refused.text(), "no!");
    sidekey.ask(get("/api/x")).assert_passed_on(200);
    assert_eq!(origin.connections(), 1);
}

#[test]
fn the_stream_of_a_refused_one_is_ended_and_not_reset() {
    let origin = opening(|_, frames| {
        let stream = asked(frames).unwrap();
        frames.head(stream, 501, &[("content-length", "3")], false);
        let end = frames.next_of(stream).unwrap();
        assert!(end.is(Kind::Data) && end.flags & END_STREAM != 0 && end.payload.is_empty(), "{end:?}");
        frames.data(stream, b"no!", true);
        frames.answer_all();
    });
    let sidekey = before(&origin, "");
    let refused = sidekey.ask(asking("/api/socket"));
    refused.assert_passed_on(501);
    assert_eq!(refused.text(), "no!");
    sidekey.ask(get("/api/x")).assert_passed_on(200);
    assert_eq!(origin.connections(), 1);
}

#[test]
fn an_upstream_that_does_not_say_that_it_opens_any_is_not_asked() {
    for settings in [&[][..], &[(ENABLE_CONNECT_PROTOCOL, 0)]] {
        let origin = Origin::plain(move |conversation| {
            let mut frames = Frames::begin(conversation, settings).unwrap();
            let only = frames.until(Kind::Headers).unwrap();
            assert_ne!(only.flags & END_STREAM, 0, "it is the GET");
            frames.answer(only.stream);
            frames.answer_all();
        });
        let sidekey = before(&origin, "");
        let told = sidekey.ask(asking("/api/socket"));
        told.assert_own(501, "http_upgrade_failed");
        assert!(told.text().contains("urn:sidekey:problem:protocol-not-supported"), "{}", told.text());
        let record = sidekey.access(|record| record["status"] == 501);
        assert!(record["error"].as_str().unwrap().starts_with("the upstream has no WebSockets in HTTP/2"), "{record}");
        let asked = sidekey.connect_http2().ask(connect_http2("websocket", "/api/socket")).unwrap();
        asked.assert_own(501, "protocol-not-supported");
        sidekey.ask(get("/api/x")).assert_passed_on(200);
        assert_eq!(origin.connections(), 1);
    }
}

#[test]
fn nothing_is_asked_before_the_upstream_has_said_that_it_may_be() {
    let origin = Origin::plain(|conversation| {
        let mut frames = Frames::begin_silent(conversation).unwrap();
        frames.settings(&[(ENABLE_CONNECT_PROTOCOL, 1)]);
        loop {
            let frame = frames.next().unwrap();
            assert!(!frame.is(Kind::Headers), "before it knew");
            if frame.is(Kind::Settings) && frame.flags & ACK != 0 {
                break;
            }
        }
        agree(&mut frames);
        frames.go_away(1, b"");
        echo(&mut frames, |_| true);
    });
    let sidekey = before(&origin, "");
    let (mut caller, _) = open(&sidekey);
    // GOAWAY leaves it alone.
    assert_passes(&mut caller, "hello");
    caller.half_close();
    caller.assert_closed();
    assert_eq!(origin.connections(), 1);
}

#[test]
fn an_upstream_that_never_says_anything_is_as_good_as_dead() {
    let origin = Origin::plain(|conversation| {
        Frames::begin_silent(conversation).unwrap();
        let (came, _) = conversation.rest();
        // SETTINGS, the connection's window, and a PING: no HEADERS (RFC 9113 4.1).
        let mut rest = came.as_slice();
        while let [_, high, low, kind, ..] = rest {
            assert_ne!(*kind, HEADERS);
            rest = &rest[9 + usize::from(u16::from_be_bytes([*high, *low]))..];
        }
    });
    let sidekey = before(&origin, "timeouts = { response = \"300ms\" }");
    sidekey.ask(asking("/api/socket")).assert_own(502, "http_response_incomplete");
    // Nothing had been sent on the first.
    assert_eq!(origin.connections(), 2);
}

#[test]
fn one_that_was_not_looked_at_is_sent_again_and_one_that_may_have_been_is_not() {
    let origin = opening(|index, frames| match index {
        0 => {
            let stream = asked(frames).unwrap();
            frames.reset(stream, Reason::REFUSED_STREAM);
            agree(frames);
            echo(frames, |_| true);
            asked(frames);
        }
        _ => panic!("one more"),
    });
    let sidekey = before(&origin, "retry = { on = [\"reset\", \"503\"], attempts = 3 }");
    let (mut caller, _) = open(&sidekey);
    assert_passes(&mut caller, "hello");
    caller.half_close();
    caller.assert_closed();
    sidekey.ask(asking("/api/socket")).assert_own(502, "http_response_incomplete");
    assert_eq!(origin.connections(), 1);
}

#[test]
fn a_side_that_has_ended_still_hears_the_other() {
    let origin = opening(|_, frames| {
        let stream = agree(frames).unwrap();
        let data = frames.until(Kind::Data).unwrap();
        assert_eq!(data.payload, b"question");
        let end = frames.until(Kind::Data).unwrap();
        assert_eq!((end.payload.len(), end.flags & END_STREAM), (0, END_STREAM));
        frames.data(stream, b"answer", true);

        let stream = agree(frames).unwrap();
        frames.data(stream, b"last words", true);
        let data = frames.until(Kind::Data).unwrap();
        assert_eq!((data.payload.as_slice(), data.flags), (&b"I heard you"[..], 0));
        let end = frames.next_of(stream).unwrap();
        assert!(end.is(Kind::Data) && end.flags & END_STREAM != 0, "{end:?}");

        // RFC 9113 8.1: it wants nothing more either.
        let stream = agree(frames).unwrap();
        frames.data(stream, b"that is all", true);
        frames.reset(stream, Reason::NO_ERROR);
        frames.answer_all();
    });
    let sidekey = before(&origin, "");
    let (mut caller, _) = open(&sidekey);
    caller.send("question");
    caller.half_close();
    assert_eq!(caller.rest(), (b"answer".to_vec(), Broken::Closed));
    assert_eq!(sidekey.access(|record| record["sent"] == 8)["ended_by"], "caller");
    let (mut caller, _) = open(&sidekey);
    assert_eq!(caller.exactly(10), b"last words");
    caller.send("I heard you");
    caller.half_close();
    assert_eq!(sidekey.access(|record| record["sent"] == 11)["ended_by"], "upstream");
    let (mut caller, _) = open(&sidekey);
    assert_eq!(caller.exactly(11), b"that is all");
    caller.half_close();
    caller.assert_closed();
    assert_eq!(sidekey.access(|record| record["received"] == 11)["ended_by"], "upstream");
    sidekey.ask(get("/api/x")).assert_passed_on(200);
    assert_eq!(origin.connections(), 1);
}

#[test]
fn last_words_leave_though_the_connection_is_used_no_more() {
    let (hear, heard) = channel();
    let hear = Mutex::new(hear);
    let origin = opening(move |index, frames| {
        if index > 0 {
            return frames.answer_all();
        }
        let stream = agree(frames).unwrap();
        frames.go_away(stream, b"");
        frames.data(stream, b"that is all", true);
        let data = frames.until(Kind::Data).unwrap();
        assert_eq!(data.payload, b"bye");
        let end = frames.until(Kind::Data).unwrap();
        assert_eq!((end.payload.len(), end.flags & END_STREAM), (0, END_STREAM));
        hear.lock().unwrap().send(()).unwrap();
        // And then the connection ends, too.
        while frames.next().is_some() {}
        hear.lock().unwrap().send(()).unwrap();
    });
    let sidekey = before(&origin, "");
    let (mut caller, _) = open(&sidekey);
    assert_eq!(caller.exactly(11), b"that is all");
    // No other request finds the connection, which its pool lets go.
    let mut next = sidekey.connect();
    next.send(get("/api/x"));
    until_true("another connection", || origin.connections() == 2);
    caller.send("bye");
    caller.half_close();
    for _ in 0..2 {
        heard.recv_timeout(PATIENCE).unwrap();
    }
}

#[test]
fn a_reset_of_either_side_ends_it_alone() {
    let origin = opening(|_, frames| {
        let kept = agree(frames).unwrap();
        for reason in [Reason::CANCEL, Reason::INTERNAL_ERROR] {
            let stream = agree(frames).unwrap();
            frames.data(stream, b"x", false);
            frames.reset(stream, reason);
        }
        // None but DATA may come.
        let stream = agree(frames).unwrap();
        frames.trailers(stream, &[("x", "y")]);
        let reset = frames.until(Kind::Reset).unwrap();
        assert_eq!((reset.stream, reset.code()), (stream, Reason::CANCEL));
        // And the caller's.
        let stream = agree(frames).unwrap();
        let reset = frames.until(Kind::Reset).unwrap();
        assert_eq!((reset.stream, reset.code()), (stream, Reason::CANCEL));
        let data = frames.until(Kind::Data).unwrap();
        assert_eq!(data.stream, kept);
        frames.data(kept, &data.payload, false);
        frames.conversation.rest();
    });
    let sidekey = before(&origin, "");
    let (mut kept, _) = open(&sidekey);
    for number in 0..3 {
        let (mut caller, _) = open(&sidekey);
        let came = if number < 2 { b"x".to_vec() } else { Vec::new() };
        assert_eq!(caller.rest(), (came, Broken::Reset));
        let record = sidekey.access(|record| record["status"] == 101 && record["received"] == usize::from(number < 2));
        assert_eq!((&record["cut"], &record["level"]), (&true.into(), &"WARN".into()), "{record}");
        let error = record["error"].as_str().unwrap();
        assert!(error.starts_with("the upstream's side of the tunnel broke off: the upstream"), "{record}");
    }
    let (caller, _) = open(&sidekey);
    caller.reset();
    sidekey.access(|record| record["cut"] == true && record.get("error").is_none());
    assert_passes(&mut kept, "the other goes on");
    assert_eq!(origin.connections(), 1);
}

#[test]
fn silence_ends_it_and_its_stream_alone() {
    let origin = opening(|_, frames| {
        let stream = agree(frames).unwrap();
        let reset = frames.until(Kind::Reset).unwrap();
        assert_eq!((reset.stream, reset.code()), (stream, Reason::CANCEL));
        frames.answer_all();
    });
    let sidekey = before(&origin, "timeouts = { tunnel = \"300ms\" }");
    let (mut caller, _) = open(&sidekey);
    caller.assert_closed();
    let record = sidekey.access(|record| record["status"] == 101);
    assert_eq!((&record["ended_by"], record.get("cut")), (&"silence".into(), None), "{record}");
    sidekey.ask(get("/api/x")).assert_passed_on(200);
    assert_eq!(origin.connections(), 1);
}

#[test]
fn an_upstream_that_opens_no_window_is_sent_no_more_and_waited_for_no_longer_than_it_may() {
    let origin = opening(|_, frames| {
        agree(frames).unwrap();
        let mut came = 0;
        loop {
            let frame = frames.next().unwrap();
            came += if frame.is(Kind::Data) { frame.payload.len() } else { 0 };
            if frame.is(Kind::Reset) {
                break;
            }
        }
        // RFC 9113 6.9.2.
        assert_eq!(came, 65_535);
        frames.conversation.rest();
    });
    let sidekey = before(&origin, "timeouts = { idle = \"400ms\" }");
    let (caller, _) = open(&sidekey);
    let mut socket = caller.socket();
    while socket.write(&[0; 65_536]).is_ok() {}
    let record = sidekey.access(|record| record["status"] == 101);
    assert_eq!(record["error"], "the upstream stopped taking what came through the tunnel", "{record}");
    assert_eq!((&record["sent"], &record["cut"]), (&65_535.into(), &true.into()), "{record}");
}
