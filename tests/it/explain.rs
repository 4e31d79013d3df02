//! `explain` and `token`: what would become of a request, without one.

use std::path::Path;

use crate::support::{Ended, Origin, Sidekey, command, get_with};

const CONFIG: &str = r#"
[listen.local]
address = "127.0.0.1:8080"

[listen.desk]
address = "unix:desk.sock"

[listen.images]
address = "unix:images.sock"
upstream = "imagior"

[upstream.imagior]
preset = "imagior"
auth.bearer = { token = "file:key" }
deny = ["POST /image/generate"]

[upstream.hub]
preset = "messagemedia"
auth.hmac = { username = "file:key", secret = "file:key" }
allow = ["* /v1/**"]
mode = "report"

[caller.shop]
token = "file:token"
upstreams = ["imagior", "hub"]
allow.hub = ["POST /v1/messages"]

[caller.desk]
uid = 1
upstreams = ["hub"]
"#;
const SECRET: &str = "sup3rs3cret-v4lue";

fn explain(folder: &Path, arguments: &[&str]) -> Ended {
    let file = folder.join("sidekey.toml");
    for name in ["key", "token"] {
        std::fs::write(folder.join(name), SECRET).unwrap();
    }
    std::fs::write(&file, CONFIG).unwrap();
    let ended = command(&[&["explain", "--config", file.to_str().unwrap()], arguments].concat());
    assert!(!format!("{ended:?}").contains(SECRET), "{ended:?}");
    ended
}

#[test]
fn explain_says_what_every_stage_decides() {
    let folder = tempfile::tempdir().unwrap();
    for (arguments, code, lines) in [
        (
            &["GET", "/imagior/user/account?x=1", "--caller", "shop", "-H", "Accept: x", "-H", "Authorization: y"][..],
            0,
            &[
                "  listener    local, 127.0.0.1:8080",
                "  caller      shop",
                "  upstream    imagior, https://api.imagior.com",
                "  request     GET /user/account?x=1",
                "  crosses     accept",
                "  taken off   authorization",
                "  host        api.imagior.com",
                "  credential  bearer, put on last",
                "it would be sent",
            ][..],
        ),
        (
            &["POST", "http://imagior.localhost:8080/image/generate", "--caller", "shop"],
            1,
            &[
                "  effect      takes a credit",
                "refused with 403 not-allowed: `deny` has the rule `POST /image/generate`",
            ],
        ),
        (
            &["POST", "https://api.messagemedia.com/v1/messages", "--caller", "shop"],
            0,
            &["  rule        allowed by `* /v1/**`", "  rule        allowed by `POST /v1/messages`, for this caller"],
        ),
        (&["GET", "/hub/v1/x", "--caller", "desk"], 0, &["  caller      desk", "it would be sent"]),
        (
            &["GET", "/hub/v1/x", "--caller", "desk", "--listen", "local"],
            1,
            &["refused with 407 unknown-caller: the caller is none of those in `[caller]`"],
        ),
        (
            &["GET", "/hub/v1/../x", "--caller", "desk"],
            0,
            &["  report      would be refused if `mode` were `enforce`: the path has a segment `.` or `..`"],
        ),
        (
            &["GET", "/imagior/x", "--caller", "desk"],
            1,
            &["refused with 403 not-for-caller: `upstreams` of this caller does not name the upstream"],
        ),
        (
            &["GET", "/nothing/x", "--caller", "desk"],
            1,
            &["refused with 404 unknown-upstream: no upstream has this name"],
        ),
        (
            &["GET", "http://other.example/x", "--caller", "desk"],
            1,
            &["refused with 421 unknown-host: no upstream has this host"],
        ),
        (
            &["TRACE", "/hub/x", "--caller", "desk"],
            1,
            &["refused with 405 method-not-allowed: TRACE would show the credential to the caller"],
        ),
        (&["GET", "/x", "--listen", "images", "--caller", "shop"], 0, &["  request     GET /x"]),
        (
            &["GET", "/hub/x", "--caller", "shop", "-H", "Origin: http://evil.example"],
            1,
            &["refused with 403 web-page: a web page asks, of an origin that `browser.allow_origins` does not list"],
        ),
        (
            &[
                "GET",
                "/hub/x",
                "--caller",
                "shop",
                "-H",
                "X-Request-Id: a",
                "-H",
                "traceparent: b",
                "-H",
                "tracestate: c",
            ],
            0,
            &["  crosses     x-request-id, traceparent", "  taken off   tracestate"],
        ),
        (&["OPTIONS", "/hub/x", "--caller", "shop", "-H", "Max-Forwards: 0"], 0, &["sidekey would answer it itself"]),
        (
            &["OPTIONS", "*", "--listen", "images", "--caller", "shop"],
            1,
            &[
                "refused with 400 malformed-request: the request target is neither a path nor an absolute http URL, or holds a character that a URL may not",
            ],
        ),
        (&["GET", "http://imagior.localhost?x", "--caller", "shop"], 0, &["  request     GET /?x"]),
        (
            &["GET", "/hub/x", "--caller", "shop", "-H", "x-a: 1", "-H", "x-b: 1", "-H", "X-A: 2"],
            0,
            &["  crosses     x-a, x-b"],
        ),
        (&["GET", "/hub/x"], 1, &["refused with 407 unknown-caller: the caller is none of those in `[caller]`"]),
    ] {
        let ended = explain(folder.path(), arguments);
        assert_eq!(ended.code, Some(code), "{ended:?}");
        for line in lines {
            assert!(ended.stdout.lines().any(|said| said == *line), "{line}\n{}", ended.stdout);
        }
    }
}

#[test]
fn explain_takes_a_callers_token_as_a_request_would_bring_it() {
    let folder = tempfile::tempdir().unwrap();
    let field = format!("Authorization: Bearer {SECRET}");
    let ended = explain(folder.path(), &["GET", "/imagior/user/account", "-H", &field]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("  caller      shop\n"), "{}", ended.stdout);
}

#[test]
fn what_is_no_request_is_a_usage_error() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [
        &["GET", "/x", "--caller", "nobody"][..],
        &["GET", "/x", "--listen", "nowhere"],
        &["G T", "/x"],
        &["GET", "/x y"],
        &["GET", "/x", "-H", "no colon"],
        &["GET"],
    ] {
        assert_eq!(explain(folder.path(), arguments).code, Some(2), "{arguments:?}");
    }
}

#[test]
fn a_new_token_is_one_that_a_caller_can_have() {
    let [first, second] = [command(&["token"]), command(&["token"])].map(|ended| ended.stdout.trim_end().to_owned());
    assert!(first.starts_with("sidekey_") && first.len() == "sidekey_".len() + 43 && first != second, "{first}");
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("shop"), &first).unwrap();
    let origin = Origin::ok();
    let callers = "[caller.shop]\ntoken = \"file:shop\"\nupstreams = [\"api\"]\n";
    let sidekey = Sidekey::start_in(folder, &format!("{}{callers}", origin.upstream("api")), "json");
    let with = |token: &str| sidekey.ask(get_with("/api/x", &format!("Authorization: Bearer {token}\r\n")));
    with(&first).assert_passed_on(200);
    with(&second).assert_own(407, "http_request_denied");
}

#[test]
fn explain_takes_as_many_fields_as_a_request_may_have() {
    let folder = tempfile::tempdir().unwrap();
    let with = |count: usize| {
        let fields = ["-H", "X-Field: 1"].repeat(count);
        explain(folder.path(), &[&["GET", "/imagior/user/account", "--caller", "shop"], &fields[..]].concat())
    };
    assert_eq!(with(120).code, Some(0));
    let refused = with(140);
    assert!(refused.code == Some(1) && refused.stdout.contains("refused with 431"), "{refused:?}");
}
