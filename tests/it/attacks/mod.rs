//! What an attacker would try, one file for each: another process on the machine, a web page, a hostile caller, a hostile
//! upstream, a reader of logs. A test's name says the rule that stops it.

mod any_request;
mod caller_token;
mod connection_names_credential;
mod crash_and_log_output;
mod credential_alias;
mod credential_in_trailers;
mod duplicate_authorization;
mod echoed_credential;
mod http2_floods;
mod max_forwards;
mod metadata_addresses;
mod obs_fold;
mod open_listener;
mod path_escape;
#[cfg(target_os = "linux")]
mod process_memory_and_programs;
mod proxy_loop;
mod redirect_to_other_origin;
mod request_smuggling;
mod response_splitting;
mod rules;
mod trace_and_connect;
mod unknown_caller;
mod web_page;
mod web_page_in_chromium;

use crate::support::{Origin, Sidekey, get_with};

/// What no byte that reaches an upstream may hold: the caller's own credential.
const MINE: &str = "mine-5ad1";

/// A GET with `fields`.
fn with(fields: &str) -> String {
    get_with("/api/x", fields)
}

/// An `[upstream.api]` whose key goes in a field of its own.
fn with_api_key(origin: &Origin, header: &str) -> String {
    let auth = format!("auth.api-key = {{ key = \"file:key\", header = \"{header}\", prefix = \"\" }}");
    format!("[upstream.api]\nurl = \"{}\"\n{auth}\n", origin.url())
}

/// An `[upstream.api]` whose requests are signed.
fn with_hmac(origin: &Origin) -> String {
    let auth = "auth.hmac = { username = \"env:KEY\", secret = \"file:secret\" }";
    format!("[upstream.api]\nurl = \"{}\"\n{auth}\n", origin.url())
}

/// The value of the bearer token that goes on.
fn bearer(sidekey: &Sidekey) -> String {
    format!("Bearer {}", sidekey.secret("env:TOKEN"))
}

/// Asserts that `count` requests have arrived, each with one field `name`, which is `value` or begins with it, and that
/// nothing of the caller's own credential has; read off the bytes themselves.
fn assert_only_ours(origin: &Origin, count: usize, name: &str, value: &str) {
    let raw = String::from_utf8(origin.raw()).unwrap();
    assert!(!raw.to_ascii_lowercase().contains(MINE), "{raw}");
    let lines = raw.split("\r\n").filter_map(|line| line.split_once(':'));
    let ours: Vec<_> = lines.filter(|(field, _)| field.eq_ignore_ascii_case(name)).collect();
    assert_eq!(ours.len(), count, "{raw}");
    assert!(ours.iter().all(|(_, ours)| ours.trim().starts_with(value)), "{raw}");
    assert_eq!(origin.requests().len(), count, "{raw}");
    assert!(origin.requests().iter().all(|request| request.fields.has(name)));
}
