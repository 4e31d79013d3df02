//! `check`, `demo`, `completions`, and what is said of a config that is wrong.

use std::path::Path;

use crate::support::{Ended, command};

const SECRET: &str = "sup3rs3cretvalue";

/// Everything that can be wrong at once; every value that could be a secret holds [`SECRET`].
const WRONG: &str = r#"
[server]
drain = "25 sup3rs3cretvalue"
wrokers = 2

[listen.local]
address = "127.0.0.1"
upstream = "nobody"

[upstream.imagga]
preset = "imagga"
auth.basic = { username = "sup3rs3cretvalue", password = "file:absent" }

[upstream.resci]
preset = "resci"
auth.bearer = { token = "env:SIDEKEY_TEST_ABSENT" }

[upstream.billing]
url = "http://billing.example.com/path"
auth.api-key = { key = "file:empty", header = "x-api-key" }
hosts = ["same.example"]

[upstream.other]
url = "https://user:sup3rs3cretvalue@other.example"
auth.bearer = { token = "file:prefixed" }
hosts = ["same.example"]
"#;

fn run_with(folder: &Path, arguments: &[&str]) -> Ended {
    let file = folder.join("sidekey.toml");
    command(&[arguments, &["--config", file.to_str().unwrap()]].concat())
}

fn wrong() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("sidekey.toml"), WRONG).unwrap();
    std::fs::write(folder.path().join("empty"), "\n").unwrap();
    std::fs::write(folder.path().join("prefixed"), format!("Bearer {SECRET}")).unwrap();
    folder
}

#[test]
fn a_wrong_config_starts_nothing_and_every_problem_is_told() {
    let folder = wrong();
    for arguments in [&["run"][..], &["run", "--log-format", "json"], &["check"]] {
        let ended = run_with(folder.path(), arguments);
        assert_eq!(ended.code, Some(78), "{ended:?}");
        assert!(ended.stdout.is_empty(), "{ended:?}");
        let report = &ended.stderr;
        for (line, key) in [
            (3, "server.drain"),
            (4, "server.wrokers"),
            (7, "listen.local.address"),
            (8, "listen.local.upstream"),
            (12, "upstream.imagga.auth.basic.username"),
            (12, "upstream.imagga.auth.basic.password"),
            (16, "upstream.resci.auth.bearer"),
            (19, "upstream.billing.url"),
            (20, "upstream.billing.auth.api-key.key"),
            (24, "upstream.other.url"),
            (25, "upstream.other.auth.bearer.token"),
            (26, "upstream.other.hosts"),
        ] {
            let place = format!("sidekey.toml:{line}:");
            let told = report.lines().any(|told| told.contains(&place) && told.contains(key));
            assert!(told, "line {line}, `{key}`: {report}");
        }
        assert!(report.contains("did you mean `workers`?"), "{report}");
        assert!(!report.contains(SECRET), "{report}");
    }
}

#[test]
fn a_secret_that_cannot_be_had_is_told_by_its_reference() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("empty"), "").unwrap();
    std::fs::write(at("breaks"), format!("{SECRET}\r\nX-Injected: 1")).unwrap();
    for reference in ["env:SIDEKEY_TEST_ABSENT", "file:absent", "file:empty", "file:breaks", "file:."] {
        let config =
            format!("[upstream.api]\nurl = \"https://api.example\"\nauth.bearer = {{ token = \"{reference}\" }}\n");
        std::fs::write(at("sidekey.toml"), config).unwrap();
        let ended = run_with(folder.path(), &["run"]);
        assert_eq!(ended.code, Some(78), "{reference}: {ended:?}");
        assert!(ended.stderr.contains(reference), "{reference}: {ended:?}");
        assert!(ended.stderr.contains("sidekey.toml:3:"), "{reference}: {ended:?}");
        assert!(!ended.stderr.contains(SECRET) && !ended.stderr.contains("Injected"), "{ended:?}");
    }
}

#[test]
fn a_config_that_is_not_there_or_no_toml_is_78_too() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(run_with(folder.path(), &["run"]).code, Some(78));
    let literal = format!("[upstream.api\nauth = \"{SECRET}\n= \"{SECRET}\"");
    for text in [literal.as_str(), "", "\u{0}", "[upstream]"] {
        std::fs::write(folder.path().join("sidekey.toml"), text).unwrap();
        let ended = run_with(folder.path(), &["check"]);
        assert_eq!(ended.code, Some(78), "{text:?}: {ended:?}");
        assert!(!ended.stderr.contains(SECRET), "{ended:?}");
    }
}

#[test]
fn check_says_what_a_right_config_amounts_to() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("token"), SECRET).unwrap();
    let config = "[upstream.api]\nurl = \"https://api.example\"\nauth.bearer = { token = \"file:token\" }\n";
    std::fs::write(folder.path().join("sidekey.toml"), config).unwrap();
    let ended = run_with(folder.path(), &["check"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for part in ["ok: 1 upstream", "127.0.0.1:8080", "upstream.api", "https://api.example", "bearer", "none: whoever"] {
        assert!(ended.stdout.contains(part), "{part}: {ended:?}");
    }
    assert!(!ended.stdout.contains(SECRET) && !ended.stderr.contains(SECRET));
    let callers = "[caller.shop]\ntoken = \"file:token\"\nupstreams = [\"api\"]\n";
    std::fs::write(folder.path().join("sidekey.toml"), format!("{config}{callers}")).unwrap();
    let told = run_with(folder.path(), &["check"]).stdout;
    assert!(told.contains("  caller.shop         by token for api\n") && !told.contains("none"), "{told}");
}

#[test]
fn a_wrong_command_line_is_usage() {
    for arguments in [&["frobnicate"][..], &["run", "--nonsense"], &[], &["run", "--log-format", "xml"]] {
        assert_eq!(command(arguments).code, Some(2), "{arguments:?}");
    }
    for arguments in [["--help"], ["--version"]] {
        let ended = command(&arguments);
        assert_eq!(ended.code, Some(0));
        assert!(ended.stdout.contains("sidekey"));
    }
}

#[test]
fn demo_once_shows_every_vendor_and_ends() {
    let ended = command(&["demo", "--once", "--port", "0"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for vendor in ["imagga", "resci", "imagior", "imagine", "hub", "hub-basic"] {
        let row = ended.stdout.lines().find(|line| line.split_whitespace().any(|word| word == vendor));
        let row = row.unwrap_or_else(|| panic!("{vendor}: {}", ended.stdout));
        assert!(row.contains("401") && (row.contains("200") || row.contains("202")), "{row}");
    }
    // No terminal, no colour.
    assert!(!ended.stdout.contains('\u{1b}'));
}

#[test]
fn completions_are_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ended = command(&["completions", shell]);
        assert_eq!(ended.code, Some(0));
        assert!(ended.stdout.contains("sidekey") && ended.stdout.contains("demo"), "{shell}");
    }
}
