//! `tls = { … }` of an upstream: whom to trust besides the system's roots, and what to show. Certificates and keys are
//! tried here, so that a bad one is found before it is needed.

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
    Tls { extra_roots, server_name: server_name.map(|name| name.value), client: read_client(table) }
}

/// The certificates of a PEM file: at least one, and each one valid.
fn read_certificates(table: &mut Table<'_>, key: &'static str) -> Option<At<Vec<CertificateDer<'static>>>> {
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

fn read_client(table: &mut Table<'_>) -> Option<Arc<CertifiedKey>> {
    let chain = read_certificates(table, "client_cert");
    let key = table.secret_bytes("client_key");
    match (table.has("client_cert"), table.has("client_key")) {
        (true, false) => table.refuse_missing("client_key", &format!("the key of `client_cert`, as {FORMS}")),
        (false, true) => table.refuse_missing("client_cert", "the path of the certificate for `client_key`"),
        (true, true) | (false, false) => {}
    }
    let (chain, key) = (chain?.value, key?);
    match usable_key(chain, &key.value) {
        Ok(identity) => Some(Arc::new(identity)),
        Err(fault) => {
            table.refuse(&key.place, fault);
            None
        }
    }
}

/// The chain with the key of `pem`, if it is that of the first certificate. What was parsed on the way is wiped; the
/// TLS library keeps the one copy that it signs with.
fn usable_key(chain: Vec<CertificateDer<'static>>, pem: &Secret) -> Result<CertifiedKey, Fault> {
    let mut key = PrivateKeyDer::from_pem_slice(pem.expose()).map_err(|_| {
        let fault = Fault::new("it holds no private key in PEM");
        fault.hint("a key starts with `-----BEGIN PRIVATE KEY-----`; one with a password cannot be used")
    })?;
    let signing_key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key);
    key.zeroize();
    let identity = CertifiedKey::new(chain, signing_key.map_err(|_| Fault::new("it is not a key that TLS can use"))?);
    match identity.keys_match() {
        Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => Ok(identity),
        Err(_) => Err(Fault::new("it is not the key of the certificate in `client_cert`")),
    }
}
