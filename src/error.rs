//! When sidekey answers itself. A [`ProxyError`] has three faces: the status, a fixed text for the caller, and the
//! chain of causes, which only the log sees.

mod problem;

use std::error::Error;
use std::fmt::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::header::{ALLOW, CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, PROXY_AUTHENTICATE};
use http::{Response, StatusCode};

use crate::browser::BrowserError;
use crate::caller::UnknownCaller;
use crate::credential::AuthorizeError;
use crate::max_forwards::MaxForwardsError;
use crate::policy::PolicyError;
use crate::route::RouteError;
use crate::scrub::ScrubError;
use crate::upstream::SendError;
use crate::wire::Malformed;

/// Everything that can keep a request from an upstream's answer, one variant a stage.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProxyError {
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error("the caller took too long to send a header")]
    HeaderTimeout,
    #[error(transparent)]
    Browser(#[from] BrowserError),
    #[error(transparent)]
    Route(#[from] RouteError),
    #[error(transparent)]
    Caller(#[from] UnknownCaller),
    #[error(transparent)]
    MaxForwards(#[from] MaxForwardsError),
    #[error(transparent)]
    Policy(#[from] PolicyError),
    #[error(transparent)]
    Authorize(#[from] AuthorizeError),
    #[error(transparent)]
    Send(#[from] SendError),
    #[error(transparent)]
    Scrub(#[from] ScrubError),
}

pub(crate) const PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// A field each: Java's HTTP client looks for one that begins with `Basic`.
const CHALLENGES: [&str; 2] = ["Basic realm=\"sidekey\"", "Bearer realm=\"sidekey\""];
/// Those that go anywhere, for `Allow`.
pub(crate) const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

impl ProxyError {
    /// The answer, and the id that finds it in the log.
    pub(crate) fn to_response(&self) -> (Response<Bytes>, String) {
        let problem = self.problem();
        let request_id = request_id();
        let mut response = Response::new(problem.body(&request_id));
        *response.status_mut() = problem.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        for (name, text) in
            [(PROXY_STATUS, format!("sidekey; error={}", problem.proxy_error)), (X_REQUEST_ID, request_id.clone())]
        {
            if let Ok(value) = HeaderValue::try_from(text) {
                headers.insert(name, value);
            }
        }
        if problem.ends_connection() {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if problem.status == StatusCode::PROXY_AUTHENTICATION_REQUIRED {
            for challenge in CHALLENGES {
                headers.append(PROXY_AUTHENTICATE, HeaderValue::from_static(challenge));
            }
        }
        if problem.status == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(ALLOW, HeaderValue::from_static(METHODS));
        }
        (response, request_id)
    }

    /// The error and all its causes, for the log.
    pub(crate) fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut next = self.source();
        while let Some(cause) = next {
            let cause_text = cause.to_string();
            if !text.ends_with(&cause_text) {
                // Writing to a string does not fail.
                let _ = write!(text, ": {cause_text}");
            }
            next = cause.source();
        }
        text
    }
}

/// A UUIDv7 (RFC 9562 5.7). Not `Uuid::now_v7`, which panics where the system has no source of randomness; an id that
/// is not random would still find its log line.
fn request_id() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut random = [0; 10];
    let _ = aws_lc_rs::rand::fill(&mut random);
    let millis = u64::try_from(now.as_millis()).unwrap_or_default();
    uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid().to_string()
}
