//! How things stand, as `/metrics` and `/status` have it: credentials, breakers, limits, bounds.

use std::sync::Mutex;

use serde_json::Value;

use super::page::Page;
use super::{scrape, scrape_until};
use crate::support::{Caller, OK, Origin, Sidekey, get, get_with, until, until_true};

const ADMIN: &str = "[admin]\naddress = \"127.0.0.1:0\"\n";

fn status(sidekey: &Sidekey) -> Value {
    serde_json::from_slice(&sidekey.ask_admin("/status", "").body).unwrap()
}

/// A metric, some of its labels, and what all that have them come to.
type Expected<'a> = (&'a str, &'a [(&'a str, &'a str)], f64);

fn assert_values(page: &Page, expected: &[Expected<'_>]) {
    for (name, labels, value) in expected {
        assert_eq!(page.value(name, labels), *value, "{name} {labels:?}: {}", page.text);
    }
}

#[test]
fn a_refusal_that_the_other_credential_made_good_is_told_all_the_same() {
    // The first key that it sees is never taken.
    let refused = Mutex::new(None);
    let origin = Origin::plain(move |conversation| {
        while let Some(request) = conversation.request() {
            let key = request.fields.get("authorization").map(str::to_owned);
            let is_refused = key == *refused.lock().unwrap().get_or_insert_with(|| key.clone());
            conversation.send(if is_refused { "HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n" } else { OK });
        }
    });
    let fallback = "fallback.bearer = { token = \"env:OTHER\" }\n";
    let sidekey = Sidekey::start(&format!("{}{fallback}{ADMIN}", origin.upstream("api")));
    let told = status(&sidekey)["upstreams"][0].clone();
    assert_eq!(told["credentials"][0]["preferred"], true);
    assert!(told["preference"].as_object().unwrap()["changed"].is_null(), "{told}");

    sidekey.ask(get("/api/x")).assert_passed_on(200);
    let page = scrape_until(&sidekey, "sidekey_requests_total", &[("code", "2xx")], 1.0);
    assert_values(
        &page,
        &[
            ("sidekey_requests_total", &[("upstream", "api")], 1.0),
            ("sidekey_upstream_unauthorized_total", &[("credential", "auth")], 1.0),
            ("sidekey_upstream_unauthorized_total", &[("credential", "fallback")], 0.0),
            ("sidekey_credential_preferred", &[("credential", "auth")], 0.0),
            ("sidekey_credential_preferred", &[("credential", "fallback")], 1.0),
            ("sidekey_credential_changes_total", &[("upstream", "api")], 1.0),
            ("sidekey_fallbacks_total", &[("upstream", "api")], 1.0),
            ("sidekey_retries_total", &[("upstream", "api")], 1.0),
        ],
    );
    assert!(page.has("sidekey_secret_read_timestamp_seconds", "credential", "fallback"), "{}", page.text);
    let told = status(&sidekey)["upstreams"][0].clone();
    let [main, fallback] = &told["credentials"].as_array().unwrap()[..] else { panic!("{told}") };
    assert_eq!((&main["key"], &main["preferred"]), (&"auth".into(), &false.into()));
    assert_eq!((&fallback["key"], &fallback["preferred"]), (&"fallback".into(), &true.into()));
    assert!(main["last_rejected"].is_string() && fallback["last_rejected"].is_null(), "{told}");
    assert!(told["preference"]["changed"].as_str().unwrap().ends_with('Z'), "{told}");
    assert_eq!(told["preference"]["changes"], 1);
    until_true("the warning", || {
        sidekey.log().contains("\"credential\":\"auth\",\"scheme\":\"bearer\",\"rejected\":1")
    });
}

#[test]
fn a_breaker_tells_in_which_state_it_is() {
    let upstream = "[upstream.down]\nurl = \"http://127.0.0.1:1\"\nauth.bearer = { token = \"env:TOKEN\" }\n\
                    breaker = { failures = 2, open = \"10m\" }\n";
    let sidekey = Sidekey::start(&format!("{upstream}{ADMIN}"));
    let states = |page: &Page| {
        ["closed", "open", "half-open"].map(|state| page.value("sidekey_breaker_state", &[("state", state)]))
    };
    assert_eq!(states(&scrape(&sidekey)), [1.0, 0.0, 0.0]);
    assert_eq!(status(&sidekey)["upstreams"][0]["breaker"]["state"], "closed");
    (0..3).for_each(|_| assert!(sidekey.ask(get("/down/")).status >= 502));
    let page = scrape(&sidekey);
    assert_eq!(states(&page), [0.0, 1.0, 0.0]);
    assert_eq!(page.value("sidekey_breaker_openings_total", &[("upstream", "down")]), 1.0);
    let told = status(&sidekey)["upstreams"][0]["breaker"].clone();
    assert_eq!((&told["state"], &told["openings"]), (&"open".into(), &1.into()));
    assert!(told["open_for_seconds"].as_f64().unwrap() > 500.0, "{told}");
}

#[test]
fn limits_tell_how_much_of_them_is_used_and_which_is_hit() {
    let (origin, answer) = Origin::patient();
    let config = format!(
        "{}limits = {{ concurrency = 2, rate = \"7200/h\", burst = 50 }}\n\
         [caller.shop]\ntoken = \"env:SHOP\"\nupstreams = [\"api\"]\nlimits = {{ concurrency = 1, wait = \"20s\" }}\n\
         [caller.desk]\ntoken = \"env:DESK\"\nupstreams = [\"api\"]\n{ADMIN}",
        origin.upstream("api")
    );
    let sidekey = Sidekey::start(&config);
    let ask = |caller: &str| -> Caller {
        let mut connection = sidekey.connect();
        connection.send(get_with("/api/x", &format!("Proxy-Authorization: Bearer {}\r\n", sidekey.secret(caller))));
        connection
    };
    let mut asking = vec![ask("env:SHOP")];
    scrape_until(&sidekey, "sidekey_limit_concurrency_in_use", &[("caller", "shop")], 1.0);
    asking.push(ask("env:SHOP"));
    scrape_until(&sidekey, "sidekey_limit_waiting_requests", &[("caller", "shop")], 1.0);
    asking.push(ask("env:DESK"));
    let page = scrape_until(&sidekey, "sidekey_limit_concurrency_in_use", &[("upstream", "api")], 2.0);
    assert_values(
        &page,
        &[
            ("sidekey_limit_concurrency", &[("upstream", "api"), ("caller", "")], 2.0),
            ("sidekey_limit_concurrency", &[("upstream", ""), ("caller", "shop")], 1.0),
            ("sidekey_limit_rate", &[("upstream", "api")], 2.0),
            ("sidekey_limit_waiting_requests", &[("upstream", "api")], 0.0),
        ],
    );
    assert!(!page.has("sidekey_limit_concurrency", "caller", "desk"), "{}", page.text);
    let told = status(&sidekey);
    let limits = &told["upstreams"][0]["limits"];
    assert_eq!(
        (&limits["in_use"], &limits["concurrency"], &limits["rate"]["burst"]),
        (&2.into(), &2.into(), &50.into())
    );
    let [desk, shop] = ["desk", "shop"].map(|name| {
        told["callers"].as_array().unwrap().iter().find(|caller| caller["name"] == name).unwrap()["limits"].clone()
    });
    assert_eq!((&shop["waiting"], &shop["in_use"]), (&1.into(), &1.into()));
    assert!(desk.is_null(), "{told}");

    assert_eq!(ask("env:DESK").response().status, 429);
    let hit = |limit: &str, count| scrape_until(&sidekey, "sidekey_limited_requests_total", &[("limit", limit)], count);
    let page = hit("upstream-concurrency", 1.0);
    assert_eq!(page.value("sidekey_limited_requests_total", &[]), 1.0, "{}", page.text);
    (0..3).for_each(|_| answer.send(()).unwrap());
    asking.iter_mut().for_each(|caller| caller.response().assert_passed_on(200));
    scrape_until(&sidekey, "sidekey_limit_concurrency_in_use", &[], 0.0);
}

#[test]
fn each_limit_is_counted_by_itself() {
    let origin = Origin::ok();
    let config = format!(
        "{}limits = {{ rate = \"2/h\", burst = 2 }}\n[caller.shop]\ntoken = \"env:SHOP\"\nupstreams = [\"api\"]\n\
         limits = {{ rate = \"1/h\", burst = 1 }}\n[caller.desk]\ntoken = \"env:DESK\"\nupstreams = [\"api\"]\n{ADMIN}",
        origin.upstream("api")
    );
    let sidekey = Sidekey::start(&config);
    let ask = |caller: &str| {
        let field = format!("Proxy-Authorization: Bearer {}\r\n", sidekey.secret(caller));
        sidekey.ask(get_with("/api/x", &field)).status
    };
    let statuses = ["env:SHOP", "env:SHOP", "env:DESK", "env:DESK", "env:DESK"].map(ask);
    assert_eq!(statuses, [200, 429, 200, 429, 429]);
    let page = scrape_until(&sidekey, "sidekey_limited_requests_total", &[], 3.0);
    for (limit, count) in [("caller-rate", 1.0), ("upstream-rate", 2.0), ("caller-concurrency", 0.0), ("vendor", 0.0)] {
        assert_eq!(page.value("sidekey_limited_requests_total", &[("limit", limit)]), count, "{limit}");
    }
}

#[test]
fn a_vendor_that_wants_to_be_left_alone_is_told_of() {
    let origin = Origin::answering("HTTP/1.1 503 Busy\r\nRetry-After: 600\r\nContent-Length: 0\r\n\r\n");
    let sidekey = Sidekey::start(&format!("{}obey_retry_after = true\n{ADMIN}", origin.upstream("api")));
    assert_eq!(scrape(&sidekey).value("sidekey_vendor_pause_seconds", &[("upstream", "api")]), 0.0);
    sidekey.ask(get("/api/x")).assert_passed_on(503);
    assert_eq!(sidekey.ask(get("/api/x")).kind(), "vendor-unavailable");
    // No 429, and yet a limit.
    let page = scrape_until(&sidekey, "sidekey_limited_requests_total", &[("limit", "vendor")], 1.0);
    assert_eq!(page.value("sidekey_vendor_pauses_total", &[("upstream", "api")]), 1.0);
    let left = page.value("sidekey_vendor_pause_seconds", &[("upstream", "api")]);
    assert!((500.0..=600.0).contains(&left), "{left}");
    let told = status(&sidekey)["upstreams"][0]["limits"]["vendor_pause"].clone();
    assert!(told["seconds"].as_f64().unwrap() > 500.0 && told["count"] == 1, "{told}");
}

#[test]
fn connections_that_are_turned_away_are_counted_beside_their_bound() {
    let origin = Origin::ok();
    let sidekey = Sidekey::start(&format!(
        "[server]\nworkers = 1\nmax_connections = 1\ndrain = \"1s\"\n{}{ADMIN}",
        origin.upstream("api")
    ));
    let mut served = sidekey.connect();
    served.send(get("/api/x"));
    served.response().assert_passed_on(200);
    for _ in 0..2 {
        assert_eq!(sidekey.connect().response().kind(), "too-many-connections");
    }
    let page = scrape(&sidekey);
    assert_values(
        &page,
        &[
            ("sidekey_caller_connections_refused_total", &[], 2.0),
            ("sidekey_caller_connections_limit", &[], 1.0),
            ("sidekey_caller_connections", &[], 1.0),
        ],
    );
    let told = status(&sidekey);
    assert_eq!((&told["max_caller_connections"], &told["refused_caller_connections"]), (&1.into(), &2.into()));
}

#[test]
fn bodies_that_are_held_are_told_of_and_of_how_many_may_be() {
    let origin = Origin::ok();
    let upstream = format!(
        "[server]\nworkers = 1\nmax_buffered = \"1MiB\"\ndrain = \"1s\"\n[upstream.hub]\nurl = \"{}\"\n\
         auth.hmac = {{ username = \"env:USER\", secret = \"env:SECRET\" }}\n",
        origin.url()
    );
    let sidekey = Sidekey::start(&(upstream + ADMIN));
    let mut caller = sidekey.connect();
    caller.send("POST /hub/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 40000\r\n\r\n");
    caller.send("x".repeat(39_999));
    let held = until("a body that is held", || {
        Some(scrape(&sidekey).value("sidekey_buffered_bytes", &[])).filter(|held| *held >= 39_999.0)
    });
    assert!(held <= 65_536.0, "{held}");
    let told = status(&sidekey);
    assert_eq!(told["max_buffered_bytes"], 1 << 20);
    assert!(told["buffered_bytes"].as_u64().unwrap() >= 39_999, "{told}");
    assert_eq!(scrape(&sidekey).value("sidekey_buffered_limit_bytes", &[]), f64::from(1 << 20));
    caller.send("x");
    caller.response().assert_passed_on(200);
    until_true("that it is let go", || status(&sidekey)["buffered_bytes"] == 0);
}
