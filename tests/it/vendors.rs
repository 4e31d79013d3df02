//! Every vendor, through every way of naming it, with the credential that it wants: the stand-ins verify it.

use sidekey::sandbox::Sandbox;

use crate::support::{Response, Sidekey};

/// A request that a vendor takes, without a credential.
struct Call {
    upstream: &'static str,
    /// The vendor's real host, which the config of these tests lists.
    host: &'static str,
    method: &'static str,
    target: &'static str,
    content_type: &'static str,
    body: &'static str,
    status: u16,
    /// A part of the answer that only this vendor gives.
    proof: &'static str,
}

const FORM: &str = "multipart/form-data; boundary=b";

const CALLS: [Call; 6] = [
    Call {
        upstream: "imagga",
        host: "api.imagga.com",
        method: "GET",
        target: "/v2/tags?image_url=http://a.example/qcanary8d1f6a.jpg",
        content_type: "",
        body: "",
        status: 200,
        proof: "mountain",
    },
    Call {
        upstream: "resci",
        host: "data.retentionscience.com",
        method: "POST",
        target: "/v3/import_jobs",
        content_type: FORM,
        body: "--b\r\nContent-Disposition: form-data; name=\"import_type\"\r\n\r\nfull\r\n--b\r\nContent-Disposition: \
               form-data; name=\"users\"; filename=\"users.json\"\r\n\r\n{}\n\r\n--b--\r\n",
        status: 200,
        proof: "import_job",
    },
    Call {
        upstream: "imagior",
        host: "api.imagior.com",
        method: "POST",
        target: "/image/generate",
        content_type: "application/json",
        body: r#"{"templateId":"t","elements":{}}"#,
        status: 200,
        proof: "imageURL",
    },
    Call {
        upstream: "imagine",
        host: "api.vyro.ai",
        method: "POST",
        target: "/v2/image/generations",
        content_type: FORM,
        body: "--b\r\nContent-Disposition: form-data; name=\"prompt\"\r\n\r\na quiet harbour\r\n--b--\r\n",
        status: 200,
        proof: "PNG",
    },
    Call {
        upstream: "hub",
        host: "api.messagemedia.com",
        method: "POST",
        target: "/v1/messages",
        content_type: "application/json",
        body: r#"{"messages":[{"content":"Hello","destination_number":"+61491570156"}]}"#,
        status: 202,
        proof: "queued",
    },
    Call {
        upstream: "hub-basic",
        host: "eu.app.api.sinch.com",
        method: "GET",
        target: "/v1/messaging/credits",
        content_type: "",
        body: "",
        status: 200,
        proof: "credits",
    },
];

impl Call {
    fn request(&self, host: &str, target: &str) -> String {
        let Self { method, content_type, body, .. } = self;
        let length = body.len();
        let content = match length {
            0 => String::new(),
            _ => format!("Content-Type: {content_type}\r\nContent-Length: {length}\r\n"),
        };
        format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n{content}\r\n{body}")
    }

    fn assert_served(&self, answer: &Response, way: &str) {
        assert_eq!(answer.status, self.status, "{} by {way}: {}", self.upstream, answer.text());
        assert!(answer.text().contains(self.proof), "{} by {way}: {}", self.upstream, answer.text());
        assert!(!answer.fields.has("proxy-status"));
    }
}

/// The sandbox's own config, with each vendor's real host, and a listener for each upstream alone.
fn start(sandbox: &Sandbox) -> Sidekey {
    let folder = tempfile::tempdir().unwrap();
    let mut config = sandbox.config_toml(folder.path(), "127.0.0.1:0").unwrap();
    for Call { upstream, host, .. } in &CALLS {
        let section = format!("[upstream.{upstream}]\n");
        config = config.replace(&section, &format!("{section}hosts = [\"{host}\"]\n"));
        config += &format!("\n[listen.{upstream}]\naddress = \"127.0.0.1:0\"\nupstream = \"{upstream}\"\n");
    }
    Sidekey::start_in(folder, &config, "json")
}

#[test]
fn every_vendor_serves_by_every_way_of_naming_it() {
    let sandbox = Sandbox::start().unwrap();
    let sidekey = start(&sandbox);
    for call in &CALLS {
        let Call { upstream, host, target, .. } = call;
        let own = sidekey.address().to_string();
        for (way, host, target) in [
            ("its host", *host, (*target).to_owned()),
            ("its host and a port", &format!("{host}:443"), (*target).to_owned()),
            ("NAME.localhost", &format!("{upstream}.localhost:8080"), (*target).to_owned()),
            ("the path's first segment", &own, format!("/{upstream}{target}")),
            ("the path, on localhost", "localhost", format!("/{upstream}{target}")),
            ("an absolute target", "elsewhere.example", format!("http://{host}{target}")),
            ("an absolute https target", "elsewhere.example", format!("https://{host}{target}")),
        ] {
            call.assert_served(&sidekey.ask(call.request(host, &target)), way);
        }
    }
}

#[test]
fn a_listener_of_one_upstream_takes_nothing_off_the_path() {
    let sandbox = Sandbox::start().unwrap();
    let sidekey = start(&sandbox);
    for (index, call) in CALLS.iter().enumerate() {
        let address = sidekey.nth_address(index + 1);
        let mut caller = sidekey.connect_to(address);
        caller.send(call.request(&address.to_string(), call.target));
        call.assert_served(&caller.response(), "a listener of its own");
        let other = if call.upstream == "imagga" { "api.imagior.com" } else { "api.imagga.com" };
        caller.send(call.request(other, call.target));
        caller.response().assert_own(421, "destination_not_found");
    }
}

#[test]
fn what_a_caller_says_of_credentials_reaches_no_vendor() {
    let sandbox = Sandbox::start().unwrap();
    let sidekey = start(&sandbox);
    let lies = "Authorization: Bearer nonsense\r\nAuthorization: Basic bm86bm8=\r\nAUTHORIZATION: x\r\n\
                Bearer: nonsense\r\nX-Forwarded-Host: evil.example\r\nForwarded: for=1.2.3.4\r\nX-Real-IP: 1.2.3.4\r\n\
                Proxy-Authorization: Basic eDp5\r\nauthorization_: z\r\n";
    for call in &CALLS {
        let request = call.request(call.host, call.target).replacen("\r\n", &format!("\r\n{lies}"), 1);
        call.assert_served(&sidekey.ask(request), "a request with lies");
    }
}
