//! `tls = { … }` of a listener: the certificate that callers are shown, and the CA whose certificates they have to show.
//! What of it could not serve is found here, so that a reload keeps the last good one.

use std::sync::Arc;
use std::time::SystemTime;

use rustls::RootCertStore;
use rustls::sign::CertifiedKey;

use super::read::Table;
use super::tls::{read_certificates, read_identity};
use crate::certificate::Validity;
use crate::secret::Fingerprint;
use crate::secret::source::FORMS;

/// The TLS of a listener.
pub(crate) struct ListenTls {
    pub(crate) identity: Arc<CertifiedKey>,
    /// That of the certificate itself.
    pub(crate) validity: Validity,
    /// Whose certificate a caller has to show. `None`: none is asked for.
    pub(crate) client_ca: Option<Arc<RootCertStore>>,
    /// Of all that was read for it.
    pub(crate) fingerprint: Fingerprint,
}

/// The same, as far as it could be read.
pub(super) struct ListenTlsFile {
    /// Whether `client_ca` is there, be it wrong.
    pub(super) asks: bool,
    pub(super) read: Option<ListenTls>,
}

pub(super) fn read(table: &mut Table<'_>) -> ListenTlsFile {
    let reader = table.reader();
    let asks = table.has("client_ca");
    let ((identity, client_ca), fingerprint) = reader.fingerprint_of(|| {
        if !table.has("cert") && !table.has("key") {
            table.refuse_missing("cert", "the path of the certificate, with those between it and its CA");
            table.refuse_missing("key", &format!("the key of `cert`, as {FORMS}"));
        }
        let identity = read_identity(table, "cert", "key");
        let client_ca = read_certificates(table, "client_ca").map(|written| {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(written.value);
            Arc::new(roots)
        });
        (identity, client_ca)
    });
    let validity = identity.as_ref().and_then(|identity| identity.cert.first()).and_then(Validity::read);
    if identity.is_some() && validity.is_none() {
        // Or the listener would be one without TLS.
        table.refuse(&table.place, "the certificate is malformed");
    }
    let whole = identity.zip(validity).filter(|_| client_ca.is_some() == asks);
    let read = whole.map(|(identity, validity)| ListenTls { identity, validity, client_ca, fingerprint });
    if let Some(fault) = read.as_ref().and_then(|tls| tls.validity.fault_at(SystemTime::now())) {
        table.warn(&format!("{fault}: callers that look at it refuse it"));
    }
    ListenTlsFile { asks, read }
}
