//! Imagine (Vyro AI), images from prompts: `https://api.vyro.ai/v2`, bearer token that begins with `vk-`.
//!
//! Modelled on <https://docs.imagine.art>: forms in, image bytes out, errors with a `code` of its own. Its table gives 400 for
//! a missing token (1000) and 401 for a wrong one (1001); this stand-in says 401 for both, as it says of keys elsewhere.

use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};

use super::authorization::{Presented, constant};
use super::http::{Answer, Arrived, challenge, json_answer};
use super::keys::Keys;
use super::{leftover, multipart, png};

/// Images are made from words alone; everything else there takes one and gives one back.
const FROM_PROMPT: [&str; 2] = ["/v2/image/generations", "/v2/image/generations/transparent"];
const FROM_IMAGE: [&str; 5] = [
    "/v2/image/background/remover",
    "/v2/image/enhance",
    "/v2/image/generative-fill",
    "/v2/image/resize",
    "/v2/image/backgrounds",
];

pub(super) struct Imagine {
    keys: Arc<Keys>,
}

impl Imagine {
    pub(super) fn new(keys: Arc<Keys>) -> Self {
        Self { keys }
    }

    pub(super) fn answer(&self, request: &Arrived) -> Answer {
        // One of the vendor's SDKs puts the token in a field of this name: a caller's own, which must not cross.
        if request.parts.headers.contains_key("bearer") {
            return leftover::refusal("bearer");
        }
        match constant(&request.parts.headers, "Bearer", self.keys.imagine.expose()) {
            Presented::Right => route(request),
            Presented::Wrong => refuse(1001, "The bearer token passed is invalid."),
            Presented::Nothing => refuse(1000, "The bearer token is missing from the header."),
        }
    }
}

fn route(request: &Arrived) -> Answer {
    let (method, path) = request.route();
    let required = match method {
        "POST" if FROM_PROMPT.contains(&path) => "prompt",
        "POST" if FROM_IMAGE.contains(&path) => "image",
        _ => return error(StatusCode::NOT_FOUND, 1300, "NotFound", "The resource does not exist."),
    };
    let parts = multipart::parse(&request.parts.headers, &request.body).unwrap_or_default();
    match parts.iter().find(|part| part.name == required && !part.content.is_empty()) {
        Some(part) => image(part.content),
        None => error(StatusCode::BAD_REQUEST, 1100, "BadRequest", &format!("The request is invalid: no {required}.")),
    }
}

/// A small picture, another one for every input.
fn image(input: &[u8]) -> Answer {
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, input);
    let mut answer = Response::new(Full::from(Bytes::from(png::gradient(hash.as_ref()))));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("image/png"));
    answer
}

fn error(status: StatusCode, code: u16, name: &str, message: &str) -> Answer {
    json_answer(status, &body(code, name, message))
}

fn refuse(code: u16, message: &str) -> Answer {
    challenge("Bearer", &body(code, "Unauthorized", message))
}

fn body(code: u16, name: &str, message: &str) -> Value {
    json!({ "status": "error", "code": code, "error": name, "message": message })
}
