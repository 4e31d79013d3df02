//! `config.example.toml`: it passes `check` as it is, with the files and variables that it refers to.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use crate::support::{Authority, check_with};

const EXAMPLE: &str = include_str!("../../config.example.toml");

/// The example's text, where its files are in `folder`.
fn text(folder: &std::path::Path) -> String {
    let authority = Authority::new();
    let (certificate, key) = authority.client("sidekey.example").pem();
    authority.write(folder);
    for (name, content) in [
        ("imagga", "s3cret"),
        ("shop-token", "sidekey_0123456789"),
        ("billing.key", &key),
        ("billing.pem", &certificate),
        ("sidekey.key", &key),
        ("sidekey.pem", &certificate),
    ] {
        std::fs::write(folder.join(name), content).unwrap();
        // Or `check` warns.
        std::fs::set_permissions(folder.join(name), Permissions::from_mode(0o600)).unwrap();
    }
    std::fs::copy(folder.join("ca.pem"), folder.join("callers.pem")).unwrap();
    std::fs::rename(folder.join("ca.pem"), folder.join("corp.pem")).unwrap();
    let folder = folder.to_str().unwrap();
    EXAMPLE.replace("/run/secrets", folder).replace("/etc/ssl", folder)
}

/// The names after `env:` in what is not a comment.
fn variables(text: &str) -> Vec<&str> {
    let quoted = text.lines().filter_map(|line| line.split('#').next()).flat_map(|line| line.split('"'));
    quoted.filter_map(|part| part.strip_prefix("env:")).collect()
}

#[test]
fn the_example_is_right() {
    let folder = tempfile::tempdir().unwrap();
    let text = text(folder.path());
    let ended = check_with(folder.path(), &text, &variables(&text));
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(!ended.stdout.contains("warning"), "{}", ended.stdout);
}

#[test]
fn so_is_every_default_that_it_shows() {
    // What is commented out is right, too, when it is let in.
    let folder = tempfile::tempdir().unwrap();
    let text = text(folder.path());
    let text = ["# workers", "# format", "# request = "].iter().fold(text, |text, key| text.replace(key, &key[2..]));
    let ended = check_with(folder.path(), &text, &variables(&text));
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}

#[test]
fn every_variable_that_it_names_is_needed() {
    let folder = tempfile::tempdir().unwrap();
    let text = text(folder.path());
    let variables = variables(&text);
    assert!(variables.len() >= 5, "{variables:?}");
    let ended = check_with(folder.path(), &text, &[]);
    assert_eq!(ended.code, Some(78));
    for variable in variables {
        assert!(ended.stderr.contains(&format!("env:{variable}")), "{variable}: {}", ended.stderr);
    }
}
