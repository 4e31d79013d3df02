//! Imagior, images from templates: `https://api.imagior.com`, bearer token.
//!
//! Modelled on <https://docs.imagior.com>. A generated image costs one credit; without credits the answer is 403, so
//! 403 does not mean a bad key. The texts of its errors are ours.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use http::StatusCode;
use serde_json::{Value, json};

use super::authorization::{Presented, constant};
use super::date::timestamp;
use super::http::{Answer, Arrived, challenge, json_answer};
use super::keys::Keys;

/// What the account has when the sandbox starts.
const CREDITS: u32 = 1000;

pub(super) struct Imagior {
    keys: Arc<Keys>,
    credits: AtomicU32,
}

impl Imagior {
    pub(super) fn new(keys: Arc<Keys>) -> Self {
        Self { keys, credits: AtomicU32::new(CREDITS) }
    }

    pub(super) fn answer(&self, request: &Arrived) -> Answer {
        match constant(&request.parts.headers, "Bearer", self.keys.imagior.expose()) {
            Presented::Right => self.route(request),
            Presented::Wrong => refuse("Invalid API key"),
            Presented::Nothing => refuse("Authorization header is missing"),
        }
    }

    fn route(&self, request: &Arrived) -> Answer {
        match request.route() {
            ("POST", "/image/generate") => self.generate(request),
            ("GET", "/user/account") => success(&json!({
                "status": "success",
                "name": "Sandbox Customer",
                "email": "customer@example.com",
                "statusCode": 200,
                "usage": { "remainingCredits": self.credits.load(Ordering::Relaxed) },
                "requestCompletionTime": "1 ms",
                "timestamp": timestamp(request.now),
            })),
            ("GET", "/templates/all") => success(&json!([{
                "id": "template123",
                "name": "Sandbox Template",
                "createdAt": "2024-09-12T02:44:45.213Z",
                "updatedAt": "2024-09-13T02:44:45.213Z",
            }])),
            _ => error(StatusCode::NOT_FOUND, "Not found"),
        }
    }

    fn generate(&self, request: &Arrived) -> Answer {
        let body = request.json().unwrap_or_default();
        let Some(template) = body.get("templateId").and_then(Value::as_str) else {
            return error(StatusCode::BAD_REQUEST, "templateId is required");
        };
        if body.get("elements").is_some_and(|elements| !elements.is_object()) {
            return error(StatusCode::BAD_REQUEST, "elements must be an object");
        }
        let spend = |credits: u32| credits.checked_sub(1);
        let Ok(before) = self.credits.fetch_update(Ordering::Relaxed, Ordering::Relaxed, spend) else {
            return error(StatusCode::FORBIDDEN, "Insufficient credits");
        };
        success(&json!({
            "status": "success",
            "statusCode": 200,
            "message": "Image generated and credits updated",
            "imageURL": format!("https://cdn.imagior.example/{}/{template}.png", uuid::Uuid::now_v7()),
            "details": { "dimensions": { "width": 1200, "height": 630 }, "format": "png" },
            "usage": { "previousCredits": before, "creditsUsed": 1, "remainingCredits": before - 1 },
            "requestCompletionTime": "1 ms",
            "timestamp": timestamp(request.now),
        }))
    }
}

fn success(body: &Value) -> Answer {
    json_answer(StatusCode::OK, body)
}

fn error(status: StatusCode, message: &str) -> Answer {
    json_answer(status, &json!({ "status": "error", "statusCode": status.as_u16(), "message": message }))
}

fn refuse(message: &str) -> Answer {
    challenge("Bearer", &json!({ "status": "error", "statusCode": 401, "message": message }))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicU32;
    use std::time::SystemTime;

    use http::Request;

    use super::Imagior;
    use crate::sandbox::http::Arrived;
    use crate::sandbox::keys::Keys;

    #[test]
    fn the_last_credit_buys_the_last_image() {
        let keys = Arc::new(Keys::make_up().unwrap());
        let token = [b"Bearer ", keys.imagior.expose()].concat();
        let vendor = Imagior { keys, credits: AtomicU32::new(1) };
        let generate = || {
            let request = Request::post("/image/generate").header("authorization", token.as_slice());
            let (parts, ()) = request.body(()).unwrap().into_parts();
            vendor.answer(&Arrived { parts, body: r#"{"templateId":"t"}"#.into(), now: SystemTime::now() }).status()
        };
        assert_eq!((generate().as_u16(), generate().as_u16()), (200, 403));
    }
}
