//! A compromised app asks for what it has no business with: rules for each upstream, and for each caller within it.

use crate::support::{Origin, Response, Sidekey, get, get_with};

const RULES: &str = "allow = [\"GET /v2/**\", \"POST,PUT /v2/tags\", \"* /open/*\"]\ndeny = [\"* /v2/keys/**\"]\n";

fn start(rules: &str, callers: &str) -> (Origin, Sidekey) {
    let origin = Origin::ok();
    let sidekey = Sidekey::start(&format!("{}{rules}{callers}", origin.upstream("api")));
    (origin, sidekey)
}

fn ask(sidekey: &Sidekey, request: &str) -> Response {
    let (method, path) = request.split_once(' ').unwrap();
    sidekey.ask(get(&format!("/api{path}")).replacen("GET", method, 1))
}

#[test]
fn what_no_rule_allows_is_403_and_reaches_nothing() {
    let (origin, sidekey) = start(RULES, "");
    for request in
        ["GET /v2", "GET /v2/tags?a=..//;", "POST /v2/tags", "PUT /v2/tags", "DELETE /open/x", "GET /v2/%74ags"]
    {
        ask(&sidekey, request).assert_passed_on(200);
    }
    let passed = origin.requests();
    assert_eq!(passed.last().unwrap().line, "GET /v2/%74ags HTTP/1.1", "what passes is not normalised");
    for request in [
        "GET /v3/tags",
        "DELETE /v2/tags",
        "POST /v2/tags/",
        "POST /v2/TAGS",
        "post /v2/tags",
        "GET /open",
        "GET /open/x/y",
        "GET /",
        "GET /v2/keys",
        "GET /v2/keys/",
        "GET /v2/keys/7",
        "GET /v2/KEYS/7",
        "GET /v2/%6Beys",
    ] {
        let answer = ask(&sidekey, request);
        answer.assert_own(403, "http_request_denied");
        assert!(answer.text().contains("not-allowed"), "{request}: {}", answer.text());
    }
    assert_eq!(origin.requests().len(), passed.len());
}

#[test]
fn a_callers_rules_narrow_those_of_the_upstream() {
    let callers = "[caller.shop]\ntoken = \"file:shop\"\nupstreams = [\"api\"]\n\
                   allow.api = [\"GET /v2/usage\", \"GET /v3/usage\"]\n\
                   [caller.desk]\ntoken = \"file:desk\"\nupstreams = [\"api\"]\ndeny.api = [\"* /v2/usage\"]\n";
    let (origin, sidekey) = start(RULES, callers);
    for (reference, path, status) in [
        ("file:shop", "/v2/usage", 200),
        ("file:shop", "/v2/tags", 403),
        ("file:shop", "/v3/usage", 403),
        ("file:desk", "/v2/usage", 403),
        ("file:desk", "/v2/tags", 200),
        ("file:desk", "/v2/keys", 403),
    ] {
        let token = format!("Authorization: Bearer {}\r\n", sidekey.secret(reference));
        let answer = sidekey.ask(get_with(&format!("/api{path}"), &token));
        assert_eq!(answer.status, status, "{reference} {path}");
    }
    assert_eq!(origin.requests().len(), 2);
}

#[test]
fn an_empty_allow_allows_nothing() {
    let (origin, sidekey) = start("allow = []\n", "");
    ask(&sidekey, "GET /").assert_own(403, "http_request_denied");
    assert_eq!(origin.connections(), 0);
}

#[test]
fn a_field_that_names_another_method_or_path_is_refused_where_rules_are_in_force() {
    let fields = [
        "X-HTTP-Method-Override: DELETE",
        "x-http-method: DELETE",
        "X-Method-Override: DELETE",
        "X-Original-URL: /v2/keys",
        "X-Rewrite-URL: /v2/keys",
        "X-Original-URI: /v2/keys",
        "X-Override-URL: /v2/keys",
        "X-HTTP-Path-Override: /v2/keys",
        "X_HTTP_Method_Override: DELETE",
    ];
    let (origin, sidekey) = start(RULES, "");
    let (free_origin, free) = start("", "");
    for field in fields {
        let request = get_with("/api/v2/tags", &format!("{field}\r\n"));
        sidekey.ask(&request).assert_own(400, "http_request_error");
        free.ask(&request).assert_passed_on(200);
    }
    assert_eq!((origin.connections(), free_origin.requests().len()), (0, fields.len()));
}

#[test]
fn nor_does_one_cross_after_the_body() {
    let names = ["X-HTTP-Method-Override", "X_Rewrite_URL", "x-original-url"];
    let trailers: String = names.iter().map(|name| format!("{name}: /v2/keys\r\n")).collect();
    let (origin, sidekey) = start(RULES, "");
    sidekey
        .ask(format!(
            "POST /api/v2/tags HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum, {}\r\n\r\n\
             0\r\nX-Sum: 6\r\n{trailers}\r\n",
            names.join(", ")
        ))
        .assert_passed_on(200);
    assert_eq!(origin.request().trailers.get("x-sum"), Some("6"));
    assert!(!String::from_utf8(origin.raw()).unwrap().contains("/v2/keys"));
}

#[test]
fn what_is_denied_is_denied_as_a_lenient_server_would_read_it() {
    let (origin, sidekey) = start("deny = [\"GET,POST /v3/import_jobs\"]\n", "");
    for request in ["POST /v3/import_jobs.json", "POST /v3/Import_Jobs.XML/", "POST /v3/import_jobs%20"] {
        ask(&sidekey, request).assert_own(403, "http_request_denied");
    }
    let mut caller = sidekey.connect();
    caller.send(get("/api/v3/import_jobs").replacen("GET", "HEAD", 1));
    assert_eq!(caller.response_to("HEAD").status, 403);
    ask(&sidekey, "POST /v3/import_jobs%3Fx").assert_own(400, "http_request_error");
    assert_eq!(origin.connections(), 0);
    ask(&sidekey, "POST /v3/import_jobs.json/1").assert_passed_on(200);
}

#[test]
fn rules_that_are_only_reported_let_pass_and_log_what_they_would_have_done() {
    let (origin, sidekey) = start(&format!("mode = \"report\"\n{RULES}"), "");
    for (request, told) in [
        ("DELETE /v2/tags", Some("no rule of `allow` matches")),
        ("GET /v2/keys", Some("`deny` has the rule `* /v2/keys/**`")),
        ("GET /v2/../x", Some("the path has a segment `.` or `..`")),
        ("GET /v2/usage", None),
    ] {
        ask(&sidekey, request).assert_passed_on(200);
        let path = format!("/api{}", request.split_once(' ').unwrap().1);
        let record = sidekey.access(|record| record["path"] == path.as_str());
        assert_eq!(record["would_refuse"].as_str(), told, "{request}");
    }
    assert_eq!(origin.requests().len(), 4);
}
