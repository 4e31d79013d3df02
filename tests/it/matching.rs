//! Which upstream a request means: exact names only, and what means none goes nowhere.

use crate::support::{Origin, Response, Sidekey, get_from};

/// Two upstreams, each with an origin that answers with its name, and two pairs that share a URL's host.
struct Two {
    alpha: Origin,
    beta: Origin,
    sidekey: Sidekey,
}

impl Two {
    fn start() -> Self {
        let named =
            |name: &str| Origin::answering(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{name}", name.len()));
        let (alpha, beta) = (named("alpha"), named("beta"));
        let shared = |name: &str, host: &str, more: &str| {
            format!(
                "[upstream.{name}]\nurl = \"http://{host}:1\"\nauth.bearer = {{ token = \"env:SHARED\" }}\n{more}\n"
            )
        };
        let config = [
            format!("{}hosts = [\"Alpha.Example\", \"192.0.2.1\", \"[2001:db8::1]\"]\n", alpha.upstream("alpha")),
            format!("{}hosts = [\"beta.example\"]\n", beta.upstream("beta")),
            shared("one", "127.0.0.3", ""),
            shared("two", "127.0.0.3", ""),
            shared("three", "127.0.0.4", "hosts = [\"127.0.0.4\"]"),
            shared("four", "127.0.0.4", ""),
            "[listen.local]\naddress = \"127.0.0.1:0\"\nnames = [\"sidekey.default.svc\"]\n".to_owned(),
        ];
        Self { alpha, beta, sidekey: Sidekey::start(&config.concat()) }
    }

    fn ask(&self, host: &str, target: &str) -> Response {
        self.sidekey.ask(get_from(host, target))
    }

    fn assert_none_reached(&self) {
        assert_eq!((self.alpha.connections(), self.beta.connections()), (0, 0), "what means none goes nowhere");
    }
}

#[test]
fn a_host_means_its_upstream_whatever_its_case_and_port() {
    let two = Two::start();
    for (host, name) in [
        ("alpha.example", "alpha"),
        ("ALPHA.example:443", "alpha"),
        ("alpha.example:1", "alpha"),
        ("192.0.2.1:80", "alpha"),
        ("[2001:DB8::1]:80", "alpha"),
        ("beta.example:", "beta"),
        ("alpha.localhost", "alpha"),
        ("Beta.LocalHost:8080", "beta"),
    ] {
        assert_eq!(two.ask(host, "/x").text(), name, "{host}");
    }
    let requests = [two.alpha.requests(), two.beta.requests()].concat();
    assert!(requests.iter().all(|request| request.target() == "/x"));
}

#[test]
fn the_listeners_own_names_take_the_name_from_the_path() {
    let two = Two::start();
    let own = two.sidekey.address().to_string();
    for host in [&own, "localhost", "LOCALHOST:1", "127.0.0.1", "[::1]:80", "sidekey.default.svc:8080"] {
        assert_eq!(two.ask(host, "/alpha/x").text(), "alpha", "{host}");
        assert_eq!(two.ask(host, "http://localhost/beta/x").text(), "beta", "{host}");
    }
    let without_host = two.sidekey.ask("GET /alpha/x HTTP/1.0\r\n\r\n");
    assert_eq!(without_host.text(), "alpha");
}

#[test]
fn an_unknown_host_is_421_and_goes_nowhere() {
    let two = Two::start();
    for host in [
        "unknown.example",
        "xalpha.example",
        "alpha.example.evil.example",
        "sub.alpha.example",
        "alpha.example.",
        "alpha",
        "127.0.0.2",
        "[::2]",
        "localhost.evil.example",
        "alpha.example,beta.example",
    ] {
        two.ask(host, "/alpha/x").assert_own(421, "destination_not_found");
    }
    two.assert_none_reached();
}

#[test]
fn an_unknown_name_is_404_and_goes_nowhere() {
    let two = Two::start();
    for target in
        ["/", "/gamma/x", "/Alpha/x", "/%61lpha/x", "//alpha/x", "/./alpha/x", "/alphax", "/alpha;x/y", "/?alpha/"]
    {
        two.ask("localhost", target).assert_own(404, "destination_not_found");
    }
    two.ask("gamma.localhost", "/alpha/x").assert_own(404, "destination_not_found");
    two.ask("a.alpha.localhost", "/x").assert_own(404, "destination_not_found");
    two.assert_none_reached();
}

#[test]
fn a_host_that_two_urls_share_means_neither_unless_one_lists_it() {
    let two = Two::start();
    let answer = two.ask("127.0.0.3", "/x");
    answer.assert_own(421, "destination_not_found");
    assert!(answer.text().contains("name"), "it says to use the name: {}", answer.text());
    // `three` and `one` are meant here; nobody listens there.
    two.ask("127.0.0.4", "/x").assert_own(502, "connection_refused");
    two.sidekey.access(|record| record["upstream"] == "three");
    two.ask("one.localhost", "/x").assert_own(502, "connection_refused");
    two.sidekey.access(|record| record["upstream"] == "one");
}

#[test]
fn the_listeners_own_name_never_means_an_upstreams_host() {
    let two = Two::start();
    // The URL of `alpha` has this host and port, too.
    two.ask(&two.alpha.authority(), "/x").assert_own(404, "destination_not_found");
    two.ask("127.0.0.1", "/v2/x").assert_own(404, "destination_not_found");
    two.assert_none_reached();
}

#[test]
fn an_absolute_target_counts_and_host_does_not() {
    let two = Two::start();
    assert_eq!(two.ask("beta.example", "http://alpha.example/x").text(), "alpha");
    assert_eq!(two.ask("beta.example", "https://ALPHA.example:1/x").text(), "alpha");
    assert_eq!(two.ask("unknown.example", "http://beta.localhost/x").text(), "beta");
    two.ask("beta.example", "http://unknown.example/x").assert_own(421, "destination_not_found");
    two.ask("beta.example", "http://alpha.example@unknown.example/x");
    assert_eq!((two.alpha.requests().len(), two.beta.requests().len()), (2, 1));
    two.alpha.requests().iter().for_each(|request| assert_eq!(request.line, "GET /x HTTP/1.1"));
}

#[test]
fn an_authority_that_is_none_is_refused() {
    let two = Two::start();
    for host in [
        "alpha.example:x",
        "alpha.example:1:2",
        "user@alpha.example",
        "alpha.example/x",
        "a b",
        "[::1",
        "alpha.example:999999",
    ] {
        two.ask(host, "/x").assert_own(400, "http_request_error");
    }
    two.sidekey.ask("GET /alpha/x HTTP/1.1\r\nHost:\r\n\r\n").assert_own(400, "http_request_error");
    two.assert_none_reached();
}

#[test]
fn the_path_crosses_byte_for_byte_less_the_prefix() {
    let two = Two::start();
    for path in [
        "/",
        "/a%2fb%2Fc",
        "//double//slash/",
        "/a;b=c/;/",
        "/../up/./here/..",
        "/%2e%2e/%2E",
        "/{braces}|bar\"quote",
        "/a?b=%20&c=d+e&f=?/#".trim_end_matches('#'),
        "/?",
        "/??",
        "/alpha/alpha",
        "/~!$&'()*+,=:@",
        "/%00%ff",
        "/%",
        "/%zz",
        "/?q={a:[1|2]}",
        "/http://evil.example/",
    ] {
        for (host, target) in [
            ("localhost", format!("/alpha{path}")),
            ("alpha.example", path.to_owned()),
            ("alpha.localhost", path.to_owned()),
            ("x", format!("http://alpha.example{path}")),
        ] {
            let answer = two.ask(host, &target);
            assert_eq!(answer.status, 200, "{target}: {}", answer.text());
            assert_eq!(two.alpha.requests().pop().unwrap().line, format!("GET {path} HTTP/1.1"), "{target}");
        }
    }
}

#[test]
fn a_target_that_is_the_prefix_alone_means_the_root() {
    let two = Two::start();
    for (target, line) in
        [("/alpha", "GET / HTTP/1.1"), ("/alpha?x=y", "GET /?x=y HTTP/1.1"), ("/alpha/", "GET / HTTP/1.1")]
    {
        two.ask("localhost", target).assert_passed_on(200);
        assert_eq!(two.alpha.requests().pop().unwrap().line, line);
    }
    two.ask("x", "http://alpha.example").assert_passed_on(200);
    assert_eq!(two.alpha.requests().pop().unwrap().line, "GET / HTTP/1.1");
}
