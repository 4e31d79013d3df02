//! A web page that the user happens to look at asks sidekey for something, in every way in which a browser would put it.

use crate::support::{Origin, Response, Sidekey, get_from};

const PAGE: &str = "http://localhost:3000";
const ALLOWED: &str = "[browser]\nallow_origins = [\"https://app.example\", \"http://localhost:3000\"]\n";

/// A request for `/api/x` with `fields`.
fn request(method: &str, fields: &[&str]) -> String {
    let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
    format!("{method} /api/x HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n")
}

fn assert_refused(answer: &Response) {
    answer.assert_own(403, "http_request_denied");
    assert!(answer.body.is_empty() || answer.text().contains("urn:sidekey:problem:web-page"), "{answer:?}");
    assert!(!answer.fields.0.iter().any(|(name, _)| name.starts_with("access-control-")), "{answer:?}");
}

/// Asserts that pages of `origin` may read the answer, and those of no other.
fn assert_readable(answer: &Response, origin: &str) {
    assert_eq!(answer.fields.all("access-control-allow-origin"), [origin], "{answer:?}");
    assert!(!answer.fields.has("access-control-allow-credentials"), "{answer:?}");
    let vary: Vec<&str> = answer.fields.all("vary").into_iter().flat_map(|line| line.split(", ")).collect();
    assert!(vary.contains(&"Origin"), "{answer:?}");
}

#[test]
fn no_page_may_use_sidekey_unless_the_config_says_so() {
    let origin = Origin::ok();
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let own = format!("Origin: http://{}", sidekey.address());
    for fields in [
        &["Origin: http://evil.example"][..],
        &["Origin: http://localhost:3000", "Sec-Fetch-Site: same-site"],
        &["Origin: null"],
        &["Origin:"],
        // A vendor's page that the browser got through sidekey is a page, too.
        &[&own, "Sec-Fetch-Site: same-origin"],
        &["Origin: http://localhost", "Sec-Fetch-Site: none"],
        // Images, scripts, links and forms that say no more.
        &["Sec-Fetch-Site: cross-site"],
        &["Sec-Fetch-Site: same-site"],
        &["sec-fetch-site: cross-site", "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image"],
        &["Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-User: ?1"],
        &["Sec-Fetch-Site:"],
        &["Sec-Fetch-Site: None"],
        &["Sec-Fetch-Site: none, none"],
        &["Sec-Fetch-Site: new-value"],
        &["Sec-Fetch-Site: none", "Sec-Fetch-Site: cross-site"],
        &["Sec-Fetch-Site: none", "Sec-Fetch-Site: none"],
        // A WebSocket.
        &["Origin: http://evil.example", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"],
    ] {
        for method in ["GET", "POST", "HEAD", "DELETE", "OPTIONS"] {
            let mut caller = sidekey.connect();
            caller.send(request(method, fields));
            assert_refused(&caller.response_to(method));
        }
    }
    assert_eq!(origin.connections(), 0);
    let logged = sidekey.access(|line| line["status"] == 403);
    assert!(logged["error"].as_str().unwrap().contains("a web page asks"), "{logged}");
}

#[test]
fn a_preflight_is_refused_with_and_without_an_origin() {
    let origin = Origin::ok();
    let sidekey = Sidekey::start(&origin.upstream("api"));
    for fields in [
        &["Origin: http://evil.example", "Access-Control-Request-Method: PUT"][..],
        &["Access-Control-Request-Method: PUT"],
        &["Access-Control-Request-Method:"],
        &[
            "Origin: http://evil.example",
            "Access-Control-Request-Method: GET",
            "Access-Control-Request-Private-Network: true",
        ],
    ] {
        assert_refused(&sidekey.ask(request("OPTIONS", fields)));
    }
    assert_eq!(origin.connections(), 0);
}

#[test]
fn programs_and_what_the_user_typed_pass() {
    let origin = Origin::ok();
    let sidekey = Sidekey::start(&origin.upstream("api"));
    for fields in [
        &[][..],
        &["Sec-Fetch-Site: none"],
        &["Sec-Fetch-Site: same-origin"],
        &["Sec-Fetch-Mode: cors"],
        &["Referer: http://evil.example/"],
        &["Access-Control-Request-Method: PUT"],
    ] {
        sidekey.ask(request("GET", fields)).assert_passed_on(200);
    }
    sidekey.ask(request("OPTIONS", &[])).assert_passed_on(200);
    assert_eq!(origin.requests().len(), 7);
}

#[test]
fn a_page_learns_nothing_not_even_which_names_exist() {
    let origin = Origin::ok();
    let sidekey = Sidekey::start(&origin.upstream("api"));
    let page = request("GET", &["Origin: http://evil.example"]);
    let texts =
        [page.clone(), page.replace("/api/", "/other/"), page.replace("localhost", "rebind.example")].map(|page| {
            let answer = sidekey.ask(page);
            assert_refused(&answer);
            answer.text().split("\"request_id\"").next().unwrap().to_owned()
        });
    assert!(texts.iter().all(|text| *text == texts[0]), "{texts:?}");
}

#[test]
fn a_name_that_was_rebound_means_nothing() {
    // The page and sidekey then have one origin, so a browser says nothing of the page: the name alone tells.
    let origin = Origin::ok();
    let sidekey = Sidekey::start(&format!("{ALLOWED}{}", origin.upstream("api")));
    for host in
        ["rebind.example", "rebind.example:8080", "127.0.0.1.rebind.example", "localhost.rebind.example", "0.0.0.0"]
    {
        sidekey.ask(get_from(host, "/api/x")).assert_own(421, "destination_not_found");
        let typed = get_from(host, "/api/x").replace("\r\n\r\n", "\r\nSec-Fetch-Site: same-origin\r\n\r\n");
        sidekey.ask(typed).assert_own(421, "destination_not_found");
    }
    assert_eq!(origin.connections(), 0);
}

#[test]
fn a_page_of_an_allowed_origin_gets_its_answer() {
    let origin = Origin::answering(
        "HTTP/1.1 200 OK\r\nVary: Accept\r\nX-Kept: 1\r\nAccess-Control-Allow-Origin: https://vendor.example\r\n\
         Access-Control-Allow-Credentials: true\r\nAccess-Control-Expose-Headers: X-Inner\r\n\
         Access-Control-Allow-Private-Network: true\r\nContent-Length: 2\r\n\r\nok",
    );
    let sidekey = Sidekey::start(&format!("{ALLOWED}{}", origin.upstream("api")));
    for page in [PAGE, "https://app.example"] {
        for site in ["same-site", "cross-site", "same-origin"] {
            let fields = [&format!("Origin: {page}"), "X-Mine: 1", &format!("Sec-Fetch-Site: {site}")];
            let answer = sidekey.ask(request("POST", &fields));
            answer.assert_passed_on(200);
            assert_readable(&answer, page);
            assert_eq!(answer.fields.all("vary"), ["Accept", "Origin"]);
            assert_eq!(answer.fields.get("access-control-expose-headers"), Some("*"));
            assert!(!answer.fields.has("access-control-allow-private-network"));
            assert_eq!(answer.fields.get("x-kept"), Some("1"));
        }
    }
    for arrived in origin.requests() {
        assert!(!arrived.fields.has("origin") && arrived.fields.has("x-mine"), "{arrived:?}");
    }
    // To a program the vendor's answer is what it was.
    let answer = sidekey.ask(request("GET", &[]));
    assert_eq!(answer.fields.get("access-control-allow-origin"), Some("https://vendor.example"));
    assert_eq!(answer.fields.all("vary"), ["Accept"]);
}

#[test]
fn an_allowed_page_can_read_errors_too() {
    let origin = Origin::ok();
    let sidekey = Sidekey::start(&format!("{ALLOWED}{}", origin.upstream("api")));
    let page = request("GET", &[&format!("Origin: {PAGE}")]);
    for (refused, status, error) in [
        (page.replace("/api/", "/other/"), 404, "destination_not_found"),
        (page.replace("localhost\r", "rebind.example\r"), 421, "destination_not_found"),
        (page.replace("GET", "TRACE"), 405, "http_request_denied"),
    ] {
        let answer = sidekey.ask(refused);
        answer.assert_own(status, error);
        assert_readable(&answer, PAGE);
    }
    let last = sidekey.ask(request("OPTIONS", &[&format!("Origin: {PAGE}"), "Max-Forwards: 0"]));
    assert_eq!(last.status, 204);
    assert_readable(&last, PAGE);
    assert_eq!(origin.connections(), 0);
}

#[test]
fn an_allowed_origin_is_matched_to_the_letter() {
    let origin = Origin::ok();
    let sidekey = Sidekey::start(&format!("{ALLOWED}{}", origin.upstream("api")));
    for other in [
        "http://localhost",
        "http://localhost:30000",
        "http://localhost:3001",
        "https://localhost:3000",
        "http://LOCALHOST:3000",
        "http://localhost:3000/",
        "http://localhost:3000.evil.example",
        "http://evil.example#http://localhost:3000",
        "http://127.0.0.1:3000",
        "https://app.example.evil.example",
        "https://sub.app.example",
        "http://app.example",
        "http://localhost:3000 http://evil.example",
        "http://localhost:3000, http://evil.example",
        "null",
        "*",
        "",
    ] {
        let answer = sidekey.ask(request("GET", &[&format!("Origin: {other}")]));
        assert_refused(&answer);
    }
    assert_eq!(origin.connections(), 0);
}

#[test]
fn what_is_repeated_or_odd_is_refused_to_allowed_origins_too() {
    let origin = Origin::ok();
    let sidekey = Sidekey::start(&format!("{ALLOWED}{}", origin.upstream("api")));
    let page = format!("Origin: {PAGE}");
    for fields in [
        &[page.as_str(), &page][..],
        &[&page, "Origin: http://evil.example"],
        &["Origin: http://evil.example", &page],
        &[&page, "Sec-Fetch-Site: elsewhere"],
        &[&page, "Sec-Fetch-Site:"],
        &[&page, "Sec-Fetch-Site: same-site", "Sec-Fetch-Site: same-site"],
        // An image or a link on its pages does not say whose it is.
        &["Sec-Fetch-Site: same-site"],
        &["Sec-Fetch-Site: cross-site"],
    ] {
        assert_refused(&sidekey.ask(request("GET", fields)));
    }
    assert_eq!(origin.connections(), 0);
}

#[test]
fn a_preflight_of_an_allowed_origin_is_answered_here() {
    let origin = Origin::ok();
    let sidekey = Sidekey::start(&format!("{ALLOWED}{}", origin.upstream("api")));
    let page = format!("Origin: {PAGE}");
    let asks = [
        page.as_str(),
        "Access-Control-Request-Method: PATCH",
        "Access-Control-Request-Headers: x-a,content-type, x_b",
    ];
    let answer = sidekey.ask(request("OPTIONS", &asks));
    assert_eq!(answer.status, 204);
    assert_readable(&answer, PAGE);
    assert_eq!(answer.fields.get("access-control-allow-methods"), Some("PATCH"));
    assert_eq!(answer.fields.get("access-control-allow-headers"), Some("x-a,content-type, x_b"));
    assert_eq!(answer.fields.get("access-control-max-age"), Some("600"));
    assert!(!answer.fields.has("access-control-allow-private-network"));
    let vary = answer.fields.all("vary").join(", ");
    assert!(
        vary.contains("Access-Control-Request-Method") && vary.contains("Access-Control-Request-Headers"),
        "{vary}"
    );
    assert_eq!(answer.fields.get("proxy-status"), Some("sidekey"));

    for network in ["Private", "Local"] {
        let wish = format!("Access-Control-Request-{network}-Network: true");
        let answer = sidekey.ask(request("OPTIONS", &[&page, "Access-Control-Request-Method: GET", &wish]));
        assert_eq!(answer.status, 204);
        let grant = format!("access-control-allow-{}-network", network.to_lowercase());
        assert_eq!(answer.fields.get(&grant), Some("true"));
        assert!(!answer.fields.has("access-control-allow-headers"));
    }
    assert_eq!(origin.connections(), 0);
    // An OPTIONS request that the page itself makes is none.
    sidekey.ask(request("OPTIONS", &[&page])).assert_passed_on(200);
}

#[test]
fn a_preflight_that_no_browser_would_send_is_refused() {
    let origin = Origin::ok();
    let sidekey = Sidekey::start(&format!("{ALLOWED}{}", origin.upstream("api")));
    let page = format!("Origin: {PAGE}");
    let method = "Access-Control-Request-Method: GET";
    for fields in [
        &["Access-Control-Request-Method:"][..],
        &["Access-Control-Request-Method: GET PUT"],
        &["Access-Control-Request-Method: GET, PUT"],
        &[method, method],
        &[method, "Access-Control-Request-Headers:"],
        &[method, "Access-Control-Request-Headers: x-a,,x-b"],
        &[method, "Access-Control-Request-Headers: x a"],
        &[method, "Access-Control-Request-Headers: x-a; x-b"],
        &[method, "Access-Control-Request-Headers: x-a", "Access-Control-Request-Headers: x-b"],
        &[method, "Access-Control-Request-Private-Network: true", "Access-Control-Request-Private-Network: true"],
    ] {
        let fields: Vec<&str> = std::iter::once(page.as_str()).chain(fields.iter().copied()).collect();
        let answer = sidekey.ask(request("OPTIONS", &fields));
        answer.assert_own(403, "http_request_denied");
        assert!(!answer.fields.has("access-control-allow-methods"), "{answer:?}");
    }
    assert_eq!(origin.connections(), 0);
}

#[test]
fn a_config_that_lets_every_page_in_does_not_start() {
    for (origins, told) in
        [("\"*\"", "a wildcard"), ("\"null\"", "`null` is the origin"), ("\"http://a.example/\"", "without a path")]
    {
        let folder = tempfile::tempdir().unwrap();
        let upstream = "[upstream.api]\npreset = \"imagior\"\nauth.bearer = { token = \"env:TOKEN\" }\n";
        let config = format!("[browser]\nallow_origins = [{origins}]\n{upstream}");
        let ended = crate::support::check_with(folder.path(), &config, &["TOKEN"]);
        assert_eq!(ended.code, Some(78), "{origins}");
        assert!(ended.stderr.contains("browser.allow_origins[0]") && ended.stderr.contains(told), "{}", ended.stderr);
    }
}
