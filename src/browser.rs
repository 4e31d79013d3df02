//! Stage 2: does a web page ask? A page from anywhere can make a browser send requests to a port on loopback, so none
//! may use sidekey but those of the origins that the config lists. They get CORS from here, whatever the vendor says.

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, HeaderName, HeaderValue, ORIGIN, VARY,
};
use http::{Method, Response};

use crate::fields::{Fields, Repeated};
use crate::headers::{Field, Presence};
use crate::message::RequestHead;
use crate::{answer, config};

/// The Fetch standard's names for what `http` has none of.
static SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// A page of the public web asks for loopback or a private address: what asks, and what grants it. The draft has had
/// two names for it.
static NETWORK_ACCESS: [(HeaderName, HeaderName); 2] = [
    (
        HeaderName::from_static("access-control-request-private-network"),
        HeaderName::from_static("access-control-allow-private-network"),
    ),
    (
        HeaderName::from_static("access-control-request-local-network"),
        HeaderName::from_static("access-control-allow-local-network"),
    ),
];
/// How long a browser may remember what a preflight was told, in seconds: a changed config is noticed soon.
const MAX_AGE: &str = "600";

/// Why a browser's request is refused. No variant tells a page whether an upstream, or a name, exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BrowserError {
    #[error("a web page asks, of an origin that `browser.allow_origins` does not list")]
    Origin,
    #[error("a web page asks, and does not say of which origin it is")]
    Site,
    #[error("a web page asks whether it may ask, in no way in which a browser would")]
    Preflight,
}

/// Tells pages from programs. Empty: no page may ask.
pub(crate) struct Guard {
    allowed: Box<[HeaderValue]>,
}

/// A page that may use sidekey.
pub(crate) struct Page {
    origin: HeaderValue,
}

impl Guard {
    pub(crate) fn new(browser: &config::Browser) -> Self {
        Self { allowed: browser.allow_origins.clone().into() }
    }

    /// `None`: it is no page that asks, as far as a request can tell. What is odd or repeated fails closed.
    ///
    /// The `Origin` of a page that may ask is taken off: the vendor's own list of origins does not know of it.
    pub(crate) fn admit(&self, fields: &mut Fields, presence: Presence) -> Result<Option<Page>, BrowserError> {
        // A program sends neither.
        if !presence.of_field(Field::Origin) && !presence.of_field(Field::SecFetchSite) {
            return Ok(None);
        }
        let origin = single(fields, &ORIGIN, BrowserError::Origin)?;
        let site = single(fields, &SEC_FETCH_SITE, BrowserError::Site)?;
        let Some(origin) = origin else {
            // `none` is what the user typed; without `Origin`, `same-origin` is what comes of that.
            return match site {
                None | Some(b"none" | b"same-origin") => Ok(None),
                Some(_) => Err(BrowserError::Site),
            };
        };
        let allowed = self.allowed.iter().find(|allowed| *allowed == origin).ok_or(BrowserError::Origin)?;
        if !matches!(site, None | Some(b"none" | b"same-origin" | b"same-site" | b"cross-site")) {
            return Err(BrowserError::Site);
        }
        let page = Page { origin: allowed.clone() };
        fields.remove(&ORIGIN);
        Ok(Some(page))
    }
}

/// The answer to a browser that asks whether `page` may ask. `None`: that is not the question.
pub(crate) fn preflight(page: Option<&Page>, head: &RequestHead) -> Result<Option<Response<()>>, BrowserError> {
    if head.method != Method::OPTIONS {
        return Ok(None);
    }
    let asked = &head.fields;
    let Some(method) = single(asked, &ACCESS_CONTROL_REQUEST_METHOD, BrowserError::Preflight)? else {
        return Ok(None);
    };
    let names = single(asked, &ACCESS_CONTROL_REQUEST_HEADERS, BrowserError::Preflight)?;
    if page.is_none() || Method::from_bytes(method).is_err() || !names.is_none_or(is_list_of_names) {
        return Err(BrowserError::Preflight);
    }
    let mut answer = answer::no_content();
    let told = answer.headers_mut();
    told.insert(ACCESS_CONTROL_ALLOW_METHODS, header_value(method)?);
    if let Some(names) = names {
        told.insert(ACCESS_CONTROL_ALLOW_HEADERS, header_value(names)?);
    }
    told.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE));
    told.insert(VARY, HeaderValue::from_static("Access-Control-Request-Method, Access-Control-Request-Headers"));
    for (request, grant) in &NETWORK_ACCESS {
        if single(asked, request, BrowserError::Preflight)?.is_some_and(|wish| wish == b"true") {
            told.insert(grant, HeaderValue::from_static("true"));
        }
    }
    Ok(Some(answer))
}

/// Takes off what the vendor says of the origins that may read its answers: it means others.
pub(crate) fn forget_vendors_cors(fields: &mut Fields) {
    fields.retain(|line| !line.name.starts_with(b"access-control-"));
}

impl Page {
    /// Lets the page read an answer, whoever it comes from. Never with credentials: a page needs none of its own.
    pub(crate) fn let_read(self, fields: &mut Fields) {
        fields.put(&ACCESS_CONTROL_ALLOW_ORIGIN, &self.origin);
        fields.put(&ACCESS_CONTROL_EXPOSE_HEADERS, &HeaderValue::from_static("*"));
        fields.append(&VARY, &HeaderValue::from_static("Origin"));
    }
}

/// The one value of `name`. A browser sends no second one.
fn single<'a>(fields: &'a Fields, name: &HeaderName, error: BrowserError) -> Result<Option<&'a [u8]>, BrowserError> {
    fields.single(name).map_err(|Repeated| error)
}

/// What a browser asked for, as it is told that it may have it.
fn header_value(asked: &[u8]) -> Result<HeaderValue, BrowserError> {
    HeaderValue::from_bytes(asked).map_err(|_| BrowserError::Preflight)
}

fn is_list_of_names(value: &[u8]) -> bool {
    value.split(|&b| b == b',').all(|name| HeaderName::from_bytes(name.trim_ascii()).is_ok())
}
