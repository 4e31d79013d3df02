//! `fallback`: a second credential, so that a key can be changed at the vendor before or after it is changed here.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{OK, Origin, QUERY, Sidekey, get, get_with, post, until_true};

const REFUSED: &str = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno";
const NEWS: &str = "the vendor takes the other credential: it is used from now on";

/// Which keys a vendor takes, of those in `Authorization`.
#[derive(Clone, Default)]
struct Keys(Arc<Mutex<Vec<String>>>);

impl Keys {
    fn take(&self, secrets: &[&str]) {
        *self.0.lock().unwrap() = secrets.iter().map(|secret| format!("Bearer {secret}")).collect();
    }
}

/// A vendor that takes some keys, and is slow enough for requests to meet.
fn vendor() -> (Keys, Origin) {
    let keys = Keys::default();
    let taken = keys.clone();
    let origin = Origin::plain(move |conversation| {
        while let Some(request) = conversation.request() {
            let field = request.fields.get("authorization").unwrap_or_default().to_owned();
            let is_taken = taken.0.lock().unwrap().contains(&field);
            conversation.send(if is_taken { OK } else { REFUSED });
        }
    });
    (keys, origin)
}

/// sidekey before `origin`, with `env:TOKEN`, and `env:OTHER` to fall back on.
fn before(origin: &Origin, settings: &str) -> Sidekey {
    Sidekey::start(&format!(
        "[server]\nworkers = 2\n{}fallback.bearer = {{ token = \"env:OTHER\" }}\n{settings}",
        origin.upstream("api")
    ))
}

fn news(sidekey: &Sidekey) -> usize {
    sidekey.log().matches(NEWS).count()
}

/// How many requests came with this key.
fn with_key(origin: &Origin, secret: &str) -> usize {
    let field = format!("Bearer {secret}");
    origin.requests().iter().filter(|request| request.fields.get("authorization") == Some(&field)).count()
}

#[test]
fn a_refused_request_goes_once_more_with_the_other_key_which_is_used_from_then_on() {
    let (keys, origin) = vendor();
    let sidekey = before(&origin, "");
    let (main, other) = (sidekey.secret("env:TOKEN"), sidekey.secret("env:OTHER"));
    keys.take(&[other]);
    // Any method: what is refused was not acted on.
    sidekey.ask(post("/api/x", "the body")).assert_passed_on(200);
    let record = sidekey.access(|record| record["method"] == "POST");
    assert_eq!((&record["retries"], &record["status"]), (&1.into(), &200.into()), "{record}");
    assert!(origin.requests().iter().all(|request| request.body == b"the body"));
    // On both workers.
    for _ in 0..6 {
        sidekey.ask(get("/api/x")).assert_passed_on(200);
    }
    assert_eq!((with_key(&origin, main), with_key(&origin, other)), (1, 7));
    until_true("the news", || news(&sidekey) == 1);
    // And back, at the latest after a second. Nothing fails until then either.
    keys.take(&[main]);
    until_true("the news", || {
        sidekey.ask(get("/api/x")).assert_passed_on(200);
        news(&sidekey) == 2
    });
    let before = with_key(&origin, other);
    sidekey.ask(get("/api/x")).assert_passed_on(200);
    assert_eq!(with_key(&origin, other), before);
}

#[test]
fn a_key_is_changed_at_the_vendor_before_or_after_it_is_changed_here_and_no_call_fails() {
    // Which of the two the vendor takes first, and which then.
    for (old, new) in [("env:TOKEN", "env:OTHER"), ("env:OTHER", "env:TOKEN")] {
        let (keys, origin) = vendor();
        let sidekey = before(&origin, "");
        let (old, new) = (sidekey.secret(old), sidekey.secret(new));
        keys.take(&[old]);
        let (stop, done) = (AtomicBool::new(false), AtomicUsize::new(0));
        thread::scope(|scope| {
            for index in 0..6 {
                let mut caller = sidekey.connect();
                let (stop, done) = (&stop, &done);
                scope.spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        caller.send(if index % 2 == 0 { get("/api/x") } else { post("/api/x", "body") });
                        let answer = caller.response();
                        if answer.status != 200 {
                            stop.store(true, Ordering::Relaxed);
                        }
                        answer.assert_passed_on(200);
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            let some_more = || {
                let before = done.load(Ordering::Relaxed);
                until_true("calls", || done.load(Ordering::Relaxed) > before + 100 || stop.load(Ordering::Relaxed));
            };
            some_more();
            // At one blow: no key is taken for a while but one.
            keys.take(&[new]);
            some_more();
            keys.take(&[new, old]);
            some_more();
            keys.take(&[old]);
            some_more();
            stop.store(true, Ordering::Relaxed);
        });
        assert!(with_key(&origin, old) > 100 && with_key(&origin, new) > 100);
        assert!(news(&sidekey) <= 3, "{}", sidekey.log());
    }
}

#[test]
fn refusals_for_another_reason_cost_one_request_a_second_and_change_nothing() {
    let (_, origin) = vendor();
    let sidekey = before(&origin, "");
    let (began, mut asked, mut waited_in_vain) = (Instant::now(), 0, 0);
    let mut callers: Vec<_> = (0..8).map(|_| sidekey.connect()).collect();
    while began.elapsed() < Duration::from_millis(1500) {
        let round = Instant::now();
        callers.iter_mut().for_each(|caller| caller.send(get("/api/x")));
        for caller in &mut callers {
            let answer = caller.response();
            answer.assert_passed_on(401);
            assert_eq!(answer.text(), "no");
            asked += 1;
        }
        // On a machine that stood still, whoever waited a second for another's try has tried by itself.
        waited_in_vain += if round.elapsed() < Duration::from_secs(1) { 0 } else { callers.len() };
    }
    let tried = with_key(&origin, sidekey.secret("env:OTHER"));
    let most = 1 + began.elapsed().as_secs() as usize + waited_in_vain;
    assert!((1..=most).contains(&tried), "{tried} of {asked}, and not {most}");
    assert_eq!(with_key(&origin, sidekey.secret("env:TOKEN")), asked);
    assert_eq!(news(&sidekey), 0);
}

#[test]
fn two_keys_that_may_each_do_a_part_do_not_take_turns() {
    // A vendor that says 401 where others say 403.
    let keys = Keys::default();
    let taken = keys.clone();
    let origin = Origin::plain(move |conversation| {
        while let Some(request) = conversation.request() {
            let keys = taken.0.lock().unwrap();
            let of_part = keys.get(usize::from(request.target() == "/second"));
            let is_taken = request.fields.get("authorization") == of_part.map(String::as_str);
            conversation.send(if is_taken { OK } else { REFUSED });
        }
    });
    let sidekey = before(&origin, "");
    keys.take(&[sidekey.secret("env:TOKEN"), sidekey.secret("env:OTHER")]);
    let (began, mut caller) = (Instant::now(), sidekey.connect());
    while began.elapsed() < Duration::from_millis(1500) {
        for part in ["/api/first", "/api/second"] {
            caller.send(get(part));
            caller.response().assert_passed_on(200);
        }
    }
    assert!(news(&sidekey) as u64 <= 1 + began.elapsed().as_secs(), "{}", news(&sidekey));
}

#[test]
fn what_is_never_retried_may_be_refused_and_sent_with_the_other_key() {
    let (keys, origin) = vendor();
    let sidekey = before(&origin, "preset = \"imagior\"\nretry = {}\n");
    keys.take(&[sidekey.secret("env:OTHER")]);
    sidekey.ask(post("/api/image/generate", "{}")).assert_passed_on(200);
    assert_eq!(origin.requests().len(), 2);
}

#[test]
fn a_body_that_could_not_be_kept_is_refused_as_it_is() {
    let (keys, origin) = vendor();
    let sidekey = before(&origin, "replay_buffer = \"1KiB\"\n");
    keys.take(&[sidekey.secret("env:OTHER")]);
    sidekey.ask(post("/api/x", &"b".repeat(1025))).assert_passed_on(401);
    assert_eq!(origin.requests().len(), 1);
    sidekey.ask(post("/api/x", &"b".repeat(1024))).assert_passed_on(200);
    // From now on it is not refused.
    sidekey.ask(post("/api/x", &"b".repeat(1025))).assert_passed_on(200);
}

#[test]
fn uploads_that_could_not_be_kept_find_the_key_that_is_taken_too() {
    let (keys, origin) = vendor();
    let sidekey = before(&origin, "replay_buffer = \"1KiB\"\n");
    keys.take(&[sidekey.secret("env:OTHER")]);
    let upload = post("/api/x", &"b".repeat(1025));
    for status in [401, 401, 401, 200, 200, 200] {
        sidekey.ask(&upload).assert_passed_on(status);
    }
    assert_eq!(origin.requests().len(), 6);
    until_true("the news", || news(&sidekey) == 1);
}

#[test]
fn an_answer_that_says_nothing_of_the_key_changes_nothing() {
    for status in [403, 429, 500, 503] {
        let answers = AtomicUsize::new(0);
        let origin = Origin::plain(move |conversation| {
            while conversation.request().is_some() {
                let refuses = answers.fetch_add(1, Ordering::Relaxed).is_multiple_of(2);
                let status = if refuses { 401 } else { status };
                conversation.send(format!("HTTP/1.1 {status} x\r\nContent-Length: 0\r\n\r\n"));
            }
        });
        let sidekey = before(&origin, "");
        for _ in 0..2 {
            sidekey.ask(get("/api/x")).assert_passed_on(status);
        }
        assert_eq!(with_key(&origin, sidekey.secret("env:TOKEN")), 2);
        assert_eq!(news(&sidekey), 0);
    }
}

#[test]
fn other_statuses_refuse_a_key_where_the_config_says_so() {
    let origin = Origin::answering("HTTP/1.1 403 x\r\nContent-Length: 0\r\n\r\n");
    for (settings, sent) in [("", 1), ("fallback_on = [401, 403]\n", 2)] {
        let before_it = origin.requests().len();
        let sidekey = before(&origin, settings);
        sidekey.ask(get("/api/x")).assert_passed_on(403);
        assert_eq!(origin.requests().len() - before_it, sent, "{settings}");
    }
}

/// Two schemes, whose credentials stand in different fields.
fn two_schemes(origin: &Origin) -> String {
    format!(
        "[upstream.api]\nurl = \"{}\"\nauth.api-key = {{ key = \"env:KEY\", header = \"x-key\" }}\n\
         fallback.hmac = {{ username = \"env:USER\", secret = \"env:SECRET\" }}\n",
        origin.url()
    )
}

#[test]
fn one_credential_is_on_a_request_and_nothing_of_the_other_nor_of_the_callers() {
    let asked = AtomicUsize::new(0);
    let origin = Origin::plain(move |conversation| {
        while conversation.request().is_some() {
            conversation.send(if asked.fetch_add(1, Ordering::Relaxed) == 1 { OK } else { REFUSED });
        }
    });
    let sidekey = Sidekey::start(&two_schemes(&origin));
    let own = "X-Key: mine\r\nx_key: mine\r\nAuthorization: Bearer mine\r\nDate: yesterday\r\nContent-MD5: mine\r\n";
    sidekey.ask(get_with("/api/x", own)).assert_passed_on(200);
    sidekey.ask(get_with("/api/x", own)).assert_passed_on(401);
    let requests = origin.requests();
    let of_main = |at: usize| {
        let fields = &requests[at].fields;
        assert_eq!(fields.get("x-key"), Some(sidekey.secret("env:KEY")));
        assert!(["authorization", "date", "content-md5", "x_key"].iter().all(|name| !fields.has(name)), "{fields:?}");
    };
    let of_fallback = |at: usize| {
        let fields = &requests[at].fields;
        let start = format!("hmac username=\"{}\"", sidekey.secret("env:USER"));
        assert!(fields.get("authorization").unwrap().starts_with(&start));
        assert!(fields.get("date").unwrap().ends_with(" GMT"));
        assert!(["x-key", "x_key", "content-md5"].iter().all(|name| !fields.has(name)), "{fields:?}");
    };
    // It was refused, then taken, then refused, and so was the other.
    of_main(0);
    of_fallback(1);
    of_fallback(2);
    of_main(3);
    assert_eq!(requests.len(), 4);
}

#[test]
fn the_fields_of_a_credential_whose_secret_is_missing_are_no_callers() {
    let origin = Origin::ok();
    let config = format!(
        "[upstream.api]\nurl = \"{}\"\noptional = true\nauth.api-key = {{ key = 'file:late', header = \"x-key\" }}\n\
         fallback.bearer = {{ token = \"env:OTHER\" }}\n",
        origin.url()
    );
    let sidekey = Sidekey::start(&config);
    sidekey.ask(get_with("/api/x", "X-Key: mine\r\nx_key: mine\r\n")).assert_passed_on(200);
    let fields = &origin.requests()[0].fields;
    assert!(!fields.has("x-key") && !fields.has("x_key"), "{fields:?}");
    assert!(fields.get("authorization").unwrap().ends_with(sidekey.secret("env:OTHER")));
}

#[test]
fn a_body_is_held_if_either_credential_signs_it() {
    let asked = AtomicUsize::new(0);
    let origin = Origin::plain(move |conversation| {
        while conversation.request().is_some() {
            conversation.send(if asked.fetch_add(1, Ordering::Relaxed) == 1 { OK } else { REFUSED });
        }
    });
    let sidekey = Sidekey::start(&two_schemes(&origin));
    // Longer than what is kept of a body that passes.
    sidekey.ask(post("/api/x", &"b".repeat(100_000))).assert_passed_on(200);
    let requests = origin.requests();
    assert!(requests.iter().all(|request| request.body.len() == 100_000));
    // printf 'b%.0s' {1..100000} | md5sum
    assert!(requests[1].fields.get("content-md5").is_some_and(|digest| digest.len() == 32));
}

#[test]
fn a_callers_token_may_stand_where_either_credential_would() {
    let origin = Origin::ok();
    let config = format!(
        "[upstream.api]\nurl = \"{}\"\nauth.api-key = {{ key = \"env:KEY\", header = \"x-key\" }}\n\
         fallback.bearer = {{ token = \"env:OTHER\" }}\n\n[caller.shop]\ntoken = \"env:SHOP\"\nupstreams = [\"api\"]\n",
        origin.url()
    );
    let sidekey = Sidekey::start(&config);
    let token = sidekey.secret("env:SHOP");
    for field in [format!("X-Key: {token}\r\n"), format!("Authorization: Bearer {token}\r\n")] {
        sidekey.ask(get_with("/api/x", &field)).assert_passed_on(200);
    }
    sidekey.ask(get("/api/x")).assert_own(407, "http_request_denied");
}

#[test]
fn neither_key_comes_back_whichever_the_vendor_echoes() {
    let known = Arc::new(Mutex::new(Vec::<String>::new()));
    let echoed = Arc::clone(&known);
    let origin = Origin::plain(move |conversation| {
        while let Some(request) = conversation.request() {
            let mut all = echoed.lock().unwrap();
            all.push(request.fields.get("authorization").unwrap().to_owned());
            let status = if all.len() == 1 { 401 } else { 200 };
            conversation
                .send(format!("HTTP/1.1 {status} x\r\nX-Echo: {}\r\nContent-Length: 0\r\n\r\n", all.join("; ")));
        }
    });
    let sidekey = before(&origin, "");
    // The harness looks for both at the caller.
    let answer = sidekey.ask(get(&format!("/api/x?{QUERY}")));
    answer.assert_passed_on(200);
    assert_eq!(answer.fields.get("x-echo"), Some("[redacted:api]; [redacted:api]"));
    assert_eq!(known.lock().unwrap().len(), 2);
}

#[test]
fn a_request_that_is_refused_with_both_keys_is_not_retried() {
    let (_, origin) = vendor();
    let sidekey = before(&origin, "retry = { attempts = 5 }\n");
    sidekey.ask(get("/api/x")).assert_passed_on(401);
    assert_eq!(origin.requests().len(), 2);
}
