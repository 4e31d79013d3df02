//! Where an upstream is. Parsed once from the config; dialled, named in SNI, sent as `Host` and signed from this one
//! value. A request has no say in it.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use http::HeaderValue;
use http::uri::{Authority, Parts, PathAndQuery, Scheme, Uri};
use rustls::pki_types::ServerName;

use crate::message::Path;

/// `scheme://host[:port]`, and nothing more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    tls: bool,
    host: Host,
    port: u16,
    /// The field value of `Host`: with a port only where it is not the scheme's own.
    host_header: HeaderValue,
}

/// A name to look up, or an address to dial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    /// In lower case, without a final dot.
    Name(Box<str>),
    Address(IpAddr),
}

/// The origin, as each request in HTTP/2 says it: `:scheme` and `:authority`.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    scheme: Scheme,
    /// `None`: cannot happen, as what is legal in `Host` is legal here.
    authority: Option<Authority>,
}

impl Target {
    /// The whole URL of a request.
    pub(super) fn uri(&self, path: &Path) -> Option<Uri> {
        let mut parts = Parts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone()?);
        parts.path_and_query = Some(PathAndQuery::from_maybe_shared(path.text().clone()).ok()?);
        Uri::from_parts(parts).ok()
    }
}

/// Why a URL is not an origin. The texts are for a config error, and hold nothing of the URL itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OriginError {
    #[error("not a URL of the form `https://host[:port]`")]
    Malformed,
    #[error("the scheme must be `https` (or `http`)")]
    Scheme,
    #[error("a user or password in the URL: a credential belongs in `auth`")]
    UserInfo,
    #[error("a path or query in the URL: an upstream is an origin, and the path comes from the request")]
    Path,
    #[error("the host is not a valid name or address")]
    Host,
    #[error("the port is not a number from 1 to 65535")]
    Port,
}

impl Origin {
    /// Parses `scheme://host[:port]`, with or without one final slash.
    pub(crate) fn parse(url: &str) -> Result<Self, OriginError> {
        let uri: Uri = url.parse().map_err(|_| OriginError::Malformed)?;
        let tls = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(scheme) if *scheme == Scheme::HTTP => false,
            Some(_) => return Err(OriginError::Scheme),
            None => return Err(OriginError::Malformed),
        };
        let authority = uri.authority().ok_or(OriginError::Malformed)?;
        if authority.as_str().contains('@') {
            return Err(OriginError::UserInfo);
        }
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() || url.contains('#') {
            return Err(OriginError::Path);
        }
        let host = Host::parse(authority.host()).ok_or(OriginError::Host)?;
        let port = port_of(authority, if tls { 443 } else { 80 })?;
        Self::new(tls, host, port)
    }

    fn new(tls: bool, host: Host, port: u16) -> Result<Self, OriginError> {
        let default = port == if tls { 443 } else { 80 };
        let text = if default { host.to_string() } else { format!("{host}:{port}") };
        let host_header = HeaderValue::from_str(&text).map_err(|_| OriginError::Host)?;
        Ok(Self { tls, host, port, host_header })
    }

    /// A worker's own copy: it shares no reference count with this one, and every request takes one of its `Host`.
    pub(crate) fn replica(&self) -> Self {
        let own = HeaderValue::from_bytes(self.host_header.as_bytes());
        // The copy is as legal as its original; were it not, sharing would serve.
        let host_header = own.unwrap_or_else(|_| self.host_header.clone());
        Self { tls: self.tls, host: self.host.clone(), port: self.port, host_header }
    }

    pub(crate) fn tls(&self) -> bool {
        self.tls
    }

    pub(crate) fn host(&self) -> &Host {
        &self.host
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn host_header(&self) -> &HeaderValue {
        &self.host_header
    }

    pub(super) fn target(&self) -> Target {
        let scheme = if self.tls { Scheme::HTTPS } else { Scheme::HTTP };
        Target { scheme, authority: Authority::try_from(self.host_header.as_bytes()).ok() }
    }

    /// The name that TLS asks for and checks. `None`: the host is no name that a certificate could hold.
    pub(crate) fn server_name(&self) -> Option<ServerName<'static>> {
        match &self.host {
            Host::Name(name) => ServerName::try_from(name.to_string()).ok(),
            Host::Address(address) => Some(ServerName::IpAddress((*address).into())),
        }
    }

    /// Whether a listener at `address` is what would be dialled, as far as that can be told without a look-up.
    pub(crate) fn is_at(&self, address: SocketAddr) -> bool {
        let is_host = match &self.host {
            Host::Address(host) => {
                let (host, own) = (host.to_canonical(), address.ip().to_canonical());
                host == own || (host.is_loopback() && own.is_unspecified())
            }
            Host::Name(_) => self.host.is_loopback() && (address.ip().is_loopback() || address.ip().is_unspecified()),
        };
        is_host && self.port == address.port()
    }

    /// Whether an absolute URL with this scheme and authority is at this origin.
    pub(crate) fn contains(&self, tls: bool, authority: &Authority) -> bool {
        self.tls == tls
            && Host::parse(authority.host()).is_some_and(|host| host == self.host)
            && port_of(authority, if tls { 443 } else { 80 }) == Ok(self.port)
    }
}

/// The port that an authority names, or `default` where it names none.
fn port_of(authority: &Authority, default: u16) -> Result<u16, OriginError> {
    let after_host = authority.as_str().rsplit_once('@').map_or(authority.as_str(), |(_, rest)| rest);
    match after_host.get(authority.host().len()..) {
        None | Some("" | ":") => Ok(default),
        Some(text) => {
            match text.strip_prefix(':').filter(|digits| is_digits(digits)).and_then(|digits| digits.parse().ok()) {
                Some(0) | None => Err(OriginError::Port),
                Some(port) => Ok(port),
            }
        }
    }
}

/// A number's `parse` takes a sign, too.
fn is_digits(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit())
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.host_header.to_str().unwrap_or_default())
    }
}

impl Host {
    /// A host as it stands in a URL or a `Host` field: a name, an IPv4 address, or an IPv6 address in brackets.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if let Some(inner) = text.strip_prefix('[') {
            let address: Ipv6Addr = inner.strip_suffix(']')?.parse().ok()?;
            return Some(Self::Address(address.into()));
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return address.is_ipv4().then_some(Self::Address(address));
        }
        is_host_name(text).then(|| Self::Name(text.to_ascii_lowercase().into()))
    }

    /// Whether it can only mean this machine.
    pub(crate) fn is_loopback(&self) -> bool {
        match self {
            Self::Name(name) => &**name == "localhost" || name.ends_with(".localhost"),
            Self::Address(address) => address.is_loopback(),
        }
    }
}

/// RFC 1123 labels, with `_`, which names inside a network use. A last label of digits alone would be an address.
fn is_host_name(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253
        && text.split('.').all(label)
        && text.rsplit('.').next().is_some_and(|last| !last.bytes().all(|b| b.is_ascii_digit()))
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(IpAddr::V4(address)) => write!(f, "{address}"),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Origin, OriginError};

    #[test]
    fn a_workers_copy_of_host_is_in_memory_of_its_own() {
        let origin = Origin::parse("https://api.imagga.com").unwrap();
        let copy = origin.replica();
        assert_eq!(copy, origin);
        assert_ne!(copy.host_header().as_bytes().as_ptr(), origin.host_header().as_bytes().as_ptr());
        assert_eq!(origin.clone().host_header().as_bytes().as_ptr(), origin.host_header().as_bytes().as_ptr());
    }

    #[test]
    fn an_origin_is_scheme_host_and_port_alone() {
        for (url, shown) in [
            ("https://api.imagga.com", "https://api.imagga.com"),
            ("https://API.Imagga.com:443/", "https://api.imagga.com"),
            ("http://127.0.0.1:8081", "http://127.0.0.1:8081"),
            ("https://[::1]:8443", "https://[::1]:8443"),
        ] {
            assert_eq!(Origin::parse(url).unwrap().to_string(), shown);
        }
        for (url, error) in [
            ("api.imagga.com", OriginError::Malformed),
            ("ftp://api.imagga.com", OriginError::Scheme),
            ("https://user:pw@api.imagga.com", OriginError::UserInfo),
            ("https://api.imagga.com/v2", OriginError::Path),
            ("https://api.imagga.com?x", OriginError::Path),
            ("https://api.imagga.com/#x", OriginError::Path),
            ("https://-x.com", OriginError::Host),
            ("https://1.2.3.4.5", OriginError::Host),
            ("https://api.imagga.com:0", OriginError::Port),
            ("https://api.imagga.com:+443", OriginError::Port),
            ("https://api.imagga.com:65536", OriginError::Port),
        ] {
            assert_eq!(Origin::parse(url), Err(error), "{url}");
        }
    }
}
