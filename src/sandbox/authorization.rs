//! The `Authorization` field, for the vendors that expect one constant in it.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;

use super::keys::Pair;

/// What a request presented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presented {
    Right,
    /// Another scheme, another spelling of it, or another key.
    Wrong,
    Nothing,
}

/// Whether the one `Authorization` field is `scheme`, one space and `key`, to the byte.
///
/// More than one field is [`Wrong`](Presented::Wrong).
pub(super) fn constant(headers: &HeaderMap, scheme: &str, key: &[u8]) -> Presented {
    judge(headers, |value| {
        let rest = value.strip_prefix(scheme.as_bytes()).and_then(|rest| rest.strip_prefix(b" "));
        rest.is_some_and(|presented| verify_slices_are_equal(presented, key).is_ok())
    })
}

/// Whether the one `Authorization` field is `Basic` with `pair` (RFC 7617).
pub(super) fn basic(headers: &HeaderMap, pair: &Pair) -> Presented {
    judge(headers, |value| {
        let Some(decoded) = value.strip_prefix(b"Basic ").and_then(|encoded| STANDARD.decode(encoded).ok()) else {
            return false;
        };
        let expected = [pair.name.expose(), pair.secret.expose()].join(&b':');
        verify_slices_are_equal(&decoded, &expected).is_ok()
    })
}

/// The value of the one `Authorization` field. `None`: there is none, or there are several.
pub(super) fn only_value(headers: &HeaderMap) -> Option<&[u8]> {
    let mut fields = headers.get_all(AUTHORIZATION).iter();
    match (fields.next(), fields.next()) {
        (Some(value), None) => Some(value.as_bytes()),
        _ => None,
    }
}

fn judge(headers: &HeaderMap, right: impl FnOnce(&[u8]) -> bool) -> Presented {
    if !headers.contains_key(AUTHORIZATION) {
        return Presented::Nothing;
    }
    if only_value(headers).is_some_and(right) { Presented::Right } else { Presented::Wrong }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::{Presented, basic, constant};
    use crate::Secret;
    use crate::sandbox::keys::Pair;

    fn headers(values: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("authorization", HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn a_constant_is_exact_to_the_byte() {
        let judge = |values: &[&'static str]| constant(&headers(values), "ApiKey", b"k3y");
        assert_eq!(judge(&["ApiKey k3y"]), Presented::Right);
        assert_eq!(judge(&[]), Presented::Nothing);
        for wrong in ["apikey k3y", "ApiKey  k3y", "ApiKey k3", "ApiKey k3yy", "ApiKey", "Bearer k3y", "k3y"] {
            assert_eq!(judge(&[wrong]), Presented::Wrong, "{wrong}");
        }
        assert_eq!(judge(&["ApiKey k3y", "ApiKey k3y"]), Presented::Wrong);
    }

    #[test]
    fn basic_is_rfc_7617() {
        let pair = Pair { name: Secret::new(b"Aladdin".to_vec()), secret: Secret::new(b"open sesame".to_vec()) };
        let judge = |value| basic(&headers(&[value]), &pair);
        assert_eq!(judge("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), Presented::Right);
        assert_eq!(judge("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ"), Presented::Wrong);
        assert_eq!(judge("basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), Presented::Wrong);
        assert_eq!(judge("Basic QWxhZGRpbjpvcGVuIHNlc2FtZT=="), Presented::Wrong);
        assert_eq!(judge("Basic Aladdin:open sesame"), Presented::Wrong);
    }
}
