//! Bodies of callers: announced with `Expect`, made up as they go, in several parts, and larger than sidekey may grow.

use std::io::Write;
use std::process::Command;

use serde_json::Value;

use super::curl::curl;
use super::{Behind, KINDS, Kind, node, python};

const MIB: u64 = 1024 * 1024;
const LARGE: u64 = 50 * MIB;
/// What sidekey may grow by, whatever passes through it.
const MAX_GROWTH: u64 = 16 * MIB;

/// A file of so many bytes, none of which is like the one before.
fn file(length: u64) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let piece: Vec<u8> = (0..MIB).map(|at| u8::try_from(at % 251).unwrap()).collect();
    for _ in 0..length / MIB {
        file.write_all(&piece).unwrap();
    }
    file
}

fn sha256(file: &tempfile::NamedTempFile) -> String {
    let output = Command::new("sha256sum").arg(file.path()).output().unwrap();
    String::from_utf8(output.stdout).unwrap().split(' ').next().unwrap().to_owned()
}

#[test]
#[ignore = "needs programs that `.ci/run` installs: curl, Starlette, Node"]
fn programs_a_body_that_is_expected_is_asked_for_and_one_that_is_refused_is_never_sent() {
    let file = file(2 * MIB);
    let body = format!("@{}", file.path().display());
    // curl says `Expect` by itself, as the body is larger than 1 MiB, and would not begin by itself for so long.
    let patient = ["--expect100-timeout", "60", "--data-binary", &body];
    for kind in KINDS {
        let behind = Behind::start(kind);
        let got = curl(&[&patient[..], &[&behind.url("/sum")]].concat());
        let said: Value = serde_json::from_slice(&got.body).unwrap();
        assert_eq!((got.status, &said["sha256"]), (200, &Value::from(sha256(&file))), "{kind:?}");
        // Hypercorn may ask for the body before the application has refused it; Node leaves that to the application.
        if matches!(kind, Kind::Hypercorn) {
            continue;
        }
        let got = curl(&[&patient[..], &[&behind.url("/refuse")]].concat());
        assert_eq!((got.status, &*got.body, &*got.told), (413, &b"no"[..], "0"), "{kind:?}");
        let got = curl(&[&patient[..], &[&behind.url("/unexpected")]].concat());
        // Where the upstream closes with its 417, curl leaves it at that; else it sends the request once more, without
        // `Expect` (RFC 9110 10.1.1), and shows both bodies.
        if got.status == 417 {
            assert_eq!((&*got.body, &*got.told), (&b"no"[..], "0"), "{kind:?}");
        } else {
            let said: Value = serde_json::from_slice(got.body.strip_prefix(b"no").unwrap_or(&got.body)).unwrap();
            assert_eq!((got.status, &said["sha256"]), (200, &Value::from(sha256(&file))), "{kind:?}");
        }
    }
}

#[test]
#[ignore = "needs programs that `.ci/run` installs: Starlette, Node, Python's and Node's clients"]
fn programs_a_body_that_is_made_as_it_goes_arrives_whole() {
    for kind in KINDS {
        let behind = Behind::start(kind);
        behind.run(python("uploads.py"), &[]);
        behind.run(node("uploads.mjs"), &[]);
    }
}

#[test]
#[ignore = "needs programs that `.ci/run` installs: curl, Starlette"]
fn programs_a_large_file_of_a_form_passes_in_constant_memory() {
    let behind = Behind::start(Kind::Hypercorn);
    let file = file(LARGE);
    let part = format!("file=@{};filename=a b.bin", file.path().display());
    curl(&["--form", "file=small;filename=s", "--form", "note=warm", &behind.url("/form")]);
    let before = behind.sidekey.memory("VmHWM");
    let got = curl(&["--form", "note=größer", "--form", &part, &behind.url("/form")]);
    let said: Value = serde_json::from_slice(&got.body).unwrap();
    assert_eq!((&said["length"], &said["sha256"]), (&Value::from(LARGE), &Value::from(sha256(&file))));
    assert_eq!((&said["name"], &said["note"]), (&Value::from("a b.bin"), &Value::from("größer")));
    let growth = behind.sidekey.memory("VmHWM") - before;
    assert!(growth < MAX_GROWTH, "sidekey grew by {growth} bytes");
}
