//! `retry`: what is sent again after a failure, after how long, and what never is.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use sidekey::sandbox::{Sandbox, Vendor};

use crate::support::{Authority, Conversation, OK, Origin, Sidekey, get, post, until_true};

/// All that can be retried, without a wait worth mentioning.
const RETRY: &str = "retry = { attempts = 3 }\n";
const AT_ONCE: &str = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 0\r\nContent-Length: 2\r\n\r\nno";

fn failing_with(status: u16) -> String {
    format!("HTTP/1.1 {status} x\r\nRetry-After: 0\r\nContent-Length: 2\r\n\r\nno")
}

/// An origin that plays `fail` on its first `times` requests, and then answers as it should.
fn recovering(times: usize, fail: impl Fn(&mut Conversation) + Send + Sync + 'static) -> Origin {
    let asked = AtomicUsize::new(0);
    Origin::plain(move |conversation| {
        while conversation.request().is_some() {
            if asked.fetch_add(1, Ordering::Relaxed) < times {
                fail(conversation);
            } else {
                conversation.send(OK);
            }
        }
    })
}

fn answering(times: usize, answer: impl Into<String>) -> Origin {
    let answer = answer.into();
    recovering(times, move |conversation| conversation.send(&answer))
}

fn before(origin: &Origin, settings: &str) -> Sidekey {
    Sidekey::start(&format!("{}{settings}", origin.upstream("api")))
}

/// The same request of another method, with one field more.
fn asking(method: &str, field: &str, body: &str) -> String {
    let length = body.len();
    format!("{method} /api/x HTTP/1.1\r\nHost: localhost\r\n{field}Content-Length: {length}\r\n\r\n{body}")
}

const KEYED: &str = "Idempotency-Key: 8e03978e-40d5-43dd-bc93-6894a57f9324\r\n";

#[test]
fn a_failure_that_passes_is_not_the_callers() {
    for status in [502, 503, 504, 429] {
        let origin = answering(2, failing_with(status));
        let sidekey = before(&origin, RETRY);
        sidekey.ask(get("/api/x")).assert_passed_on(200);
        assert_eq!(origin.requests().len(), 3);
        let record = sidekey.access(|record| record["path"] == "/api/x");
        assert_eq!((&record["retries"], &record["status"]), (&2.into(), &200.into()), "{record}");
    }
    for close in [Conversation::close, Conversation::reset] {
        let origin = Origin::plain(move |conversation| {
            conversation.request();
            if conversation.index == 0 {
                return close(conversation);
            }
            conversation.send(OK);
            conversation.rest();
        });
        let sidekey = before(&origin, RETRY);
        sidekey.ask(get("/api/x")).assert_passed_on(200);
        assert_eq!(origin.requests().len(), 2);
    }
}

#[test]
fn attempts_are_counted_with_the_first_and_the_last_answer_is_passed_on() {
    let origin = Origin::answering(AT_ONCE);
    let sidekey = before(&origin, RETRY);
    let answer = sidekey.ask(get("/api/x"));
    answer.assert_passed_on(503);
    assert_eq!((answer.text().as_str(), answer.fields.get("retry-after")), ("no", Some("0")));
    assert_eq!(origin.requests().len(), 3);
}

#[test]
fn without_the_table_and_after_what_it_does_not_list_nothing_is_retried() {
    for (settings, status) in [("", 503), ("retry.on = [\"502\", \"connect\"]\n", 503), (RETRY, 500), (RETRY, 408)] {
        let origin = Origin::answering(failing_with(status));
        let sidekey = before(&origin, settings);
        sidekey.ask(get("/api/x")).assert_passed_on(status);
        assert_eq!(origin.requests().len(), 1, "{settings} {status}");
        assert!(sidekey.access(|record| record["status"] == status)["retries"].is_null());
    }
}

#[test]
fn no_answer_in_time_is_not_retried() {
    let origin = recovering(1, |conversation| drop(conversation.rest()));
    let sidekey = before(&origin, "retry = {}\ntimeouts.response = \"200ms\"\n");
    sidekey.ask(get("/api/x")).assert_own(504, "http_response_timeout");
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn a_post_is_never_sent_twice() {
    for method in ["POST", "PATCH", "LOCK"] {
        for status in [502, 503, 504, 429] {
            let origin = answering(1, failing_with(status));
            let sidekey = before(&origin, RETRY);
            sidekey.ask(asking(method, "", "body")).assert_passed_on(status);
            assert_eq!(origin.requests().len(), 1, "{method} {status}");
        }
        let origin = recovering(1, Conversation::close);
        let sidekey = before(&origin, RETRY);
        sidekey.ask(asking(method, "", "body")).assert_own(502, "http_response_incomplete");
        assert_eq!(origin.requests().len(), 1, "{method}");
    }
}

#[test]
fn an_idempotency_key_is_the_callers_word_for_a_post() {
    for method in ["POST", "PATCH"] {
        let origin = answering(1, AT_ONCE);
        let sidekey = before(&origin, RETRY);
        sidekey.ask(asking(method, KEYED, "the body")).assert_passed_on(200);
        let requests = origin.requests();
        assert_eq!(requests.len(), 2);
        for request in requests {
            assert_eq!((request.body.as_slice(), request.fields.get("content-length")), (&b"the body"[..], Some("8")));
            assert!(request.fields.get("idempotency-key").is_some() && request.fields.get("authorization").is_some());
        }
    }
    // It says nothing of a request that a server may take for another.
    let origin = answering(1, AT_ONCE);
    let sidekey = before(&origin, RETRY);
    sidekey.ask(asking("GET", "X-HTTP-Method-Override: POST\r\n", "")).assert_passed_on(503);
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn what_takes_a_credit_is_never_retried_whatever_anybody_says() {
    for path in ["/image/generate", "/image/%67enerate", "/Image/generate/", "/image/./generate"] {
        for fail in [|conversation: &mut Conversation| conversation.send(AT_ONCE), Conversation::close] {
            let origin = recovering(1, fail);
            let sidekey = before(&origin, &format!("preset = \"imagior\"\n{RETRY}"));
            let request = asking("POST", KEYED, "{}").replace("/api/x", &format!("/api{path}"));
            assert_ne!(sidekey.ask(request).status, 200, "{path}");
            assert_eq!(origin.requests().len(), 1, "{path}");
            // Anything else is.
            sidekey.ask(get("/api/user/account")).assert_passed_on(200);
        }
    }
}

#[test]
fn whatever_never_left_is_sent_when_there_is_a_connection() {
    // Nobody speaks TLS here: not a byte of a request can have arrived.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let accepted = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&accepted);
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            drop(connection);
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    let config = format!("[upstream.api]\nurl = \"https://{address}\"\nauth.bearer.token = \"env:TOKEN\"\n{RETRY}");
    let sidekey = Sidekey::start(&config);
    sidekey.ask(post("/api/x", "body")).assert_own(502, "connection_terminated");
    assert_eq!(accepted.load(Ordering::Relaxed), 3);
    let long = "x".repeat(200_000);
    sidekey.ask(post("/api/x", &long)).assert_own(502, "connection_terminated");
    assert_eq!(accepted.load(Ordering::Relaxed), 6);
}

#[test]
fn a_certificate_that_is_not_valid_is_not_retried() {
    let authority = Authority::new();
    let folder = tempfile::tempdir().unwrap();
    let ca = authority.write(folder.path());
    let origin = Origin::tls(authority.server("other.test").serve(rustls::ALL_VERSIONS, None), |conversation| {
        conversation.answer_all(OK);
    });
    let config = format!("{}{RETRY}tls = {{ {ca} }}\n", origin.upstream("api"));
    let sidekey = Sidekey::start_in(folder, &config, "json");
    sidekey.ask(get("/api/x")).assert_own(502, "tls_certificate_error");
    assert_eq!(origin.connections(), 1);
}

#[test]
fn it_goes_over_tls_and_on_the_connection_that_is_there() {
    let authority = Authority::new();
    let folder = tempfile::tempdir().unwrap();
    let ca = authority.write(folder.path());
    let origin = Origin::tls(authority.server("127.0.0.1").serve(rustls::ALL_VERSIONS, None), |conversation| {
        for answer in [AT_ONCE, AT_ONCE, OK] {
            assert!(conversation.request().is_some());
            conversation.send(answer);
        }
        conversation.rest();
    });
    let config = format!("{}{RETRY}tls = {{ {ca} }}\n", origin.upstream("api"));
    let sidekey = Sidekey::start_in(folder, &config, "json");
    sidekey.ask(get("/api/x")).assert_passed_on(200);
    assert_eq!((origin.connections(), origin.requests().len()), (1, 3));
}

#[test]
fn an_answer_that_is_given_up_and_does_not_end_costs_its_connection() {
    let long = "HTTP/1.1 503 x\r\nRetry-After: 0\r\nContent-Length: 1000000\r\n\r\nbegin";
    let origin = Origin::plain(move |conversation| {
        let is_first = conversation.index == 0;
        while conversation.request().is_some() {
            conversation.send(if is_first { long } else { OK });
        }
    });
    let sidekey = before(&origin, RETRY);
    let answer = sidekey.ask(get("/api/x"));
    answer.assert_passed_on(200);
    assert_eq!((answer.text().as_str(), origin.connections()), ("ok", 2));
}

#[test]
fn retries_are_a_share_of_the_requests() {
    let origin = Origin::answering(AT_ONCE);
    let sidekey = before(&origin, "retry = { attempts = 2, budget = \"20%\" }\n");
    let mut caller = sidekey.connect();
    for _ in 0..50 {
        caller.send(get("/api/x"));
        caller.response().assert_passed_on(503);
    }
    // Ten to begin with, and one for five requests.
    assert_eq!(origin.requests().len(), 50 + 10 + 10);
}

#[test]
fn what_the_vendor_says_of_when_to_come_back_is_kept_to() {
    let date = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nRetry-After: Sun, 06 Nov 1994 08:49:38 GMT\r\n";
    for field in ["Retry-After: 1\r\n", date] {
        let origin = answering(1, format!("HTTP/1.1 429 x\r\n{field}Content-Length: 0\r\n\r\n"));
        let sidekey = before(&origin, RETRY);
        let began = Instant::now();
        sidekey.ask(get("/api/x")).assert_passed_on(200);
        assert!(began.elapsed() >= Duration::from_secs(1), "{field}: {:?}", began.elapsed());
        assert_eq!(origin.requests().len(), 2);
    }
}

#[test]
fn what_the_vendor_says_is_obeyed_for_everyone_and_ends_no_retry() {
    let origin = answering(1, "HTTP/1.1 429 x\r\nRetry-After: 1\r\nContent-Length: 2\r\n\r\nno");
    let sidekey = before(&origin, "obey_retry_after = true\nretry = {}\n");
    // It may not wait for a turn, and needs none: when it comes again, the vendor has nothing against it.
    sidekey.ask(get("/api/x")).assert_passed_on(200);
    assert_eq!(origin.requests().len(), 2);
}

#[test]
fn a_retry_takes_its_turn_when_it_goes_and_without_one_the_caller_gets_what_there_is() {
    let failing = "HTTP/1.1 503 x\r\nRetry-After: 1\r\nContent-Length: 2\r\n\r\nno";
    for (limits, status, sent) in [("rate = \"1/s\"", 200, 2), ("rate = \"1/m\"", 503, 1)] {
        let origin = answering(1, failing);
        let sidekey = before(&origin, &format!("retry = {{}}\nlimits = {{ {limits} }}\n"));
        let answer = sidekey.ask(get("/api/x"));
        answer.assert_passed_on(status);
        assert_eq!((origin.requests().len(), origin.connections()), (sent, 1), "{limits}");
    }
}

#[test]
fn a_vendor_that_wants_more_time_than_there_is_is_not_asked_again() {
    let date = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nRetry-After: Sun, 06 Nov 1994 08:49:40 GMT\r\n";
    for field in ["Retry-After: 3\r\n", date, "Retry-After: 99999999999999999999999\r\n"] {
        let origin = answering(1, format!("HTTP/1.1 503 x\r\n{field}Content-Length: 0\r\n\r\n"));
        let sidekey = before(&origin, "retry.max_wait = \"2s\"\n");
        let answer = sidekey.ask(get("/api/x"));
        answer.assert_passed_on(503);
        assert!(answer.fields.has("retry-after"));
        assert_eq!(origin.requests().len(), 1);
    }
}

#[test]
fn a_body_is_sent_again_if_it_could_be_kept() {
    let chunked = |body: &str| {
        let chunk = if body.is_empty() { String::new() } else { format!("{:x}\r\n{body}\r\n", body.len()) };
        let head = "PUT /api/x HTTP/1.1\r\nHost: localhost\r\nTrailer: x-sum\r\nTransfer-Encoding: chunked\r\n\r\n";
        format!("{head}{chunk}0\r\nx-sum: 7\r\n\r\n")
    };
    for (size, sent) in [(0, 2), (1, 2), (1024, 2), (1025, 1), (300_000, 1)] {
        let body = "b".repeat(size);
        for request in [asking("PUT", "", &body), chunked(&body)] {
            let origin = answering(1, AT_ONCE);
            let sidekey = before(&origin, &format!("{RETRY}replay_buffer = \"1KiB\"\n"));
            let answer = sidekey.ask(&request);
            answer.assert_passed_on(if sent == 2 { 200 } else { 503 });
            let requests = origin.requests();
            assert_eq!(requests.len(), sent, "{size}");
            for arrived in requests {
                assert_eq!(arrived.body.len(), size);
                let has_trailers = request.contains("chunked");
                assert_eq!(arrived.trailers.get("x-sum"), has_trailers.then_some("7"));
            }
            let record = sidekey.access(|record| record["path"] == "/api/x");
            assert_eq!(record["sent"], size, "what the last attempt sent: {record}");
        }
    }
}

#[test]
fn a_body_that_is_still_coming_goes_on_where_it_is() {
    let origin = Origin::plain(|conversation| {
        let head = conversation.head().unwrap();
        assert_eq!(head.fields.get("content-length"), Some("8"));
        if conversation.index == 0 {
            conversation.exactly(4).unwrap();
            conversation.send(AT_ONCE);
            conversation.rest();
        } else {
            assert_eq!(conversation.exactly(8).unwrap(), b"halfrest");
            conversation.send(OK);
        }
    });
    let sidekey = before(&origin, RETRY);
    let mut caller = sidekey.connect();
    caller.send("PUT /api/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 8\r\n\r\nhalf");
    until_true("the second attempt", || origin.requests().len() == 2);
    caller.send("rest");
    caller.response().assert_passed_on(200);
}

#[test]
fn a_body_that_is_held_back_waits_for_the_attempt_that_wants_it() {
    let origin = Origin::plain(|conversation| {
        conversation.head().unwrap();
        if conversation.index == 0 {
            conversation.send(AT_ONCE);
            conversation.rest();
        } else {
            conversation.send("HTTP/1.1 100 Continue\r\n\r\n");
            assert_eq!(conversation.exactly(4).unwrap(), b"body");
            conversation.send(OK);
        }
    });
    let sidekey = before(&origin, RETRY);
    let mut caller = sidekey.connect();
    caller.send("PUT /api/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!((caller.line().as_str(), caller.line().as_str()), ("HTTP/1.1 100 Continue", ""));
    assert_eq!(origin.requests().len(), 2);
    caller.send("body");
    caller.response().assert_passed_on(200);
}

#[test]
fn an_upload_that_breaks_off_between_two_attempts_is_never_a_whole_request() {
    let origin = Origin::plain(|conversation| {
        if conversation.index == 0 {
            conversation.head().unwrap();
            conversation.exactly(4).unwrap();
            conversation.send(AT_ONCE);
            conversation.rest();
        } else {
            assert!(conversation.request().is_none(), "a request, cut short");
        }
    });
    let sidekey = before(&origin, RETRY);
    let mut caller = sidekey.connect();
    caller.send("PUT /api/x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n");
    until_true("the second attempt", || origin.requests().len() == 2);
    caller.half_close();
    caller.response().assert_own(400, "http_request_error");
}

#[test]
fn a_caller_that_goes_while_it_waits_ends_it() {
    let origin = answering(1, "HTTP/1.1 503 x\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n");
    let sidekey = before(&origin, RETRY);
    let mut caller = sidekey.connect();
    caller.send(get("/api/gone"));
    until_true("the first attempt", || !origin.requests().is_empty());
    caller.reset();
    let record = sidekey.access(|record| record["path"] == "/api/gone");
    assert_eq!(record["cut"], true, "{record}");
    // Long enough for another attempt, had there been one to come.
    let mut other = sidekey.connect();
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(1500) {
        other.send(get("/api/other"));
        other.response().assert_passed_on(200);
    }
    assert_eq!(origin.requests().iter().filter(|request| request.target() == "/gone").count(), 1);
}

#[test]
fn every_attempt_is_signed_afresh() {
    let sandbox = Sandbox::start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    sandbox.write_secrets(folder.path()).unwrap();
    let origin = answering(1, "HTTP/1.1 503 x\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n");
    let config = format!(
        "[upstream.hub]\npreset = \"messagemedia\"\nurl = \"{}\"\n\
         auth.hmac = {{ username = \"file:hub-hmac-key\", secret = \"file:hub-hmac-secret\" }}\n{RETRY}",
        origin.url()
    );
    let sidekey = Sidekey::start_in(folder, &config, "json");
    let put = "PUT /hub/v1/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nbody";
    sidekey.ask(put).assert_passed_on(200);
    let requests = origin.requests();
    assert_eq!(requests.len(), 2);
    for name in ["date", "authorization"] {
        assert_ne!(requests[0].fields.get(name), requests[1].fields.get(name), "{name}");
    }
    let raw = String::from_utf8(origin.raw()).unwrap();
    let attempts: Vec<&str> = raw.split_inclusive("body").collect();
    assert_eq!(attempts.len(), 2);
    let (own, hub) = (origin.authority(), sandbox.address(Vendor::Hub));
    for attempt in attempts.iter().map(|attempt| attempt.replace(&own, &hub.to_string())) {
        // The stand-in knows no such path, but knows who asks.
        assert_eq!(status_of(&sandbox, hub, &attempt), "404", "{attempt}");
        assert_eq!(status_of(&sandbox, hub, &attempt.replace("PUT", "PATCH")), "401");
    }
}

/// What a stand-in answers to these very bytes.
fn status_of(sandbox: &Sandbox, address: SocketAddr, request: &str) -> String {
    use std::io::{Read, Write};
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(sandbox.ca_pem().as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let connection = ClientConnection::new(Arc::new(config), ServerName::try_from("localhost").unwrap()).unwrap();
    let mut stream = StreamOwned::new(connection, TcpStream::connect(address).unwrap());
    stream.write_all(request.as_bytes()).unwrap();
    let mut status = [0; 12];
    stream.read_exact(&mut status).unwrap();
    String::from_utf8_lossy(&status[9..]).into_owned()
}

#[test]
fn a_drain_does_not_wait_for_longer_than_it_says() {
    let origin = answering(1, "HTTP/1.1 503 x\r\nRetry-After: 9\r\nContent-Length: 0\r\n\r\n");
    let mut sidekey = before(&origin, RETRY);
    let mut caller = sidekey.connect();
    caller.send(get("/api/x"));
    until_true("the first attempt", || !origin.requests().is_empty());
    // `drain` is two seconds here.
    assert!(sidekey.stop().took < Duration::from_secs(8));
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn an_answer_that_has_begun_is_not_begun_again() {
    let (read, reading) = std::sync::mpsc::channel();
    let reading = std::sync::Mutex::new(reading);
    let origin = Origin::plain(move |conversation| {
        conversation.request();
        conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello");
        reading.lock().unwrap().recv().unwrap();
        conversation.close();
    });
    let sidekey = before(&origin, RETRY);
    let mut caller = sidekey.connect();
    caller.send(get("/api/x"));
    assert_eq!(caller.head().status, 200);
    assert_eq!(caller.exactly(5), b"hello");
    read.send(()).unwrap();
    caller.rest();
    assert_eq!(origin.requests().len(), 1);
}
