//! The option `headers`: what is signed, in which order, and how each name is written.

use http::{HeaderName, header};

use crate::config::error::Fault;
use crate::config::read::{At, Table};
use crate::credential::concerns_connection;

/// As the Hub's documentation has it.
const DEFAULT: [&str; 3] = ["Date", "Content-MD5", "request-line"];

/// One name of the list.
#[derive(Clone)]
pub(super) struct SignedName {
    /// As in the config: the verifier takes the signed text's names from the list.
    pub(super) written: Box<str>,
    pub(super) what: What,
}

/// What its line of the signed text holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// Method, target and version.
    RequestLine,
    /// Method in lower case, and target.
    RequestTarget,
    /// The time of this attempt.
    Date(HeaderName),
    /// The body's MD5 in lower-case hex.
    Md5(HeaderName),
    /// The body's SHA-256, as `SHA-256=` and base64.
    Sha256(HeaderName),
    /// Whatever the request has there.
    Field(HeaderName),
}

impl SignedName {
    pub(super) fn is_body_digest(&self) -> bool {
        matches!(self.what, What::Md5(_) | What::Sha256(_))
    }

    fn parse(text: &str) -> Result<Self, Fault> {
        let what = match text {
            "request-line" => What::RequestLine,
            "@request-target" => What::RequestTarget,
            _ => What::of_field(text)?,
        };
        Ok(Self { written: text.into(), what })
    }
}

impl What {
    fn of_field(text: &str) -> Result<Self, Fault> {
        let name = HeaderName::from_bytes(text.as_bytes()).map_err(|_| {
            Fault::new("expected the name of a header field")
                .hint("besides them there are `request-line` and `@request-target`")
        })?;
        // Names that are put on requests are static: to clone one touches no reference count.
        match name.as_str() {
            "request-line" => Err(Fault::new("`request-line` is written in lower case")),
            "date" => Ok(Self::Date(header::DATE)),
            "x-date" => Ok(Self::Date(HeaderName::from_static("x-date"))),
            "content-md5" => Ok(Self::Md5(HeaderName::from_static("content-md5"))),
            "x-content-md5" => Ok(Self::Md5(HeaderName::from_static("x-content-md5"))),
            "digest" => Ok(Self::Sha256(HeaderName::from_static("digest"))),
            _ if name == header::AUTHORIZATION || concerns_connection(&name) => {
                Err(Fault::new("this field is set after signing, so it cannot be signed"))
            }
            _ => Ok(Self::Field(name)),
        }
    }
}

/// The names to sign, or the default ones. `None`: there is a problem with them, which was noted.
pub(super) fn read(table: &mut Table<'_>) -> Option<Box<[SignedName]>> {
    let Some(At { value: written, place }) = table.list("headers", "a list of names") else {
        let default = DEFAULT.iter().map(|name| SignedName::parse(name).ok()).collect();
        return if table.has("headers") { None } else { default };
    };
    let mut names: Vec<SignedName> = Vec::with_capacity(written.len());
    let mut intact = true;
    for At { value, place } in written {
        match SignedName::parse(value) {
            Ok(name) if names.iter().any(|known| known.what == name.what) => {
                table.refuse(&place, "this name is listed twice");
            }
            Ok(name) => names.push(name),
            Err(fault) => {
                table.refuse(&place, fault);
                intact = false;
            }
        }
    }
    let signs = |is: fn(&What) -> bool| names.iter().any(|name| is(&name.what));
    if intact && !signs(|what| matches!(what, What::RequestLine | What::RequestTarget)) {
        let fault = Fault::new("neither `request-line` nor `@request-target` is signed");
        table.refuse(&place, fault.hint("without one, a signature would serve for any other request"));
    }
    if intact && !signs(|what| matches!(what, What::Date(_))) {
        let fault = Fault::new("neither `Date` nor `X-Date` is signed");
        table.refuse(&place, fault.hint("without one, a signature would serve for ever"));
    }
    Some(names.into())
}
