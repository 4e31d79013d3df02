//! Which versions of HTTP an upstream is spoken to in. A request line is signed as that of HTTP/1.1, and HTTP/2 has none:
//! so the versions are made of the credentials, here and nowhere else, and an upstream has those of its own.

use super::Credential;
use crate::upstream::Version;

/// `http`, as it is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum WantedHttp {
    /// Whatever the upstream would rather speak.
    #[default]
    Auto,
    Http1,
    Http2,
}

/// The versions that may be spoken. Whoever holds one knows that each of its credentials is right in any of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HttpVersions(WantedHttp);

impl HttpVersions {
    /// What is wanted, as far as `credentials` let it be.
    pub(super) fn of<'a>(wanted: WantedHttp, mut credentials: impl Iterator<Item = &'a Credential>) -> Self {
        if credentials.any(Credential::signs_request_line) { Self(WantedHttp::Http1) } else { Self(wanted) }
    }

    /// The one that is spoken, where there is no choice.
    pub(crate) fn certain(self) -> Option<Version> {
        match self.0 {
            WantedHttp::Auto => None,
            WantedHttp::Http1 => Some(Version::Http1),
            WantedHttp::Http2 => Some(Version::Http2),
        }
    }

    /// What TLS offers, best first (RFC 7301).
    pub(crate) fn alpn(self) -> Vec<Vec<u8>> {
        let (http1, http2) = (b"http/1.1".to_vec(), b"h2".to_vec());
        match self.0 {
            WantedHttp::Auto => vec![http2, http1],
            WantedHttp::Http1 => vec![http1],
            WantedHttp::Http2 => vec![http2],
        }
    }
}
