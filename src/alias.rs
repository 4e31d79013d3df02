//! Field names that servers take for one another: CGI, WSGI and PHP see no difference between `-`, `_` and often `.`, and
//! know `Authorization` as `HTTP_AUTHORIZATION`. What a caller may not send goes under all of them.

use std::borrow::Cow;

use http::HeaderName;

use crate::byte_set::ByteSet;

/// `name` with `-` for whatever is no letter or digit, and none of that at either end.
pub(crate) fn fold(name: &HeaderName) -> HeaderName {
    HeaderName::from_bytes(folded(name.as_str()).as_bytes()).unwrap_or_else(|_| name.clone())
}

/// Whether no server takes a field of this name for one of another name: so it is with most, and quickly seen. In what begins
/// with `x-` or `http-`, there may be another.
pub(crate) fn stands_alone(name: &[u8]) -> bool {
    !is_odd(name) && !name.starts_with(b"x-") && !name.starts_with(b"http-")
}

/// Whether a server may take the field `name` for one of `managed`, which are folded, for `Host`, or for one for which
/// `drops` holds. That it is one of them is not asked here.
pub(crate) fn is_alias(name: &[u8], managed: &[HeaderName], drops: impl Fn(&[u8]) -> bool) -> bool {
    if stands_alone(name) {
        return false;
    }
    let is_odd = is_odd(name);
    // Names are ASCII.
    let name = str::from_utf8(name).unwrap_or_default();
    let folded = is_odd.then(|| folded(name));
    let name = folded.as_deref().unwrap_or(name);
    let bare = name.strip_prefix("http-").unwrap_or(name);
    let is_managed = |name: &str| managed.iter().any(|managed| managed.as_str() == name);
    let is_taken = |name: &str| is_managed(name) || name == "host" || drops(name.as_bytes());
    (folded.is_some() && is_taken(name))
        || (bare.len() < name.len() && is_taken(bare))
        || bare.strip_prefix("x-").is_some_and(is_managed)
}

/// Whether what is between the letters of a name, or around them, is not what most names have there.
fn is_odd(name: &[u8]) -> bool {
    has_odd_byte(name) || name.starts_with(b"-") || name.ends_with(b"-")
}

/// Names are in lower case.
static USUAL: ByteSet = ByteSet::of(b"abcdefghijklmnopqrstuvwxyz0123456789-");

fn has_odd_byte(name: &[u8]) -> bool {
    !USUAL.has_all(name)
}

fn folded(name: &str) -> Cow<'_, str> {
    let name = name.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    if has_odd_byte(name.as_bytes()) {
        name.replace(|c: char| !c.is_ascii_alphanumeric(), "-").into()
    } else {
        name.into()
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::{fold, is_alias};

    fn is_read_as(name: &str, managed: &'static str) -> bool {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        let managed = [fold(&HeaderName::from_static(managed))];
        managed.contains(&name) || is_alias(name.as_str().as_bytes(), &managed, |name| name == b"connection")
    }

    #[test]
    fn a_name_is_taken_for_another_whatever_is_between_its_letters() {
        for (name, managed) in [
            ("X-Api-Key", "x-api-key"),
            ("x_api_key", "x-api-key"),
            ("X.Api.Key", "x-api-key"),
            ("x~api!key", "x-api-key"),
            ("x-api-key_", "x-api-key"),
            ("-x-api-key-", "x-api-key"),
            ("my-key", "my_key"),
            ("my.key", "my_key"),
            ("_key", "_key"),
            ("key", "_key"),
            ("HTTP_AUTHORIZATION", "authorization"),
            ("http-authorization", "authorization"),
            ("X-Authorization", "authorization"),
            ("HTTP_X_AUTHORIZATION", "authorization"),
            ("http-key", "http-key"),
            ("http_key", "http-key"),
            ("_host", "authorization"),
            ("HTTP_HOST", "authorization"),
            ("Connection.", "authorization"),
        ] {
            assert!(is_read_as(name, managed), "{name} for {managed}");
        }
    }

    #[test]
    fn another_name_is_another() {
        for (name, managed) in [
            ("xapikey", "x-api-key"),
            ("x--api-key", "x-api-key"),
            ("api-key", "x-api-key"),
            ("x-api-key-2", "x-api-key"),
            ("authorizations", "authorization"),
            ("authorization-x", "authorization"),
            ("x-host", "authorization"),
            ("x-connection", "authorization"),
            ("http-referer", "authorization"),
            ("___", "authorization"),
        ] {
            assert!(!is_read_as(name, managed), "{name} for {managed}");
        }
    }
}
