//! HTTP/2 to the upstream: agreed on by ALPN, or known before; one connection for many requests, and nothing lost that
//! could be sent again.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};

use h2::Reason;
use tempfile::TempDir;

use crate::support::http2::{DATA, RST_STREAM, WINDOW_UPDATE, frame, get_frame, get_http2};
use crate::support::{
    Authority, Broken, Conversation, Frames, Http2Origin, Kind, LITERAL, OK, Origin, Sidekey, get, get_with, post,
    until_true,
};

const MAX_CONCURRENT_STREAMS: u16 = 3;
const INITIAL_WINDOW_SIZE: u16 = 4;

/// An `[upstream.api]` over TLS at this port, and `more` of its keys.
fn secure(port: u16, authority: &Authority, more: &str) -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let tls = authority.write(folder.path());
    let auth = if more.contains("auth") { "" } else { "auth.bearer = { token = \"env:TOKEN\" }\n" };
    let config = format!(
        "[server]\nworkers = 1\n\n[listen.a]\naddress = \"127.0.0.1:0\"\n\n[upstream.api]\nurl = \"https://localhost:{port}\"\ntls = {{ {tls} }}\n{auth}{more}\n"
    );
    (folder, config)
}

/// sidekey with one worker before an origin in the clear that speaks HTTP/2, as is known before.
fn before(origin: &Origin, more: &str) -> Sidekey {
    let upstream = origin.upstream("api");
    Sidekey::start(&format!(
        "[server]\nworkers = 1\n\n[listen.a]\naddress = \"127.0.0.1:0\"\n\n{upstream}http = \"2\"\n{more}\n"
    ))
}

/// An origin in the clear; `script` gets each connection, whose beginning is over, and its number.
fn frames(settings: &'static [(u16, u32)], script: impl Fn(usize, Frames<'_>) + Send + Sync + 'static) -> Origin {
    Origin::plain(move |conversation: &mut Conversation| {
        let index = conversation.index;
        if let Some(frames) = Frames::begin(conversation, settings) {
            script(index, frames);
        }
    })
}

#[test]
fn what_was_agreed_on_is_spoken() {
    let authority = Authority::new();
    let identity = authority.server("localhost");
    let both = Http2Origin::start(identity.serve_alpn(&["h2", "http/1.1"]));
    for http in ["", "http = \"auto\"", "http = \"2\""] {
        let before = both.requests().len();
        let (folder, config) = secure(both.port(), &authority, http);
        Sidekey::start_in(folder, &config, "json").ask(get("/api/x")).assert_passed_on(200);
        assert_eq!(both.requests().len(), before + 1, "{http}");
    }
    for (protocols, http, status) in [
        (&["h2", "http/1.1"][..], "http = \"1.1\"", 200),
        (&["http/1.1"], "", 200),
        (&[], "", 200),
        (&[], "http = \"2\"", 502),
    ] {
        let origin = Origin::tls(identity.serve_alpn(protocols), |conversation| conversation.answer_all(OK));
        let (folder, config) = secure(origin.port(), &authority, http);
        let answer = Sidekey::start_in(folder, &config, "json").ask(get("/api/x"));
        match status {
            502 => answer.assert_own(502, "tls_protocol_error"),
            _ => answer.assert_passed_on(status),
        }
        assert_eq!(origin.requests().len(), usize::from(status == 200), "{protocols:?} {http}");
    }
}

#[test]
fn a_request_is_said_as_http2_says_it_and_its_answer_as_the_caller_understands() {
    let authority = Authority::new();
    let origin = Http2Origin::start(authority.server("localhost").serve_alpn(&["h2"]));
    let (folder, config) = secure(origin.port(), &authority, "");
    let sidekey = Sidekey::start_in(folder, &config, "json");
    let mut caller = sidekey.connect();
    caller.send(
        "POST /api/echo?a=%2F HTTP/1.1\r\nHost: localhost\r\nCookie: a=1; b=2\r\nTE: trailers, gzip\r\nConnection: TE, X-Hop\r\n\
         X-Hop: 1\r\nKeep-Alive: timeout=5\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n\
         3\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum: 5\r\nAuthorization: mine\r\n\r\n",
    );
    let answer = caller.response();
    answer.assert_passed_on(200);
    assert_eq!((answer.version.as_str(), answer.text().as_str()), ("HTTP/1.1", "abcde"));
    assert_eq!(answer.trailers.get("x-sum"), Some("5"));
    let [arrived] = &origin.requests()[..] else { panic!("one request") };
    assert_eq!(arrived.method, "POST");
    assert_eq!(arrived.url, format!("https://localhost:{}/echo?a=%2F", origin.port()));
    assert_eq!(arrived.fields.get("cookie"), Some("a=1; b=2"));
    assert_eq!(arrived.fields.get("te"), Some("trailers"));
    assert_eq!(arrived.fields.get("authorization"), Some(format!("Bearer {}", sidekey.secret("env:TOKEN")).as_str()));
    for gone in ["host", "connection", "x-hop", "keep-alive", "transfer-encoding"] {
        assert!(!arrived.fields.has(gone), "{gone}");
    }
    assert_eq!((&arrived.body[..], arrived.trailers.get("x-sum")), (&b"abcde"[..], Some("5")));
    assert!(!arrived.trailers.has("authorization"));
}

#[test]
fn requests_that_come_together_share_one_connection_though_nothing_is_known_yet() {
    let authority = Authority::new();
    let origin = Http2Origin::start(authority.server("localhost").serve_alpn(&["h2", "http/1.1"]));
    let (folder, config) = secure(origin.port(), &authority, "");
    let sidekey = Sidekey::start_in(folder, &config, "json");
    let mut callers: Vec<_> = (0..20).map(|_| sidekey.connect()).collect();
    for _ in 0..3 {
        callers.iter_mut().for_each(|caller| caller.send(get("/api/bytes/2000")));
        callers.iter_mut().for_each(|caller| assert_eq!(caller.response().body.len(), 2000));
    }
    // One, if the machine is not so busy that the handshake takes longer than is waited for it.
    assert!(origin.connections() <= 3, "{}", origin.connections());
    assert_eq!(origin.requests().len(), 60);
    let reused = sidekey.access(|line| line["reused"] == true);
    assert_eq!(reused["status"], 200);
}

#[test]
fn a_credential_that_signs_the_request_line_is_never_sent_in_http2() {
    let hmac = "auth.hmac = { username = \"env:USER\", secret = \"env:SECRET\" }\n";
    let authority = Authority::new();
    let identity = authority.server("localhost");
    let origin = Origin::tls(identity.serve_alpn(&["h2", "http/1.1"]), |conversation| conversation.answer_all(OK));
    let (folder, config) = secure(origin.port(), &authority, hmac);
    Sidekey::start_in(folder, &config, "json").ask(get("/api/x")).assert_passed_on(200);
    assert!(origin.request().line.ends_with("HTTP/1.1"));

    let target =
        "auth.hmac = { username = \"env:USER\", secret = \"env:SECRET\", headers = [\"Date\", \"@request-target\"] }\n";
    let origin = Http2Origin::start(identity.serve_alpn(&["h2", "http/1.1"]));
    let (folder, config) = secure(origin.port(), &authority, target);
    Sidekey::start_in(folder, &config, "json").ask(get("/api/x")).assert_passed_on(200);
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn at_the_peers_limit_of_streams_another_connection_is_opened() {
    let (release, released) = channel::<()>();
    let released = Mutex::new(released);
    let origin = frames(&[(MAX_CONCURRENT_STREAMS, 1)], move |_, mut frames| {
        while let Some(stream) = frames.request() {
            let _ = released.lock().unwrap().recv();
            frames.answer(stream);
        }
    });
    let sidekey = before(&origin, "");
    // The first says what the limit is.
    release.send(()).unwrap();
    sidekey.ask(get("/api/first")).assert_passed_on(200);
    let mut callers: Vec<_> = (0..4).map(|_| sidekey.connect()).collect();
    callers.iter_mut().for_each(|caller| caller.send(get("/api/x")));
    until_true("four connections", || origin.connections() == 4);
    (0..4).for_each(|_| release.send(()).unwrap());
    callers.iter_mut().for_each(|caller| caller.response().assert_passed_on(200));
    assert_eq!(origin.connections(), 4);
}

#[test]
fn one_that_is_cancelled_at_the_limit_of_streams_does_not_cost_the_connection() {
    let (release, released) = channel::<()>();
    let released = Mutex::new(released);
    let asked = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&asked);
    let origin = frames(&[(MAX_CONCURRENT_STREAMS, 1)], move |_, mut frames| {
        while let Some(stream) = frames.request() {
            counting.fetch_add(1, Ordering::Relaxed);
            let _ = released.lock().unwrap().recv();
            frames.answer(stream);
        }
    });
    let until_asked = |count| until_true("the requests", || asked.load(Ordering::Relaxed) == count);
    let sidekey = before(&origin, "");
    // The first says what the limit is.
    release.send(()).unwrap();
    sidekey.ask(get("/api/first")).assert_passed_on(200);
    let mut caller = sidekey.connect_frames(&[]);
    caller.send(get_frame(1, "/api/x"));
    until_asked(2);
    // In one piece: the next two are looked at before the upstream is told that the first is over.
    let cancel = frame(RST_STREAM, 0, 1, &u32::from(Reason::CANCEL).to_be_bytes());
    caller.send([cancel, get_frame(3, "/api/x"), get_frame(5, "/api/x")].concat());
    (0..3).for_each(|_| release.send(()).unwrap());
    let mut answered: Vec<_> = (0..2).map(|_| caller.await_frame(DATA).stream).collect();
    answered.sort_unstable();
    assert_eq!(answered, [3, 5]);
    // Both connections are there for the next two.
    let mut callers: Vec<_> = (0..2).map(|_| sidekey.connect()).collect();
    callers.iter_mut().for_each(|caller| caller.send(get("/api/x")));
    until_asked(6);
    (0..2).for_each(|_| release.send(()).unwrap());
    callers.iter_mut().for_each(|caller| caller.response().assert_passed_on(200));
    assert_eq!(origin.connections(), 2);
}

#[test]
fn what_a_goaway_left_untouched_is_sent_again_whatever_it_is_and_the_rest_goes_on() {
    let origin = frames(&[], |index, mut frames| {
        if index > 0 {
            return frames.answer_all();
        }
        let (first, second) = (frames.request().unwrap(), frames.request().unwrap());
        frames.go_away(first, LITERAL.as_bytes());
        frames.head(first, 200, &[], false);
        frames.data(first, b"the first", true);
        let _ = second;
        assert_eq!(frames.request(), None, "the connection takes no further request");
    });
    let sidekey = before(&origin, "");
    let (mut first, mut second) = (sidekey.connect(), sidekey.connect());
    first.send(get("/api/first"));
    until_true("the first has left", || origin.connections() == 1 && origin.raw().len() > 100);
    second.send(post("/api/second", ""));
    assert_eq!(first.response().text(), "the first");
    second.response().assert_passed_on(200);
    sidekey.ask(post("/api/third", "body")).assert_passed_on(200);
    assert_eq!(origin.connections(), 2);
}

#[test]
fn what_a_goaway_does_not_leave_untouched_is_not_sent_again_whatever_comes_of_it() {
    type End = fn(&mut Frames<'_>, u32);
    let ends: [(&str, End); 4] = [
        ("the connection is closed", |_, _| {}),
        ("a reset", |frames, stream| frames.reset(stream, Reason::INTERNAL_ERROR)),
        ("a second one, for the same", |frames, stream| frames.go_away_for(stream, Reason::INTERNAL_ERROR, b"")),
        ("a frame that may not be", |frames, _| frames.send(Kind::Data, 0, 0, b"x")),
    ];
    for (name, end) in ends {
        for reason in [Reason::NO_ERROR, Reason::INTERNAL_ERROR, Reason::HTTP_1_1_REQUIRED] {
            for above in [0, 100] {
                let origin = frames(&[], move |index, mut frames| {
                    if index > 0 {
                        return frames.answer_all();
                    }
                    let stream = frames.request().unwrap();
                    frames.go_away_for(stream + above, reason, b"");
                    end(&mut frames, stream);
                });
                assert_eq!(before(&origin, "").ask(post("/api/x", "")).status, 502, "{name}, {reason}, {above}");
                assert_eq!(origin.connections(), 1, "{name}, {reason}, {above}");
            }
        }
    }
}

#[test]
fn what_comes_with_a_goaway_is_not_logged() {
    let origin = frames(&[], |_, mut frames| {
        if frames.request().is_some() {
            // The harness looks for it in all that sidekey writes.
            frames.go_away(0, LITERAL.as_bytes());
            while frames.next().is_some() {}
        }
    });
    let sidekey = before(&origin, "");
    sidekey.ask(post("/api/x", "")).assert_own(502, "http_response_incomplete");
    let line = sidekey.access(|line| line["status"] == 502);
    assert!(line["error"].as_str().unwrap().contains("has not looked at the request"), "{line}");
    assert_eq!(origin.connections(), 2, "once more, and no more");
}

#[test]
fn a_refused_stream_is_sent_again_and_another_reset_is_not() {
    for (reason, status, seen) in
        [(Reason::REFUSED_STREAM, 200, 2), (Reason::INTERNAL_ERROR, 502, 1), (Reason::NO_ERROR, 502, 1)]
    {
        let count = Arc::new(AtomicUsize::new(0));
        let counting = Arc::clone(&count);
        let origin = frames(&[], move |_, mut frames| {
            while let Some(stream) = frames.request() {
                match counting.fetch_add(1, Ordering::Relaxed) {
                    0 => frames.reset(stream, reason),
                    _ => frames.answer(stream),
                }
            }
        });
        let sidekey = before(&origin, "");
        let answer = sidekey.ask(post("/api/x", ""));
        match status {
            200 => answer.assert_passed_on(200),
            _ => answer.assert_own(502, "http_response_incomplete"),
        }
        assert_eq!(count.load(Ordering::Relaxed), seen, "{reason:?}");
        assert_eq!(origin.connections(), 1, "a stream's reset is not the connection's");
    }
}

#[test]
fn who_refuses_every_time_is_asked_twice() {
    let count = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&count);
    let origin = frames(&[], move |_, mut frames| {
        while let Some(stream) = frames.request() {
            counting.fetch_add(1, Ordering::Relaxed);
            frames.reset(stream, Reason::REFUSED_STREAM);
        }
    });
    before(&origin, "").ask(get("/api/x")).assert_own(502, "http_response_incomplete");
    assert_eq!(count.load(Ordering::Relaxed), 2);
}

#[test]
fn an_answer_that_is_not_as_long_as_it_says_is_cut_for_the_caller() {
    type Cut = fn(&mut Frames<'_>, u32);
    let cuts: [(&str, Cut); 4] = [
        ("a reset", |frames, stream| frames.reset(stream, Reason::NO_ERROR)),
        ("too little", |frames, stream| frames.data(stream, b"", true)),
        ("too much", |frames, stream| frames.data(stream, &[b'x'; 30], true)),
        ("a lost connection", |frames, _| frames.conversation.close()),
    ];
    for (name, cut) in cuts {
        let (go, going) = channel::<()>();
        let going = Mutex::new(going);
        let origin = frames(&[], move |_, mut frames| {
            let Some(stream) = frames.request() else { return };
            frames.head(stream, 200, &[("content-length", "20")], false);
            frames.data(stream, b"begun", false);
            let _ = going.lock().unwrap().recv();
            cut(&mut frames, stream);
            while frames.next().is_some() {}
        });
        let sidekey = before(&origin, "");
        let mut caller = sidekey.connect();
        caller.send(get("/api/x"));
        caller.head().assert_passed_on(200);
        assert_eq!(caller.exactly(5), b"begun");
        go.send(()).unwrap();
        assert_eq!(caller.rest(), (Vec::new(), Broken::Closed), "{name}");
    }
}

#[test]
fn an_answer_without_a_length_that_is_reset_is_cut_for_the_caller() {
    for reason in [Reason::INTERNAL_ERROR, Reason::NO_ERROR, Reason::CANCEL] {
        let (cut, cutting) = channel::<()>();
        let cutting = Mutex::new(cutting);
        let origin = frames(&[], move |_, mut frames| {
            let Some(stream) = frames.request() else { return };
            frames.head(stream, 200, &[], false);
            frames.data(stream, b"begun", false);
            let _ = cutting.lock().unwrap().recv();
            frames.reset(stream, reason);
            frames.answer_all();
        });
        let sidekey = before(&origin, "");
        let mut caller = sidekey.connect();
        caller.send(get("/api/x"));
        caller.head().assert_passed_on(200);
        assert_eq!(caller.exactly(10), b"5\r\nbegun\r\n");
        cut.send(()).unwrap();
        assert_eq!(caller.rest(), (Vec::new(), Broken::Closed), "{reason:?}");
        sidekey.ask(get("/api/y")).assert_passed_on(200);
        assert_eq!(origin.connections(), 1);
    }
}

#[test]
fn a_connection_on_which_nothing_comes_is_asked_and_then_left() {
    let origin = frames(&[], |index, mut frames| {
        if index > 0 {
            return frames.answer_all();
        }
        frames.pongs = false;
        assert!(frames.until(Kind::Ping).is_some(), "it is asked first");
        assert!(frames.until(Kind::Ping).is_none(), "and not again");
    });
    let sidekey = before(&origin, "timeouts.response = \"8s\"");
    // Of a new connection, the loss is the request's.
    sidekey.ask(get("/api/x")).assert_own(502, "http_response_incomplete");
    sidekey.ask(get("/api/x")).assert_passed_on(200);
    assert_eq!(origin.connections(), 2);
}

#[test]
fn a_slow_upstream_that_answers_when_it_is_asked_is_waited_for() {
    let origin = frames(&[], |_, mut frames| {
        let stream = frames.request().unwrap();
        assert!(frames.until(Kind::Ping).is_some());
        frames.answer(stream);
        frames.answer_all();
    });
    before(&origin, "timeouts.response = \"8s\"").ask(get("/api/x")).assert_passed_on(200);
}

#[test]
fn a_caller_that_does_not_read_holds_up_nobody_else_on_its_connection() {
    let authority = Authority::new();
    let origin = Http2Origin::start(authority.server("localhost").serve_alpn(&["h2"]));
    let (folder, config) = secure(origin.port(), &authority, "");
    let sidekey = Sidekey::start_in(folder, &config, "json");
    sidekey.ask(get("/api/x")).assert_passed_on(200);
    let mut slow: Vec<_> = (0..4).map(|_| sidekey.connect()).collect();
    slow.iter_mut().for_each(|caller| caller.send(get("/api/bytes/30000000")));
    slow.iter_mut().for_each(|caller| caller.head().assert_passed_on(200));
    for _ in 0..3 {
        assert_eq!(sidekey.ask(get("/api/bytes/300000")).body.len(), 300_000);
    }
    assert_eq!(origin.connections(), 1);
}

#[test]
fn what_is_wanted_in_http_1_1_goes_again_in_it_and_so_does_what_follows() {
    let authority = Authority::new();
    let identity = authority.server("localhost").serve_alpn(&["h2", "http/1.1"]);
    for goes_away in [false, true] {
        let in_http2 = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&in_http2);
        let origin = Origin::tls(Arc::clone(&identity), move |conversation| {
            if conversation.index > 0 {
                return conversation.answer_all(OK);
            }
            let mut frames = Frames::begin(conversation, &[]).unwrap();
            while let Some(stream) = frames.request() {
                counted.fetch_add(1, Ordering::SeqCst);
                match goes_away {
                    true => frames.go_away_for(0, Reason::HTTP_1_1_REQUIRED, b""),
                    false => frames.reset(stream, Reason::HTTP_1_1_REQUIRED),
                }
            }
        });
        let (folder, config) = secure(origin.port(), &authority, "");
        let sidekey = Sidekey::start_in(folder, &config, "json");
        sidekey.ask("POST /api/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n").assert_passed_on(200);
        assert_eq!(origin.request().line, "POST /x HTTP/1.1");
        sidekey.ask(get("/api/y")).assert_passed_on(200);
        assert_eq!((origin.requests().len(), origin.connections(), in_http2.load(Ordering::SeqCst)), (2, 2, 1));
    }
}

#[test]
fn where_nothing_but_http2_may_be_spoken_http_1_1_is_not() {
    let origin = frames(&[], |_, mut frames| {
        while let Some(stream) = frames.request() {
            frames.reset(stream, Reason::HTTP_1_1_REQUIRED);
        }
    });
    let sidekey = before(&origin, "");
    for _ in 0..2 {
        sidekey.ask(get("/api/x")).assert_own(502, "http_response_incomplete");
    }
    let record = sidekey.access(|record| record["status"] == 502);
    assert!(record["error"].as_str().unwrap().contains("the upstream wants the request in HTTP/1.1"), "{record}");
    assert_eq!(origin.connections(), 1);
}

#[test]
fn an_answer_is_whole_with_the_last_byte_that_was_announced_whenever_its_end_comes() {
    let (end, ended) = channel::<()>();
    let ended = Mutex::new(ended);
    let origin = frames(&[], move |_, mut frames| {
        while let Some(stream) = frames.request() {
            frames.head(stream, 200, &[("content-length", "5")], false);
            frames.data(stream, b"hello", false);
            let _ = ended.lock().unwrap().recv();
            frames.data(stream, b"", true);
        }
    });
    let sidekey = before(&origin, "");
    let mut caller = sidekey.connect();
    for _ in 0..2 {
        caller.send(get("/api/x"));
        let answer = caller.response();
        answer.assert_passed_on(200);
        assert_eq!(answer.text(), "hello");
        end.send(()).unwrap();
    }
    let record = sidekey.access(|record| record["status"] == 200);
    assert_eq!((record.get("cut"), &record["received"]), (None, &5.into()), "{record}");
    assert_eq!(origin.connections(), 1);
}

#[test]
fn what_may_be_sent_that_nobody_reads_is_less_on_the_third_connection() {
    let windows = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&windows);
    let origin = frames(&[], move |_, mut frames| {
        let settings = frames.until(Kind::Settings).unwrap();
        let mut settings = settings.payload.chunks(6);
        let window = settings.find(|setting| setting[..2] == INITIAL_WINDOW_SIZE.to_be_bytes()).unwrap();
        // That of the connection is for a hundred of them.
        let more = std::iter::from_fn(|| frames.next()).find(|frame| frame.kind == WINDOW_UPDATE).unwrap();
        assert_eq!(more.stream, 0);
        let window = u32::from_be_bytes(window[2..].try_into().unwrap());
        assert_eq!(more.number() + 65_535, 100 * window);
        told.lock().unwrap().push(window);
        while frames.next().is_some() {}
    });
    let sidekey = before(&origin, "");
    let mut callers: Vec<_> = (0..3).map(|_| sidekey.connect_http2()).collect();
    let mut answers = Vec::new();
    for (caller, count) in callers.iter_mut().zip([100, 100, 1]) {
        for _ in 0..count {
            answers.push(caller.begin(get_http2("localhost", "/api/x"), true));
        }
        caller.idle(std::time::Duration::from_millis(1));
    }
    until_true("three connections", || windows.lock().unwrap().len() == 3);
    assert_eq!(*windows.lock().unwrap(), [512 * 1024, 512 * 1024, 64 * 1024]);
}

#[test]
fn a_caller_that_goes_away_takes_its_stream_along_and_not_the_connection() {
    let (told, tell) = channel();
    let told = Mutex::new(told);
    let origin = frames(&[], move |_, mut frames| {
        let stream = frames.request().unwrap();
        told.lock().unwrap().send(0).unwrap();
        let reset = frames.until(Kind::Reset).unwrap();
        assert_eq!(reset.stream, stream);
        told.lock().unwrap().send(reset.number()).unwrap();
        frames.answer_all();
    });
    let sidekey = before(&origin, "");
    let mut caller = sidekey.connect();
    caller.send(get("/api/x"));
    assert_eq!(tell.recv(), Ok(0));
    caller.reset();
    assert_eq!(tell.recv(), Ok(u32::from(Reason::CANCEL)));
    sidekey.ask(get("/api/y")).assert_passed_on(200);
    assert_eq!(origin.connections(), 1);
}

#[test]
fn an_upload_waits_for_the_upstreams_window_and_stops_with_an_early_answer() {
    let origin = frames(&[(INITIAL_WINDOW_SIZE, 10)], |_, mut frames| {
        let data = frames.until(Kind::Data).unwrap();
        assert_eq!(data.payload.len(), 10, "no more than the window lets through");
        frames.head(data.stream, 413, &[], true);
        assert_eq!(frames.until(Kind::Reset).unwrap().stream, data.stream, "the upload stops with the answer");
        frames.answer_all();
    });
    let sidekey = before(&origin, "");
    // Until the upstream has spoken, its window is the usual one.
    let mut caller = sidekey.connect();
    caller.send("POST /api/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10000\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(caller.line(), "HTTP/1.1 100 Continue");
    assert_eq!(caller.line(), "");
    caller.send([b'x'; 5000]);
    caller.head().assert_passed_on(413);
    drop(caller);
    sidekey.ask(get("/api/y")).assert_passed_on(200);
    assert_eq!(origin.connections(), 1);
}

#[test]
fn a_body_that_breaks_off_behind_an_early_answer_takes_the_stream_along() {
    let origin = frames(&[], |_, mut frames| {
        let data = frames.until(Kind::Data).unwrap();
        frames.head(data.stream, 200, &[], false);
        let reset = frames.until(Kind::Reset).unwrap();
        assert_eq!((reset.stream, reset.number()), (data.stream, u32::from(Reason::CANCEL)));
        frames.answer_all();
    });
    let sidekey = before(&origin, "");
    let mut caller = sidekey.connect();
    caller.send("POST /api/x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    caller.head().assert_passed_on(200);
    caller.send("no chunk\r\n");
    assert_ne!(caller.rest().1, Broken::Silent);
    sidekey.ask(get("/api/y")).assert_passed_on(200);
    assert_eq!(origin.connections(), 1);
}

#[test]
fn the_body_that_an_upstream_is_to_ask_for_leaves_when_it_does() {
    let origin = frames(&[], |_, mut frames| {
        let head = frames.until(Kind::Headers).unwrap();
        frames.head(head.stream, 100, &[], false);
        assert_eq!(frames.until(Kind::Data).unwrap().payload, b"body");
        frames.answer(head.stream);
        frames.answer_all();
    });
    let sidekey = before(&origin, "");
    let mut caller = sidekey.connect();
    caller.send("POST /api/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(caller.line(), "HTTP/1.1 100 Continue");
    assert_eq!(caller.line(), "");
    caller.send("body");
    caller.response().assert_passed_on(200);
}

#[test]
fn what_no_answer_may_be_is_refused_as_in_http_1_1() {
    type Answer = fn(&mut Frames<'_>, u32);
    let answers: [(&str, Answer); 8] = [
        ("too many fields", |frames, stream| {
            let fields: Vec<_> = (0..129).map(|number| format!("x-{number}")).collect();
            let fields: Vec<_> = fields.iter().map(|name| (name.as_str(), "1")).collect();
            frames.head(stream, 200, &fields, true);
        }),
        ("a header of more than 64 KiB", |frames, stream| {
            let value = "v".repeat(100);
            let fields = vec![("x-long", value.as_str()); 600];
            frames.head_in_pieces(stream, 200, &fields);
        }),
        ("a header without an end", |frames, stream| {
            frames.send(Kind::Headers, 0, stream, &[0x88]);
            // The connection is closed at some point.
            (0..10_000).for_each(|_| frames.send(Kind::Continuation, 0, stream, &[]));
        }),
        ("a field of HTTP/1.1", |frames, stream| frames.head(stream, 200, &[("transfer-encoding", "chunked")], true)),
        ("two lengths", |frames, stream| {
            frames.head(stream, 200, &[("content-length", "0"), ("content-length", "0")], true);
        }),
        ("interim responses without an end", |frames, stream| {
            (0..17).for_each(|_| frames.head(stream, 103, &[], false));
        }),
        ("a switch of protocols", |frames, stream| {
            frames.head(stream, 101, &[], false);
            frames.answer(stream);
        }),
        ("a push", |frames, stream| frames.send(Kind::PushPromise, 4, stream, &[0, 0, 0, 2, 0x82])),
    ];
    for (name, answer) in answers {
        let origin = frames(&[], move |_, mut frames| {
            let Some(stream) = frames.request() else { return };
            answer(&mut frames, stream);
            while frames.next().is_some() {}
        });
        let answer = before(&origin, "").ask(get("/api/x"));
        assert_eq!((answer.status, answer.kind().as_str()), (502, "response-malformed"), "{name}");
    }
}

#[test]
fn trailers_that_only_sidekey_may_say_do_not_pass() {
    let origin = frames(&[], |_, mut frames| {
        let stream = frames.request().unwrap();
        frames.head(stream, 200, &[("trailer", "x-sum, proxy-status")], false);
        frames.data(stream, b"ok", false);
        frames
            .trailers(stream, &[("x-sum", "2"), ("proxy-status", "sidekey; error=dns_error"), ("content-length", "9")]);
        frames.answer_all();
    });
    let sidekey = before(&origin, "");
    let answer = sidekey.ask(get_with("/api/x", "TE: trailers\r\nConnection: TE\r\n"));
    assert_eq!(answer.trailers.get("x-sum"), Some("2"));
    assert!(!answer.trailers.has("proxy-status") && !answer.trailers.has("content-length"));
}
