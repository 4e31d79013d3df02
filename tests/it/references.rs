//! Secrets from elsewhere than variables and files: systemd's credentials, and what programs print.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Origin, Sidekey, check_with, command, get, until_true};

const SECRET: &str = "pr1nted-k3y";

/// An upstream whose token is `reference`, as TOML.
fn upstream(origin: &Origin, reference: &str) -> String {
    origin.upstream("api").replace("\"env:TOKEN\"", reference)
}

/// A program in `folder` that counts its runs and then does as `script` says.
fn program(folder: &Path, script: &str) {
    let path = folder.join("program");
    let text = format!("#!/bin/sh\necho run >> {}/runs\n{script}\n", folder.display());
    fs::write(&path, text).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
}

fn runs(folder: &Path) -> usize {
    fs::read_to_string(folder.join("runs")).unwrap_or_default().lines().count()
}

fn start(folder: TempDir, config: &str) -> Sidekey {
    Sidekey::start_in(folder, config, "json")
}

/// The processes that `sidekey` has started and that have not ended.
fn children(sidekey: &Sidekey) -> Vec<u32> {
    let parent = format!("PPid:\t{}\n", sidekey.id());
    let processes =
        fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    processes
        .filter(|id: &u32| {
            let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
            status.contains(&parent) && !status.contains("State:\tZ")
        })
        .collect()
}

#[test]
fn a_program_gives_the_secret_and_is_run_once() {
    let origin = Origin::ok();
    let folder = tempfile::tempdir().unwrap();
    program(folder.path(), &format!("echo complaint {SECRET} >&2; echo {SECRET}"));
    let twice = "[upstream.other]\nurl = \"https://other.test\"\nauth.bearer = { token = 'command:[\"./program\"]' }\n";
    let config = format!("{}{twice}", upstream(&origin, "{ command = [\"./program\"], ttl = \"1h\" }"));
    let sidekey = start(folder, &config);
    sidekey.ask(get("/api/x")).assert_passed_on(200);
    let authorization = format!("Bearer {SECRET}");
    assert_eq!(origin.requests()[0].fields.get("authorization"), Some(authorization.as_str()));
    assert_eq!(runs(&sidekey.folder()), 1);
    assert!(!sidekey.log().contains(SECRET));
}

#[test]
fn commands_are_run_by_a_process_that_ends_with_the_proxy() {
    let origin = Origin::ok();
    for reference in ["'command:[\"./program\"]'", "\"env:TOKEN\""] {
        let folder = tempfile::tempdir().unwrap();
        program(folder.path(), &format!("echo {SECRET}"));
        let mut sidekey = start(folder, &upstream(&origin, reference));
        let has_command = reference.contains("command");
        assert_eq!(children(&sidekey).len(), usize::from(has_command), "{reference}");
        let line = |line: &str| serde_json::from_str::<Value>(line).unwrap();
        let told = sidekey.log().lines().map(line).find(|line| line["commands"].is_number());
        assert_eq!(told.map(|line| line["commands"].clone()), has_command.then(|| 1.into()));
        let broker = children(&sidekey);
        // What is hardened stays so: nothing of it is given up for commands.
        let line = sidekey.log().lines().map(line).find(|line| line["seccomp"].is_string()).unwrap();
        assert_eq!(line["seccomp"], "holds", "{line}");
        sidekey.signal("KILL");
        sidekey.wait();
        for id in broker {
            until_true("that the broker has ended", || !Path::new(&format!("/proc/{id}/root")).exists());
        }
    }
}

#[test]
fn a_program_that_gives_no_secret_is_told_by_what_became_of_it() {
    let origin = Origin::ok();
    let folder = tempfile::tempdir().unwrap();
    for (script, told) in [
        ("echo hunter2; echo hunter2 >&2; exit 7", "`command:[\"./program\", …]` ended with exit status 7"),
        ("echo hunter2; kill -TERM $$", "`command:[\"./program\", …]` was ended by signal 15"),
        ("true", "`command:[\"./program\", …]` is empty"),
        ("sleep 60", "`command:[\"./program\", …]` took longer than its `timeout`"),
    ] {
        program(folder.path(), script);
        let reference = "{ command = [\"./program\", \"hunter2\"], timeout = \"700ms\" }";
        let ended = check_with(folder.path(), &upstream(&origin, reference), &[]);
        assert_eq!(ended.code, Some(78), "{ended:?}");
        assert!(ended.stderr.contains(told), "{told}: {ended:?}");
        assert!(!ended.stderr.contains("hunter2"), "{ended:?}");
    }
}

#[test]
fn the_process_that_runs_commands_is_nobody_elses() {
    // Standard input is no connection.
    let ended = command(&["run-commands"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(!command(&["--help"]).stdout.contains("run-commands"));
}

#[test]
fn a_credential_is_read_where_systemd_puts_it() {
    let origin = Origin::ok();
    let (folder, credentials) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(credentials.path().join("api-key"), format!("{SECRET}\n")).unwrap();
    fs::set_permissions(credentials.path().join("api-key"), Permissions::from_mode(0o400)).unwrap();
    let config = upstream(&origin, "\"credential:api-key\"");
    let sidekey = Sidekey::start_with(folder, &config, "json", |command| {
        command.env("CREDENTIALS_DIRECTORY", credentials.path());
    });
    sidekey.ask(get("/api/x")).assert_passed_on(200);
    let authorization = format!("Bearer {SECRET}");
    assert_eq!(origin.requests()[0].fields.get("authorization"), Some(authorization.as_str()));
    let ended = check_with(&sidekey.folder(), &config, &[]);
    assert_eq!(ended.code, Some(78));
    assert!(
        ended.stderr.contains("`credential:api-key` cannot be found: `$CREDENTIALS_DIRECTORY` is not set"),
        "{ended:?}"
    );
}

#[test]
fn a_pipe_is_no_secret_file_and_nothing_waits_for_it() {
    let origin = Origin::ok();
    let folder = tempfile::tempdir().unwrap();
    assert!(Command::new("mkfifo").arg(folder.path().join("pipe")).status().unwrap().success());
    let config = upstream(&origin, "\"file:pipe\"");
    fs::write(folder.path().join("sidekey.toml"), config).unwrap();
    // Not by the harness, which would read the file for its secret.
    let file = folder.path().join("sidekey.toml");
    let checked = Command::new(env!("CARGO_BIN_EXE_sidekey")).args(["check", "--config"]).arg(file).output();
    let said = String::from_utf8(checked.unwrap().stderr).unwrap();
    assert!(said.contains("`file:pipe` is not a regular file"), "{said}");
}

/// The credential of the request that the origin has just had.
fn sent(sidekey: &Sidekey, origin: &Origin) -> String {
    sidekey.ask(get("/api/x")).assert_passed_on(200);
    origin.requests().last().unwrap().fields.get("authorization").unwrap().to_owned()
}

fn often(config: &str) -> String {
    format!("[reload]\ninterval = \"20ms\"\n{config}")
}

#[test]
fn a_process_hardened_or_not_has_its_commands_run_again_when_their_time_is_over() {
    for (more, hardened) in [(&[][..], true), (&["--no-hardening"], false)] {
        let origin = Origin::ok();
        let folder = tempfile::tempdir().unwrap();
        program(folder.path(), "cat \"$(dirname \"$0\")/value\" || exit 9");
        let value = folder.path().join("value");
        fs::write(&value, "first-k3y\n").unwrap();
        let config = often(&upstream(&origin, "{ command = [\"./program\"], ttl = \"100ms\" }"));
        let sidekey = Sidekey::start_with(folder, &config, "json", |command| {
            command.args(more);
        });
        assert_eq!(sidekey.log().contains("\"seccomp\":\"holds\""), hardened);
        // Of one that is not hardened, a command may be a child just now.
        assert!(!hardened || children(&sidekey).len() == 1);
        assert_eq!(sent(&sidekey, &origin), "Bearer first-k3y");
        fs::write(&value, "second-k3y\n").unwrap();
        until_true("the second", || sent(&sidekey, &origin) == "Bearer second-k3y");
        // What it printed last counts until it prints something again.
        fs::remove_file(&value).unwrap();
        until_true("the failure", || {
            sidekey.log().contains("`command:[\\\"./program\\\", …]` ended with exit status 9")
        });
        assert_eq!(sent(&sidekey, &origin), "Bearer second-k3y");
        assert!(!sidekey.log().contains("k3y"));
    }
}

#[test]
fn a_command_is_not_run_at_every_reading_but_at_once_by_sighup() {
    let origin = Origin::ok();
    let folder = tempfile::tempdir().unwrap();
    program(folder.path(), &format!("echo {SECRET}"));
    fs::write(folder.path().join("other"), "a-first\n").unwrap();
    let other = "[upstream.other]\nurl = \"https://other.test\"\nauth.bearer = { token = \"file:other\" }\n";
    let config = often(&format!("{}{other}", upstream(&origin, "'command:[\"./program\"]'")));
    let sidekey = start(folder, &config);
    // A change that is found shows that everything has been read again.
    for round in 1..=3 {
        fs::write(sidekey.folder().join("other"), format!("another-{round}\n")).unwrap();
        until_true("a reading", || sidekey.log().matches("\"rotated\":\"other\"").count() == round);
    }
    assert_eq!(runs(&sidekey.folder()), 1);
    sidekey.signal("HUP");
    until_true("another run", || runs(&sidekey.folder()) == 2);
    // As `pkill -HUP sidekey` does, which finds both processes: neither ends.
    let processes = children(&sidekey).into_iter().map(|id| id.to_string());
    let hang_up = Command::new("kill").arg("-HUP").args(processes).status();
    assert!(hang_up.unwrap().success());
    sidekey.signal("HUP");
    until_true("yet another run", || runs(&sidekey.folder()) == 3);
}

#[test]
fn a_command_that_a_changed_config_adds_needs_a_restart() {
    let origin = Origin::ok();
    let folder = tempfile::tempdir().unwrap();
    program(folder.path(), &format!("echo {SECRET}"));
    let sidekey = start(folder, &often(&upstream(&origin, "'command:[\"./program\"]'")));
    let file = sidekey.folder().join("sidekey.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("[\"./program\"]", "[\"./program\", \"more\"]")).unwrap();
    until_true("the refusal", || sidekey.log().contains("a further command needs a restart"));
    assert_eq!(sent(&sidekey, &origin), format!("Bearer {SECRET}"));
    assert_eq!(runs(&sidekey.folder()), 1);
}
