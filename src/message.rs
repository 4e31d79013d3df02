//! Messages as the path has them, whichever version of HTTP they came in.

mod path;

use http::uri::{Authority, Scheme};
use http::{Extensions, Method, StatusCode, Version, request, response};
use hyper::ext::ReasonPhrase;

pub(crate) use self::path::Path;
use crate::fields::Fields;

/// The head of a request.
#[derive(Clone, Debug)]
pub(crate) struct RequestHead {
    pub(crate) method: Method,
    /// That of the target, if it has one (RFC 9112 3.2.2).
    pub(crate) authority: Option<Authority>,
    pub(crate) path: Path,
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

impl RequestHead {
    /// One without fields.
    pub(crate) fn new(method: Method, path: Path) -> Self {
        let (fields, extensions) = (Fields::default(), Extensions::new());
        Self { method, authority: None, path, version: Version::HTTP_11, fields, extensions }
    }
}

impl From<request::Parts> for RequestHead {
    fn from(parts: request::Parts) -> Self {
        let request::Parts { method, uri, version, headers, extensions, .. } = parts;
        // What is of another scheme asks for nothing here.
        let is_http = uri.scheme().is_none_or(|scheme| *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS);
        let path = uri.path_and_query().filter(|_| is_http).map(Path::from).unwrap_or_default();
        Self { method, authority: uri.authority().cloned(), path, version, fields: (&headers).into(), extensions }
    }
}

impl<B> Response<B> {
    pub(crate) fn map<C>(self, change: impl FnOnce(B) -> C) -> Response<C> {
        Response { head: self.head, body: change(self.body) }
    }
}

impl From<response::Parts> for ResponseHead {
    fn from(parts: response::Parts) -> Self {
        let response::Parts { status, version, headers, .. } = parts;
        Self { status, version, fields: (&headers).into(), reason: None }
    }
}

impl<B> From<http::Response<B>> for Response<B> {
    fn from(response: http::Response<B>) -> Self {
        let (parts, body) = response.into_parts();
        Self { head: parts.into(), body }
    }
}

impl From<&ResponseHead> for http::Response<()> {
    fn from(head: &ResponseHead) -> Self {
        let mut response = Self::new(());
        *response.status_mut() = head.status;
        *response.headers_mut() = head.fields.to_map();
        response
    }
}
