//! `Authorization: Basic base64(username:password)` (RFC 7617). Both parts are bytes as they are, which UTF-8 is.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header;
use zeroize::Zeroizing;

use super::field::StaticField;
use super::{offer, without_prefix};
use crate::Secret;
use crate::config::error::Fault;
use crate::config::read::Table;
use crate::fields::Fields;

const PREFIX: &str = "Basic ";

pub(super) const NAME: &str = "basic";
pub(super) type Placed = StaticField;

pub(super) fn read(table: &mut Table<'_>) -> Option<Placed> {
    let username = table.secret("username").and_then(|username| without_prefix(table, username, PREFIX));
    let password = table.secret("password");
    let username = username?;
    if username.value.expose().contains(&b':') {
        let fault = Fault::new("the user name holds a `:`, which would end it");
        table.refuse(&username.place, fault.hint("a whole `user:password` is two secrets: name each on its own"));
        return None;
    }
    encode(&username.value, &password?.value)
}

pub(super) fn offered(placed: &Placed, fields: &Fields, take: impl FnMut(&[u8])) {
    if let Some(text) = placed.offered(fields) {
        offer::basic(text, take);
    }
}

fn encode(username: &Secret, password: &Secret) -> Option<Placed> {
    let (username, password) = (username.expose(), password.expose());
    let mut pair = Zeroizing::new(Vec::with_capacity(username.len() + 1 + password.len()));
    pair.extend_from_slice(username);
    pair.push(b':');
    pair.extend_from_slice(password);
    let mut encoded = Zeroizing::new(vec![0; base64::encoded_len(pair.len(), true)?]);
    let length = STANDARD.encode_slice(&*pair, &mut encoded).ok()?;
    let field = StaticField::new(header::AUTHORIZATION, PREFIX, encoded.get(..length)?)?;
    Some(field.echoed_as(|forms| forms.username(username).secret(password).pair(&pair)))
}

#[cfg(test)]
mod tests {
    use super::encode;
    use crate::Secret;
    use crate::credential::Credential;
    use crate::credential::tests::{authorization, place, read, refusal};

    fn basic<'a>(username: &'a [u8], password: &'a [u8]) -> [(&'static str, &'a [u8]); 2] {
        [("env:USERNAME", username), ("env:PASSWORD", password)]
    }

    const AUTH: &str = "auth.basic = { username = 'env:USERNAME', password = 'env:PASSWORD' }";

    #[test]
    fn the_pair_is_encoded_as_curl_does() {
        for (username, password, value) in [
            ("Aladdin", "open sesame", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
            ("test", "123£", "Basic dGVzdDoxMjPCow=="),
            ("kéy", "sec:ret ☃", "Basic a8OpeTpzZWM6cmV0IOKYgw=="),
            ("a", "b:c:d", "Basic YTpiOmM6ZA=="),
        ] {
            let credential = read(AUTH, &basic(username.as_bytes(), password.as_bytes()));
            assert_eq!(authorization(&place(&credential, "GET", "/", &[], b"")), value);
        }
    }

    #[test]
    fn an_empty_part_would_be_encoded_as_nothing() {
        for (username, password, value) in [("user", "", "Basic dXNlcjo="), ("", "pass", "Basic OnBhc3M=")] {
            let secret = |text: &str| Secret::new(text.as_bytes().to_vec());
            let credential = Credential::Basic(encode(&secret(username), &secret(password)).unwrap());
            assert_eq!(authorization(&place(&credential, "GET", "/", &[], b"")), value);
        }
    }

    #[test]
    fn a_user_name_with_a_colon_is_refused() {
        assert!(refusal(AUTH, &basic(b"user:hunter2", b"x")).contains("basic.username`: the user name holds a `:`"));
    }

    #[test]
    fn an_empty_part_is_refused() {
        assert!(refusal(AUTH, &basic(b"user", b"")).contains("basic.password`: `env:PASSWORD` is empty"));
        assert!(refusal(AUTH, &basic(b"", b"pass")).contains("basic.username`: `env:USERNAME` is empty"));
    }

    #[test]
    fn a_ready_made_header_value_is_refused() {
        assert!(refusal(AUTH, &basic(b"bAsIc dXNlcjpwYXNz", b"x")).contains("already begins with `Basic `"));
    }
}
