//! curl, as a caller: what it sends, and what it got.

use std::process::Stdio;

use super::{Behind, TOKEN, program};

/// What curl got: the head of the last answer, and its body as it came.
#[derive(Debug, PartialEq)]
pub(super) struct Got {
    pub(super) status: u16,
    /// Sorted, without those of one connection or moment.
    pub(super) fields: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    /// What was written with `--write-out`.
    pub(super) told: String,
}

impl Got {
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, value)| &**value)
    }
}

/// Fields that speak of a connection or of the moment, and so differ between two answers of one upstream; and the number
/// that sidekey gives to each request.
const PASSING: [&str; 5] = ["connection", "date", "keep-alive", "transfer-encoding", "x-request-id"];

/// Runs curl with `arguments`, to which a test adds the URL.
pub(super) fn curl(arguments: &[&str]) -> Got {
    let head = tempfile::NamedTempFile::new().unwrap();
    let mut command = program("curl");
    command.args(["--silent", "--show-error", "--max-time", "120", "--write-out", "%{stderr}%{size_upload}"]);
    command.arg("--dump-header").arg(head.path()).args(arguments).stdin(Stdio::null());
    let output = command.output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{arguments:?}: {told}");
    let head = std::fs::read_to_string(head.path()).unwrap();
    assert!(!head.contains(TOKEN), "the caller got the credential: {head}");
    // Interim answers come before; trailers come after, without a status.
    let last = head.rfind("HTTP/").unwrap();
    let (line, rest) = head[last..].split_once("\r\n").unwrap();
    let field = |line: &str| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_ascii_lowercase(), value.trim().to_owned()))
    };
    let mut fields: Vec<_> = rest.lines().filter_map(field).collect();
    fields.retain(|(name, _)| !PASSING.contains(&&**name));
    fields.sort();
    let status = line.split(' ').nth(1).unwrap().parse().unwrap();
    Got { status, fields, body: output.stdout, told }
}

impl Behind {
    /// The same request through sidekey and, with the credential, to the upstream itself: sidekey must make no
    /// difference. Returns what there was to be got.
    pub(super) fn curl_both_ways(&self, path: &str, arguments: &[&str]) -> Got {
        let authority = self.sidekey.folder().join("ca.pem");
        let credential = format!("Authorization: Bearer {TOKEN}");
        let (direct, through) = (self.direct_url(path), self.url(path));
        let itself = ["--cacert", authority.to_str().unwrap(), "--header", &credential, &direct];
        let direct = curl(&[arguments, &itself].concat());
        let through = curl(&[arguments, &[&*through]].concat());
        assert_eq!(direct, through, "{path} {arguments:?}");
        direct
    }
}
