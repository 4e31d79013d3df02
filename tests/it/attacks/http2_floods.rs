//! What HTTP/2 lets a caller ask of a server for little (CVE-2023-44487, CVE-2024-27316 and their like), as bare frames: each
//! is bounded, and the other callers are served meanwhile.

use std::time::{Duration, Instant};

use h2::Reason;

use crate::support::http2::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, FrameCaller, GOAWAY, HEADERS, PING, RST_STREAM, SETTINGS,
    WINDOW_UPDATE, fields, frame, get_fields, get_frame, setting,
};
use crate::support::{Origin, PATIENCE, Sidekey, get, until_true};

fn cancel(stream: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &u32::from(Reason::CANCEL).to_be_bytes())
}

fn streams() -> impl Iterator<Item = u32> {
    (0..).map(|number| 2 * number + 1)
}

#[track_caller]
fn assert_serves(sidekey: &Sidekey) {
    sidekey.ask(get("/api/other")).assert_passed_on(200);
}

/// Sends `frames` again and again, and reads nothing, until sidekey takes no more of them. How much it took.
fn flood(caller: &mut FrameCaller, frames: &[u8]) -> usize {
    let piece = frames.repeat(64 * 1024 / frames.len());
    let began = Instant::now();
    let mut sent = 0;
    while caller.try_send(&piece) {
        sent += piece.len();
        assert!(began.elapsed() < Duration::from_secs(20), "it takes any number of them");
    }
    sent
}

#[test]
fn rapid_resets_that_nobody_has_seen_end_the_connection() {
    let origin = Origin::ok();
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let mut caller = sidekey.connect_frames(&[]);
    let pairs: Vec<u8> =
        streams().take(60).flat_map(|stream| [get_frame(stream, "/api/x"), cancel(stream)].concat()).collect();
    caller.send(pairs);
    caller.assert_goes_away(Reason::ENHANCE_YOUR_CALM);
    assert!(origin.connections() <= 20, "{} reached the upstream", origin.connections());
    assert_serves(&sidekey);
}

#[test]
fn whoever_cancels_every_request_is_left() {
    // It never answers.
    let origin = Origin::plain(|conversation| drop((conversation.request(), conversation.rest())));
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let mut caller = sidekey.connect_frames(&[]);
    let mut sent = 0;
    for stream in streams().take(1000) {
        if !caller.try_send(get_frame(stream, "/api/x")) {
            break;
        }
        sent += 1;
        // It comes that far: not one of those that nobody has seen. But for the last ones.
        let began = Instant::now();
        while origin.requests().len() < sent && began.elapsed() < Duration::from_millis(500) {
            std::thread::sleep(Duration::from_millis(1));
        }
        if !caller.try_send(cancel(stream)) {
            break;
        }
    }
    assert!((200..=210).contains(&sent), "{sent}");
    caller.assert_goes_away(Reason::ENHANCE_YOUR_CALM);
}

#[test]
fn more_streams_than_may_be_are_refused_and_cost_nothing() {
    let (origin, answer) = Origin::patient();
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let mut caller = sidekey.connect_frames(&[]);
    caller.send(streams().take(110).flat_map(|stream| get_frame(stream, "/api/x")).collect::<Vec<u8>>());
    for _ in 0..10 {
        assert_eq!(caller.await_frame(RST_STREAM).code(), Reason::REFUSED_STREAM);
    }
    until_true("the others at the origin", || origin.requests().len() == 100);
    (0..100).for_each(|_| answer.send(()).unwrap());
    caller.await_frame(DATA);
    until_true("their answers", || sidekey.log().matches("\"status\":200").count() == 100);
    assert_eq!(origin.requests().len(), 100);
}

#[test]
fn continuations_without_end_are_ended() {
    let origin = Origin::ok();
    let sidekey = Sidekey::start(&origin.upstream("api"));
    // Empty ones, and ones that say something.
    for block in [Vec::new(), fields(&[("x", &"y".repeat(10_000))])] {
        let mut caller = sidekey.connect_frames(&[]);
        caller.send(frame(HEADERS, END_STREAM, 1, &get_fields("/api/x")));
        for _ in 0..100 {
            if !caller.try_send(frame(CONTINUATION, 0, 1, &block)) {
                break;
            }
        }
        let away = caller.rest().into_iter().rfind(|frame| frame.kind == GOAWAY);
        // A reset may have overtaken it.
        assert!(away.is_none_or(|away| away.code() == Reason::ENHANCE_YOUR_CALM));
    }
    assert_eq!(origin.connections(), 0);
    assert_serves(&sidekey);
}

#[test]
fn a_header_bomb_is_refused_before_it_takes_room() {
    let origin = Origin::ok();
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let before = sidekey.memory("VmHWM");
    for _ in 0..20 {
        let mut caller = sidekey.connect_frames(&[]);
        // One field of 4,000 bytes into the table (RFC 7541 6.2.1), and then that one, a byte a time (6.1).
        let mut block = get_fields("/api/x");
        block.push(0x40);
        block.extend(&fields(&[("x", &"y".repeat(4000))])[1..]);
        block.extend([0x80 | 62; 10_000]);
        caller.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, &block));
        caller.assert_goes_away(Reason::ENHANCE_YOUR_CALM);
    }
    let grown = sidekey.memory("VmHWM") - before;
    assert!(grown < 16 << 20, "{grown} bytes more");
    assert_eq!(origin.connections(), 0);
    assert_serves(&sidekey);
}

#[test]
fn floods_that_must_be_answered_take_no_memory_and_are_ended_when_nobody_reads() {
    let origin = Origin::ok();
    let config = "[server]\nworkers = 1\ndrain = \"2s\"\nwrite_timeout = \"700ms\"\n";
    let sidekey = Sidekey::start(&(config.to_owned() + &origin.upstream("api")));
    let before = sidekey.memory("VmHWM");
    for frames in [frame(PING, 0, 0, &[0; 8]), frame(SETTINGS, 0, 0, &setting(4, 65_535))] {
        let mut caller = sidekey.connect_frames(&[]);
        let other = std::thread::scope(|scope| {
            let flooding = scope.spawn(|| flood(&mut caller, &frames));
            assert_serves(&sidekey);
            flooding.join().unwrap()
        });
        assert!(other > 0);
    }
    let grown = sidekey.memory("VmHWM") - before;
    assert!(grown < 8 << 20, "{grown} bytes more");
    assert_serves(&sidekey);
}

#[test]
fn what_a_caller_says_between_requests_is_not_in_the_log() {
    let origin = Origin::ok();
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let mut caller = sidekey.connect_frames(&[]);
    // Answers to what was never asked, and then what shows that they were read.
    caller.send(frame(PING, 1, 0, b"loglines").repeat(1000));
    caller.send(get_frame(1, "/api/x"));
    caller.await_frame(DATA);
    sidekey.access(|record| record["status"] == 200);
    assert!(!sidekey.log().contains("PING"));
}

#[test]
fn empty_data_without_end_is_ended() {
    let origin = Origin::plain(|conversation| drop((conversation.head(), conversation.rest())));
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let mut caller = sidekey.connect_frames(&[]);
    caller.send(frame(HEADERS, END_HEADERS, 1, &get_fields("/api/x")));
    flood(&mut caller, &frame(DATA, 0, 1, b""));
}

#[test]
fn windows_may_not_overflow() {
    let origin = Origin::ok();
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let most = 0x7fff_ffff_u32.to_be_bytes();
    let mut caller = sidekey.connect_frames(&[]);
    caller.send(frame(WINDOW_UPDATE, 0, 0, &most));
    caller.assert_goes_away(Reason::FLOW_CONTROL_ERROR);
    let mut caller = sidekey.connect_frames(&setting(4, 0x8000_0000));
    // RFC 9113 6.5.2 has another code for it; h2 does not.
    caller.assert_goes_away(Reason::PROTOCOL_ERROR);
    assert_serves(&sidekey);
}

#[test]
fn a_body_beyond_its_window_is_refused() {
    let origin = Origin::plain(|conversation| {
        conversation.head();
        // It reads nothing until sidekey has given up.
        std::thread::sleep(PATIENCE);
    });
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let mut caller = sidekey.connect_frames(&[]);
    caller.await_frame(SETTINGS);
    caller.send(frame(SETTINGS, 1, 0, &[]));
    let before = sidekey.memory("VmHWM");
    let headers = fields(&[(":method", "POST"), (":scheme", "http"), (":authority", "localhost"), (":path", "/api/x")]);
    caller.send(frame(HEADERS, END_HEADERS, 1, &headers));
    // No WINDOW_UPDATE is waited for.
    let piece = frame(DATA, 0, 1, &[b'x'; 16_384]);
    for _ in 0..4000 {
        if !caller.try_send(&piece) {
            break;
        }
    }
    let frames = caller.rest();
    let refused = |frame: &crate::support::http2::Frame| {
        matches!(frame.kind, GOAWAY | RST_STREAM) && frame.code() == Reason::FLOW_CONTROL_ERROR
    };
    assert!(frames.is_empty() || frames.iter().any(refused), "{frames:?}");
    let grown = sidekey.memory("VmHWM") - before;
    assert!(grown < 24 << 20, "{grown} bytes more");
}
