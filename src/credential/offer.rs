//! What a request brings where a vendor's key would stand: a caller's token may be there, so that an SDK works that
//! takes it for its key. Each text is handed on for comparing, and nothing of it is kept.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, HeaderName};
use zeroize::Zeroizing;

use crate::fields::Fields;

/// The longest text of Basic that is decoded.
const MAX_BASIC: usize = 4096;

/// What `name` holds as Bearer, or as the user or password of Basic, which is how the URL of a proxy carries it.
pub(crate) fn authorization(fields: &Fields, name: &HeaderName, mut take: impl FnMut(&[u8])) {
    if let Some(token) = after(fields, name, b"Bearer ") {
        take(token);
    }
    if let Some(text) = after(fields, name, b"Basic ") {
        basic(text, take);
    }
}

/// The user and the password of what follows `Basic `.
pub(super) fn basic(text: &[u8], mut take: impl FnMut(&[u8])) {
    if text.len() > MAX_BASIC {
        return;
    }
    let mut pair = Zeroizing::new(vec![0; text.len()]);
    let Ok(length) = STANDARD.decode_slice(text, &mut pair) else { return };
    let pair = pair.get(..length).unwrap_or_default();
    let colon = pair.iter().position(|&b| b == b':').unwrap_or(pair.len());
    take(pair.get(..colon).unwrap_or_default());
    take(pair.get(colon + 1..).unwrap_or_default());
}

/// The user name of an HMAC signature: its first parameter.
pub(super) fn hmac(fields: &Fields, mut take: impl FnMut(&[u8])) {
    let Some(parameters) = after(fields, &AUTHORIZATION, b"hmac ") else { return };
    if let Some(rest) = parameters.strip_prefix(b"username=\"")
        && let Some(username) = rest.split(|&b| b == b'"').next()
    {
        take(username);
    }
}

/// What follows `prefix`, in any case, in the one field of this name. Of several, none counts.
pub(super) fn after<'a>(fields: &'a Fields, name: &HeaderName, prefix: &[u8]) -> Option<&'a [u8]> {
    let value = fields.single(name).ok().flatten()?;
    let (beginning, rest) = value.split_at_checked(prefix.len())?;
    beginning.eq_ignore_ascii_case(prefix).then(|| rest.trim_ascii())
}

#[cfg(test)]
mod tests {
    use http::header::PROXY_AUTHORIZATION;

    use super::{authorization, hmac};
    use crate::fields::tests::fields;

    fn offered(given: &[(&str, &str)]) -> Vec<String> {
        let mut texts = Vec::new();
        authorization(&fields(given), &PROXY_AUTHORIZATION, |text| {
            texts.push(String::from_utf8(text.to_vec()).unwrap());
        });
        texts
    }

    #[test]
    fn a_proxys_credential_is_bearer_or_either_part_of_basic() {
        let name = "proxy-authorization";
        assert_eq!(offered(&[(name, "Bearer t0ken")]), ["t0ken"]);
        assert_eq!(offered(&[(name, "bearer  t0ken ")]), ["t0ken"]);
        assert_eq!(offered(&[(name, "Basic c2hvcDp0MGtlbg==")]), ["shop", "t0ken"]);
        assert_eq!(offered(&[(name, "Basic dDBrZW46")]), ["t0ken", ""]);
        assert_eq!(offered(&[(name, "Basic dDBrZW4=")]), ["t0ken", ""]);
        for nothing in ["t0ken", "Basic !", "Bearer", "Digest t0ken", ""] {
            assert!(offered(&[(name, nothing)]).is_empty(), "{nothing}");
        }
        assert!(offered(&[("authorization", "Bearer t0ken")]).is_empty());
        assert!(offered(&[(name, "Bearer t0ken"), (name, "Bearer other")]).is_empty());
    }

    #[test]
    fn an_hmac_signature_offers_its_user_name() {
        let user = |value: &str| {
            let mut name = None;
            hmac(&fields(&[("authorization", value)]), |text| name = Some(text.to_vec()));
            name
        };
        assert_eq!(user("hmac username=\"k3y\", algorithm=\"hmac-sha1\"").as_deref(), Some(&b"k3y"[..]));
        assert_eq!(user("hmac algorithm=\"hmac-sha1\", username=\"k3y\""), None);
    }
}
