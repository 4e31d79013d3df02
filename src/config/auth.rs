//! What is put on an upstream's requests: `auth` and `fallback`, and the HTTP that they can be said in.

use http::HeaderName;

use super::error::{Fault, list};
use super::preset::Preset;
use super::read::{At, Place, Table};
use crate::credential::{self, Credential, Credentials, WantedHttp};
use crate::secret::Fingerprint;

/// What was read of one upstream's secrets.
pub(super) struct AuthFile {
    /// Without any: it is optional, and there is none that can be used.
    pub(super) credentials: Credentials,
    pub(super) owned_fields: Box<[HeaderName]>,
    pub(super) secrets: Fingerprint,
    pub(super) fallback_secrets: Fingerprint,
}

pub(super) fn read(table: &mut Table<'_>, preset: Option<&'static Preset>) -> AuthFile {
    let optional = table.boolean("optional").is_some_and(|optional| optional.value);
    let reader = table.reader();
    if !table.has("auth") {
        refuse_missing_auth(table, preset);
    }
    let mut read_secret = |key| {
        reader.fingerprint_of(|| match optional {
            true => reader.tolerate_secrets(|| read_credential(table, key, preset)),
            false => read_credential(table, key, preset),
        })
    };
    let (main, secrets) = read_secret("auth");
    let (fallback, fallback_secrets) = read_secret("fallback");
    let http = read_http(table);
    let credentials = Credentials::new(main, fallback, http.as_ref().map(|http| http.value).unwrap_or_default());
    if let Some(http) = http.filter(|http| http.value == WantedHttp::Http2) {
        refuse_http2_where_signed(table, &http.place, &credentials);
    }
    if credentials.forms().leaves_out() {
        table.warn("a secret of fewer than 6 bytes is not looked for in answers by itself");
    }
    AuthFile { credentials, owned_fields: reader.take_owned().into(), secrets, fallback_secrets }
}

/// `http`: what is spoken, if its credentials let it be.
fn read_http(table: &mut Table<'_>) -> Option<At<WantedHttp>> {
    const CHOICES: [(&str, WantedHttp); 3] =
        [("auto", WantedHttp::Auto), ("1.1", WantedHttp::Http1), ("2", WantedHttp::Http2)];
    let names = || CHOICES.iter().map(|(name, _)| *name);
    let expected = format!("one of {}", list(names()));
    table.parsed("http", &expected, |text| {
        let chosen = CHOICES.iter().find(|(name, _)| *name == text).map(|(_, wanted)| *wanted);
        chosen.ok_or_else(|| Fault::new(format!("expected {expected}")).suggest(text, names()))
    })
}

fn refuse_http2_where_signed(table: &Table<'_>, place: &Place, credentials: &Credentials) {
    if credentials.each().any(Credential::signs_request_line) {
        let fault = Fault::new("HTTP/2 has no request line, and one is signed here");
        table.refuse(place, fault.hint("leave `http` out, which means 1.1 here; or sign `@request-target` instead"));
    }
}

fn refuse_missing_auth(table: &Table<'_>, preset: Option<&'static Preset>) {
    let expected = format!("one scheme, as `auth.SCHEME = {{ … }}`; the schemes are {}", schemes(preset));
    table.refuse_missing("auth", &expected);
}

/// `auth.SCHEME`, or `fallback.SCHEME`: exactly one, and one that the vendor knows.
fn read_credential(table: &mut Table<'_>, key: &'static str, preset: Option<&'static Preset>) -> Option<Credential> {
    let mut first = None;
    let mut credentials = table.optional_section(key, |auth| {
        if auth.is_empty() {
            auth.refuse_absence(Fault::new(format!("expected one scheme of {}", schemes(preset))));
        }
        auth.each(|scheme, table| read_scheme(scheme, table, preset, &mut first))
    })?;
    credentials.pop()
}

fn read_scheme(
    scheme: &At<&str>,
    table: &mut Table<'_>,
    preset: Option<&'static Preset>,
    first: &mut Option<&'static str>,
) -> Option<Credential> {
    let known = credential::SCHEMES;
    let Some(name) = known.iter().find(|known| **known == scheme.value) else {
        table.refuse_key(
            &scheme.place,
            Fault::new("unknown scheme").suggest_or_list(scheme.value, known.iter().copied()),
        );
        table.ignore_rest();
        return None;
    };
    let first = *first.get_or_insert(name);
    if first != *name {
        let fault = Fault::new("a second scheme, where an upstream has one");
        table.refuse(&scheme.place, fault.hint(format!("`{first}` is the first; two upstreams may have one URL")));
    }
    if let Some(preset) = preset.filter(|preset| !preset.schemes.contains(name)) {
        let fault = Fault::new(format!("the vendor of preset `{}` does not know this scheme", preset.name));
        table.refuse(&scheme.place, fault.hint(format!("it knows {}", list(preset.schemes.iter().copied()))));
    }
    Credential::read(name, table)
}

/// The schemes that may be used, for a message.
fn schemes(preset: Option<&'static Preset>) -> String {
    list(preset.map_or(credential::SCHEMES, |preset| preset.schemes).iter().copied())
}
