//! What must never arrive at a vendor. A real one would shrug at most of it, so a stand-in answers 400 with a body of
//! its own, by which a test sees at once what a proxy let across.

use http::header::{AUTHORIZATION, CONNECTION, HOST};
use http::{HeaderMap, StatusCode, Uri, Version};
use serde_json::json;

use super::http::{Answer, Arrived, json_answer};

/// Hop-by-hop fields (RFC 9110 section 7.6.1), and those that tell about the caller or speak to a proxy.
const NAMES: [&str; 11] = [
    "forwarded",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "proxy-status",
    "te",
    "upgrade",
    "x-forwarded",
    "x-real-ip",
    "http2-settings",
];
const PREFIX: &str = "x-forwarded-";

/// The 400 for a request that no well-kept proxy sends, for a listener on `port` of loopback.
///
/// `None`: the request is in order, as far as this goes.
pub(super) fn refuse(request: &Arrived, port: u16) -> Option<Answer> {
    let found = found(&request.parts.headers)
        .or_else(|| wrong_host(&request.parts.headers, port).then(|| "host".to_owned()))
        .or_else(|| wrong_request_line(&request.parts.uri, request.parts.version).then(|| "request-line".to_owned()))?;
    Some(refusal(&found))
}

/// The 400 for a field that must not have crossed.
pub(super) fn refusal(field: &str) -> Answer {
    let text = "this must not reach a vendor";
    json_answer(StatusCode::BAD_REQUEST, &json!({ "sandbox": { "leftover": field, "text": text } }))
}

/// A name with `_` is the same field to a vendor that reads its headers through CGI variables.
fn plain(name: &str) -> String {
    name.replace('_', "-")
}

fn must_not_cross(name: &str) -> bool {
    NAMES.contains(&plain(name).as_str()) || plain(name).starts_with(PREFIX)
}

/// The first trailer that must not have crossed: what may be in no header, and no credential either.
pub(super) fn in_trailers(trailers: &HeaderMap) -> Option<String> {
    let mut names = trailers.keys().map(http::HeaderName::as_str);
    names.find(|name| must_not_cross(name) || plain(name) == AUTHORIZATION.as_str()).map(str::to_owned)
}

/// The first field that must not have crossed.
fn found(headers: &HeaderMap) -> Option<String> {
    let alias = |name: &&str| name.contains('_') && plain(name) == AUTHORIZATION.as_str();
    let mut names = headers.keys().map(http::HeaderName::as_str);
    if let Some(name) = names.find(|name| must_not_cross(name) || alias(name)) {
        return Some(name.to_owned());
    }
    // A connection may say how it ends; any other option names a field that should have gone.
    let options = headers.get_all(CONNECTION).iter().flat_map(|value| value.to_str().unwrap_or("?").split(','));
    let mut options = options.map(str::trim);
    if !options.all(|option| option.eq_ignore_ascii_case("close") || option.eq_ignore_ascii_case("keep-alive")) {
        return Some(CONNECTION.as_str().to_owned());
    }
    (headers.get_all(AUTHORIZATION).iter().count() > 1).then(|| AUTHORIZATION.as_str().to_owned())
}

/// Whether `Host` is anything but one field that names this listener.
fn wrong_host(headers: &HeaderMap, port: u16) -> bool {
    let mut fields = headers.get_all(HOST).iter();
    let (Some(host), None) = (fields.next(), fields.next()) else { return true };
    !["localhost", "127.0.0.1", "[::1]"].iter().any(|name| host.as_bytes() == format!("{name}:{port}").as_bytes())
}

/// An origin server is asked in origin-form (RFC 9112 section 3.2.1), in the version that ALPN agreed on.
fn wrong_request_line(target: &Uri, version: Version) -> bool {
    target.scheme().is_some() || target.authority().is_some() || version != Version::HTTP_11
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue};

    use super::{found, in_trailers, wrong_host};

    fn headers(fields: &[(&str, &str)]) -> HeaderMap {
        let field = |(name, value): &(&str, &str)| {
            (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap())
        };
        let mut headers = HeaderMap::new();
        for (name, value) in fields.iter().map(field) {
            headers.append(name, value);
        }
        headers
    }

    #[test]
    fn finds_a_credential_in_trailers() {
        assert_eq!(in_trailers(&headers(&[("x-checksum", "1")])), None);
        for name in ["authorization", "x_forwarded_for", "proxy-authorization"] {
            assert_eq!(in_trailers(&headers(&[("x-checksum", "1"), (name, "v")])).as_deref(), Some(name));
        }
    }

    #[test]
    fn finds_what_a_proxy_should_have_dropped() {
        for name in ["Forwarded", "X-Forwarded-For", "X_Forwarded_Host", "Proxy-Authorization", "TE", "X-Real-IP"] {
            assert_eq!(found(&headers(&[(name, "x")])), Some(name.to_ascii_lowercase()), "{name}");
        }
        let several = [("authorization", "Basic eA=="), ("authorization", "Basic eA==")];
        assert_eq!(found(&headers(&several)).as_deref(), Some("authorization"));
        assert_eq!(found(&headers(&[("connection", "close, x-mine")])).as_deref(), Some("connection"));
        assert_eq!(found(&headers(&[("connection", "Keep-Alive"), ("account", "a"), ("via", "1.1 x")])), None);
    }

    #[test]
    fn a_host_names_the_listener_once() {
        assert!(!wrong_host(&headers(&[("host", "localhost:7001")]), 7001));
        assert!(!wrong_host(&headers(&[("host", "[::1]:7001")]), 7001));
        assert!(wrong_host(&headers(&[("host", "localhost")]), 7001));
        assert!(wrong_host(&headers(&[("host", "api.imagga.com")]), 7001));
        assert!(wrong_host(&headers(&[("host", "localhost:7001"), ("host", "localhost:7001")]), 7001));
        assert!(wrong_host(&headers(&[]), 7001));
    }
}
