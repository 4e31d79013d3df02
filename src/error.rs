//! When sidekey answers itself. A [`ProxyError`] has three faces: the status, a fixed text for the caller, and the
//! chain of causes, which only the log sees.

mod grpc;
mod problem;

use std::error::Error;
use std::fmt::Write;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, PROXY_AUTHENTICATE, RETRY_AFTER};
use http::{Response, StatusCode};

use crate::browser::BrowserError;
use crate::caller::UnknownCaller;
use crate::correlation::{RequestId, X_REQUEST_ID};
use crate::credential::AuthorizeError;
use crate::limits::LimitsError;
use crate::max_forwards::MaxForwardsError;
use crate::policy::PolicyError;
use crate::retry_after;
use crate::route::RouteError;
use crate::scrub::ScrubError;
use crate::tunnel::extended::ExtendedError;
use crate::upstream::{CollectError, LeftAlone, SendError};
use crate::wire::Malformed;

pub(crate) use self::grpc::is_spoken as is_grpc;

/// Everything that can keep a request from an upstream's answer, one variant a stage.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProxyError {
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error("the caller took too long to send a header")]
    HeaderTimeout,
    #[error("there are as many connections as `max_connections` allows")]
    TooManyConnections,
    #[error("the request took longer than `timeouts.request`")]
    RequestTimeout,
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
    Limits(#[from] LimitsError),
    #[error(transparent)]
    Authorize(#[from] AuthorizeError),
    #[error(transparent)]
    Send(#[from] SendError),
    #[error(transparent)]
    Extended(#[from] ExtendedError),
    #[error(transparent)]
    Scrub(#[from] ScrubError),
}

pub(crate) const PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");
/// A field each: Java's HTTP client looks for one that begins with `Basic`.
const CHALLENGES: [&str; 2] = ["Basic realm=\"sidekey\"", "Bearer realm=\"sidekey\""];
/// Those that go anywhere, for `Allow`.
pub(crate) const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

impl ProxyError {
    /// As [`Self::to_response`], for a client of gRPC.
    pub(crate) fn to_grpc(&self, request_id: &RequestId) -> Response<Bytes> {
        let mut response = self.to_response(request_id);
        grpc::translate(&mut response, &self.problem());
        response
    }

    /// The answer to the request of this id, which finds it in the log.
    pub(crate) fn to_response(&self, request_id: &RequestId) -> Response<Bytes> {
        let problem = self.problem();
        let mut response = Response::new(problem.body(request_id.as_str()));
        *response.status_mut() = problem.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Ok(status) = HeaderValue::try_from(format!("sidekey; error={}", problem.proxy_error)) {
            headers.insert(PROXY_STATUS, status);
        }
        headers.insert(&X_REQUEST_ID, request_id.header_value());
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
        if let Some(wait) = self.retry_after() {
            headers.insert(RETRY_AFTER, retry_after::seconds(wait).into());
        }
        response
    }

    /// When it is worth another try. `None`: who knows.
    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Limits(error) => Some(error.wait()),
            Self::Send(SendError::LeftAlone(LeftAlone(wait))) => Some(*wait),
            // What is over a bound now need not be in a moment.
            Self::TooManyConnections | Self::Authorize(AuthorizeError::Body(CollectError::OutOfMemory(_))) => {
                Some(Duration::ZERO)
            }
            Self::Malformed(_)
            | Self::HeaderTimeout
            | Self::RequestTimeout
            | Self::Browser(_)
            | Self::Route(_)
            | Self::Caller(_)
            | Self::MaxForwards(_)
            | Self::Policy(_)
            | Self::Authorize(_)
            | Self::Send(_)
            | Self::Extended(_)
            | Self::Scrub(_) => None,
        }
    }

    /// The error and all its causes, for the log.
    pub(crate) fn chain(&self) -> String {
        chain(self)
    }
}

/// `error` and all its causes.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
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
