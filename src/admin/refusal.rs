//! What the admin listener does not answer, as problem+json: fixed texts, none of which depends on the request.

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};

/// Why there is no page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    WebPage,
    NotFound,
    Method,
    UnknownHost,
}

impl Refusal {
    pub(super) fn to_response(self) -> Response<Bytes> {
        let (status, title, detail) = match self {
            Self::WebPage => (StatusCode::FORBIDDEN, "Forbidden", "Web pages may not ask the admin listener."),
            Self::NotFound => (StatusCode::NOT_FOUND, "Not found", "There is nothing here: see /."),
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, "Method not allowed", "The admin listener only tells."),
            Self::UnknownHost => (
                StatusCode::MISDIRECTED_REQUEST,
                "Misdirected request",
                "The admin listener is not known by this host: see admin.names.",
            ),
        };
        let code = status.as_u16();
        let text = format!("{{\"title\":\"{title}\",\"status\":{code},\"detail\":\"{detail}\"}}\n");
        let mut response = Response::new(text.into());
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self == Self::Method {
            headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        }
        response
    }
}
