//! Bodies stream: in constant memory, as they come, and no faster than the other side reads.

use std::io::{ErrorKind, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use crate::support::{Caller, Conversation, OK, Origin, Sidekey, get, until_true};

const MIB: u64 = 1024 * 1024;
/// What sidekey may grow by, whatever passes through it.
const MAX_GROWTH: u64 = 16 * MIB;
const PIECE: usize = 64 * 1024;

fn sidekey(origin: &Origin) -> Sidekey {
    let sidekey = Sidekey::start(&origin.upstream("api"));
    // What the first request costs is not what a body costs.
    sidekey.ask(get("/api/warm")).assert_passed_on(200);
    sidekey
}

/// Sends `length` bytes in answer to the second request, chunked or counted.
fn download(length: u64, chunked: bool) -> Origin {
    Origin::plain(move |conversation| {
        conversation.answer_all_but_the_last_with_ok();
        send_body(length, chunked, |bytes| conversation.try_send(bytes));
    })
}

fn send_body(length: u64, chunked: bool, mut send: impl FnMut(&[u8]) -> std::io::Result<()>) {
    let framing = if chunked { "Transfer-Encoding: chunked".to_owned() } else { format!("Content-Length: {length}") };
    send(format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n").as_bytes()).unwrap();
    let mut piece = vec![b'x'; PIECE];
    if chunked {
        piece = [format!("{PIECE:x}\r\n").as_bytes(), &piece, b"\r\n"].concat();
    }
    for _ in 0..length / PIECE as u64 {
        send(&piece).unwrap();
    }
    if chunked {
        send(b"0\r\n\r\n").unwrap();
    }
}

impl Conversation {
    /// As below, but leaves the body of the last one to be read.
    fn answer_all_but_the_last_head_with_ok(&mut self) {
        while self.head().is_some_and(|request| request.target() == "/warm") {
            self.send(OK);
        }
    }

    /// Answers `/warm`, and stops after any other request.
    fn answer_all_but_the_last_with_ok(&mut self) {
        while self.request().is_some_and(|request| request.target() == "/warm") {
            self.send(OK);
        }
    }
}

/// Reads to the end, and counts.
fn count(caller: &mut Caller, mut expected: u64) {
    let mut socket = caller.socket();
    let mut space = vec![0; PIECE];
    while expected > 0 {
        let length = socket.read(&mut space).unwrap() as u64;
        assert_ne!(length, 0, "{expected} bytes are missing");
        expected = expected.saturating_sub(length);
    }
}

fn assert_download_streams(length: u64, chunked: bool) {
    let origin = download(length, chunked);
    let sidekey = sidekey(&origin);
    let before = sidekey.memory("VmHWM");
    let mut caller = sidekey.connect();
    caller.send(get("/api/x"));
    // The framing is more, if anything.
    count(&mut caller, length);
    let growth = sidekey.memory("VmHWM") - before;
    assert!(growth < MAX_GROWTH, "grew by {growth}");
    if chunked {
        return;
    }
    let record = sidekey.access(|record| record["path"] == "/api/x");
    assert_eq!(record["received"], length);
}

fn assert_upload_streams(length: u64, chunked: bool) {
    let sunk = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&sunk);
    let origin = Origin::plain(move |conversation| {
        conversation.answer_all_but_the_last_head_with_ok();
        let mut tail = Vec::new();
        while counted.load(Ordering::Relaxed) < length || (chunked && !tail.ends_with(b"\r\n0\r\n\r\n")) {
            let piece = conversation.some().unwrap();
            counted.fetch_add(piece.len() as u64, Ordering::Relaxed);
            tail.extend_from_slice(&piece[piece.len().saturating_sub(7)..]);
            tail.drain(..tail.len().saturating_sub(7));
        }
        conversation.send(OK);
    });
    let sidekey = sidekey(&origin);
    let before = sidekey.memory("VmHWM");
    let mut caller = sidekey.connect();
    let framing = if chunked { "Transfer-Encoding: chunked".to_owned() } else { format!("Content-Length: {length}") };
    caller.send(format!("POST /api/x HTTP/1.1\r\nHost: localhost\r\n{framing}\r\n\r\n"));
    let mut piece = vec![b'x'; PIECE];
    if chunked {
        piece = [format!("{PIECE:x}\r\n").as_bytes(), &piece, b"\r\n"].concat();
    }
    for _ in 0..length / PIECE as u64 {
        caller.send(&piece);
    }
    if chunked {
        caller.send("0\r\n\r\n");
    }
    caller.response().assert_passed_on(200);
    assert!(sunk.load(Ordering::Relaxed) >= length);
    let growth = sidekey.memory("VmHWM") - before;
    assert!(growth < MAX_GROWTH, "grew by {growth}");
}

#[test]
fn a_large_download_takes_no_more_memory_than_a_small_one() {
    assert_download_streams(64 * MIB, false);
    assert_download_streams(64 * MIB, true);
}

#[test]
fn a_large_upload_takes_no_more_memory_than_a_small_one() {
    assert_upload_streams(64 * MIB, false);
    assert_upload_streams(64 * MIB, true);
}

#[test]
fn a_gibibyte_moves_either_way() {
    assert_download_streams(1024 * MIB, false);
    assert_upload_streams(1024 * MIB, false);
}

/// Waits until `moved` has stood still for a while, and returns where.
fn standstill(moved: &AtomicU64) -> u64 {
    let (mut last, mut since) = (0, Instant::now());
    while last == 0 || since.elapsed() < Duration::from_millis(700) {
        sleep(Duration::from_millis(50));
        let now = moved.load(Ordering::Relaxed);
        if now != last {
            (last, since) = (now, Instant::now());
        }
    }
    last
}

#[test]
fn a_caller_that_does_not_read_holds_the_upstream_up() {
    let length = 256 * MIB;
    let sent = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&sent);
    let origin = Origin::plain(move |conversation| {
        conversation.answer_all_but_the_last_with_ok();
        conversation.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"));
        let piece = vec![b'x'; PIECE];
        while conversation.try_send(&piece).is_ok() {
            counted.fetch_add(PIECE as u64, Ordering::Relaxed);
        }
    });
    let sidekey = sidekey(&origin);
    let before = sidekey.memory("VmRSS");
    let mut caller = sidekey.connect();
    caller.send(get("/api/x"));
    // What the kernel's buffers hold on both sides, and little more.
    let stood = standstill(&sent);
    assert!(stood < 32 * MIB, "{stood} bytes were taken that nobody reads");
    assert!(sidekey.memory("VmRSS").saturating_sub(before) < MAX_GROWTH);
    // As soon as it reads, more comes.
    count(&mut caller, stood + 8 * MIB);
}

#[test]
fn an_upstream_that_does_not_read_holds_the_caller_up() {
    let origin = Origin::plain(|conversation| {
        conversation.answer_all_but_the_last_head_with_ok();
        // Nothing is read until the other side goes.
        sleep(Duration::from_secs(5));
    });
    let sidekey = sidekey(&origin);
    let before = sidekey.memory("VmRSS");
    let mut caller = sidekey.connect();
    caller.send(format!("POST /api/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n", 256 * MIB));
    let sent = Arc::new(AtomicU64::new(0));
    let (counted, mut socket) = (Arc::clone(&sent), caller.socket());
    let uploading = thread::spawn(move || {
        let piece = vec![b'x'; PIECE];
        loop {
            match socket.write_all(&piece) {
                Ok(()) => counted.fetch_add(PIECE as u64, Ordering::Relaxed),
                Err(error) => return error.kind(),
            };
        }
    });
    let stood = standstill(&sent);
    assert!(stood < 32 * MIB, "{stood} bytes were taken that nobody reads");
    assert!(sidekey.memory("VmRSS").saturating_sub(before) < MAX_GROWTH);
    caller.socket().shutdown(std::net::Shutdown::Both).unwrap();
    assert!(matches!(uploading.join().unwrap(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset));
}

#[test]
fn an_upload_goes_on_while_its_caller_does_not_read_the_answer_that_came_early() {
    let length = 32 * MIB;
    let sent = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&sent);
    let (taken, taking) = std::sync::mpsc::channel();
    let taken = std::sync::Mutex::new(taken);
    let origin = Origin::plain(move |conversation| {
        conversation.head();
        conversation.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 256 * MIB));
        let (mut socket, counted) = (conversation.socket(), Arc::clone(&counted));
        thread::spawn(move || {
            let piece = vec![b'x'; PIECE];
            while socket.write_all(&piece).is_ok() {
                counted.fetch_add(PIECE as u64, Ordering::Relaxed);
            }
        });
        taken.lock().unwrap().send(conversation.exactly(usize::try_from(length).unwrap()).is_ok()).unwrap();
    });
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let mut caller = sidekey.connect();
    caller.send(format!("POST /api/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n"));
    // Nothing more of the answer can go anywhere.
    standstill(&sent);
    let piece = vec![b'x'; PIECE];
    for _ in 0..length / PIECE as u64 {
        caller.send(&piece);
    }
    assert!(taking.recv_timeout(Duration::from_secs(20)).unwrap());
}

/// Lengths around those at which what leaves is put together, read at once, or taken in parts.
const LENGTHS: [usize; 14] =
    [1, 15, 16, 17, 3_800, 4_080, 4_096, 4_112, 8_191, 8_193, 65_536, 65_537, 131_073, 1_000_000];

/// No two parts of it are alike.
fn body_of(length: usize) -> Vec<u8> {
    (0u32..).flat_map(u32::to_be_bytes).take(length).collect()
}

/// `bytes` in chunks of growing sizes.
fn chunked(mut bytes: &[u8]) -> Vec<u8> {
    let (mut message, mut size) = (Vec::new(), 1);
    while !bytes.is_empty() {
        let (chunk, rest) = bytes.split_at(bytes.len().min(size));
        message.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        message.extend_from_slice(&[chunk, b"\r\n"].concat());
        (bytes, size) = (rest, size * 3);
    }
    message.extend_from_slice(b"0\r\n\r\n");
    message
}

/// `body` framed in one of the two ways.
fn framed(first: &str, body: &[u8], in_chunks: bool) -> Vec<u8> {
    let (framing, body) = match in_chunks {
        true => ("Transfer-Encoding: chunked".to_owned(), chunked(body)),
        false => (format!("Content-Length: {}", body.len()), body.to_vec()),
    };
    [format!("{first}\r\nHost: localhost\r\n{framing}\r\n\r\n").as_bytes(), &body].concat()
}

#[test]
fn a_body_arrives_as_it_was_sent_however_it_is_framed() {
    let origin = Origin::plain(|conversation| {
        // The answer in the other way.
        while let Some(request) = conversation.request() {
            let counted = request.fields.has("content-length");
            conversation.send(framed("HTTP/1.1 200 OK", &request.body, counted));
        }
    });
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let mut caller = sidekey.connect();
    for length in LENGTHS {
        for in_chunks in [false, true] {
            let body = body_of(length);
            caller.send(framed("POST /api/x HTTP/1.1", &body, in_chunks));
            let answer = caller.response();
            assert!(answer.status == 200 && answer.body == body, "{length} {in_chunks}");
        }
    }
    assert_eq!(origin.connections(), 1);
}

#[test]
fn every_piece_of_an_answer_leaves_as_it_comes() {
    let (next, wanted) = std::sync::mpsc::channel();
    let wanted = std::sync::Mutex::new(wanted);
    let origin = Origin::plain(move |conversation| {
        conversation.request();
        conversation.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: text/event-stream\r\n\r\n");
        for number in 0..5 {
            conversation.send(format!("1\r\n{number}\r\n"));
            // Not before the caller has this one.
            wanted.lock().unwrap().recv_timeout(Duration::from_secs(20)).unwrap();
        }
        conversation.send("0\r\n\r\n");
    });
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let mut caller = sidekey.connect();
    caller.send(get("/api/x"));
    caller.head();
    for number in 0..5 {
        assert_eq!(caller.exactly(6), format!("1\r\n{number}\r\n").as_bytes());
        next.send(()).unwrap();
    }
    assert_eq!(caller.exactly(5), b"0\r\n\r\n");
}

#[test]
fn every_piece_of_an_upload_leaves_as_it_comes() {
    let origin = Origin::plain(|conversation| {
        conversation.head();
        for _ in 0..5 {
            conversation.some().unwrap();
        }
        conversation.send(OK);
    });
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let mut caller = sidekey.connect();
    caller.send("POST /api/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n");
    for number in 1..=5_u8 {
        caller.send([b'0' + number]);
        let tail = [b'0' + number];
        until_true("the piece at the origin", || origin.raw().ends_with(&tail));
    }
    caller.response().assert_passed_on(200);
}
