//! What is told of a reading that failed, and of one that did not.

use std::path::Path;
use std::sync::Arc;

use http::Request;
use http_body_util::BodyExt;

use super::Admin;
use crate::config::file::parse_with;
use crate::secret::source::Source;
use crate::server::{Blueprint, Pulses, State};
use crate::telemetry::metrics::ProcessFiles;

fn blueprint() -> Arc<Blueprint> {
    let text = "[admin]\n[upstream.good]\nurl = 'https://good.test'\nauth.bearer.token = 'env:KEY'\n";
    let given = Source::Given(&[("env:KEY", b"k3y-k3y")]);
    let config = parse_with(Path::new("sidekey.toml"), text, given).unwrap_or_else(|error| panic!("{error}"));
    Arc::new(Blueprint { config, upstreams: Box::default(), callers: Box::default(), tls: Box::default() })
}

fn ask(admin: &Admin, page: &str) -> (u16, String) {
    let response = admin.answer(&Request::get(page).header("host", "localhost").body(()).unwrap());
    let (head, body) = response.into_parts();
    let body = futures_util::FutureExt::now_or_never(body.collect()).unwrap().unwrap().to_bytes();
    (head.status.as_u16(), String::from_utf8(body.to_vec()).unwrap())
}

#[test]
fn what_is_stale_is_told_and_is_ready_all_the_same() {
    let first = blueprint();
    let state = State::new(Arc::clone(&first), 10);
    let admin =
        Admin::new(first.config.admin.as_ref().unwrap(), Arc::clone(&state), Pulses::of(1), ProcessFiles::open());
    let status = || serde_json::from_str::<serde_json::Value>(&ask(&admin, "/status").1).unwrap()["config"].clone();
    let metric = |line: &str| ask(&admin, "/metrics").1.lines().any(|told| told == line);
    assert_eq!(ask(&admin, "/readyz"), (200, "ready\n".to_owned()));
    assert!(metric("sidekey_config_last_reload_successful 1"));
    assert!(metric("sidekey_config_stale_since_timestamp_seconds 0"));
    assert!(status()["last_reload"].is_null());

    state.keep("`file:key` is empty");
    state.keep("`file:key` is empty");
    let (ready, text) = ask(&admin, "/readyz");
    assert!(ready == 200 && text.starts_with("ready, with what was read before"), "{text}");
    assert!(metric("sidekey_config_last_reload_successful 0"));
    assert!(!metric("sidekey_config_stale_since_timestamp_seconds 0"));
    assert!(metric("sidekey_config_reloads_total{outcome=\"failure\"} 2"));
    assert_eq!(status()["last_reload"]["outcome"], "failure");
    assert!(status()["stale"]["reason"] == "`file:key` is empty" && status()["generation"] == 1);

    let second = blueprint();
    state.adopt(Arc::clone(&second));
    assert!(Arc::ptr_eq(&state.in_force(), &second));
    assert_eq!(ask(&admin, "/readyz"), (200, "ready\n".to_owned()));
    assert!(metric("sidekey_config_last_reload_successful 1"));
    assert!(metric("sidekey_config_reloads_total{outcome=\"success\"} 1"));
    assert_eq!(status()["last_reload"]["outcome"], "success");
    assert!(status()["stale"].is_null() && status()["generation"] == 2);
}

#[test]
fn a_worker_that_is_stuck_is_told_wherever_one_asks() {
    let blueprint = blueprint();
    let (state, pulses) = (State::new(Arc::clone(&blueprint), 10), Pulses::of(2));
    let admin = Admin::new(blueprint.config.admin.as_ref().unwrap(), state, pulses.clone(), ProcessFiles::open());
    let told = || {
        let status = serde_json::from_str::<serde_json::Value>(&ask(&admin, "/status").1).unwrap();
        let metrics = ask(&admin, "/metrics").1;
        let metrics: Vec<_> = metrics.lines().filter(|line| line.starts_with("sidekey_worker_stuck{")).collect();
        (ask(&admin, "/livez").0, status["stuck_workers"].to_string(), metrics.join(" "))
    };
    let metrics =
        |now| format!("sidekey_worker_stuck{{worker=\"0\"}} {now} sidekey_worker_stuck{{worker=\"1\"}} {now}");
    assert_eq!(told(), (200, "[]".to_owned(), metrics(0)));
    // Neither has ever moved.
    (0..20).for_each(|_| pulses.tick());
    assert_eq!(told(), (503, "[0,1]".to_owned(), metrics(1)));
}
