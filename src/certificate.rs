//! What a certificate says of itself: until when it is valid, and whose it is. Whoever asks has had it verified, or is its
//! owner; this only reads.

use std::time::SystemTime;

use rustls::pki_types::CertificateDer;
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use crate::telemetry::clock::rfc3339;
use crate::upstream::Host;

/// From when, and until when, a certificate is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Validity {
    begins: SystemTime,
    ends: SystemTime,
}

impl Validity {
    /// `None`: nothing that could be read.
    pub(crate) fn read(der: &CertificateDer<'_>) -> Option<Self> {
        let certificate = Certificate::from_der(der).ok()?;
        let validity = certificate.tbs_certificate().validity();
        let time = |time: x509_cert::time::Time| SystemTime::UNIX_EPOCH + time.to_unix_duration();
        Some(Self { begins: time(validity.not_before), ends: time(validity.not_after) })
    }

    pub(crate) fn ends(self) -> SystemTime {
        self.ends
    }

    /// Why nobody will take the certificate at `now`. `None`: nothing of this kind.
    pub(crate) fn fault_at(self, now: SystemTime) -> Option<String> {
        if now > self.ends {
            Some(format!("the certificate has expired at {}", rfc3339(self.ends)))
        } else if now < self.begins {
            Some(format!("the certificate is not valid before {}", rfc3339(self.begins)))
        } else {
            None
        }
    }
}

/// A name that a certificate can have, in the form in which two are compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CertificateName {
    /// In lower case (RFC 9525 6.3).
    Dns(Box<str>),
    /// As it is: URIs are compared byte for byte.
    Uri(Box<str>),
}

impl CertificateName {
    /// As a config writes it: a URI has a scheme, and anything else is a DNS name. `None`: it is neither.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let is_scheme = |scheme: &str| {
            scheme.starts_with(|first: char| first.is_ascii_alphabetic())
                && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
        };
        match text.split_once(':') {
            Some((scheme, rest)) => {
                let legal = is_scheme(scheme) && !rest.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
                legal.then(|| Self::Uri(text.into()))
            }
            None => match Host::parse(text)? {
                Host::Name(name) => Some(Self::Dns(name)),
                Host::Address(_) => None,
            },
        }
    }
}

/// The names of a certificate: `dNSName` and URI of its `subjectAltName`, and nothing else (RFC 9525 2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CertificateNames(Box<[CertificateName]>);

impl CertificateNames {
    /// Those of a verified certificate. Fails closed: what cannot be read has none.
    pub(crate) fn read(der: &CertificateDer<'_>) -> Self {
        let certificate = Certificate::from_der(der).ok();
        let extension =
            certificate.and_then(|certificate| certificate.tbs_certificate().get_extension::<SubjectAltName>().ok()?);
        let Some((_, SubjectAltName(names))) = extension else { return Self::default() };
        let names = names.iter().filter_map(|name| match name {
            GeneralName::DnsName(name) => Some(CertificateName::Dns(name.as_str().to_ascii_lowercase().into())),
            GeneralName::UniformResourceIdentifier(name) => Some(CertificateName::Uri(name.as_str().into())),
            _ => None,
        });
        let mut names: Vec<_> = names.collect();
        // An X.509-SVID has one URI (SPIFFE, X509-SVID 2): of several, none says who it is.
        let uris = || names.iter().filter_map(CertificateName::uri);
        if uris().count() > 1
            && uris().any(|uri| uri.get(..9).is_some_and(|start| start.eq_ignore_ascii_case("spiffe://")))
        {
            names.retain(|name| name.uri().is_none());
        }
        Self(names.into())
    }

    /// Whether it has one of `wanted`.
    pub(crate) fn have_one_of(&self, wanted: &[CertificateName]) -> bool {
        self.0.iter().any(|name| wanted.contains(name))
    }
}

impl CertificateName {
    fn uri(&self) -> Option<&str> {
        match self {
            Self::Uri(uri) => Some(uri),
            Self::Dns(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rcgen::{CertificateParams, KeyPair, SanType, date_time_ymd};
    use rustls::pki_types::CertificateDer;

    use super::{CertificateName, CertificateNames, Validity};

    fn certificate(names: Vec<SanType>) -> CertificateDer<'static> {
        let mut params = CertificateParams::default();
        params.subject_alt_names = names;
        (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
    }

    fn uri(text: &str) -> SanType {
        SanType::URI(text.try_into().unwrap())
    }

    fn dns(text: &str) -> SanType {
        SanType::DnsName(text.try_into().unwrap())
    }

    #[test]
    fn a_name_is_compared_as_a_whole_and_within_its_kind() {
        let names = CertificateNames::read(&certificate(vec![dns("App.Example"), uri("https://app.example/A")]));
        let has = |text: &str| names.have_one_of(&[CertificateName::parse(text).unwrap()]);
        assert!(has("app.example") && has("APP.example") && has("https://app.example/A"));
        for other in ["example", "x.app.example", "app.example.x", "https://app.example/a", "https://app.example/"] {
            assert!(!has(other), "{other}");
        }
        assert!(!names.have_one_of(&[]));
        // What only looks like a URI is none.
        let posing = CertificateNames::read(&certificate(vec![dns("spiffe://house/app"), dns("*.example")]));
        assert!(!posing.have_one_of(&[CertificateName::parse("spiffe://house/app").unwrap()]));
        assert!(!posing.have_one_of(&[CertificateName::parse("app.example").unwrap()]));
    }

    #[test]
    fn of_several_uris_none_is_a_spiffe_id() {
        let wanted = [CertificateName::parse("spiffe://house/app").unwrap()];
        for (names, known) in [
            (vec![uri("spiffe://house/app")], true),
            (vec![uri("spiffe://house/app"), dns("app.example")], true),
            (vec![uri("spiffe://house/app"), uri("spiffe://house/other")], false),
            (vec![uri("https://app.example"), uri("spiffe://house/app")], false),
            (vec![], false),
        ] {
            assert_eq!(CertificateNames::read(&certificate(names.clone())).have_one_of(&wanted), known, "{names:?}");
        }
        assert!(!CertificateNames::read(&CertificateDer::from(vec![0x30, 0x01])).have_one_of(&wanted));
    }

    #[test]
    fn a_config_names_a_uri_or_a_host() {
        for good in ["app.example", "spiffe://house/ns/shop", "urn:uuid:1", "localhost"] {
            assert!(CertificateName::parse(good).is_some(), "{good}");
        }
        for bad in
            ["", "*.example", "127.0.0.1", "[::1]", "spiffe:", ":x", "1a:x", "spiffe://a b", "app example", "é:x"]
        {
            assert!(CertificateName::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_certificate_is_valid_between_its_dates_and_says_so() {
        let validity = Validity::read(&certificate(vec![])).unwrap();
        let day = Duration::from_secs(24 * 60 * 60);
        assert_eq!(validity.fault_at(validity.ends()), None);
        assert!(
            validity.fault_at(validity.ends() + day).unwrap().starts_with("the certificate has expired at 2021-01-01")
        );
        let before = validity.fault_at(validity.ends() - 400 * day).unwrap();
        assert!(before.starts_with("the certificate is not valid before 2020-01-01"), "{before}");
    }
}
