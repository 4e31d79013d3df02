//! Heads of messages as the path has them, whichever version of HTTP they came in.

use http::uri::PathAndQuery;
use http::{Extensions, Method, StatusCode, Uri, Version, request, response};
use hyper::ext::ReasonPhrase;

use crate::fields::Fields;

/// The head of a request.
#[derive(Clone, Debug)]
pub(crate) struct RequestHead {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) version: Version,
    pub(crate) fields: Fields,
    /// What one version of HTTP alone has to say.
    pub(crate) extensions: Extensions,
}

/// The head of an answer.
#[derive(Debug)]
pub(crate) struct ResponseHead {
    pub(crate) status: StatusCode,
    pub(crate) version: Version,
    pub(crate) fields: Fields,
    /// The text behind the status, where it is not the usual one.
    pub(crate) reason: Option<ReasonPhrase>,
}

/// A request, and its body.
pub(crate) struct Request<B> {
    pub(crate) head: RequestHead,
    pub(crate) body: B,
}

/// An answer, and its body.
pub(crate) struct Response<B> {
    pub(crate) head: ResponseHead,
    pub(crate) body: B,
}

impl From<&RequestHead> for http::Request<()> {
    fn from(head: &RequestHead) -> Self {
        let mut request = Self::new(());
        *request.method_mut() = head.method.clone();
        *request.uri_mut() = head.uri.clone();
        *request.headers_mut() = head.fields.to_map();
        request
    }
}

impl<B> Response<B> {
    pub(crate) fn map<C>(self, change: impl FnOnce(B) -> C) -> Response<C> {
        Response { head: self.head, body: change(self.body) }
    }
}

impl<B> From<http::Response<B>> for Response<B> {
    fn from(response: http::Response<B>) -> Self {
        let (parts, body) = response.into_parts();
        Self { head: parts.into(), body }
    }
}

impl<B> From<Response<B>> for http::Response<B> {
    fn from(Response { head, body }: Response<B>) -> Self {
        let mut response = Self::new(body);
        *response.status_mut() = head.status;
        *response.headers_mut() = head.fields.to_map();
        response
    }
}

impl RequestHead {
    /// One without fields.
    pub(crate) fn new(method: Method, uri: Uri) -> Self {
        Self { method, uri, version: Version::HTTP_11, fields: Fields::default(), extensions: Extensions::new() }
    }

    /// Path and query, as they are written.
    pub(crate) fn target(&self) -> &str {
        self.uri.path_and_query().map_or("/", PathAndQuery::as_str)
    }
}

impl From<request::Parts> for RequestHead {
    fn from(parts: request::Parts) -> Self {
        let request::Parts { method, uri, version, headers, extensions, .. } = parts;
        Self { method, uri, version, fields: (&headers).into(), extensions }
    }
}

impl From<response::Parts> for ResponseHead {
    fn from(parts: response::Parts) -> Self {
        let response::Parts { status, version, headers, .. } = parts;
        Self { status, version, fields: (&headers).into(), reason: None }
    }
}
