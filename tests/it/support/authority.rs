//! A CA for one test, and certificates of every kind, bad ones too.

use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, SanType,
    date_time_ymd,
};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion};

pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its key.
pub(crate) struct Identity {
    certificate: rcgen::Certificate,
    key: KeyPair,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self { issuer: CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap() }
    }

    /// Writes the CA's certificate where a config can refer to it, and returns `tls = { ca_file = … }`'s inside.
    pub(crate) fn write(&self, folder: &Path) -> String {
        std::fs::write(folder.join("ca.pem"), self.issuer.pem()).unwrap();
        format!("ca_file = {:?}", folder.join("ca.pem").to_str().unwrap())
    }

    /// A server's certificate for `name`.
    pub(crate) fn server(&self, name: &str) -> Identity {
        self.issue(name, false, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// One that was valid once.
    pub(crate) fn expired_server(&self, name: &str) -> Identity {
        self.issue(name, true, ExtendedKeyUsagePurpose::ServerAuth)
    }

    pub(crate) fn client(&self, name: &str) -> Identity {
        self.issue(name, false, ExtendedKeyUsagePurpose::ClientAuth)
    }

    pub(crate) fn expired_client(&self, name: &str) -> Identity {
        self.issue(name, true, ExtendedKeyUsagePurpose::ClientAuth)
    }

    /// One whose only name is a URI.
    pub(crate) fn client_of_uri(&self, uri: &str) -> Identity {
        self.issue_with("localhost", ExtendedKeyUsagePurpose::ClientAuth, |params| {
            params.subject_alt_names = vec![SanType::URI(uri.try_into().unwrap())];
        })
    }

    /// A TLS client that trusts this CA, speaks these versions, and shows `identity`.
    pub(crate) fn reach(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        identity: Option<&Identity>,
    ) -> Arc<ClientConfig> {
        Arc::new(self.client_config(versions, identity))
    }

    /// As [`reach`](Self::reach), and it offers these protocols.
    pub(crate) fn reach_offering(&self, protocols: &[&str]) -> Arc<ClientConfig> {
        let mut config = self.client_config(&[&TLS13, &TLS12], None);
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    }

    fn client_config(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        identity: Option<&Identity>,
    ) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
        let builder = builder.with_root_certificates(roots);
        match identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let chain = vec![identity.certificate.der().clone()];
                builder.with_client_auth_cert(chain, identity.private_key()).unwrap()
            }
        }
    }

    /// One that is valid from `begin` to `end`.
    pub(crate) fn server_within(&self, name: &str, begin: SystemTime, end: SystemTime) -> Identity {
        let since = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap();
        self.issue_with(name, ExtendedKeyUsagePurpose::ServerAuth, |params| {
            params.not_before = date_time_ymd(1970, 1, 1) + since(begin);
            params.not_after = date_time_ymd(1970, 1, 1) + since(end);
        })
    }

    /// One whose owner calls himself `subject`.
    pub(crate) fn server_called(&self, name: &str, subject: &str) -> Identity {
        self.issue_with(name, ExtendedKeyUsagePurpose::ServerAuth, |params| {
            params.distinguished_name.push(DnType::CommonName, subject);
        })
    }

    /// A server's certificate for `name` that no CA has signed.
    pub(crate) fn self_signed_server(name: &str) -> Identity {
        let key = KeyPair::generate().unwrap();
        Identity { certificate: CertificateParams::new([name.to_owned()]).unwrap().self_signed(&key).unwrap(), key }
    }

    fn issue(&self, name: &str, expired: bool, usage: ExtendedKeyUsagePurpose) -> Identity {
        self.issue_with(name, usage, |params| {
            if expired {
                (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
            }
        })
    }

    fn issue_with(
        &self,
        name: &str,
        usage: ExtendedKeyUsagePurpose,
        adjust: impl FnOnce(&mut CertificateParams),
    ) -> Identity {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.extended_key_usages = vec![usage];
        adjust(&mut params);
        let key = KeyPair::generate().unwrap();
        Identity { certificate: params.signed_by(&key, &self.issuer).unwrap(), key }
    }
}

impl Identity {
    /// A TLS server that shows this certificate, in these versions; `callers`: only to whom that CA knows.
    pub(crate) fn serve(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        callers: Option<&Authority>,
    ) -> Arc<ServerConfig> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder =
            ServerConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(versions).unwrap();
        let builder = match callers {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(authority.issuer.der().clone()).unwrap();
                let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider).build().unwrap();
                builder.with_client_cert_verifier(verifier)
            }
        };
        Arc::new(builder.with_single_cert(vec![self.certificate.der().clone()], self.private_key()).unwrap())
    }

    /// As [`serve`](Self::serve), and agrees on one of `protocols`.
    pub(crate) fn serve_alpn(&self, protocols: &[&str]) -> Arc<ServerConfig> {
        let mut config = ServerConfig::clone(&self.serve(rustls::DEFAULT_VERSIONS, None));
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    }

    /// A TLS server that staples `answer` to this certificate, as if its CA had said so (RFC 6066 8).
    pub(crate) fn serve_stapled(&self, answer: &[u8]) -> Arc<ServerConfig> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let (chain, key) = (vec![self.certificate.der().clone()], self.private_key());
        Arc::new(builder.with_no_client_auth().with_single_cert_with_ocsp(chain, key, answer.to_vec()).unwrap())
    }

    fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.serialize_der()))
    }

    pub(crate) fn der(&self) -> Vec<u8> {
        self.certificate.der().to_vec()
    }

    /// In PEM: the certificate, and the key.
    pub(crate) fn pem(&self) -> (String, String) {
        (self.certificate.pem(), self.key.serialize_pem())
    }
}
