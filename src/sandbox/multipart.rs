//! `multipart/form-data` (RFC 7578), read whole and strictly: a body that a proxy has bent does not parse.

use http::HeaderMap;
use http::header::CONTENT_TYPE;

/// One part of a form.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part<'a> {
    pub(super) name: &'a str,
    pub(super) is_file: bool,
    pub(super) content: &'a [u8],
}

/// The parts of a form, in order. `None`: no form, or one that is not well-formed.
pub(super) fn parse<'a>(headers: &HeaderMap, body: &'a [u8]) -> Option<Vec<Part<'a>>> {
    let content_type = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let parameters = content_type.strip_prefix("multipart/form-data")?;
    let boundary = parameters.split(';').find_map(|parameter| parameter.trim().strip_prefix("boundary="))?;
    let boundary = boundary.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(boundary);
    if boundary.is_empty() || boundary.len() > 70 {
        return None;
    }
    let delimiter = format!("\r\n--{boundary}");
    let mut rest = body.strip_prefix(delimiter.as_bytes().strip_prefix(b"\r\n")?)?;
    let mut parts = Vec::new();
    loop {
        if let Some(epilogue) = rest.strip_prefix(b"--") {
            return matches!(epilogue, b"" | b"\r\n").then_some(parts);
        }
        let part = rest.strip_prefix(b"\r\n")?;
        let (header, part) = split_at(part, b"\r\n\r\n")?;
        let (content, after) = split_at(part, delimiter.as_bytes())?;
        parts.push(disposition(header, content)?);
        rest = after;
    }
}

/// The part's name, from its `Content-Disposition`.
fn disposition<'a>(header: &'a [u8], content: &'a [u8]) -> Option<Part<'a>> {
    let header = std::str::from_utf8(header).ok()?;
    let field = |line: &'a str| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-disposition").then_some(value.trim())
    };
    let parameters = header.split("\r\n").find_map(field)?.strip_prefix("form-data;")?;
    let parameter = |key: &str| {
        let value =
            parameters.split(';').find_map(|parameter| parameter.trim().strip_prefix(key)?.strip_prefix('='))?;
        Some(value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value))
    };
    Some(Part { name: parameter("name")?, is_file: parameter("filename").is_some(), content })
}

/// What stands before and after the first `separator`.
fn split_at<'a>(bytes: &'a [u8], separator: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = bytes.windows(separator.len()).position(|window| window == separator)?;
    Some((bytes.get(..at)?, bytes.get(at + separator.len()..)?))
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::{Part, parse};

    fn headers(content_type: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(http::header::CONTENT_TYPE, HeaderValue::from_static(content_type))])
    }

    const BODY: &[u8] = b"--xyz\r\nContent-Disposition: form-data; name=\"prompt\"\r\n\r\na harbour\r\n\
        --xyz\r\nContent-Disposition: form-data; name=\"image\"; filename=\"a.png\"\r\nContent-Type: image/png\r\n\r\n\
        \x89PNG\r\n\r\n\x00\r\n--xyz--\r\n";

    #[test]
    fn a_form_falls_into_its_parts() {
        let parts = parse(&headers("multipart/form-data; boundary=xyz"), BODY).unwrap();
        let prompt = Part { name: "prompt", is_file: false, content: b"a harbour" };
        let image = Part { name: "image", is_file: true, content: b"\x89PNG\r\n\r\n\x00" };
        assert_eq!(parts, [prompt, image]);
        assert_eq!(parse(&headers("multipart/form-data; boundary=\"xyz\""), BODY).unwrap().len(), 2);
    }

    #[test]
    fn a_form_that_was_bent_is_refused() {
        let form = headers("multipart/form-data; boundary=xyz");
        assert_eq!(parse(&headers("multipart/form-data"), BODY), None);
        assert_eq!(parse(&headers("multipart/form-data; boundary=abc"), BODY), None);
        assert_eq!(parse(&headers("application/json"), BODY), None);
        assert_eq!(parse(&form, BODY.strip_suffix(b"--\r\n").unwrap()), None);
        assert_eq!(parse(&form, BODY.strip_prefix(b"-").unwrap()), None);
        assert_eq!(parse(&form, b""), None);
    }
}
