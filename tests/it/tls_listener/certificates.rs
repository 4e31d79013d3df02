//! The listener's certificates, which change while it runs, and its callers'.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rustls::version::{TLS12, TLS13};
use tempfile::TempDir;

use super::{House, often};
use crate::support::{Authority, Identity, Origin, get, get_with, until_true};

#[test]
fn any_worker_resumes_what_another_began_and_a_new_certificate_ends_none() {
    for version in [&TLS12, &TLS13] {
        let house = House::with(Origin::ok(), "", often());
        let config = house.authority.reach(&[version], None);
        let mut first = house.sidekey.connect_tls(&config).unwrap();
        first.send(get("/api/x"));
        first.response().assert_passed_on(200);
        assert!(!first.session().is_resumed());
        // While the first is there, the second goes to the other worker.
        let mut second = house.sidekey.connect_tls(&config).unwrap();
        assert!(second.session().is_resumed());
        second.send(get("/api/x"));
        second.response().assert_passed_on(200);
        let new = house.authority.server("localhost");
        house.lay(&new);
        let fresh = house.any();
        until_true("the new certificate", || {
            house.sidekey.connect_tls(&fresh).unwrap().session().shown() == new.der()
                || house.sidekey.connect_tls(&house.any()).unwrap().session().shown() == new.der()
        });
        assert!(house.sidekey.connect_tls(&config).unwrap().session().is_resumed());
        // In TLS 1.3, the caller is done before sidekey is.
        until_true("that both are counted", || house.handshakes("resumed") >= 2);
    }
}

#[test]
fn certificates_change_under_load_and_no_request_fails() {
    let house = House::with(Origin::ok(), "", often());
    let (stop, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut kept = house.sidekey.connect_tls(&house.any()).unwrap();
                while !stop.load(Ordering::Relaxed) {
                    kept.send(get("/api/kept"));
                    kept.response().assert_passed_on(200);
                    house.ask(&house.any(), &get("/api/new")).assert_passed_on(200);
                    served.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let changed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for _ in 0..5 {
                let new = house.authority.server("localhost");
                house.lay(&new);
                until_true("the new certificate", || {
                    house.sidekey.connect_tls(&house.any()).unwrap().session().shown() == new.der()
                });
                let before = served.load(Ordering::Relaxed);
                until_true("requests since", || served.load(Ordering::Relaxed) > before + 5);
            }
        }));
        stop.store(true, Ordering::Relaxed);
        changed.unwrap();
    });
}

#[test]
fn a_certificate_that_is_wrong_changes_nothing_and_is_told() {
    let house = House::with(Origin::ok(), "", often());
    let first = house.sidekey.connect_tls(&house.any()).unwrap().session().shown();
    let folder = house.sidekey.folder();
    let others = house.authority.server("localhost");
    let (certificate, _) = others.pem();
    for (text, reason) in [
        (certificate.as_str(), "it is not the key of the certificate in `cert`"),
        (&certificate[..certificate.len() / 2], "the file"),
        ("", "the file is empty"),
        ("no certificate\n", "the file holds no certificate"),
    ] {
        fs::write(folder.join("server.pem"), text).unwrap();
        until_true(reason, || house.sidekey.log().contains(reason));
        house.until_stale(reason);
        assert_eq!(house.sidekey.connect_tls(&house.any()).unwrap().session().shown(), first, "{reason}");
    }
    house.lay(&house.authority.expired_server("localhost"));
    until_true("that it has expired", || house.sidekey.log().contains("the certificate has expired at 2021-01-01"));
    assert_eq!(house.sidekey.connect_tls(&house.any()).unwrap().session().shown(), first);
    house.lay(&others);
    until_true("the right one", || house.sidekey.connect_tls(&house.any()).unwrap().session().shown() == others.der());
    // It is told when all workers have it, of which the first may have shown it already.
    until_true("that it is in force", || house.metric("sidekey_config_last_reload_successful") == 1);
}

#[test]
fn whoever_shows_no_certificate_of_the_ca_is_kept_out() {
    let house = House::asking_certificates("");
    let stranger = Authority::new().client("app.example");
    let expired = house.authority.expired_client("app.example");
    let server = house.authority.server("app.example");
    for version in [&TLS12, &TLS13] {
        for identity in [None, Some(&stranger), Some(&expired), Some(&server)] {
            house.assert_kept_out(house.authority.reach(&[version], identity));
        }
    }
    until_true("that they are counted", || house.handshakes("certificate") == 8);
    until_true("the line", || house.sidekey.log().contains("\"outcome\":\"certificate\""));
    let client = house.authority.client("app.example");
    house.ask(&house.showing(&client), &get("/api/x")).assert_passed_on(200);
}

#[test]
fn where_certificates_are_asked_for_each_connection_shows_its_own() {
    let house = House::asking_certificates("");
    let client = house.authority.client("app.example");
    for version in [&TLS12, &TLS13] {
        let config = house.authority.reach(&[version], Some(&client));
        for _ in 0..3 {
            let mut caller = house.sidekey.connect_tls(&config).unwrap();
            caller.send(get("/api/x"));
            caller.response().assert_passed_on(200);
            assert!(!caller.session().is_resumed());
        }
    }
}

#[test]
fn another_ca_counts_from_when_the_file_has_it() {
    let house = House::asking_certificates(often());
    let old = house.showing(&house.authority.client("app.example"));
    house.ask(&old, &get("/api/x")).assert_passed_on(200);
    let next = Authority::new();
    let other = TempDir::new().unwrap();
    next.write(other.path());
    fs::rename(other.path().join("ca.pem"), house.sidekey.folder().join("ca.pem")).unwrap();
    let new = house.showing(&next.client("app.example"));
    until_true("that the new one counts", || {
        house.sidekey.connect_tls(&new).is_ok_and(|mut caller| {
            caller.try_send(get("/api/x")).is_ok()
                && std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| caller.response())).is_ok()
        })
    });
    let refused = house.handshakes("certificate");
    // Whoever has a connection keeps it; nobody gets another one.
    until_true("that the old one is refused", || {
        let asked = house.sidekey.connect_tls(&old).and_then(|mut caller| caller.try_send(get("/api/x")));
        drop(asked);
        house.handshakes("certificate") > refused
    });
}

#[test]
fn a_caller_is_known_by_a_name_of_its_certificate() {
    let callers = "[caller.shop]\nclient_cert = [\"shop.example\", \"spiffe://house/shop\"]\nupstreams = [\"api\"]\n\
                   [caller.reports]\nclient_cert = [\"reports.example\"]\nupstreams = []\n\
                   [caller.both]\ntoken = \"env:CALLER_TOKEN\"\nclient_cert = [\"both.example\"]\nupstreams = [\"api\"]\n";
    let house = House::asking_certificates(callers);
    let ask = |identity: &Identity| house.ask(&house.showing(identity), &get("/api/x"));
    for identity in [house.authority.client("Shop.Example"), house.authority.client_of_uri("spiffe://house/shop")] {
        ask(&identity).assert_passed_on(200);
        house.sidekey.access(|line| line["caller"] == "shop");
    }
    ask(&house.authority.client("reports.example")).assert_own(403, "http_request_denied");
    for stranger in ["x.shop.example", "example"] {
        ask(&house.authority.client(stranger)).assert_own(407, "http_request_denied");
    }
    ask(&house.authority.client_of_uri("spiffe://house/shop/x")).assert_own(407, "http_request_denied");
    // Of several, all have to be right.
    let both = house.showing(&house.authority.client("both.example"));
    house.ask(&both, &get("/api/x")).assert_own(407, "http_request_denied");
    let token = house.sidekey.secret("env:CALLER_TOKEN");
    let with_token = get_with("/api/x", &format!("Proxy-Authorization: Bearer {token}\r\n"));
    house.ask(&both, &with_token).assert_passed_on(200);
    let stranger = house.showing(&house.authority.client("example"));
    house.ask(&stranger, &with_token).assert_own(407, "http_request_denied");
    let requests =
        house.metric("sidekey_requests_total{upstream=\"api\",caller=\"shop\",code=\"2xx\",outcome=\"upstream\"}");
    assert_eq!(requests, 2);
}
