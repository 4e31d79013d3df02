//! The config as a whole: what is right, everything that is wrong, and that no message holds a value.

mod attempts;
mod listen_tls;
mod names;
mod reach;
mod secrets;

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rcgen::CertifiedKey;

use super::file::parse_with;
use super::{Config, ConfigError, ListenAddress, Scrub};
use crate::credential::Which;
use crate::policy::Mode;
use crate::secret::source::Source;

const KEY: [(&str, &[u8]); 1] = [("env:KEY", b"k3y-k3y")];
/// An upstream with which nothing is wrong.
const GOOD: &str = "[upstream.good]\nurl = 'https://good.test'\nauth.bearer.token = 'env:KEY'\n";

fn parse(text: &str, given: &[(&str, &[u8])]) -> Result<Config, ConfigError> {
    parse_with(Path::new("sidekey.toml"), text, Source::Given(given))
}

fn accept(text: &str) -> Config {
    parse(text, &KEY).unwrap_or_else(|error| panic!("{error}"))
}

/// The report, without its first line and the file's name.
fn refuse(text: &str) -> String {
    refuse_with(text, &KEY)
}

fn refuse_with(text: &str, given: &[(&str, &[u8])]) -> String {
    let Err(error) = parse(text, given) else { panic!("it was not refused:\n{text}") };
    let problem = |problem: &super::Problem| {
        let position = problem.position().map_or("-".into(), |position| position.to_string());
        let key = problem.key().map(|key| format!(" {key}")).unwrap_or_default();
        let hint = problem.hint().map(|hint| format!(" ({hint})")).unwrap_or_default();
        format!("{position}{key}: {}{hint}", problem.message())
    };
    error.problems().iter().map(problem).collect::<Vec<_>>().join("\n")
}

/// A certificate and its key, in PEM.
fn identity() -> (String, String) {
    let CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(["x.test".to_owned()]).unwrap();
    (cert.pem(), signing_key.serialize_pem())
}

#[test]
fn the_least_config_has_every_default() {
    let config = accept(GOOD);
    assert_eq!(config.server.workers, None);
    assert_eq!(config.server.drain, Duration::from_secs(25));
    assert_eq!(config.server.header_timeout, Duration::from_secs(30));
    assert_eq!(config.server.keep_alive, Duration::from_secs(75));
    let [listener] = &config.listeners[..] else { panic!("one listener") };
    assert_eq!(&*listener.name, "local");
    assert_eq!(listener.address, ListenAddress::Tcp("127.0.0.1:8080".parse::<SocketAddr>().unwrap()));
    assert!(listener.names.is_empty() && listener.upstream.is_none());
    let [upstream] = &config.upstreams[..] else { panic!("one upstream") };
    assert!(upstream.preset.is_none() && upstream.strip.is_empty() && upstream.hosts.is_empty());
    let timeouts = upstream.timeouts;
    let seconds =
        [timeouts.lookup, timeouts.connect, timeouts.tls, timeouts.response, timeouts.idle].map(|t| t.as_secs());
    assert_eq!((seconds, timeouts.tunnel.as_secs()), ([5, 5, 10, 60, 60], 3600));
    assert_eq!((upstream.pool.idle.as_secs(), upstream.pool.max_idle), (50, 256));
    assert!(upstream.tls.extra_roots.is_empty() && upstream.tls.server_name.is_none() && upstream.tls.client.is_none());
    assert!(config.browser.allow_origins.is_empty());
    assert_eq!(upstream.scrub, Scrub::Headers);
    assert!(config.warnings().is_empty());
}

#[test]
fn what_is_scrubbed_is_one_of_two_words() {
    let refusal = refuse(&format!("{GOOD}scrub = 'bodies'"));
    assert!(refusal.contains("upstream.good.scrub: expected one of `headers`, `body`"), "{refusal}");
}

#[test]
fn the_example_shows_every_option_with_its_default() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/config.example.toml")).unwrap();
    let (certificate, key) = identity();
    let mut given: Vec<(&str, &[u8])> = vec![
        ("file:/etc/ssl/corp.pem", certificate.as_bytes()),
        ("file:/etc/ssl/billing.pem", certificate.as_bytes()),
        ("file:/run/secrets/billing.key", key.as_bytes()),
        ("file:/etc/ssl/sidekey.pem", certificate.as_bytes()),
        ("file:/run/secrets/sidekey.key", key.as_bytes()),
        ("file:/etc/ssl/callers.pem", certificate.as_bytes()),
        ("file:/run/secrets/imagga", b"secret\n"),
        ("file:/run/secrets/shop-token", b"0123456789abcdef\n"),
    ];
    let variables = ["IMAGGA_API_KEY", "RESCI_API_KEY", "IMAGIOR_TOKEN", "IMAGINE_TOKEN", "HUB_KEY", "HUB_SECRET"];
    let variables = variables.iter().chain(&["HUB_BASIC_KEY", "HUB_BASIC_SECRET", "BILLING_KEY", "BILLING_OLD_KEY"]);
    let variables: Vec<String> = variables.map(|name| format!("env:{name}")).collect();
    given.extend(variables.iter().map(|name| (name.as_str(), &b"value"[..])));
    let example = parse(&text, &given).unwrap_or_else(|error| panic!("{error}"));
    let default = accept(GOOD);

    assert_eq!(example.server.drain, default.server.drain);
    assert_eq!(example.server.header_timeout, default.server.header_timeout);
    assert_eq!(example.server.body_timeout, default.server.body_timeout);
    assert_eq!(example.server.keep_alive, default.server.keep_alive);
    assert_eq!(example.server.max_buffered, default.server.max_buffered);
    assert_eq!(example.browser.allow_origins, default.browser.allow_origins);
    assert_eq!(example.listeners[0].name, default.listeners[0].name);
    assert_eq!(example.listeners[0].address, default.listeners[0].address);
    let socket = ListenAddress::Unix { path: PathBuf::from("/run/sidekey/tags.sock"), mode: 0o600 };
    assert_eq!(example.listeners[1].address, socket);
    assert!(example.listeners[2].asks_certificates() && default.listeners[0].tls.is_none());
    let names: Vec<&str> = example.upstreams.iter().map(|upstream| &*upstream.name).collect();
    assert_eq!(names, ["imagga", "resci", "imagior", "imagine", "hub", "hub-basic", "billing"]);
    assert_eq!(example.listeners[1].upstream, Some(0));
    let schemes: Vec<&str> =
        example.upstreams.iter().map(|upstream| upstream.credentials.at(Which::Main).unwrap().scheme()).collect();
    assert_eq!(schemes, ["basic", "api-key", "bearer", "bearer", "hmac", "basic", "api-key"]);
    assert_eq!(example.upstreams[3].strip, ["bearer"]);
    assert_eq!(example.upstreams[4].origin.to_string(), "https://eu.app.api.sinch.com");
    let presets: Vec<_> = example.upstreams.iter().filter_map(|upstream| upstream.preset).map(|p| p.name).collect();
    assert!(super::preset::names().all(|name| presets.contains(&name)));
    let (billing, plain) = (&example.upstreams[6], &default.upstreams[0]);
    assert_eq!(format!("{:?}", billing.timeouts), format!("{:?}", plain.timeouts));
    assert_eq!(format!("{:?}", billing.pool), format!("{:?}", plain.pool));
    assert_eq!((&billing.fallback_on, billing.replay_buffer), (&plain.fallback_on, plain.replay_buffer));
    assert!(plain.retry.is_none() && plain.breaker.is_none() && !plain.credentials.are_two());
    let defaults = accept(&format!("{GOOD}retry = {{}}\nbreaker = {{}}\n"));
    assert_eq!((&billing.retry, &billing.breaker), (&defaults.upstreams[0].retry, &defaults.upstreams[0].breaker));
    assert_eq!(billing.tls.extra_roots.len(), 1);
    assert_eq!((billing.obey_retry_after, plain.obey_retry_after), (false, false));
    assert!(billing.tls.server_name.is_some() && billing.tls.client.is_some());
    assert_eq!(example.upstreams[4].credentials.sign_body(), Some(10 << 20));
    assert_eq!((billing.mode, plain.mode), (Mode::Enforce, Mode::Enforce));
    assert!(billing.rules.are_in_force() && !plain.rules.are_in_force());
    let callers: Vec<_> =
        example.callers.iter().map(|caller| (&*caller.name, caller.token.is_some(), caller.uid)).collect();
    assert_eq!(callers, [("shop", true, None), ("reports", false, Some(1001)), ("desk", false, None)]);
}

#[test]
fn what_is_written_is_what_is_had() {
    let config = accept(
        "[server]\nworkers = 3\ndrain = '0s'\n[listen.b]\naddress = '[::1]:0'\nnames = ['Proxy.Test', '10.0.0.1']\nupstream = 'two'\n\
         [listen.a]\naddress = 'unix:/x/y'\nmode = '0660'\n\
         [upstream.two]\nurl = 'http://127.0.0.1:81'\nauth.bearer.token = 'env:KEY'\nhosts = ['A.Test', '[::2]']\n\
         timeouts.idle = '250ms'\npool = { max_idle = 0, idle = '1h' }\n\
         [upstream.one]\npreset = 'imagior'\nauth = { bearer = { token = 'env:KEY' } }\n\
         [upstream.plain]\nurl = 'http://c.test'\nallow_plaintext = true\nauth.bearer.token = 'env:KEY'\n",
    );
    assert_eq!((config.server.workers, config.server.drain), (NonZeroUsize::new(3), Duration::ZERO));
    let listeners: Vec<&str> = config.listeners.iter().map(|listener| &*listener.name).collect();
    assert_eq!(listeners, ["b", "a"]);
    assert_eq!(config.listeners[0].names, ["proxy.test".into(), "10.0.0.1".into()]);
    assert_eq!(config.listeners[0].upstream, Some(0));
    assert_eq!(config.listeners[1].address, ListenAddress::Unix { path: "/x/y".into(), mode: 0o660 });
    let names: Vec<&str> = config.upstreams.iter().map(|upstream| &*upstream.name).collect();
    assert_eq!(names, ["two", "one", "plain"]);
    assert_eq!(config.upstreams[0].hosts, ["a.test".into(), "[::2]".into()]);
    assert_eq!(config.upstreams[0].timeouts.idle, Duration::from_millis(250));
    assert_eq!((config.upstreams[0].pool.max_idle, config.upstreams[0].pool.idle), (0, Duration::from_secs(3600)));
    assert_eq!(config.upstreams[1].origin.to_string(), "https://api.imagior.com");
}

#[test]
fn an_upstream_that_is_sidekey_itself_is_refused() {
    for (address, url) in [
        ("127.0.0.1:8081", "http://localhost:8081"),
        ("127.0.0.1:8081", "http://127.0.0.1:8081"),
        ("0.0.0.0:8081", "https://x.localhost:8081"),
        ("[::1]:8081", "http://[::1]:8081"),
    ] {
        let text = format!(
            "[listen.a]\naddress = '{address}'\ndangerously_open = true\n[upstream.b]\nurl = '{url}'\nauth.bearer.token = 'env:KEY'\n"
        );
        let told = refuse(&text);
        assert!(told.contains("the URL leads to `listen.a`: sidekey would call itself"), "{told}");
        accept(&text.replace(&format!("url = '{url}'"), "url = 'http://127.0.0.1:8082'"));
    }
}

#[test]
fn unknown_keys_and_sections_are_refused_with_what_was_meant() {
    for (text, told) in [
        ("[serve]\n", "1:2 serve: unknown key (did you mean `server`?)"),
        (
            "[metrics]\n",
            "1:2 metrics: unknown key (known here: `admin`, `browser`, `caller`, `listen`, `log`, `reload`, `server`, `upstream`)",
        ),
        ("[server]\nworker = 1\n", "2:1 server.worker: unknown key (did you mean `workers`?)"),
        ("[listen.a]\naddress = '127.0.0.1:1'\nname = []\n", "3:1 listen.a.name: unknown key (did you mean `names`?)"),
        (
            "[server]\n\"a \\n.b\" = 1\n",
            "2:1 server.\"a \\n.b\": unknown key (known here: `body_timeout`, `drain`, `drain_delay`, `header_timeout`, `hosts_file`, `keep_alive`, `max_buffered`, `max_connections`, `nameservers`, `workers`, `write_timeout`)",
        ),
    ] {
        assert_eq!(refuse(&format!("{text}{GOOD}")), told);
    }
    let of_upstream = |line: &str| refuse(&format!("{GOOD}{line}\n"));
    assert_eq!(of_upstream("host = []"), "4:1 upstream.good.host: unknown key (did you mean `hosts`?)");
    assert_eq!(
        of_upstream("tls.ca = 'x'"),
        "4:5 upstream.good.tls.ca: unknown key (known here: `ca_file`, `client_cert`, `client_key`, `server_name`)"
    );
    assert_eq!(
        of_upstream("pool.max_idel = 1"),
        "4:6 upstream.good.pool.max_idel: unknown key (did you mean `max_idle`?)"
    );
    assert_eq!(
        of_upstream("auth.bearer.tokn = 1"),
        "4:13 upstream.good.auth.bearer.tokn: unknown key (did you mean `token`?)"
    );
}

#[test]
fn an_upstream_is_an_origin_and_safe() {
    let url = |url: &str| refuse(&GOOD.replace("https://good.test", url));
    for wrong in [
        "https://a.test/v2",
        "https://u:p@a.test",
        "https://a.test?x",
        "a.test",
        "ftp://a.test",
        "https://a.test:0",
        "https://",
        "",
    ] {
        assert!(url(wrong).starts_with("2:7 upstream.good.url: "), "{wrong}");
    }
    let plaintext = url("http://a.test");
    assert!(
        plaintext.starts_with("2:7 upstream.good.url: an `http://` URL would send the credential in the clear"),
        "{plaintext}"
    );
    assert!(plaintext.ends_with("(use `https://`, or say `allow_plaintext = true`)"), "{plaintext}");
    for loopback in ["http://localhost:1", "http://127.0.0.2", "http://[::1]:81"] {
        accept(&GOOD.replace("https://good.test", loopback));
    }
    let with_tls = format!("{GOOD}tls.server_name = 'a.test'\n").replace("https://good.test", "http://localhost");
    assert_eq!(refuse(&with_tls), "4:1 upstream.good.tls: an `http://` URL has no TLS");
}

#[test]
fn an_upstream_has_an_origin_and_one_scheme() {
    assert_eq!(
        refuse("[upstream.a]\n"),
        "1:1 upstream.a: expected a `preset` or a `url` (the presets are `imagga`, `resci`, `imagior`, `imagine`, `messagemedia`)\n\
         1:1 upstream.a.auth: missing: expected one scheme, as `auth.SCHEME = { … }`; the schemes are `basic`, `bearer`, `api-key`, `hmac`"
    );
    assert_eq!(
        refuse("[upstream.a]\npreset = 'imagga'\nauth = {}\n"),
        "3:8 upstream.a.auth: expected one scheme of `basic`"
    );
    let two = "auth.bearer.token = 'env:KEY'\nauth.api-key.key = 'env:KEY'\n";
    assert_eq!(
        refuse(&format!("[upstream.a]\nurl = 'https://a.test'\n{two}")),
        "4:6 upstream.a.auth.api-key: a second scheme, where an upstream has one (`bearer` is the first; two upstreams may have one URL)"
    );
    assert_eq!(
        refuse("[upstream.a]\npreset = 'messagemedia'\nauth.bearer.token = 'env:KEY'\n"),
        "3:6 upstream.a.auth.bearer: the vendor of preset `messagemedia` does not know this scheme (it knows `basic`, `hmac`)"
    );
    assert_eq!(
        refuse("[upstream.a]\nurl = 'https://a.test'\nauth = 'env:KEY'\n"),
        "3:8 upstream.a.auth: expected a table"
    );
}

#[test]
fn a_config_without_an_upstream_is_refused() {
    for text in ["", "[server]\n", "[upstream]\n"] {
        assert!(refuse(text).starts_with("-: there is no upstream, so nothing to be a proxy for"), "{text}");
    }
}

#[test]
fn listeners_have_addresses_of_their_own() {
    let listen = |listeners: &str| refuse(&format!("{listeners}{GOOD}"));
    assert_eq!(
        listen("[listen.a]\n"),
        "1:1 listen.a.address: missing: expected an address, `IP:PORT`, `unix:/PATH` or `systemd:NAME`"
    );
    for (address, hint) in [
        ("127.0.0.1", "the port is missing"),
        ("localhost", "the port is missing"),
        (":80", "such as `127.0.0.1:8080`, or `[::1]:8080`"),
    ] {
        let told = listen(&format!("[listen.a]\naddress = '{address}'\n"));
        assert_eq!(
            told,
            format!("2:11 listen.a.address: expected an address, `IP:PORT`, `unix:/PATH` or `systemd:NAME` ({hint})")
        );
    }
    let long = "x".repeat(108);
    for address in ["systemd:", "systemd:a:b", "systemd:é", "unix:", "unix:\t", &format!("unix:/{long}")] {
        assert!(listen(&format!("[listen.a]\naddress = '{address}'\n")).starts_with("2:11 listen.a.address: "));
    }
    let two = |address: &str| format!("[listen.a]\naddress = '{address}'\n[listen.b]\naddress = '{address}'\n");
    assert_eq!(listen(&two("127.0.0.1:1")), "4:11 listen.b.address: `listen.a` has this address already");
    assert_eq!(listen(&two("systemd:x")), "4:11 listen.b.address: `listen.a` has this address already");
    assert_eq!(listen(&two("unix:/x")), "4:11 listen.b.address: `listen.a` has this address already");
    accept(&format!("{}{GOOD}", two("127.0.0.1:0")));
    assert_eq!(
        listen("[listen.a]\naddress = '127.0.0.1:1'\nmode = '0600'\n"),
        "3:8 listen.a.mode: only a `unix:` socket has a mode"
    );
    assert_eq!(
        listen("[listen.a]\naddress = 'systemd:x'\nmode = '0600'\n"),
        "3:8 listen.a.mode: only a `unix:` socket has a mode (the socket's unit says `SocketMode=`)"
    );
    for mode in ["'600x'", "'0800'", "'1777'", "''", "'06600'", "0o600", "600"] {
        let told = listen(&format!("[listen.a]\naddress = 'unix:/x'\nmode = {mode}\n"));
        assert!(told.starts_with("3:8 listen.a.mode: expected a mode"), "{told}");
    }
}

#[test]
fn a_wrong_type_or_a_senseless_value_is_refused() {
    let server = |line: &str| refuse(&format!("[server]\n{line}\n{GOOD}"));
    assert_eq!(
        server("drain = 25"),
        "2:9 server.drain: expected a duration such as `250ms`, `25s`, `5m` or `1h`, found an integer"
    );
    assert_eq!(server("drain = '25'"), "2:9 server.drain: expected a duration such as `250ms`, `25s`, `5m` or `1h`");
    assert_eq!(server("keep_alive = '0s'"), "2:14 server.keep_alive: expected a duration of more than zero");
    for workers in ["0", "-1", "1025", "99999999999999999999"] {
        assert_eq!(
            server(&format!("workers = {workers}")),
            "2:11 server.workers: expected a whole number from 1 to 1024"
        );
    }
    assert_eq!(
        server("workers = true"),
        "2:11 server.workers: expected a whole number from 1 to 1024, found a boolean"
    );
    assert_eq!(refuse(&format!("server = 3\n{GOOD}")), "1:10 server: expected a table, found an integer");
    assert!(
        refuse(&format!("{GOOD}[upstream.good.timeouts]\nidle = 1.5")).contains("timeouts.idle: expected a duration")
    );
    let of_upstream = |line: &str| refuse(&format!("{GOOD}{line}\n"));
    assert_eq!(of_upstream("hosts = 'a.test'"), "4:9 upstream.good.hosts: expected a list of host names");
    assert_eq!(
        of_upstream("hosts = ['a.test', 3]"),
        "4:20 upstream.good.hosts[1]: expected a string, found an integer"
    );
    assert_eq!(
        of_upstream("allow_plaintext = 'yes'"),
        "4:19 upstream.good.allow_plaintext: expected `true` or `false`"
    );
    assert!(refuse("[[upstream]]\nurl = 'https://a.test'\n").starts_with("-: there is no upstream"));
    let hmac =
        "[upstream.a]\nurl = 'https://a.test'\n[upstream.a.auth.hmac]\nusername = 'env:KEY'\nsecret = 'env:KEY'\n";
    assert_eq!(
        refuse(&format!("{hmac}algorithm = 'hmac-sha265'\n")),
        "6:13 upstream.a.auth.hmac.algorithm: expected one of `hmac-sha1`, `hmac-sha256`, `hmac-sha384`, `hmac-sha512` (did you mean `hmac-sha256`?)"
    );
    assert_eq!(
        refuse(&format!("{hmac}max_signed_body = '0B'\n")),
        "6:19 upstream.a.auth.hmac.max_signed_body: expected a size of more than zero"
    );
}

#[test]
fn all_problems_are_told_at_once_in_the_order_of_the_file() {
    let text = "[upstream.imagga]\npreset = \"imagga\"\nurl = \"https://x/y\"\nauth.basic = { username = \"env:KEY\", password = \"hunter2\" }\n[server]\nworker = 1\n";
    let Err(error) = parse(text, &KEY) else { panic!("it was not refused") };
    let expected = "\
error: 3 problems in sidekey.toml
  sidekey.toml:3:7   `upstream.imagga.url`: a path or query in the URL: an upstream is an origin, and the path comes from the request
  sidekey.toml:4:49  `upstream.imagga.auth.basic.password`: expected a secret reference: `env:NAME`, `file:PATH`, `credential:NAME` or `command:[…]`
                     hint: put the value in a file or an environment variable and name it here
  sidekey.toml:6:1   `server.worker`: unknown key
                     hint: did you mean `workers`?";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn next_to_a_syntax_error_only_what_cannot_be_its_effect_is_told() {
    let text = "[server]\nworkers = 0\ncolour = 1\n[upstream.a]\nurl = hunter2\nauth.bearer = { token = 'hunter2' }\n";
    assert_eq!(
        refuse(text),
        "2:11 server.workers: expected a whole number from 1 to 1024\n\
         5:7: expected a value (a text stands in quotes: `key = \"text\"`)\n\
         6:25 upstream.a.auth.bearer.token: expected a secret reference: `env:NAME`, `file:PATH`, `credential:NAME` or `command:[…]` (put the value in a file or an environment variable and name it here)"
    );
}

#[test]
fn a_file_that_cannot_be_read_is_said_to_be_so() {
    let folder = tempfile::tempdir().unwrap();
    let told = |path: &Path| Config::load(path).err().unwrap().problems()[0].clone();
    assert_eq!(told(&folder.path().join("absent.toml")).message(), "there is no such file");
    assert_eq!(told(folder.path()).message(), "expected a file, found a directory");
    let path = folder.path().join("latin1.toml");
    std::fs::write(&path, b"a = 1\n# \xe4\n").unwrap();
    assert_eq!(told(&path).message(), "not UTF-8, as TOML has to be");
    assert_eq!(told(&path).position().unwrap().to_string(), "2:3");
}
