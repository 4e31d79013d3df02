//! HTTP/2 requests, as far as h2 and hyper are laxer than what is read of HTTP/1.1: the same targets, fields and bounds
//! (RFC 9113 8.2, 8.3). Connection-specific fields and pseudo-fields that are odd or missing, h2 refuses itself.

use http::header::{CONTENT_LENGTH, COOKIE, HOST, HeaderValue};
use http::uri::{PathAndQuery, Scheme};
use http::{HeaderMap, Method, Request, Uri, Version};
use hyper::ext::Protocol;

use super::fields::decimal;
use super::request::is_path;
use super::{MAX_FIELDS, MAX_HEADER_BYTES, Malformed};

/// What each field counts for beyond its name and value (RFC 9113 6.5.2).
const FIELD_OVERHEAD: usize = 32;

/// Whether a request that came by HTTP/2 could have come by HTTP/1.1, too; one that did passes.
///
/// The crumbs of a cookie are joined, as they must be before anything else sees them (RFC 9113 8.2.3).
pub(crate) fn check<B>(request: &mut Request<B>) -> Result<(), Malformed> {
    if request.version() != Version::HTTP_2 {
        return Ok(());
    }
    check_fields(request.headers())?;
    check_length(request.headers())?;
    // RFC 8441 4: with `:protocol`, it has a path as any other.
    if *request.method() != Method::CONNECT || request.extensions().get::<Protocol>().is_some() {
        check_target(request.uri())?;
    }
    check_authority(request.uri(), request.headers())?;
    join_cookie(request.headers_mut())
}

/// Fields of a header or of trailers: how many there are, and how long.
pub(crate) fn check_fields(headers: &HeaderMap) -> Result<(), Malformed> {
    if headers.len() > MAX_FIELDS {
        return Err(Malformed::TooManyFields);
    }
    let size = |(name, value): (&http::HeaderName, &HeaderValue)| name.as_str().len() + value.len() + FIELD_OVERHEAD;
    if headers.iter().map(size).sum::<usize>() > MAX_HEADER_BYTES {
        return Err(Malformed::HeaderTooLarge);
    }
    // RFC 9113 8.2.1: what HTTP/1.1 would take for the space around a value.
    let is_padded = |value: &HeaderValue| value.as_bytes().trim_ascii().len() != value.len();
    if headers.values().any(is_padded) { Err(Malformed::Field) } else { Ok(()) }
}

fn check_length(headers: &HeaderMap) -> Result<(), Malformed> {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    match (lengths.next(), lengths.next()) {
        (None, _) => Ok(()),
        (Some(length), None) if decimal(length.as_bytes()).is_some() => Ok(()),
        (Some(_), _) => Err(Malformed::ContentLength),
    }
}

/// `:path` is a path, and `:scheme`, which means nothing here, one of HTTP.
fn check_target(uri: &Uri) -> Result<(), Malformed> {
    let is_http = uri.scheme().is_none_or(|scheme| *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS);
    let path = uri.path_and_query().map(PathAndQuery::as_str).unwrap_or_default();
    if is_http && is_path(path.as_bytes()) { Ok(()) } else { Err(Malformed::Target) }
}

/// RFC 9113 8.3.1: there may be two names of where it goes, but not for two places.
fn check_authority(uri: &Uri, headers: &HeaderMap) -> Result<(), Malformed> {
    let mut hosts = headers.get_all(HOST).iter();
    match (uri.authority(), hosts.next(), hosts.next()) {
        (None, None, _) | (_, Some(_), Some(_)) => Err(Malformed::Host),
        (Some(authority), Some(host), None) if !host.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes()) => {
            Err(Malformed::TwoAuthorities)
        }
        (Some(_) | None, Some(_), None) | (Some(_), None, _) => Ok(()),
    }
}

fn join_cookie(headers: &mut HeaderMap) -> Result<(), Malformed> {
    if headers.get_all(COOKIE).iter().nth(1).is_none() {
        return Ok(());
    }
    let crumbs: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    let cookie = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])).map_err(|_| Malformed::Field)?;
    headers.insert(COOKIE, cookie);
    Ok(())
}

#[cfg(test)]
mod tests {
    use http::{Request, Version};

    use super::super::Malformed;
    use super::check;

    fn request(uri: &str, fields: &[(&str, &str)]) -> Request<()> {
        let mut request = Request::builder().uri(uri).version(Version::HTTP_2);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap()
    }

    fn fault(uri: &str, fields: &[(&str, &str)]) -> Option<Malformed> {
        check(&mut request(uri, fields)).err()
    }

    #[test]
    fn host_may_not_say_otherwise_than_authority_and_one_of_them_is_needed() {
        assert_eq!(fault("http://a/x", &[]), None);
        assert_eq!(fault("/x", &[("host", "a")]), None);
        assert_eq!(fault("http://a:1/x", &[("host", "A:1")]), None);
        assert_eq!(fault("http://a/x", &[("host", "b")]), Some(Malformed::TwoAuthorities));
        assert_eq!(fault("http://a/x", &[("host", "a:80")]), Some(Malformed::TwoAuthorities));
        assert_eq!(fault("http://a/x", &[("host", "a"), ("host", "a")]), Some(Malformed::Host));
        assert_eq!(fault("/x", &[]), Some(Malformed::Host));
    }

    #[test]
    fn a_path_holds_what_it_may_in_http_1() {
        assert_eq!(fault("http://a/x?y={z}", &[]), None);
        for uri in ["*", "http://a/\u{e9}", "ftp://a/x", "http://a/x\\y"] {
            assert_eq!(fault(uri, &[("host", "a")]), Some(Malformed::Target), "{uri}");
        }
    }

    #[test]
    fn fields_are_as_many_and_as_large_as_in_http_1() {
        let many = |count| vec![("x", "y"); count];
        assert_eq!(fault("http://a/", &many(128)), None);
        assert_eq!(fault("http://a/", &many(129)), Some(Malformed::TooManyFields));
        let large = |length| "x".repeat(length);
        assert_eq!(fault("http://a/", &[("x", &large(65_503))]), None);
        assert_eq!(fault("http://a/", &[("x", &large(65_504))]), Some(Malformed::HeaderTooLarge));
        assert_eq!(fault("http://a/", &[("x", " y")]), Some(Malformed::Field));
        for lengths in [&[("content-length", "5"); 2][..], &[("content-length", "5, 5")], &[("content-length", "+5")]] {
            assert_eq!(fault("http://a/", lengths), Some(Malformed::ContentLength));
        }
    }

    #[test]
    fn the_crumbs_of_a_cookie_are_joined() {
        let mut request = request("http://a/", &[("cookie", "a=b"), ("cookie", "c=d"), ("cookie", "e=f")]);
        check(&mut request).unwrap();
        let cookies: Vec<_> = request.headers().get_all("cookie").iter().collect();
        assert_eq!(cookies, ["a=b; c=d; e=f"]);
    }

    #[test]
    fn http_1_is_not_looked_at_again() {
        let mut request = request("/x", &[("cookie", "a"), ("cookie", "b")]);
        *request.version_mut() = Version::HTTP_11;
        check(&mut request).unwrap();
        assert_eq!(request.headers().len(), 2);
    }
}
