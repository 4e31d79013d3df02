//! TLS of listeners, and callers that are known by a certificate.

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, date_time_ymd};

use super::{Config, GOOD, parse, refuse_with};

/// The files: a certificate, its key, another key, one that is out of date, and a CA.
struct Files(Vec<(&'static str, String)>);

impl Files {
    fn new() -> Self {
        let (key, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let mut params = CertificateParams::new(["x.test".to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap().pem();
        (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
        let expired = params.self_signed(&key).unwrap().pem();
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(vec![
            ("env:KEY", "k3y-k3y".to_owned()),
            ("env:TOKEN", "0123456789abcdef".to_owned()),
            ("file:cert", certificate),
            ("file:key", key.serialize_pem()),
            ("file:other", other.serialize_pem()),
            ("file:expired", expired),
            ("file:ca", authority.self_signed(&other).unwrap().pem()),
            ("file:none", "nothing\n".to_owned()),
        ])
    }

    fn given(&self) -> Vec<(&str, &[u8])> {
        self.0.iter().map(|(name, text)| (*name, text.as_bytes())).collect()
    }

    fn accept(&self, text: &str) -> Config {
        parse(&format!("{text}{GOOD}"), &self.given()).unwrap_or_else(|error| panic!("{text}\n{error}"))
    }

    fn refuse(&self, text: &str) -> String {
        refuse_with(&format!("{text}{GOOD}"), &self.given())
    }
}

fn listener(address: &str, tls: &str) -> String {
    format!("[listen.a]\naddress = '{address}'\ntls = {{ {tls} }}\n")
}

const WHOLE: &str = "cert = 'cert', key = 'file:key'";
const ASKING: &str = "cert = 'cert', key = 'file:key', client_ca = 'ca'";

#[test]
fn any_kind_of_listener_may_have_tls() {
    let files = Files::new();
    for address in ["127.0.0.1:0", "unix:a.sock", "systemd:a"] {
        let config = files.accept(&listener(address, WHOLE));
        assert!(config.listeners[0].tls.is_some() && !config.listeners[0].asks_certificates());
        assert_eq!(config.warnings(), [""; 0]);
    }
    assert!(files.accept(&listener("127.0.0.1:0", ASKING)).listeners[0].asks_certificates());
}

#[test]
fn what_could_not_serve_is_refused_where_it_stands() {
    let files = Files::new();
    let refuse = |tls: &str| files.refuse(&listener("127.0.0.1:0", tls));
    for (tls, told) in [
        ("", "3:7 listen.a.tls.cert: missing: expected the path of the certificate"),
        ("cert = 'cert'", "3:7 listen.a.tls.key: missing: expected the key of `cert`"),
        ("key = 'file:key'", "3:7 listen.a.tls.cert: missing: expected the path of the certificate for `key`"),
        ("cert = 'cert', key = 'file:other'", "listen.a.tls.key: it is not the key of the certificate in `cert`"),
        ("cert = 'cert', key = 'file:none'", "listen.a.tls.key: it holds no private key in PEM"),
        ("cert = 'cert', key = 'key'", "listen.a.tls.key: expected a secret reference"),
        ("cert = 'none', key = 'file:key'", "listen.a.tls.cert: the file holds no certificate"),
        ("cert = 'absent', key = 'file:key'", "listen.a.tls.cert: the file does not exist"),
        (
            "cert = 'cert', key = 'file:key', client_ca = 'none'",
            "listen.a.tls.client_ca: the file holds no certificate",
        ),
        ("cert = 'cert', key = 'file:key', ca = 'ca'", "listen.a.tls.ca: unknown key"),
    ] {
        let report = refuse(tls);
        assert!(report.contains(told), "{tls}\n{report}");
        assert!(!report.contains("BEGIN PRIVATE") || report.contains("a key starts with"), "{report}");
    }
    // Both are missed at once.
    assert_eq!(refuse("").lines().count(), 2, "{}", refuse(""));
    assert!(
        files.refuse("[listen.a]\naddress = '127.0.0.1:0'\ntls = true\n").contains("listen.a.tls: expected a table")
    );
}

#[test]
fn a_certificate_that_is_out_of_date_is_warned_of() {
    let config = Files::new().accept(&listener("127.0.0.1:0", "cert = 'expired', key = 'file:key'"));
    let told = "`listen.a.tls`: the certificate has expired at 2021-01-01";
    assert!(matches!(config.warnings(), [warning] if warning.starts_with(told)), "{:?}", config.warnings());
}

#[test]
fn whoever_asks_for_certificates_is_not_open_to_anyone() {
    let files = Files::new();
    assert!(files.accept(&listener("0.0.0.0:1", ASKING)).open_to_anyone().is_none());
    let report = files.refuse(&listener("0.0.0.0:1", WHOLE));
    assert!(report.contains("other machines may reach this address"), "{report}");
    // Of systemd's sockets it is known when they are there.
    for (tls, open) in [(WHOLE, true), (ASKING, false)] {
        let mut config = files.accept(&listener("systemd:a", tls));
        config.listeners[0].open = true;
        assert_eq!(config.open_to_anyone().is_some(), open, "{tls}");
    }
}

#[test]
fn a_caller_that_needs_a_certificate_has_a_listener_that_asks_for_one() {
    let files = Files::new();
    let caller = "[caller.x]\nclient_cert = ['app.example']\nupstreams = ['good']\n";
    let told = "2:15 caller.x.client_cert: no listener asks for certificates";
    for listeners in [String::new(), listener("127.0.0.1:0", WHOLE)] {
        assert!(files.refuse(&format!("{caller}{listeners}")).starts_with(told));
    }
    let config = files.accept(&format!("{caller}{}", listener("127.0.0.1:0", ASKING)));
    assert_eq!(config.callers[0].client_cert.len(), 1);
}

#[test]
fn a_name_of_a_certificate_is_exact_and_one_callers() {
    let files = Files::new();
    let refuse = |callers: &str| files.refuse(&format!("{callers}{}", listener("127.0.0.1:0", ASKING)));
    let caller = |name: &str, more: &str| format!("[caller.{name}]\n{more}\nupstreams = ['good']\n");
    for (names, told) in [
        ("[]", "caller.x.client_cert: expected a list of names"),
        ("['*.example']", "caller.x.client_cert[0]: expected a DNS name, or a URI"),
        ("['app.example', '10.0.0.1']", "caller.x.client_cert[1]: expected a DNS name, or a URI"),
        ("'app.example'", "caller.x.client_cert: expected a list of names"),
    ] {
        let report = refuse(&caller("x", &format!("client_cert = {names}")));
        assert!(report.contains(told) && report.lines().count() == 1, "{names}\n{report}");
    }
    let first = caller("x", "client_cert = ['a.example', 'b.example']");
    let twin = refuse(&format!("{first}{}", caller("y", "client_cert = ['B.example']")));
    assert!(twin.contains("caller.y: `caller.x` is known by a name of the same certificate"), "{twin}");
    let told_apart = caller("y", "token = 'env:TOKEN'\nclient_cert = ['b.example']");
    files.accept(&format!("{first}{told_apart}{}", listener("127.0.0.1:0", ASKING)));
}
