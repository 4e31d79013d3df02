//! HTTP/2 requests, as far as h2 is laxer than what is read of HTTP/1.1: the same targets, fields and bounds
//! (RFC 9113 8.2, 8.3). Connection-specific fields and pseudo-fields that are odd or missing, h2 refuses itself.

use h2::ext::Protocol;
use http::header::{CONTENT_LENGTH, COOKIE, HOST, HeaderValue};
use http::uri::Authority;
use http::{Method, Version};

use super::fields::decimal;
use super::request::is_path;
use super::{MAX_FIELDS, MAX_HEADER_BYTES, Malformed};
use crate::fields::{FieldLine, Fields, Repeated};
use crate::message::RequestHead;

/// What each field counts for beyond its name and value (RFC 9113 6.5.2).
const FIELD_OVERHEAD: usize = 32;

/// Whether a request that came by HTTP/2 could have come by HTTP/1.1, too; one that did passes.
///
/// The crumbs of a cookie are joined, as they must be before anything else sees them (RFC 9113 8.2.3).
pub(crate) fn check(head: &mut RequestHead) -> Result<(), Malformed> {
    if head.version != Version::HTTP_2 {
        return Ok(());
    }
    check_fields(&head.fields)?;
    check_length(&head.method, &head.fields)?;
    // RFC 8441 4: with `:protocol`, it has a path as any other. Of a scheme that is not HTTP's, there is none.
    let has_path = head.method != Method::CONNECT || head.extensions.get::<Protocol>().is_some();
    if has_path && !is_path(head.path.text()) {
        return Err(Malformed::Target);
    }
    check_authority(head.authority.as_ref(), &head.fields)?;
    join_cookie(&mut head.fields)
}

/// Fields of a header or of trailers: how many there are, and how long.
pub(crate) fn check_fields(fields: &Fields) -> Result<(), Malformed> {
    if fields.len() > MAX_FIELDS {
        return Err(Malformed::TooManyFields);
    }
    let size = |line: FieldLine<'_>| line.name.len() + line.value.len() + FIELD_OVERHEAD;
    if fields.iter().map(size).sum::<usize>() > MAX_HEADER_BYTES {
        return Err(Malformed::HeaderTooLarge);
    }
    // RFC 9113 8.2.1: what HTTP/1.1 would take for the space around a value.
    let is_padded = |line: FieldLine<'_>| line.value.trim_ascii().len() != line.value.len();
    if fields.iter().any(is_padded) { Err(Malformed::Field) } else { Ok(()) }
}

fn check_length(method: &Method, fields: &Fields) -> Result<(), Malformed> {
    match fields.single(&CONTENT_LENGTH).map(|length| length.map(decimal)) {
        // RFC 9110 9.3.6: what follows it is no body, and may be of any length.
        Ok(Some(Some(1..))) if *method == Method::CONNECT => Err(Malformed::ConnectBody),
        Ok(None | Some(Some(_))) => Ok(()),
        Ok(Some(None)) | Err(Repeated) => Err(Malformed::ContentLength),
    }
}

/// How long a body is that a request announces. Of one that [`check`] refuses it says anything.
pub(crate) fn announced_length(fields: &Fields) -> Option<u64> {
    decimal(fields.get(&CONTENT_LENGTH)?)
}

/// RFC 9113 8.3.1: there may be two names of where it goes, but not for two places.
fn check_authority(authority: Option<&Authority>, fields: &Fields) -> Result<(), Malformed> {
    match (authority, fields.single(&HOST)) {
        (None, Ok(None)) | (_, Err(Repeated)) => Err(Malformed::Host),
        (Some(authority), Ok(Some(host))) if !host.eq_ignore_ascii_case(authority.as_str().as_bytes()) => {
            Err(Malformed::TwoAuthorities)
        }
        (Some(_) | None, Ok(Some(_))) | (Some(_), Ok(None)) => Ok(()),
    }
}

fn join_cookie(fields: &mut Fields) -> Result<(), Malformed> {
    if fields.get_all(&COOKIE).nth(1).is_none() {
        return Ok(());
    }
    let crumbs: Vec<&[u8]> = fields.get_all(&COOKIE).collect();
    let cookie = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])).map_err(|_| Malformed::Field)?;
    fields.put(&COOKIE, &cookie);
    Ok(())
}

#[cfg(test)]
mod tests {
    use http::header::COOKIE;
    use http::{Method, Request, Version};

    use super::super::Malformed;
    use super::check;
    use crate::message::RequestHead;

    fn request(uri: &str, fields: &[(&str, &str)]) -> RequestHead {
        let mut request = Request::builder().uri(uri).version(Version::HTTP_2);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0.into()
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
    fn a_connect_announces_no_body() {
        for (length, expected) in
            [("0", None), ("5", Some(Malformed::ConnectBody)), ("x", Some(Malformed::ContentLength))]
        {
            let mut request = request("a:80", &[("content-length", length)]);
            request.method = Method::CONNECT;
            assert_eq!(check(&mut request).err(), expected, "{length}");
        }
    }

    #[test]
    fn the_crumbs_of_a_cookie_are_joined() {
        let mut request = request("http://a/", &[("cookie", "a=b"), ("cookie", "c=d"), ("cookie", "e=f")]);
        check(&mut request).unwrap();
        let cookies: Vec<_> = request.fields.get_all(&COOKIE).collect();
        assert_eq!(cookies, [b"a=b; c=d; e=f"]);
    }

    #[test]
    fn http_1_is_not_looked_at_again() {
        let mut request = request("/x", &[("cookie", "a"), ("cookie", "b")]);
        request.version = Version::HTTP_11;
        check(&mut request).unwrap();
        assert_eq!(request.fields.len(), 2);
    }
}
