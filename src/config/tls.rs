//! `tls = { … }` of an upstream: whom to trust besides the system's roots, and what to show. Certificates and keys, a
//! listener's too, are tried here, so that a bad one is found before it is needed.

use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::CertifiedKey;
use zeroize::Zeroize;

use super::Tls;
use super::error::Fault;
use super::read::{At, Table};
use crate::Secret;
use crate::secret::source::FORMS;

pub(super) fn read(table: &mut Table<'_>) -> Tls {
    let extra_roots = read_certificates(table, "ca_file").map(|roots| roots.value).unwrap_or_default();
    let server_name = table.parsed("server_name", "a host name or address", |text| {
        ServerName::try_from(text.to_owned()).map_err(|_| Fault::new("expected a host name or address"))
    });
    Tls {
        extra_roots,
        server_name: server_name.map(|name| name.value),
        client: read_identity(table, "client_cert", "client_key"),
    }
}

/// The certificates of a PEM file: at least one, and each one valid.
pub(super) fn read_certificates(table: &mut Table<'_>, key: &'static str) -> Option<At<Vec<CertificateDer<'static>>>> {
    let reader = table.reader();
    table.parsed(key, "the path of a PEM file", |path| {
        let pem = reader.file(path).map_err(|error| Fault::new(format!("the file {error}")))?;
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
        match certificates {
            Err(_) => Err(Fault::new("the file is not valid PEM")),
            Ok(certificates) if certificates.is_empty() => Err(Fault::new("the file holds no certificate")
                .hint("a certificate starts with `-----BEGIN CERTIFICATE-----`")),
            Ok(certificates) if !certificates.iter().all(is_certificate) => {
                Err(Fault::new("a certificate in the file is malformed"))
            }
            Ok(certificates) => Ok(certificates),
        }
    })
}

fn is_certificate(certificate: &CertificateDer<'static>) -> bool {
    RootCertStore::empty().add(certificate.clone()).is_ok()
}

/// The certificate at the path `cert`, with the `key` that it is for; of both, neither is there without the other.
pub(super) fn read_identity(table: &mut Table<'_>, cert: &'static str, key: &'static str) -> Option<Arc<CertifiedKey>> {
    let chain = read_certificates(table, cert);
    let secret = table.secret_bytes(key);
    match (table.has(cert), table.has(key)) {
        (true, false) => table.refuse_missing(key, &format!("the key of `{cert}`, as {FORMS}")),
        (false, true) => table.refuse_missing(cert, &format!("the path of the certificate for `{key}`")),
        (true, true) | (false, false) => {}
    }
    let (chain, secret) = (chain?.value, secret?);
    match usable_key(chain, &secret.value, cert) {
        Ok(identity) => Some(Arc::new(identity)),
        Err(fault) => {
            table.refuse(&secret.place, fault);
            None
        }
    }
}

/// The chain with the key of `pem`, if it is that of the first certificate. What was parsed on the way is wiped; the
/// TLS library keeps the one copy that it signs with.
fn usable_key(chain: Vec<CertificateDer<'static>>, pem: &Secret, cert: &str) -> Result<CertifiedKey, Fault> {
    let mut key = PrivateKeyDer::from_pem_slice(pem.expose()).map_err(|_| {
        let fault = Fault::new("it holds no private key in PEM");
        fault.hint("a key starts with `-----BEGIN PRIVATE KEY-----`; one with a password cannot be used")
    })?;
    let signing_key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key);
    key.zeroize();
    let identity = CertifiedKey::new(chain, signing_key.map_err(|_| Fault::new("it is not a key that TLS can use"))?);
    match identity.keys_match() {
        Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => Ok(identity),
        Err(_) => Err(Fault::new(format!("it is not the key of the certificate in `{cert}`"))),
    }
}
