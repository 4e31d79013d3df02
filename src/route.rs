//! Stage 3: which upstream is meant? Exact names only, and nothing is forwarded that names none.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::rc::Rc;

use bytes::Bytes;
use http::header::HOST;

use crate::byte_set::ByteSet;
use crate::config;
use crate::fields::{Fields, ascii};
use crate::message::{Path, RequestHead};
use crate::upstream::{Host, Upstream};

/// Why a request means no upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RouteError {
    #[error("the authority is not `host` or `host:port`")]
    BadAuthority,
    #[error("no upstream has this host")]
    UnknownHost,
    #[error("more than one upstream has this host")]
    AmbiguousHost,
    #[error("no upstream has this name")]
    UnknownName,
    #[error("a tunnel means no upstream")]
    Tunnel,
}

/// Every way of naming an upstream, as a look-up.
pub(crate) struct Routes {
    upstreams: Vec<Rc<Upstream>>,
    names: Sorted<usize>,
    /// `None`: the host means more than one upstream, and so none.
    hosts: Sorted<Option<usize>>,
    listeners: Vec<Door>,
}

/// Looked up by halving: for the few names of a config, that is quicker than hashing what a caller sent.
struct Sorted<T>(Box<[(Box<str>, T)]>);

impl<T> Sorted<T> {
    fn new(entries: BTreeMap<Box<str>, T>) -> Self {
        Self(entries.into_iter().collect())
    }

    fn get(&self, key: &[u8]) -> Option<&T> {
        let at = self.0.binary_search_by(|(entry, _)| entry.as_bytes().cmp(key)).ok()?;
        self.0.get(at).map(|(_, value)| value)
    }
}

/// What one listener answers to.
struct Door {
    own_names: Box<[Box<str>]>,
    only: Option<usize>,
    tls: bool,
}

/// The upstream that is meant, and what is asked of it.
pub(crate) struct Target {
    pub(crate) upstream: Rc<Upstream>,
    /// As it goes on the wire: byte for byte what the caller sent, less the prefix.
    pub(crate) path: Path,
    pub(crate) spoken: Spoken,
}

/// How the caller named the upstream: a rewritten `Location` is put in the same form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Spoken {
    /// As the caller wrote it. `None`: an HTTP/1.0 caller that wrote none.
    pub(crate) authority: Option<Bytes>,
    /// Whether the first segment of the path was the upstream's name.
    pub(crate) prefixed: bool,
    /// Whether it came by TLS: its URL began with `https`.
    pub(crate) tls: bool,
}

impl Routes {
    /// The look-ups for `upstreams`, which stand in the order of the config.
    pub(crate) fn new(config: &config::Config, upstreams: Vec<Rc<Upstream>>) -> Self {
        let mut hosts = BTreeMap::new();
        for (index, upstream) in config.upstreams.iter().enumerate() {
            let host: Box<str> = upstream.origin.host().to_string().into();
            hosts.entry(host).and_modify(|owner| *owner = None).or_insert(Some(index));
        }
        // What `hosts` lists wins over a host that URLs share.
        for (index, upstream) in config.upstreams.iter().enumerate() {
            hosts.extend(upstream.hosts.iter().map(|host| (host.clone(), Some(index))));
        }
        let names = upstreams.iter().enumerate().map(|(index, upstream)| (upstream.name().into(), index)).collect();
        let listeners = config.listeners.iter().map(Door::new).collect();
        Self { upstreams, names: Sorted::new(names), hosts: Sorted::new(hosts), listeners }
    }

    /// Finds what a request means that came in by this listener.
    pub(crate) fn find(&self, listener: usize, head: &RequestHead) -> Result<Target, RouteError> {
        if head.method.as_str().eq_ignore_ascii_case("CONNECT") {
            return Err(RouteError::Tunnel);
        }
        let authority = Authority::of(head);
        let door = self.listeners.get(listener).ok_or(RouteError::UnknownHost)?;
        // RFC 9112 3.2: only HTTP/1.0 may leave Host out, and it then means whom it has reached.
        let host = authority.as_ref().map(Authority::host).transpose()?;
        let (index, prefixed) = match &host {
            Some(host) if !door.own_names.iter().any(|name| **name == **host) => (self.find_host(door, host)?, false),
            _ => match door.only {
                Some(only) => (only, false),
                None => (self.find_name(first_segment(head.path.text()))?, true),
            },
        };
        let upstream = Rc::clone(self.upstreams.get(index).ok_or(RouteError::UnknownName)?);
        let path = path_for(&head.path, prefixed.then_some(upstream.name())).ok_or(RouteError::UnknownName)?;
        let authority = authority.and_then(|authority| authority.kept(&head.fields));
        let spoken = Spoken { authority, prefixed, tls: door.tls };
        Ok(Target { upstream, path, spoken })
    }

    fn find_host(&self, door: &Door, host: &str) -> Result<usize, RouteError> {
        let index = match (self.hosts.get(host.as_bytes()), host.strip_suffix(".localhost")) {
            (Some(index), _) => index.ok_or(RouteError::AmbiguousHost)?,
            (None, Some(name)) => self.find_name(name.as_bytes())?,
            (None, None) => return Err(RouteError::UnknownHost),
        };
        if door.only.is_none_or(|only| only == index) { Ok(index) } else { Err(RouteError::UnknownHost) }
    }

    fn find_name(&self, name: &[u8]) -> Result<usize, RouteError> {
        self.names.get(name).copied().ok_or(RouteError::UnknownName)
    }
}

impl Door {
    fn new(listener: &config::Listener) -> Self {
        let mut own_names: Vec<Box<str>> = ["localhost", "127.0.0.1", "[::1]"].map(Box::from).into();
        // `0.0.0.0` and `[::]` are no names: browsers dial them as loopback, but tell nothing of the page that asks there.
        if let config::ListenAddress::Tcp(address) = &listener.address
            && !address.ip().to_canonical().is_unspecified()
        {
            own_names.push(Host::Address(address.ip()).to_string().into());
        }
        own_names.extend(listener.names.iter().cloned());
        Self { own_names: own_names.into(), only: listener.upstream, tls: listener.tls.is_some() }
    }
}

/// Whom a request names.
enum Authority<'a> {
    OfTarget(&'a str),
    OfHost(&'a [u8]),
}

impl<'a> Authority<'a> {
    /// That of an absolute target, else that of `Host` (RFC 9112 3.2.2).
    fn of(head: &'a RequestHead) -> Option<Self> {
        let of_target = head.authority.as_ref().map(|authority| Self::OfTarget(authority.as_str()));
        of_target.or_else(|| head.fields.get(&HOST).map(Self::OfHost))
    }

    fn host(&self) -> Result<Cow<'a, str>, RouteError> {
        match self {
            Self::OfTarget(authority) => host_of(authority),
            Self::OfHost(host) => host_of(ascii(host).ok_or(RouteError::BadAuthority)?),
        }
    }

    /// As it was written: a `Host` is only counted once more, as it is by far the most common.
    fn kept(&self, fields: &Fields) -> Option<Bytes> {
        match self {
            Self::OfTarget(authority) => Some(Bytes::copy_from_slice(authority.as_bytes())),
            Self::OfHost(_) => fields.share(&HOST),
        }
    }
}

/// RFC 3986 3.2.2, without upper case. Hardly any of it can be in a host that we know, but it is well-formed.
static IN_LOWER_HOST: ByteSet = ByteSet::of(b"abcdefghijklmnopqrstuvwxyz0123456789-._~%!$&'()*+,;=[]:");

/// The host of an authority in lower case; its port is checked, and means nothing.
pub(crate) fn host_of(authority: &str) -> Result<Cow<'_, str>, RouteError> {
    let host_end = match authority.strip_prefix('[') {
        Some(rest) => rest.find(']').map(|at| at + 2).ok_or(RouteError::BadAuthority)?,
        None => authority.bytes().position(|byte| byte == b':').unwrap_or(authority.len()),
    };
    let (host, port) = authority.split_at_checked(host_end).ok_or(RouteError::BadAuthority)?;
    if host.is_empty() || !is_port(port) {
        return Err(RouteError::BadAuthority);
    }
    if IN_LOWER_HOST.has_all(host.as_bytes()) {
        return Ok(host.into());
    }
    let lower = host.to_ascii_lowercase();
    if IN_LOWER_HOST.has_all(lower.as_bytes()) { Ok(lower.into()) } else { Err(RouteError::BadAuthority) }
}

fn is_port(text: &str) -> bool {
    text.is_empty()
        || text.strip_prefix(':').is_some_and(|digits| digits.len() <= 5 && digits.bytes().all(|b| b.is_ascii_digit()))
}

fn first_segment(path: &[u8]) -> &[u8] {
    let path = path.strip_prefix(b"/").unwrap_or(path);
    // Most are short: a search made for long texts would cost more.
    let end = path.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(path.len());
    path.get(..end).unwrap_or(path)
}

/// The request's path and query, less `/prefix`: `/` where nothing is left. Nearly always, nothing is copied.
fn path_for(path: &Path, prefix: Option<&str>) -> Option<Path> {
    let whole = &**path.text();
    let Some(prefix) = prefix else {
        // An absolute target may have no path: `http://host?query`.
        return Some(if whole.starts_with(b"/") { path.clone() } else { rooted(whole) });
    };
    let rest = whole.strip_prefix(b"/")?.strip_prefix(prefix.as_bytes())?;
    Some(if rest.starts_with(b"/") { path.after(whole.len() - rest.len()) } else { rooted(rest) })
}

fn rooted(rest: &[u8]) -> Path {
    Path::new([b"/", rest.strip_prefix(b"/").unwrap_or(rest)].concat().into())
}

#[cfg(test)]
mod tests {
    use super::{Path, first_segment, host_of, path_for};

    #[test]
    fn an_authority_is_a_host_and_perhaps_a_port() {
        for (authority, host) in [
            ("api.imagga.com", "api.imagga.com"),
            ("API.Imagga.com:443", "api.imagga.com"),
            ("[::1]:8080", "[::1]"),
            ("127.0.0.1:", "127.0.0.1"),
        ] {
            assert_eq!(host_of(authority).unwrap(), host);
        }
        for bad in ["", ":80", "a b", "user@host", "host:port", "host:1:2", "[::1", "host/path", "h\u{e9}"] {
            assert!(host_of(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_path_crosses_byte_for_byte_less_the_prefix() {
        for (target, prefix, path) in [
            ("/imagga/v2/tags?a=%2F&b", Some("imagga"), "/v2/tags?a=%2F&b"),
            ("/imagga", Some("imagga"), "/"),
            ("/imagga?x=y", Some("imagga"), "/?x=y"),
            ("/imagga//v2/../%2e", Some("imagga"), "//v2/../%2e"),
            ("/v2/tags//;a/%2e%2e", None, "/v2/tags//;a/%2e%2e"),
            ("http://api.imagga.com/v2", None, "/v2"),
            ("http://api.imagga.com", None, "/"),
            ("http://api.imagga.com?q", None, "/?q"),
            ("http://localhost/imagga/v2", Some("imagga"), "/v2"),
        ] {
            let uri: http::Uri = target.parse().unwrap();
            let whole = Path::from(uri.path_and_query().unwrap());
            assert_eq!(path_for(&whole, prefix).unwrap().as_str(), path, "{target}");
        }
    }

    #[test]
    fn the_first_segment_is_not_decoded() {
        for (path, first) in [
            ("/imagga/v2", "imagga"),
            ("/imagga", "imagga"),
            ("/imagga?/v2", "imagga"),
            ("/%69magga/v2", "%69magga"),
            ("//imagga", ""),
            ("/", ""),
        ] {
            assert_eq!(first_segment(path.as_bytes()), first.as_bytes(), "{path}");
        }
    }
}
