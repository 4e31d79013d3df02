//! `Authorization: Bearer TOKEN` (RFC 6750 2.1). Vendors' keys are not always its `b64token`: what a field may hold goes.

use http::header;

use super::field::StaticField;
use super::read_token;
use crate::config::read::Table;
use crate::fields::Fields;

const PREFIX: &str = "Bearer ";

pub(super) const NAME: &str = "bearer";
pub(super) type Placed = StaticField;

pub(super) fn read(table: &mut Table<'_>) -> Option<Placed> {
    let token = read_token(table, "token", PREFIX)?;
    let field = StaticField::new(header::AUTHORIZATION, PREFIX, token.value.expose())?;
    Some(field.echoed_as(|forms| forms.secret(token.value.expose())))
}

pub(super) fn offered(placed: &Placed, fields: &Fields, take: impl FnMut(&[u8])) {
    placed.offered(fields).map(take);
}

#[cfg(test)]
mod tests {
    use crate::credential::tests::{authorization, place, read, refusal};

    const AUTH: &str = "auth.bearer = { token = 'env:TOKEN' }";

    #[test]
    fn any_token_that_a_field_may_hold_goes() {
        for token in ["vk-0123456789", "a b,c=\"d\"", "tökén"] {
            let credential = read(AUTH, &[("env:TOKEN", token.as_bytes())]);
            assert_eq!(authorization(&place(&credential, "GET", "/", &[], b"")), format!("Bearer {token}"));
        }
    }

    #[test]
    fn a_token_that_a_field_may_not_hold_is_refused() {
        for token in [&b"a\nb"[..], b"a\r", b"a\n", b"a\0b", b"a\x7f", b"a\tb"] {
            assert!(
                refusal(AUTH, &[("env:TOKEN", token)]).contains("bearer.token`: `env:TOKEN` holds a line break or")
            );
        }
        for token in [&b" a"[..], b"a ", b" "] {
            assert!(refusal(AUTH, &[("env:TOKEN", token)]).contains("begins or ends with a space"));
        }
    }

    #[test]
    fn a_token_with_the_prefix_is_refused() {
        assert!(refusal(AUTH, &[("env:TOKEN", b"BEARER abc")]).contains("already begins with `Bearer `"));
    }
}
