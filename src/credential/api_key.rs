//! `Authorization: ApiKey KEY`, or any other field with any other prefix.

use http::{HeaderName, HeaderValue, header};

use super::field::StaticField;
use super::{concerns_connection, read_token};
use crate::config::error::Fault;
use crate::config::read::Table;
use crate::fields::Fields;

/// What goes before a key in `Authorization`. In a field of the vendor's own, nothing does.
const AUTHORIZATION_PREFIX: &str = "ApiKey ";

pub(super) const NAME: &str = "api-key";
pub(super) type Placed = StaticField;

pub(super) fn read(table: &mut Table<'_>) -> Option<Placed> {
    let header = table.parsed("header", "the name of a header field", parse_header);
    let header_is_wrong = header.is_none() && table.has("header");
    let header = header.map_or(header::AUTHORIZATION, |header| header.value);
    let default = if header == header::AUTHORIZATION { AUTHORIZATION_PREFIX } else { "" };
    let prefix =
        table.parsed("prefix", "what goes before the key", parse_prefix).map_or(default, |prefix| prefix.value);
    table.own_fields(std::slice::from_ref(&header));
    let key = read_token(table, "key", prefix)?;
    if header_is_wrong {
        return None;
    }
    let field = StaticField::new(header, prefix, key.value.expose())?;
    Some(field.echoed_as(|forms| forms.secret(key.value.expose())))
}

pub(super) fn offered(placed: &Placed, fields: &Fields, take: impl FnMut(&[u8])) {
    placed.offered(fields).map(take);
}

fn parse_header(text: &str) -> Result<HeaderName, Fault> {
    match HeaderName::from_bytes(text.as_bytes()) {
        Ok(name) if name == header::HOST || concerns_connection(&name) => {
            Err(Fault::new("a field that says where or how the message goes cannot hold a key"))
        }
        Ok(name) => Ok(name),
        Err(_) => Err(Fault::new("expected the name of a header field, such as `x-api-key`")),
    }
}

fn parse_prefix(text: &str) -> Result<&str, Fault> {
    let legal = text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) && !text.starts_with(' ');
    if legal && HeaderValue::from_str(text).is_ok() {
        Ok(text)
    } else {
        Err(Fault::new("expected visible ASCII, such as `\"ApiKey \"`"))
    }
}

#[cfg(test)]
mod tests {
    use crate::credential::tests::{place, read, refusal};

    const KEY: [(&str, &[u8]); 1] = [("env:KEY", b"k3y")];

    #[test]
    fn header_and_prefix_are_what_the_config_says() {
        for (options, name, value) in [
            ("", "authorization", "ApiKey k3y"),
            (", prefix = 'Token token='", "authorization", "Token token=k3y"),
            (", prefix = ''", "authorization", "k3y"),
            (", header = 'X-Api-Key'", "x-api-key", "k3y"),
            (", header = 'x-api-key', prefix = 'v1:'", "x-api-key", "v1:k3y"),
        ] {
            let credential = read(&format!("auth.api-key = {{ key = 'env:KEY'{options} }}"), &KEY);
            let head = place(&credential, "GET", "/", &[(name, "the caller's"), (name, "twice")], b"");
            let lines: Vec<_> = head.fields.iter().filter(|line| line.name == name.as_bytes()).collect();
            assert!(lines.len() == 1 && lines[0].value == value.as_bytes() && lines[0].is_secret);
            assert_eq!(credential.owned_headers(), [name]);
        }
    }

    #[test]
    fn a_field_that_frames_or_routes_the_message_is_refused() {
        for header in ["Host", "content-length", "Transfer-Encoding", "connection", "te", "upgrade", "x y", ""] {
            let auth = format!("auth.api-key = {{ key = 'env:KEY', header = '{header}' }}");
            assert!(refusal(&auth, &KEY).contains("api-key.header`:"), "{header}");
        }
    }

    #[test]
    fn a_key_with_the_prefix_is_refused() {
        let auth = "auth.api-key = { key = 'env:KEY' }";
        assert!(refusal(auth, &[("env:KEY", b"apikey k3y")]).contains("already begins with `ApiKey `"));
    }
}
