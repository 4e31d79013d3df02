//! TLS towards an upstream. Certificates are always checked, and so is the name: there is no code that would not.

use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, CommonState, RootCertStore};

use crate::config;

/// Why the TLS settings of an upstream cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsSetupError {
    #[error("the URL's host is no name that a certificate could hold")]
    ServerName,
    #[error("`SSL_CERT_FILE` or `SSL_CERT_DIR` is set, and holds no certificate that can be used")]
    NoRoots,
    #[error("the TLS versions cannot be set up")]
    Versions(#[source] rustls::Error),
}

/// How to make a TLS connection to one upstream. Clones share the session cache, so that every worker resumes.
#[derive(Clone)]
pub(crate) struct Client {
    config: Arc<ClientConfig>,
    /// The same, which offers nothing but HTTP/1.1.
    http1: Arc<ClientConfig>,
    pub(super) server_name: ServerName<'static>,
}

/// What is spoken on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    Http1,
    Http2,
}

/// What a connection is for: a request that may go in any version that the upstream speaks; or one that HTTP/1.1 is wanted
/// for, as most WebSockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Any,
    Http1,
}

/// The roots that every upstream trusts.
pub(crate) struct SystemRoots(Arc<RootCertStore>);

impl SystemRoots {
    /// The system's roots, or Mozilla's where there are none, as in an empty container image.
    ///
    /// Fails closed where `SSL_CERT_FILE` or `SSL_CERT_DIR` name roots that cannot be used: whoever narrows trust down
    /// does not get the whole web for a slip of the pen.
    pub(crate) fn load() -> Result<Self, TlsSetupError> {
        let mut roots = RootCertStore::empty();
        let system = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(system.certs);
        if roots.is_empty() {
            if crate::secret::source::names_system_roots() {
                return Err(TlsSetupError::NoRoots);
            }
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        Ok(Self(Arc::new(roots)))
    }

    fn with(&self, extra: &[rustls::pki_types::CertificateDer<'static>]) -> Arc<RootCertStore> {
        if extra.is_empty() {
            return Arc::clone(&self.0);
        }
        let mut roots = RootCertStore::clone(&self.0);
        roots.add_parsable_certificates(extra.iter().cloned());
        Arc::new(roots)
    }
}

impl Version {
    /// What a handshake has agreed on. `None`: the upstream says nothing of it.
    pub(crate) fn of(connection: &CommonState) -> Option<Self> {
        match connection.alpn_protocol()? {
            b"h2" => Some(Self::Http2),
            // There is no other that is offered.
            _ => Some(Self::Http1),
        }
    }
}

impl Client {
    pub(super) fn config(&self, purpose: Purpose) -> Arc<ClientConfig> {
        Arc::clone(match purpose {
            Purpose::Any => &self.config,
            Purpose::Http1 => &self.http1,
        })
    }

    /// What `upstream` needs.
    pub(crate) fn new(upstream: &config::Upstream, roots: &SystemRoots) -> Result<Self, TlsSetupError> {
        let settings = &upstream.tls;
        let server_name = match &settings.server_name {
            Some(name) => name.clone(),
            None => upstream.origin.server_name().ok_or(TlsSetupError::ServerName)?,
        };
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(TlsSetupError::Versions)?
            .with_root_certificates(roots.with(&settings.extra_roots));
        let mut config = match &settings.client {
            Some(identity) => {
                let identity = SingleCertAndKey::from(Arc::clone(identity));
                builder.with_client_cert_resolver(Arc::new(identity))
            }
            None => builder.with_no_client_auth(),
        };
        let mut http1 = config.clone();
        http1.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.alpn_protocols = upstream.credentials.http_versions().alpn();
        Ok(Self { config: Arc::new(config), http1: Arc::new(http1), server_name })
    }
}
