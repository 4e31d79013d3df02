//! A caller's token: taken wherever a client can put it, good for its own upstreams alone, and never sent on.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::support::{Origin, Response, Sidekey, get_with, holds};

/// Each way of placing a vendor's key, and what an SDK sends that has the token for its key.
const SCHEMES: [(&str, &str); 6] = [
    ("auth.bearer = { token = \"file:key\" }", "Authorization: Bearer TOKEN"),
    ("auth.basic = { username = \"file:user\", password = \"file:key\" }", "Authorization: Basic BASE64(TOKEN:)"),
    ("auth.basic = { username = \"file:user\", password = \"file:key\" }", "Authorization: Basic BASE64(any:TOKEN)"),
    ("auth.api-key = { key = \"file:key\" }", "Authorization: ApiKey TOKEN"),
    ("auth.api-key = { key = \"file:key\", header = \"x-api-key\" }", "X-Api-Key: TOKEN"),
    (
        "auth.hmac = { username = \"file:user\", secret = \"file:key\", headers = [\"Date\", \"request-line\"] }",
        "Authorization: hmac username=\"TOKEN\", algorithm=\"hmac-sha256\", headers=\"date\", signature=\"eA==\"",
    ),
];

/// Ways that do not depend on the scheme.
const PROXY: [&str; 3] = [
    "Proxy-Authorization: Bearer TOKEN",
    "Proxy-Authorization: Basic BASE64(TOKEN:)",
    "Proxy-Authorization: Basic BASE64(shop:TOKEN)",
];

fn start(origin: &Origin, auth: &str) -> Sidekey {
    let upstream = |name: &str| format!("[upstream.{name}]\nurl = \"{}\"\n{auth}\n", origin.url());
    let callers = "[caller.shop]\ntoken = \"file:shop\"\nupstreams = [\"api\"]\n\
                   [caller.desk]\ntoken = \"file:desk\"\nupstreams = [\"api\", \"other\"]\n";
    Sidekey::start(&[upstream("api"), upstream("other"), callers.to_owned()].concat())
}

/// The field of a caller whose token is the secret behind `reference`.
fn field(sidekey: &Sidekey, template: &str, reference: &str) -> String {
    let text = template.replace("TOKEN", sidekey.secret(reference));
    match text.split_once("BASE64(") {
        Some((before, pair)) => format!("{before}{}", STANDARD.encode(pair.trim_end_matches(')'))),
        None => text,
    }
}

fn ask(sidekey: &Sidekey, target: &str, field: &str) -> Response {
    sidekey.ask(get_with(target, &format!("{field}\r\n")))
}

#[test]
fn a_token_is_taken_wherever_a_client_can_put_it_and_never_sent_on() {
    for (auth, own_place) in SCHEMES {
        let origin = Origin::ok();
        let sidekey = start(&origin, auth);
        for place in PROXY.iter().chain([&own_place]) {
            ask(&sidekey, "/api/x", &field(&sidekey, place, "file:shop")).assert_passed_on(200);
            ask(&sidekey, "/other/x", &field(&sidekey, place, "file:desk")).assert_passed_on(200);
            sidekey.access(|record| record["caller"] == "shop");
            sidekey.access(|record| record["caller"] == "desk");
        }
        let raw = origin.raw();
        for reference in ["file:shop", "file:desk"] {
            let token = sidekey.secret(reference);
            assert!(!holds(&raw, token.as_bytes()), "{auth}");
            assert!(!holds(&raw, STANDARD.encode(format!("{token}:")).as_bytes()), "{auth}");
        }
        assert!(!holds(&raw, b"BASE64") && !holds(&raw.to_ascii_lowercase(), b"proxy-authorization"), "{auth}");
    }
}

#[test]
fn a_token_is_good_for_its_own_upstreams_alone() {
    let origin = Origin::ok();
    let sidekey = start(&origin, SCHEMES[0].0);
    let answer = ask(&sidekey, "/other/x", &field(&sidekey, PROXY[0], "file:shop"));
    answer.assert_own(403, "http_request_denied");
    assert!(answer.text().contains("not-for-caller"), "{}", answer.text());
    assert_eq!(origin.connections(), 0);
}

#[test]
fn a_token_in_another_schemes_place_is_not_taken() {
    let origin = Origin::ok();
    let sidekey = start(&origin, SCHEMES[0].0);
    for (_, place) in &SCHEMES[1..] {
        ask(&sidekey, "/api/x", &field(&sidekey, place, "file:shop")).assert_own(407, "http_request_denied");
    }
    assert_eq!(origin.connections(), 0);
}

#[test]
fn a_token_is_taken_off_wherever_else_an_app_puts_it() {
    let origin = Origin::ok();
    let sidekey = start(&origin, SCHEMES[0].0);
    for second in ["X-Api-Key: TOKEN", "Cookie: a=b; key=TOKEN", "X-Auth: Key \"TOKEN\"", "Api_Key: Bearer TOKEN"] {
        let both = format!("X-Mine: 1\r\n{second}\r\n{}", PROXY[0]);
        ask(&sidekey, "/api/x", &field(&sidekey, &both, "file:shop")).assert_passed_on(200);
        assert!(origin.requests().pop().unwrap().fields.has("x-mine"));
    }
    assert!(!holds(&origin.raw(), sidekey.secret("file:shop").as_bytes()));
}

#[test]
fn a_placeholder_beside_the_token_does_no_harm() {
    let origin = Origin::ok();
    let sidekey = start(&origin, SCHEMES[0].0);
    let both = format!("Authorization: Bearer placeholder\r\n{}", field(&sidekey, PROXY[2], "file:shop"));
    ask(&sidekey, "/api/x", &both).assert_passed_on(200);
    assert!(!holds(&origin.raw(), b"placeholder"));
}
