//! Whose a certificate is, and until when. It was checked by then: this only reads.

use std::time::{Duration, SystemTime};

use rustls::pki_types::CertificateDer;
use x509_cert::der::Decode;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::Name;

use super::plain::plain;
use super::report::{Level, Report, Step, Tls};
use crate::scrub::Scrubber;
use crate::upstream::Version;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Most are renewed before this.
const SOON: Duration = Duration::from_secs(30 * 24 * 60 * 60);

pub(super) struct Certificate {
    pub(super) subject: String,
    pub(super) issuer: String,
    begins: SystemTime,
    ends: SystemTime,
    /// As RFC 3339 has it.
    pub(super) expires: String,
}

/// What was agreed on in a handshake, and shown.
pub(super) fn read(connection: &rustls::CommonState, scrubber: &Scrubber) -> Tls {
    let version = match connection.protocol_version() {
        Some(rustls::ProtocolVersion::TLSv1_3) => "1.3",
        Some(rustls::ProtocolVersion::TLSv1_2) => "1.2",
        // There is no other that is spoken.
        _ => "unknown",
    };
    let http = match Version::of(connection) {
        Some(Version::Http2) => "2",
        // Whoever does not say means what there was before there was a choice.
        Some(Version::Http1) | None => "1.1",
    };
    let chain = connection.peer_certificates().unwrap_or_default();
    Tls {
        version,
        http,
        chain: chain.iter().filter_map(|certificate| Certificate::read(certificate, scrubber)).collect(),
    }
}

/// Warns of a certificate that ends soon, and that others of its lifetime would have been renewed by now.
pub(super) fn judge(report: &mut Report<'_>, now: SystemTime) {
    let Some(tls) = &report.tls else { return };
    let due = tls.fact.chain.iter().filter(|certificate| certificate.is_due(now));
    let Some(first) = due.min_by_key(|certificate| certificate.ends) else { return };
    let (subject, left) = (&first.subject, days(first.days_left(now)));
    let text = format!("the certificate of `{subject}` expires in {left}, on {}", first.day());
    let hint = "the vendor renews it, or whoever runs that API: from then on, no request comes through";
    report.find(Step::Tls, Level::Warning, "certificate_expires_soon", text, hint);
}

impl Certificate {
    /// `None`: nothing that could be read.
    fn read(der: &CertificateDer<'_>, scrubber: &Scrubber) -> Option<Self> {
        let certificate = x509_cert::Certificate::from_der(der).ok()?;
        let content = certificate.tbs_certificate();
        let (begins, ends) = (content.validity().not_before, content.validity().not_after);
        let subject = name(content.subject()).or_else(|| {
            let names = content.get_extension::<SubjectAltName>().ok()??.1;
            names.0.iter().find_map(|name| match name {
                GeneralName::DnsName(name) => Some(name.to_string()),
                _ => None,
            })
        });
        let shown = |name: Option<String>| plain(&name.unwrap_or_else(|| "no name".to_owned()), scrubber);
        Some(Self {
            subject: shown(subject),
            issuer: shown(name(content.issuer())),
            begins: SystemTime::UNIX_EPOCH + begins.to_unix_duration(),
            ends: SystemTime::UNIX_EPOCH + ends.to_unix_duration(),
            expires: ends.to_date_time().to_string(),
        })
    }

    /// Whole days until it ends; fewer than none if it has.
    pub(super) fn days_left(&self, now: SystemTime) -> i64 {
        let days = |time: Duration| i64::try_from(time.as_secs() / DAY.as_secs()).unwrap_or(i64::MAX);
        match self.ends.duration_since(now) {
            Ok(left) => days(left),
            Err(past) => -days(past.duration()) - 1,
        }
    }

    /// The day on which it ends.
    fn day(&self) -> &str {
        self.expires.get(..10).unwrap_or(&self.expires)
    }

    /// Short-lived ones are renewed late: when a third of their time is left.
    fn is_due(&self, now: SystemTime) -> bool {
        let lifetime = self.ends.duration_since(self.begins).unwrap_or_default();
        self.ends.duration_since(now).unwrap_or_default() < SOON.min(lifetime / 3)
    }
}

/// So many, in words.
pub(super) fn days(count: i64) -> String {
    format!("{count} day{}", if count == 1 { "" } else { "s" })
}

/// The name in short.
fn name(name: &Name) -> Option<String> {
    let common = name.common_name().ok().flatten();
    let short = common.or_else(|| name.organization().ok().flatten());
    short.map(|short| short.value().into_owned())
}
