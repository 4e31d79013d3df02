//! What the demo asks of each vendor, straight and through sidekey, and what it makes of the answers.

use std::net::SocketAddr;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Request, Response, StatusCode};
use serde_json::Value;

use crate::sandbox::client::{self, ClientError};
use crate::sandbox::{Sandbox, Vendor};

/// One line of the table: a request without a credential.
pub(super) struct Call {
    /// Its name in the config, which is the path's first segment.
    pub(super) upstream: &'static str,
    vendor: Vendor,
    pub(super) scheme: &'static str,
    pub(super) method: &'static str,
    pub(super) target: &'static str,
    body: Body,
    /// What comes back through sidekey.
    pub(super) promised: StatusCode,
    /// The part of the answer that is worth a word.
    gist: fn(&Response<Bytes>) -> Option<String>,
}

enum Body {
    Empty,
    Json(&'static str),
    Form(&'static str),
}

const BOUNDARY: &str = "sidekey-demo";

pub(super) const CALLS: [Call; 6] = [
    Call {
        upstream: "imagga",
        vendor: Vendor::Imagga,
        scheme: "basic",
        method: "GET",
        target: "/v2/tags?image_url=http://a.example/b.jpg",
        body: Body::Empty,
        promised: StatusCode::OK,
        gist: |answer| Some(format!("tagged `{}`", text(answer, "/result/tags/0/tag/en")?)),
    },
    Call {
        upstream: "resci",
        vendor: Vendor::Resci,
        scheme: "api-key",
        method: "POST",
        target: "/v3/import_jobs",
        body: Body::Form(
            "--sidekey-demo\r\nContent-Disposition: form-data; name=\"import_type\"\r\n\r\nfull\r\n\
             --sidekey-demo\r\nContent-Disposition: form-data; name=\"users\"; filename=\"users.json\"\r\n\
             Content-Type: application/json\r\n\r\n{\"email\":\"ada@example.com\"}\n\r\n--sidekey-demo--\r\n",
        ),
        promised: StatusCode::OK,
        gist: |answer| Some(format!("import {}", text(answer, "/import_job/status")?)),
    },
    Call {
        upstream: "imagior",
        vendor: Vendor::Imagior,
        scheme: "bearer",
        method: "POST",
        target: "/image/generate",
        body: Body::Json(r#"{"templateId":"template123","elements":{}}"#),
        promised: StatusCode::OK,
        gist: |answer| Some(format!("image made, {} credits left", text(answer, "/usage/remainingCredits")?)),
    },
    Call {
        upstream: "imagine",
        vendor: Vendor::Imagine,
        scheme: "bearer",
        method: "POST",
        target: "/v2/image/generations",
        body: Body::Form(
            "--sidekey-demo\r\nContent-Disposition: form-data; name=\"prompt\"\r\n\r\na quiet harbour\r\n\
             --sidekey-demo\r\nContent-Disposition: form-data; name=\"style\"\r\n\r\nrealistic\r\n--sidekey-demo--\r\n",
        ),
        promised: StatusCode::OK,
        gist: |answer| answer.body().starts_with(b"\x89PNG").then(|| format!("a PNG, {} bytes", answer.body().len())),
    },
    Call {
        upstream: "hub",
        vendor: Vendor::Hub,
        scheme: "hmac",
        method: "POST",
        target: "/v1/messages",
        body: Body::Json(r#"{"messages":[{"content":"Hello","destination_number":"+61491570156"}]}"#),
        promised: StatusCode::ACCEPTED,
        gist: |answer| Some(format!("message {}", text(answer, "/messages/0/status")?)),
    },
    Call {
        upstream: "hub-basic",
        vendor: Vendor::Hub,
        scheme: "basic",
        method: "GET",
        target: "/v1/messaging/credits",
        body: Body::Empty,
        promised: StatusCode::OK,
        gist: |answer| Some(format!("{} credits", text(answer, "/credits")?)),
    },
];

impl Call {
    /// The request, with `prefix` before its path.
    fn request(&self, prefix: &str) -> Result<Request<Bytes>, http::Error> {
        let request = Request::builder().method(self.method).uri(format!("{prefix}{}", self.target));
        match self.body {
            Body::Empty => request.body(Bytes::new()),
            Body::Json(text) => {
                request.header(CONTENT_TYPE, "application/json").body(Bytes::from_static(text.as_bytes()))
            }
            Body::Form(text) => {
                let content_type = format!("multipart/form-data; boundary={BOUNDARY}");
                request.header(CONTENT_TYPE, content_type).body(Bytes::from_static(text.as_bytes()))
            }
        }
    }
}

/// What became of a call, both ways.
pub(super) struct Row<'a> {
    pub(super) call: &'a Call,
    pub(super) direct: Option<StatusCode>,
    pub(super) through_sidekey: Option<StatusCode>,
    /// In a few words, what sidekey brought back, or why there is nothing.
    pub(super) gist: String,
}

impl<'a> Row<'a> {
    /// Asks both ways. Dropping the future drops the request that is under way.
    pub(super) async fn ask(call: &'a Call, sandbox: &Sandbox, sidekey: SocketAddr) -> Self {
        let direct = match call.request("") {
            Ok(request) => client::tls(sandbox.address(call.vendor), sandbox.ca(), request).await.ok(),
            Err(_) => None,
        };
        let through = match call.request(&format!("/{}", call.upstream)) {
            Ok(request) => Some(client::plain(sidekey, request).await),
            Err(_) => None,
        };
        let gist = through.as_ref().map_or_else(String::new, |outcome| gist(call, outcome));
        let through_sidekey = through.and_then(Result::ok).map(|answer| answer.status());
        Self { call, direct: direct.map(|answer| answer.status()), through_sidekey, gist }
    }

    /// Refused without sidekey, and served with it.
    pub(super) fn is_as_promised(&self) -> bool {
        self.direct == Some(StatusCode::UNAUTHORIZED) && self.through_sidekey == Some(self.call.promised)
    }
}

fn gist(call: &Call, outcome: &Result<Response<Bytes>, ClientError>) -> String {
    match outcome {
        Ok(answer) => (call.gist)(answer).or_else(|| problem(answer)).unwrap_or_default(),
        Err(error) => error.to_string(),
    }
}

/// What an answer that is a problem says of itself.
fn problem(answer: &Response<Bytes>) -> Option<String> {
    text(answer, "/detail").or_else(|| text(answer, "/message"))
}

/// A string or number in a JSON body, by its JSON pointer.
fn text(answer: &Response<Bytes>, pointer: &str) -> Option<String> {
    let body: Value = serde_json::from_slice(answer.body()).ok()?;
    let value = body.pointer(pointer)?;
    Some(value.as_str().map_or_else(|| value.to_string(), str::to_owned))
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::{CALLS, Row, client};
    use crate::sandbox::{Sandbox, Vendor};

    #[tokio::test]
    async fn every_stand_in_refuses_a_call_without_a_credential() {
        let sandbox = Sandbox::start().unwrap();
        for call in &CALLS {
            let answer =
                client::tls(sandbox.address(call.vendor), sandbox.ca(), call.request("").unwrap()).await.unwrap();
            assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{}", call.upstream);
        }
    }

    #[tokio::test]
    async fn a_row_without_a_proxy_is_not_as_promised() {
        let sandbox = Sandbox::start().unwrap();
        // A stand-in speaks TLS: in plain HTTP it says nothing.
        let row = Row::ask(&CALLS[0], &sandbox, sandbox.address(Vendor::Imagga)).await;
        assert_eq!((row.direct, row.through_sidekey), (Some(StatusCode::UNAUTHORIZED), None));
        assert!(!row.is_as_promised());
        assert!(!row.gist.is_empty());
    }
}
