//! An upstream that repeats the credential in its answer, on purpose or not, in every part of an answer and many forms:
//! the caller gets `[redacted:api]`. The harness looks for the secrets in every byte that a caller got.

use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rustls::version::TLS13;

use crate::support::{Authority, OK, Origin, Response, Sidekey, get, until_true};

const MARKER: &str = "[redacted:api]";

const BASIC: &str = "auth.basic = { username = \"env:USERNAME\", password = \"env:PASSWORD\" }";
const BEARER: &str = "auth.bearer = { token = \"env:TOKEN\" }";
const API_KEY: &str = "auth.api-key = { key = \"env:KEY\", header = \"x-api-key\" }";
const HMAC: &str = "auth.hmac = { username = \"env:USERNAME\", secret = \"env:SECRET\" }";
/// Each with the references of its secrets.
const SCHEMES: [(&str, &[&str]); 4] = [
    (BASIC, &["env:USERNAME", "env:PASSWORD"]),
    (BEARER, &["env:TOKEN"]),
    (API_KEY, &["env:KEY"]),
    (HMAC, &["env:USERNAME", "env:SECRET"]),
];
const BODY: &str = "scrub = \"body\"\n";

/// An origin over TLS that answers what it is told to, with `CREDENTIAL` and `SIGNATURE` replaced by what came, and
/// `LENGTH` by that of the body.
struct Echo {
    sidekey: Sidekey,
    origin: Origin,
    answer: Arc<Mutex<String>>,
}

impl Echo {
    fn start(auth: &str, more: &str) -> Self {
        let authority = Authority::new();
        let answer = Arc::new(Mutex::new(String::new()));
        let told = Arc::clone(&answer);
        let origin = Origin::tls(authority.server("localhost").serve(&[&TLS13], None), move |conversation| {
            while let Some(request) = conversation.request() {
                let fields = &request.fields;
                let credential = fields.get("authorization").or(fields.get("x-api-key")).unwrap();
                let signature = credential.rsplit('"').nth(1).unwrap_or_default();
                let answer = told.lock().unwrap().replace("CREDENTIAL", credential).replace("SIGNATURE", signature);
                let body = answer.split_once("\r\n\r\n").unwrap().1.len().to_string();
                conversation.send(answer.replace("LENGTH", &body));
            }
        });
        let folder = tempfile::tempdir().unwrap();
        let tls = authority.write(folder.path());
        let url = format!("https://localhost:{}", origin.port());
        let config = format!("[upstream.api]\nurl = \"{url}\"\n{auth}\ntls = {{ {tls} }}\n{more}");
        Self { sidekey: Sidekey::start_in(folder, &config, "json"), origin, answer }
    }

    fn will_answer(&self, answer: impl Into<String>) {
        *self.answer.lock().unwrap() = answer.into();
    }

    fn ask(&self, answer: impl Into<String>) -> Response {
        self.will_answer(answer);
        let answer = self.sidekey.ask("GET /api/x HTTP/1.1\r\nHost: localhost\r\nTE: trailers\r\n\r\n");
        assert!(!answer.fields.has("proxy-status"), "{answer:?}");
        answer
    }

    /// The body of an answer that comes in these chunks.
    fn ask_in_chunks<'a>(&self, pieces: impl IntoIterator<Item = &'a str>) -> String {
        let pieces = pieces.into_iter().filter(|piece| !piece.is_empty());
        let chunks: String = pieces.map(|piece| format!("{:x}\r\n{piece}\r\n", piece.len())).collect();
        self.ask(format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n")).text()
    }

    fn secret(&self, reference: &str) -> String {
        self.sidekey.secret(reference).to_owned()
    }
}

fn counted(head: &str, body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\n{head}Content-Length: LENGTH\r\n\r\n{body}")
}

fn percent(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// How JSON, URLs and HTML could have it.
fn spellings(secret: &str) -> Vec<String> {
    vec![
        secret.to_owned(),
        secret.replace('/', "\\/").replace('=', "\\u003d").replace('"', "\\\""),
        secret.replace('/', "%2f").replace('+', "%2B").replace('=', "%3d").replace(' ', "+").replace('"', "%22"),
        percent(secret),
        secret.replace('/', "&#x2F;").replace('+', "&#43;").replace('"', "&quot;"),
    ]
}

#[test]
fn no_part_of_an_answers_head_shows_a_secret_whatever_the_scheme() {
    for (auth, references) in SCHEMES {
        let echo = Echo::start(auth, "");
        let whole = echo.ask(counted("X-Echo: CREDENTIAL\r\nX-Sign: sig=SIGNATURE;\r\n", "ok"));
        assert_eq!((whole.fields.get("x-echo"), whole.text().as_str()), (Some(MARKER), "ok"));
        for secret in references.iter().map(|reference| echo.secret(reference)) {
            for spelling in spellings(&secret) {
                let answer = echo.ask(counted(&format!("X-Echo: a {spelling}, {spelling}\r\n"), "ok"));
                assert_eq!(answer.fields.get("x-echo"), Some(format!("a {MARKER}, {MARKER}").as_str()));
            }
            let named = percent(&secret).to_ascii_lowercase();
            let answer = echo.ask(counted(&format!("X-{named}-Is: yours\r\nX-B: b\r\n"), "ok"));
            assert_eq!(answer.fields.get("x-b"), Some("b"));
            let reason = counted("", "ok").replacen("OK", &format!("No {secret}"), 1);
            assert_eq!(echo.ask(reason).status, 200);
            let answer = echo.ask(format!(
                "HTTP/1.1 302 Found\r\nLocation: https://localhost:{}/n?k={}\r\nContent-Length: 0\r\n\r\n",
                echo.origin.port(),
                percent(&secret)
            ));
            assert_eq!(answer.fields.get("location"), Some(format!("http://localhost/api/n?k={MARKER}").as_str()));
            let answer = echo.ask(format!(
                "HTTP/1.1 200 OK\r\nTrailer: X-Sum, X-Two\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\
                 X-Sum: {secret}\r\nX-Two: 2\r\n\r\n"
            ));
            assert_eq!((answer.trailers.get("x-sum"), answer.trailers.get("x-two")), (Some(MARKER), Some("2")));
        }
    }
}

#[test]
fn no_body_shows_a_secret_wherever_it_is_cut() {
    for (auth, references) in SCHEMES {
        let echo = Echo::start(auth, BODY);
        let listing = "{\"headers\": {\"Authorization\": \"CREDENTIAL\", \"Sign\": \"SIGNATURE\"}}".repeat(3);
        let text = echo.ask(counted("", &listing)).text();
        assert!(text.contains(&format!("\"Authorization\": \"{MARKER}\"")), "{text}");
        let secrets: Vec<_> = references.iter().map(|reference| echo.secret(reference)).collect();
        let mut forms = secrets.clone();
        forms.push(STANDARD.encode(secrets.last().unwrap()));
        forms.push(URL_SAFE_NO_PAD.encode(secrets.last().unwrap()));
        if auth == BASIC {
            forms.extend([secrets.join(":"), STANDARD.encode(secrets.join(":"))]);
        }
        for spelling in forms.iter().flat_map(|form| spellings(form)) {
            let cuts = 0..=spelling.len();
            let pieces = cuts.clone().flat_map(|cut| ["<", &spelling[..cut], &spelling[cut..], ">"]);
            assert_eq!(echo.ask_in_chunks(pieces), format!("<{MARKER}>").repeat(cuts.count()), "{spelling}");
            let bytes = (0..spelling.len()).map(|at| &spelling[at..=at]);
            assert_eq!(echo.ask_in_chunks(bytes), MARKER);
        }
    }
}

#[test]
fn what_only_looked_like_a_secret_arrives_whole() {
    let echo = Echo::start(BEARER, BODY);
    let half = echo.secret("env:TOKEN")[..12].to_owned();
    assert_eq!(echo.ask_in_chunks([half.as_str(), &half, "%", "\\u"]), format!("{half}{half}%\\u"));
    let answer = echo.ask(format!(
        "HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\nc\r\n{half}\r\n0\r\nX-Sum: 1\r\n\r\n"
    ));
    assert_eq!((answer.text(), answer.trailers.get("x-sum")), (half.clone(), Some("1")));
    assert_eq!(echo.ask(counted("", &half)).text(), half);
}

#[test]
fn a_signature_is_redacted_only_in_the_answer_to_its_own_request() {
    let echo = Echo::start(HMAC, BODY);
    assert_eq!(echo.ask(counted("", "<SIGNATURE> <CREDENTIAL>")).text(), format!("<{MARKER}> <{MARKER}>"));
    let sent = echo.origin.requests()[0].fields.get("authorization").unwrap().to_owned();
    let signature = sent.rsplit('"').nth(1).unwrap();
    let other = echo.sidekey.ask(get("/api/other"));
    assert_eq!(other.text(), format!("<{MARKER}> <{MARKER}>"));
    echo.will_answer(counted("", signature));
    assert_eq!(echo.sidekey.ask(get("/api/another")).text(), signature);
}

/// What was signed first may have been read before its connection was closed, and is as good for a while.
#[test]
fn the_signature_of_an_attempt_that_was_lost_is_redacted_too() {
    let lost = Mutex::new(None);
    let origin = Origin::plain(move |conversation| {
        let request = conversation.request().unwrap();
        match lost.lock().unwrap().take() {
            None => conversation.send(OK),
            Some(first) => {
                let now = request.fields.get("authorization").unwrap();
                assert_ne!(first, now, "or it is the same signature");
                conversation.send(format!("HTTP/1.1 200 OK\r\nX-First: {first}\r\nX-Now: {now}\r\n\r\n"));
                return conversation.close();
            }
        }
        let Some(request) = conversation.request() else { return };
        *lost.lock().unwrap() = request.fields.get("authorization").map(str::to_owned);
        // A signature is as old as its second.
        let second = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let began = second();
        until_true("the next second", || second() > began);
    });
    let sidekey = Sidekey::start(&format!("[upstream.api]\nurl = \"{}\"\n{HMAC}\n", origin.url()));
    sidekey.ask(get("/api/x")).assert_passed_on(200);
    let answer = sidekey.ask(get("/api/x"));
    assert_eq!((answer.fields.get("x-first"), answer.fields.get("x-now")), (Some(MARKER), Some(MARKER)));
}

#[test]
fn a_body_that_is_scrubbed_is_asked_for_plain_and_whole() {
    let echo = Echo::start(BEARER, BODY);
    echo.will_answer(counted("", "ok"));
    let lines = "Accept-Encoding: gzip, br\r\nRange: bytes=3-\r\nIf-Range: \"x\"\r\n";
    echo.sidekey.ask(get("/api/x").replacen("\r\n", &format!("\r\n{lines}"), 1)).assert_passed_on(200);
    let fields = echo.origin.request().fields;
    assert_eq!(fields.get("accept-encoding"), Some("identity"));
    assert!(!fields.has("range") && !fields.has("if-range"));
}

#[test]
fn a_body_that_cannot_be_read_is_refused() {
    let echo = Echo::start(BEARER, BODY);
    for (status, head) in [
        ("200 OK", "Content-Encoding: gzip\r\n"),
        ("200 OK", "Content-Encoding: identity, BR\r\n"),
        ("200 OK", "Connection: Content-Encoding\r\nContent-Encoding: gzip\r\n"),
        ("404 Not Found", "Content-Encoding: identity\r\nContent-Encoding: zstd\r\n"),
        ("206 Partial Content", "Content-Range: bytes 0-1/9\r\n"),
    ] {
        echo.will_answer(counted(head, "ok").replacen("200 OK", status, 1));
        echo.sidekey.ask(get("/api/x")).assert_own(502, "http_response_content_coding");
    }
    assert_eq!(echo.ask(counted("Content-Encoding: Identity\r\n", "ok")).text(), "ok");
}

#[test]
fn what_speaks_of_the_upstreams_bytes_is_taken_off() {
    let echo = Echo::start(BEARER, BODY);
    let of_bytes = "Accept-Ranges: bytes\r\nContent-MD5: x\r\nDigest: x\r\nContent-Digest: x\r\nRepr-Digest: x\r\n";
    let answer = echo.ask(counted(&format!("{of_bytes}ETag: \"x\"\r\n"), "ok"));
    for name in ["content-length", "accept-ranges", "content-md5", "digest", "content-digest", "repr-digest"] {
        assert!(!answer.fields.has(name), "{name}");
    }
    assert_eq!((answer.fields.get("etag"), answer.fields.get("transfer-encoding")), (Some("\"x\""), Some("chunked")));
}

#[test]
fn an_answer_without_a_body_stays_without_one() {
    let echo = Echo::start(BEARER, BODY);
    let mut caller = echo.sidekey.connect();
    for (method, answer) in [
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nX-Echo: CREDENTIAL\r\nContent-Length: 99\r\n\r\n"),
        ("GET", "HTTP/1.1 304 Not Modified\r\nX-Echo: CREDENTIAL\r\nContent-Length: 99\r\n\r\n"),
        ("GET", "HTTP/1.1 204 No Content\r\nX-Echo: CREDENTIAL\r\nX-Chunked: not chunked\r\n\r\n"),
        ("GET", "HTTP/1.1 200 OK\r\nX-Echo: CREDENTIAL\r\nContent-Length: 0\r\n\r\n"),
    ] {
        echo.will_answer(answer);
        caller.send(get("/api/x").replacen("GET", method, 1));
        let answer = caller.response_to(method);
        assert_eq!((answer.fields.get("x-echo"), answer.body.len()), (Some(MARKER), 0));
        let is_whole = method == "GET" && answer.status == 200;
        assert_eq!(answer.fields.get("content-length"), is_whole.then_some("0"), "{answer:?}");
        assert!(!answer.fields.has("transfer-encoding"));
    }
    assert_eq!(echo.origin.connections(), 1, "each left its connection as it should");
}

#[test]
fn an_http_1_0_caller_gets_a_scrubbed_body_until_the_connection_ends() {
    let echo = Echo::start(BEARER, BODY);
    echo.will_answer(counted("", &format!("<{}>", echo.secret("env:TOKEN"))));
    let answer = echo.sidekey.ask("GET /api/x HTTP/1.0\r\n\r\n");
    assert!(!answer.fields.has("transfer-encoding") && !answer.fields.has("content-length"));
    assert_eq!(answer.text(), format!("<{MARKER}>"));
}

/// With what every canary begins.
const BEGINNING: &str = "cnry/";

#[test]
fn what_was_held_back_leaves_with_the_bodys_end() {
    let origin = Origin::plain(|conversation| {
        conversation.request();
        conversation.send(format!("HTTP/1.1 200 OK\r\n\r\n1{BEGINNING}"));
        conversation.close();
    });
    let sidekey = Sidekey::start(&format!("{}{BODY}", origin.upstream("api")));
    assert_eq!(sidekey.ask(get("/api/x")).text(), format!("1{BEGINNING}"));
}

#[test]
fn an_answer_that_breaks_off_is_cut_and_what_was_held_back_does_not_leave() {
    let origin = Origin::plain(|conversation| {
        conversation.request();
        conversation.send(format!("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n1{BEGINNING}"));
        conversation.close();
    });
    let sidekey = Sidekey::start(&format!("{}{BODY}", origin.upstream("api")));
    for version in ["1.1", "1.0"] {
        let mut caller = sidekey.connect();
        caller.send(get("/api/x").replace("1.1", version));
        assert_eq!(caller.cut_response().0.text(), "1");
    }
}

#[test]
fn an_event_is_not_delayed() {
    let (next, may_send) = channel::<()>();
    let may_send = Mutex::new(may_send);
    let origin = Origin::plain(move |conversation| {
        conversation.request();
        conversation.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
        for event in ["data: {\"n\": \"1\"}\n\n", "data: 2\r\n\r\n", "data: cn\n\n"] {
            conversation.send(format!("{:x}\r\n{event}\r\n", event.len()));
            may_send.lock().unwrap().recv().unwrap();
        }
        conversation.send("0\r\n\r\n");
    });
    let sidekey = Sidekey::start(&format!("{}{BODY}", origin.upstream("api")));
    let mut caller = sidekey.connect();
    caller.send(get("/api/x"));
    assert_eq!(caller.head().fields.get("content-type"), Some("text/event-stream"));
    let mut read = |event: &str, next: &Sender<()>| {
        let size = usize::from_str_radix(&caller.line(), 16).unwrap();
        assert_eq!(caller.exactly(size), event.as_bytes());
        assert_eq!(caller.line(), "");
        next.send(()).unwrap();
    };
    read("data: {\"n\": \"1\"}\n\n", &next);
    read("data: 2\r\n\r\n", &next);
    read("data: cn\n\n", &next);
}

#[test]
fn what_was_redacted_is_counted_in_a_warning() {
    let echo = Echo::start(BEARER, BODY);
    assert_eq!(echo.ask(counted("X-A: plain\r\n", "ok")).text(), "ok");
    let record = echo.sidekey.access(|record| record["status"] == 200);
    assert_eq!((record["level"].as_str(), record.get("scrubbed")), (Some("INFO"), None));
    let token = echo.secret("env:TOKEN");
    let body = format!("{:x}\r\n{token}\r\n", token.len());
    echo.ask(format!(
        "HTTP/1.1 404 {token}\r\nX-{}: x\r\nX-A: CREDENTIAL {token}\r\nTrailer: X-B\r\nTransfer-Encoding: chunked\r\n\r\n\
         {body}{body}0\r\nX-B: {token}\r\n\r\n",
        percent(&token)
    ));
    let record = echo.sidekey.access(|record| record["status"] == 404);
    assert_eq!((record["level"].as_str(), record["scrubbed"].as_u64()), (Some("WARN"), Some(7)));
}

#[test]
fn by_default_a_body_passes_untouched() {
    let echo = Echo::start(BEARER, "");
    echo.will_answer(counted("Content-Encoding: gzip\r\nAccept-Ranges: bytes\r\nContent-MD5: x\r\n", "ok"));
    let request = get("/api/x").replacen("\r\n", "\r\nAccept-Encoding: gzip\r\nRange: bytes=0-\r\n", 1);
    let answer = echo.sidekey.ask(request);
    assert_eq!((answer.fields.get("content-encoding"), answer.fields.get("content-length")), (Some("gzip"), Some("2")));
    assert!(answer.fields.has("accept-ranges") && answer.fields.has("content-md5"));
    let fields = echo.origin.request().fields;
    assert_eq!((fields.get("accept-encoding"), fields.get("range")), (Some("gzip"), Some("bytes=0-")));
}
