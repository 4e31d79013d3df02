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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::{Config, ConfigError, file};
    use crate::secret::source::Source;
    use crate::upstream::Version;

    const TOKEN: &str = "bearer.token = 'env:KEY'";
    const SIGNED: &str = "hmac = { username = 'env:KEY', secret = 'env:KEY' }";
    const TARGET: &str = "hmac = { username = 'env:KEY', secret = 'env:KEY', headers = ['Date', '@request-target'] }";

    fn parse(http: &str, auth: &str, fallback: &str) -> Result<Config, ConfigError> {
        let text = format!("[upstream.a]\nurl = 'https://a.test'\n{http}\nauth.{auth}\nfallback.{fallback}\n");
        file::parse_with(Path::new("sidekey.toml"), &text, Source::Given(&[("env:KEY", b"s3cret-one")]))
    }

    #[test]
    fn where_any_credential_signs_the_request_line_nothing_but_http_1_1_is_spoken() {
        for (http, auth, fallback, certain) in [
            ("", TOKEN, TOKEN, None),
            ("http = 'auto'", TOKEN, TARGET, None),
            ("http = '1.1'", TOKEN, TOKEN, Some(Version::Http1)),
            ("http = '2'", TARGET, TOKEN, Some(Version::Http2)),
            ("", SIGNED, TOKEN, Some(Version::Http1)),
            ("http = 'auto'", TOKEN, SIGNED, Some(Version::Http1)),
        ] {
            let config = parse(http, auth, fallback).unwrap_or_else(|error| panic!("{error}"));
            let versions = config.upstreams[0].credentials.http_versions();
            assert_eq!(versions.certain(), certain, "{http} {auth} {fallback}");
            assert_eq!(versions.alpn().contains(&b"h2".to_vec()), certain != Some(Version::Http1));
        }
    }

    #[test]
    fn http2_beside_a_signed_request_line_is_refused_where_it_stands() {
        for (auth, fallback) in [(SIGNED, TOKEN), (TOKEN, SIGNED)] {
            let error = parse("http = '2'", auth, fallback).err().unwrap().to_string();
            assert!(error.contains("sidekey.toml:3:8") && error.contains("`upstream.a.http`"), "{error}");
            assert!(error.contains("@request-target"), "{error}");
        }
        let error = parse("http = '3'", TOKEN, TOKEN).err().unwrap().to_string();
        assert!(error.contains("`auto`, `1.1`"), "{error}");
    }
}
