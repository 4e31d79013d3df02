//! Callers over TLS: curl, httpx and requests check sidekey's certificate, choose the version by ALPN, and show their own
//! where one is asked for.

use super::curl::curl;
use super::{Behind, Kind, program, python};

fn listener(more: &str) -> String {
    let tls = format!("cert = \"FOLDER/cert.pem\", key = \"file:FOLDER/key.pem\"{more}");
    format!("[listen.local]\naddress = \"127.0.0.1:0\"\ntls = {{ {tls} }}\n")
}

impl Behind {
    fn over_tls(more: &str) -> Self {
        Self::start_with(Kind::Node, "h2,http/1.1", "", &listener(more))
    }

    /// Before an upstream of this kind, with `more` of its keys.
    pub(super) fn over_tls_to(kind: Kind, alpn: &str, more: &str) -> Self {
        Self::start_with(kind, alpn, more, &listener(""))
    }

    fn secure_url(&self, path: &str) -> String {
        self.url(path).replace("http://", "https://")
    }

    pub(super) fn file(&self, name: &str) -> String {
        self.sidekey.folder().join(name).to_str().unwrap().to_owned()
    }
}

#[test]
#[ignore = "needs programs that `.ci/run` installs: curl, Node"]
fn programs_a_tls_listener_speaks_what_alpn_says() {
    let behind = Behind::over_tls("");
    for (argument, version) in [("--http2", "2"), ("--http1.1", "1.1")] {
        let told = ["--write-out", "%{stderr}%{http_version}", "--cacert", &behind.file("ca.pem")];
        let got = curl(&[&[argument][..], &told, &[&behind.secure_url("/about")]].concat());
        assert_eq!((got.status, &*got.told), (200, version));
    }
}

#[test]
#[ignore = "needs programs that `.ci/run` installs: curl, Node, Python's clients"]
fn programs_callers_that_must_show_a_certificate_do() {
    let behind = Behind::over_tls(", client_ca = \"FOLDER/ca.pem\"");
    let (authority, url) = (behind.file("ca.pem"), behind.secure_url("/about"));
    let without = program("curl").args(["--silent", "--cacert", &authority, &url]).output().unwrap();
    assert!(!without.status.success() && without.stdout.is_empty(), "{without:?}");
    let shown = ["--cert", &behind.file("client.pem"), "--key", &behind.file("client.key")];
    assert_eq!(curl(&[&["--cacert", &authority][..], &shown, &[&url]].concat()).status, 200);
    behind.run(python("tls.py"), &[&behind.sidekey.folder().display().to_string()]);
}
