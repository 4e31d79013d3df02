//! `probe`: the request with which `check --live` finds out what a vendor makes of a credential.

use http::Method;
use http::uri::PathAndQuery;

use super::error::Fault;
use super::preset::Preset;
use super::read::Table;

/// A request that asks and does nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Probe {
    pub(crate) method: Method,
    pub(crate) path: PathAndQuery,
    /// Where its answer says how much may still be asked, if that is known.
    pub(crate) quota: Option<&'static QuotaPlace>,
}

/// A vendor's probe.
pub(crate) struct KnownProbe {
    /// As it would be written in the config.
    pub(crate) request: &'static str,
    pub(crate) quota: QuotaPlace,
}

/// Where in a JSON body there are numbers (RFC 6901), and what they count.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum QuotaPlace {
    /// So many of so many are used.
    Used { used: &'static str, limit: &'static str, of: &'static str },
    /// So many are left.
    Left { left: &'static str, of: &'static str },
}

/// Why a text is not a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ProbeError {
    #[error("expected a method and a path, such as `GET /v1/status`")]
    Form,
    #[error("the method of a probe is `GET` or `HEAD`")]
    Method,
    #[error("the path must begin with `/`, and hold no blank, `#` or control character")]
    Path,
}

/// `probe`, or the preset's.
pub(super) fn read(table: &mut Table<'_>, preset: Option<&'static Preset>) -> Option<Probe> {
    let written = table.parsed("probe", "a request such as `GET /v1/status`", |text| {
        Probe::parse(text).map_err(|error| match error {
            ProbeError::Method => Fault::new(error.to_string()).hint("what it asks for should change nothing"),
            ProbeError::Form | ProbeError::Path => Fault::new(error.to_string()),
        })
    });
    let known = preset.and_then(|preset| preset.probe.as_ref());
    // Those of the presets are right: a test parses them.
    let of_preset = known.and_then(|known| Some((Probe::parse(known.request).ok()?, &known.quota)));
    match (written, of_preset) {
        (Some(written), Some((of_preset, quota))) if written.value == of_preset => {
            Some(Probe { quota: Some(quota), ..of_preset })
        }
        (Some(written), _) => Some(written.value),
        (None, of_preset) => of_preset.map(|(probe, quota)| Probe { quota: Some(quota), ..probe }),
    }
}

impl Probe {
    /// Parses `METHOD /path`, with or without a query.
    pub(crate) fn parse(text: &str) -> Result<Self, ProbeError> {
        let (method, path) = text.split_once(' ').ok_or(ProbeError::Form)?;
        let method = match method {
            "GET" => Method::GET,
            "HEAD" => Method::HEAD,
            _ => return Err(ProbeError::Method),
        };
        // Of what follows a `#`, the parser would make nothing.
        let plain = path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
        let path = if plain { path.parse().ok() } else { None };
        Ok(Self { method, path: path.ok_or(ProbeError::Path)?, quota: None })
    }
}

#[cfg(test)]
mod tests {
    use super::{Probe, ProbeError};

    #[test]
    fn a_probe_asks_and_changes_nothing() {
        for text in ["GET /", "HEAD /v1/status", "GET /v1/status?verbose=1"] {
            let probe = Probe::parse(text).unwrap();
            assert_eq!(format!("{} {}", probe.method, probe.path), text);
        }
        for (text, error) in [
            ("GET", ProbeError::Form),
            ("", ProbeError::Form),
            ("POST /v1/messages", ProbeError::Method),
            ("get /", ProbeError::Method),
            ("GET ", ProbeError::Path),
            ("GET v1", ProbeError::Path),
            ("GET https://other.example/", ProbeError::Path),
            ("GET /a b", ProbeError::Path),
            ("GET /a#b", ProbeError::Path),
            ("GET /a\r\nX: y", ProbeError::Path),
        ] {
            assert_eq!(Probe::parse(text), Err(error), "{text}");
        }
    }
}
