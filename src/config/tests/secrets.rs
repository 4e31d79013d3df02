//! Secrets, and the files that hold them: read where they are, refused where they could not serve, shown nowhere.

use rcgen::KeyPair;

use super::{GOOD, KEY, identity, parse, refuse, refuse_with};
use crate::config::{Config, Scrub};

#[test]
fn a_secret_too_short_to_be_scrubbed_is_warned_of() {
    let warning = "`upstream.good`: a secret of fewer than 6 bytes is not looked for in answers by itself";
    let config = parse(&format!("{GOOD}scrub = 'body'"), &[("env:KEY", b"5byte")]).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!((config.warnings(), config.upstreams[0].scrub), (&[warning.to_owned()][..], Scrub::Body));
    let config = parse(GOOD, &[("env:KEY", b"6bytes")]).unwrap_or_else(|error| panic!("{error}"));
    assert!(config.warnings().is_empty());
}

#[test]
fn a_secret_is_a_reference_that_leads_somewhere() {
    let token = |text: &str, given: &[(&str, &[u8])]| refuse_with(&GOOD.replace("env:KEY", text), given);
    const EXPECTED: &str = "3:21 upstream.good.auth.bearer.token: expected a secret reference: `env:NAME`, `file:PATH`, `credential:NAME` or `command:[…]`";
    assert_eq!(
        token("hunter2", &KEY),
        format!("{EXPECTED} (put the value in a file or an environment variable and name it here)")
    );
    assert_eq!(
        token("env:hunter-2", &KEY),
        format!("{EXPECTED} (what follows `env:` is a name of letters, digits and `_`)")
    );
    assert_eq!(token("file:", &KEY), format!("{EXPECTED} (what follows `file:` is the path of a file)"));
    assert_eq!(
        token("credential:a/b", &KEY),
        format!("{EXPECTED} (what follows `credential:` is the name of a file in `$CREDENTIALS_DIRECTORY`)")
    );
    assert_eq!(
        token("command:hunter2", &KEY),
        format!("{EXPECTED} (a program and its arguments, as `'command:[\"PROGRAM\", \"ARGUMENT\"]'`)")
    );
    let place = "3:21 upstream.good.auth.bearer.token:";
    assert_eq!(token("env:NO", &KEY), format!("{place} `env:NO` is not set"));
    assert_eq!(token("file:a/b", &KEY), format!("{place} `file:a/b` does not exist"));
    assert_eq!(token("env:NO", &[("env:NO", b"")]), format!("{place} `env:NO` is empty"));
    assert!(
        refuse("[upstream.a]\nurl = 'https://a.test'\nauth.bearer = {}\n")
            .starts_with("3:15 upstream.a.auth.bearer.token: missing")
    );
}

#[test]
fn a_command_is_a_text_or_a_table_and_its_arguments_are_not_shown() {
    let given: [(&str, &[u8]); 1] = [("command:[\"op\",\"read\",\"hunter2\"]", b"k3y-k3y\n")];
    let with = |token: &str| GOOD.replace("'env:KEY'", token);
    for token in [
        "'command:[\"op\", \"read\", \"hunter2\"]'",
        "{ command = ['op', 'read', 'hunter2'] }",
        "{ command = ['op', 'read', 'hunter2'], ttl = '1h', timeout = '1s' }",
    ] {
        parse(&with(token), &given).unwrap_or_else(|error| panic!("{token}: {error}"));
        assert_eq!(
            refuse_with(&with(token), &KEY),
            "3:21 upstream.good.auth.bearer.token: `command:[\"op\", …]` cannot be started: there is no such program"
        );
    }
    let token = "upstream.good.auth.bearer.token";
    for (written, told) in [
        ("{ ttl = '5m' }", format!("3:21 {token}.command: missing: expected a list of a program and its arguments")),
        ("{ command = 'op' }", format!("3:33 {token}.command: expected a list of a program and its arguments")),
        ("{ command = ['op', 'read', 'hunter2'], ttl = '0s' }", {
            format!("3:66 {token}.ttl: expected a duration of more than zero")
        }),
        ("{ command = ['op', 'read', 'hunter2'], tll = '1s' }", {
            format!("3:60 {token}.tll: unknown key (did you mean `ttl`?)")
        }),
    ] {
        assert_eq!(refuse_with(&with(written), &given), told);
    }
    let empty = refuse_with(&with("{ command = [] }"), &given);
    assert!(
        empty.starts_with(&format!("3:33 {token}.command: expected a list of a program and its arguments (")),
        "{empty}"
    );
}

#[test]
fn certificates_and_keys_are_tried() {
    let (certificate, key) = identity();
    let other_key = KeyPair::generate().unwrap().serialize_pem();
    let given: Vec<(&str, &[u8])> = vec![
        ("env:KEY", b"k3y"),
        ("file:cert", certificate.as_bytes()),
        ("file:key", key.as_bytes()),
        ("file:other", other_key.as_bytes()),
        ("file:none", b"nothing\n"),
        ("file:broken", b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n"),
        ("file:malformed", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
    ];
    let tls = |tls: &str| refuse_with(&format!("{GOOD}tls = {{ {tls} }}\n"), &given);
    for (file, told) in [
        ("absent", "the file does not exist"),
        ("none", "the file holds no certificate (a certificate starts with `-----BEGIN CERTIFICATE-----`)"),
        ("broken", "the file is not valid PEM"),
        ("malformed", "a certificate in the file is malformed"),
        ("key", "the file holds no certificate (a certificate starts with `-----BEGIN CERTIFICATE-----`)"),
    ] {
        assert_eq!(tls(&format!("ca_file = '{file}'")), format!("4:19 upstream.good.tls.ca_file: {told}"));
    }
    assert_eq!(
        tls("client_cert = 'cert'"),
        "4:7 upstream.good.tls.client_key: missing: expected the key of `client_cert`, as `env:NAME`, `file:PATH`, `credential:NAME` or `command:[…]`"
    );
    assert_eq!(
        tls("client_key = 'file:key'"),
        "4:7 upstream.good.tls.client_cert: missing: expected the path of the certificate for `client_key`"
    );
    let client_key = |reference: &str| tls(&format!("client_cert = 'cert', client_key = '{reference}'"));
    let place = "4:44 upstream.good.tls.client_key:";
    assert_eq!(client_key("file:other"), format!("{place} it is not the key of the certificate in `client_cert`"));
    assert!(client_key("file:none").starts_with(&format!("{place} it holds no private key in PEM")));
    assert!(client_key("key").starts_with(&format!("{place} expected a secret reference")));
    assert_eq!(tls("server_name = 'a b'"), "4:23 upstream.good.tls.server_name: expected a host name or address");
}

#[test]
fn files_are_relative_to_the_config_and_open_ones_are_warned_of() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let (config, secret) = (folder.path().join("sidekey.toml"), folder.path().join("key"));
    std::fs::write(&secret, "k3y-k3y\n").unwrap();
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o644)).unwrap();
    std::fs::write(&config, GOOD.replace("env:KEY", "file:key")).unwrap();
    let config = Config::load(&config).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(config.warnings(), ["`file:key` can be read by every user of this machine (mode 0644)"]);
}

/// Every place where a value can stand, each with a canary that is wrong there.
const CANARIES: &str = "
top = 'canary'
[server]
workers = 'canary'
drain = 'canary'
header_timeout = ['canary']
keep_alive = { x = 'canary' }
[listen.a]
address = 'canary'
mode = 'canary'
names = ['canary/', { x = 'canary' }]
upstream = 'canary'
[listen.b]
address = 'unix:/canary'
mode = 'canary'
upstream = 'canary'
[upstream.a]
preset = 'canary'
url = 'https://canary:canary@canary.test/canary'
hosts = ['canary:1', 'canary', 'canary']
allow_plaintext = 'canary'
auth.basic = { username = 'canary', password = 'canary' }
auth.bearer = { token = 'env:canary!!' }
auth.api-key = { key = 'canary', header = 'canary canary', prefix = 'canary\u{e4}' }
auth.hmac = { username = 'canary', secret = \"file:\\u0000\\u0000canary\", algorithm = 'canary', headers = ['canary@', 'canary', 'canary'], max_signed_body = 'canary' }
auth.other = 'canary'
auth.another = { x = 'canary' }
tls = { ca_file = 'canary', server_name = 'canary canary', client_cert = 'canary', client_key = 'canary' }
timeouts = { lookup = 'canary', connect = 'canary', tls = 'canary', response = 'canary', idle = 'canary' }
pool = { idle = 'canary', max_idle = 'canary' }
[upstream.b]
url = 'http://canary.test'
hosts = ['canary']
auth = 'canary'
tls = 'canary'
[upstream.c]
url = 'canary'
auth.bearer = 'canary'
[upstream.d]
url = 'https://d.test'
auth.bearer.token = { command = ['op', 'canary'], ttl = 'canary', timeout = 'canary', x = 'canary' }
[upstream.e]
url = 'https://e.test'
auth.basic = { username = 'command:[\"op\", \"canary\"]', password = 'credential:/canary/' }
";

#[test]
fn no_message_holds_a_value() {
    let Err(error) = parse(CANARIES, &[]) else { panic!("it was not refused") };
    assert!(error.problems().len() > 40, "{error}");
    assert!(!error.to_string().contains("canary"), "{error}");
    assert!(!format!("{error:?}").contains("canary"));
}

#[test]
fn no_message_holds_a_value_of_a_file_that_is_not_toml() {
    // Cut off before, or without, each character that gives it its structure: quotes, brackets, line ends.
    for (offset, gone) in CANARIES.char_indices().filter(|(_, gone)| gone.is_ascii_punctuation() || *gone == '\n') {
        let (before, after) = CANARIES.split_at(offset);
        let after = after.strip_prefix(gone).unwrap();
        for text in [before.to_owned(), format!("{before}{after}")] {
            if let Err(error) = parse(&text, &[]) {
                assert!(!error.to_string().contains("canary"), "without {offset} of\n{text}\n{error}");
            }
        }
    }
}
