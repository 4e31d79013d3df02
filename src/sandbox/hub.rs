//! The messaging Hub (MessageMedia, now Sinch): `https://api.messagemedia.com/v1`, HTTP Basic or HMAC, with a key pair
//! for each.
//!
//! Modelled on the vendor's OpenAPI document and SDKs, and on Kong, the gateway before it, whose 401s are these. The
//! SDKs take any JSON for the credits that are left: that shape is ours.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

use super::authorization::{Presented, basic, only_value};
use super::date::timestamp;
use super::http::{Answer, Arrived, challenge, json_answer};
use super::keys::Keys;
use super::{kong, leftover};

/// As many as the vendor takes in one request.
const MAX_MESSAGES: usize = 100;
/// Older ones are forgotten.
const REMEMBERED: usize = 1000;

pub(super) struct Hub {
    keys: Arc<Keys>,
    sent: Mutex<VecDeque<Value>>,
}

impl Hub {
    pub(super) fn new(keys: Arc<Keys>) -> Self {
        Self { keys, sent: Mutex::default() }
    }

    pub(super) fn answer(&self, request: &Arrived) -> Answer {
        let headers = &request.parts.headers;
        // Kong would sign this field's value in place of the real request line.
        if headers.contains_key("request-line") {
            return leftover::refusal("request-line");
        }
        if only_value(headers).is_some_and(|value| value.starts_with(b"Basic ")) {
            if basic(headers, &self.keys.hub_basic) != Presented::Right {
                return challenge("Basic realm=\"kong\"", &json!({ "message": "Invalid authentication credentials" }));
            }
        } else if let Err(refusal) = kong::verify(request, &self.keys.hub_hmac) {
            return challenge("hmac", &json!({ "message": refusal.message() }));
        }
        self.route(request)
    }

    fn route(&self, request: &Arrived) -> Answer {
        match request.route() {
            ("POST", "/v1/messages") => self.send(request),
            ("GET", "/v1/messaging/credits") => {
                let expiry = timestamp(request.now + Duration::from_secs(365 * 86_400));
                json_answer(StatusCode::OK, &json!({ "credits": 1000, "expiry_date": expiry }))
            }
            ("GET", "/v1/replies") => json_answer(StatusCode::OK, &json!({ "replies": [reply(request)] })),
            ("GET", "/v1/delivery_reports") => json_answer(StatusCode::OK, &json!({ "delivery_reports": [] })),
            ("POST", "/v1/replies/confirmed" | "/v1/delivery_reports/confirmed") => {
                json_answer(StatusCode::ACCEPTED, &json!({}))
            }
            ("GET", path) => self.status(path),
            _ => error(StatusCode::NOT_FOUND, "Not found"),
        }
    }

    fn send(&self, request: &Arrived) -> Answer {
        let body = request.json().unwrap_or_default();
        let Some(messages) = body.get("messages").and_then(Value::as_array) else {
            return error(StatusCode::BAD_REQUEST, "messages: may not be null");
        };
        if messages.is_empty() || messages.len() > MAX_MESSAGES {
            return error(StatusCode::BAD_REQUEST, "messages: size must be between 1 and 100");
        }
        let accepted: Option<Vec<Value>> = messages.iter().map(|message| accept(message, request)).collect();
        let Some(accepted) = accepted else {
            return error(StatusCode::BAD_REQUEST, "content and destination_number (E.164) are required");
        };
        let mut sent = self.sent();
        sent.extend(accepted.iter().cloned());
        let forgotten = sent.len().saturating_sub(REMEMBERED);
        sent.drain(..forgotten);
        json_answer(StatusCode::ACCEPTED, &json!({ "messages": accepted }))
    }

    fn status(&self, path: &str) -> Answer {
        let id = path.strip_prefix("/v1/messages/");
        let sent = self.sent();
        let message =
            sent.iter().find(|message| id.is_some() && message.get("message_id").and_then(Value::as_str) == id);
        message.map_or_else(|| error(StatusCode::NOT_FOUND, "Not found"), |found| json_answer(StatusCode::OK, found))
    }

    fn sent(&self) -> MutexGuard<'_, VecDeque<Value>> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The message as the vendor gives it back. `None`: not one that can be sent.
fn accept(message: &Value, request: &Arrived) -> Option<Value> {
    let content = message.get("content")?.as_str()?;
    let number = message.get("destination_number")?.as_str()?;
    let is_number = number.strip_prefix('+').unwrap_or(number).bytes().all(|byte| byte.is_ascii_digit());
    if content.is_empty() || !is_number || number.len() < 5 {
        return None;
    }
    Some(json!({
        "message_id": Uuid::now_v7().to_string(),
        "status": "queued",
        "content": content,
        "destination_number": number,
        "format": message.get("format").and_then(Value::as_str).unwrap_or("SMS"),
        "delivery_report": message.get("delivery_report").and_then(Value::as_bool).unwrap_or(false),
        "message_flags": [],
        "metadata": message.get("metadata").cloned().unwrap_or_else(|| json!({})),
        "scheduled": timestamp(request.now),
        "message_expiry_timestamp": timestamp(request.now + Duration::from_secs(2 * 86_400)),
    }))
}

fn reply(request: &Arrived) -> Value {
    json!({
        "reply_id": Uuid::now_v7().to_string(),
        "message_id": Uuid::now_v7().to_string(),
        "content": "Yes, please",
        "source_number": "+61491570156",
        "destination_number": "+61491570157",
        "date_received": timestamp(request.now),
        "metadata": {},
    })
}

fn error(status: StatusCode, message: &str) -> Answer {
    json_answer(status, &json!({ "message": message }))
}
