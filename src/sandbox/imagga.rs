//! Imagga, image tagging: `https://api.imagga.com/v2`, HTTP Basic with key and secret.
//!
//! Modelled on <https://docs.imagga.com>: `result` and `status` in every answer, `status.type` being `error` where
//! something went wrong.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};

use super::authorization::{Presented, basic};
use super::date::timestamp;
use super::http::{Answer, Arrived, challenge, json_answer};
use super::keys::Keys;
use super::multipart;

pub(super) struct Imagga {
    keys: Arc<Keys>,
}

impl Imagga {
    pub(super) fn new(keys: Arc<Keys>) -> Self {
        Self { keys }
    }

    pub(super) fn answer(&self, request: &Arrived) -> Answer {
        match basic(&request.parts.headers, &self.keys.imagga) {
            Presented::Right => route(request),
            Presented::Wrong => refuse("invalid API key or secret"),
            Presented::Nothing => refuse("authorization required"),
        }
    }
}

fn route(request: &Arrived) -> Answer {
    match request.route() {
        ("GET", "/v2/tags") => match request.query("image_url").or_else(|| request.query("image_upload_id")) {
            None | Some("") => error(StatusCode::BAD_REQUEST, "`image_url` or `image_upload_id` is missing"),
            Some(_) => success(&tags()),
        },
        ("POST", "/v2/tags") => with_image(request, &tags()),
        ("POST", "/v2/uploads") => with_image(request, &json!({ "upload_id": "i05e132196706b94b1d85efb5f3SaM1j" })),
        ("GET", "/v2/usage") => success(&usage(request)),
        ("GET" | "POST", _) => error(StatusCode::NOT_FOUND, "no such endpoint"),
        _ => error(StatusCode::METHOD_NOT_ALLOWED, "method not allowed"),
    }
}

/// The answer to a form that has an image in it, as a file or in base64.
fn with_image(request: &Arrived, result: &Value) -> Answer {
    let Some(parts) = multipart::parse(&request.parts.headers, &request.body) else {
        return error(StatusCode::BAD_REQUEST, "the body is not multipart/form-data");
    };
    let is_image = |part: &multipart::Part<'_>| part.name == "image" && part.is_file || part.name == "image_base64";
    if parts.iter().any(|part| is_image(part) && !part.content.is_empty()) {
        success(result)
    } else {
        error(StatusCode::BAD_REQUEST, "no image in the form")
    }
}

fn tags() -> Value {
    let tag = |confidence: f64, name: &str| json!({ "confidence": confidence, "tag": { "en": name } });
    json!({ "tags": [
        tag(61.4116096496582, "mountain"),
        tag(54.3507270812988, "landscape"),
        tag(50.9696426391602, "mountains"),
        tag(46.1385192871094, "wilderness"),
    ] })
}

fn usage(request: &Arrived) -> Value {
    let month = Duration::from_secs(30 * 86_400);
    json!({
        "billing_period_start": timestamp(request.now),
        "billing_period_end": timestamp(request.now + month),
        "concurrency": { "max": 2, "now": 1 },
        "monthly_limit": 2000,
        "monthly_processed": 12,
    })
}

fn success(result: &Value) -> Answer {
    json_answer(StatusCode::OK, &json!({ "result": result, "status": { "text": "", "type": "success" } }))
}

fn error(status: StatusCode, text: &str) -> Answer {
    json_answer(status, &json!({ "status": { "text": text, "type": "error" } }))
}

fn refuse(text: &str) -> Answer {
    challenge("Basic realm=\"Imagga\"", &json!({ "status": { "text": text, "type": "error" } }))
}
