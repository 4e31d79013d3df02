//! Names: what they are made of, and that each means one thing.

use std::net::SocketAddr;

use super::error::Fault;
use super::listen::ListenerFile;
use super::read::{At, Place, Reader, Table};
use super::upstream::UpstreamsFile;
use super::{ListenAddress, Upstream, file};
use crate::upstream::Host;

/// A host name that means an upstream, or a listener itself.
pub(super) type HostName = At<Box<str>>;

/// Refuses a name that cannot be a label of a host name, as in `NAME.localhost`.
pub(super) fn check_label(table: &Table<'_>, name: &At<&str>) {
    let text = name.value;
    let legal = (1..=63).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-');
    if !legal {
        let fault = Fault::new("not a usable name");
        table.refuse_key(
            &name.place,
            fault.hint("a name has 1 to 63 of `a-z`, `0-9` and, inside, `-`, as in `NAME.localhost`"),
        );
    }
}

/// A list of host names, in lower case.
pub(super) fn read_hosts(table: &mut Table<'_>, key: &'static str) -> Vec<HostName> {
    let mut hosts = Vec::new();
    for At { value, place } in table.list(key, "a list of host names").map(|list| list.value).unwrap_or_default() {
        match Host::parse(value) {
            Some(host) => hosts.push(At { value: host.to_string().into(), place }),
            None => table.refuse(&place, "expected a host name or address, without scheme, port or path"),
        }
    }
    hosts
}

/// Refuses what listeners and upstreams say of each other where it is wrong or ambiguous, whatever else is wrong.
pub(super) fn check(reader: &Reader<'_>, listeners: &[ListenerFile<'_>], upstreams: &UpstreamsFile<'_>) {
    for At { value: name, place } in listeners.iter().filter_map(|written| written.upstream.as_ref()) {
        if !upstreams.names.contains(name) {
            let fault = Fault::new("there is no upstream of this name");
            reader.refuse(place, fault.suggest_or_list(name, upstreams.names.iter().copied()));
        }
    }
    check_addresses(reader, listeners);
    check_hosts(reader, listeners, upstreams);
    check_own_names(reader, listeners, upstreams);
    check_loops(reader, listeners, upstreams);
}

/// Refuses an upstream that is sidekey itself, as far as the addresses tell: each request would make another.
fn check_loops(reader: &Reader<'_>, listeners: &[ListenerFile<'_>], upstreams: &UpstreamsFile<'_>) {
    let mut own: Vec<(&str, SocketAddr)> = listeners.iter().filter_map(|own| Some((own.name, own.tcp()?))).collect();
    if listeners.is_empty() {
        own.push((file::DEFAULT_NAME, file::DEFAULT_ADDRESS));
    }
    for (upstream, place) in upstreams.read.iter().zip(&upstreams.places) {
        if let Some((listener, _)) = own.iter().find(|(_, address)| upstream.origin.is_at(*address)) {
            let fault = Fault::new(format!("the URL leads to `listen.{listener}`: sidekey would call itself"));
            reader.refuse(place, fault.hint("`url` is where the vendor is, not where the app sends its requests"));
        }
    }
}

/// Refuses a second listener at one address. Port 0 is a new port each time.
fn check_addresses(reader: &Reader<'_>, listeners: &[ListenerFile<'_>]) {
    let mut taken: Vec<(&ListenAddress, &str)> = Vec::new();
    for written in listeners {
        let Some(At { value: address, place }) = &written.address else { continue };
        if matches!(address, ListenAddress::Tcp(address) if address.port() == 0) {
            continue;
        }
        if let Some((_, first)) = taken.iter().find(|(known, _)| known.is_same_place(address)) {
            reader.refuse(place, Fault::new(format!("`listen.{first}` has this address already")));
        }
        taken.push((address, written.name));
    }
}

/// Refuses a host that means two things. A host that only URLs share is none of these: it then means no upstream.
fn check_hosts(reader: &Reader<'_>, listeners: &[ListenerFile<'_>], upstreams: &UpstreamsFile<'_>) {
    let mut taken: Vec<(&str, &str)> = Vec::new();
    for (own_name, hosts) in &upstreams.hosts {
        for At { value: host, place } in hosts {
            if let Some((_, first)) = taken.iter().find(|(known, _)| *known == &**host) {
                refuse_second(reader, place, first, own_name);
            } else if means_a_listener(host, listeners) {
                let fault = Fault::new("a listener itself is known by this name, so it cannot mean an upstream");
                reader.refuse(place, fault.hint("`NAME.localhost` and the path prefix `/NAME` work without `hosts`"));
            } else if let Some(other) = means_other_by_name(host, own_name, &upstreams.names) {
                reader.refuse(place, Fault::new(format!("this name means `upstream.{other}` already")));
            } else if let Some(other) = means_other_by_url(host, own_name, &upstreams.read) {
                let fault = Fault::new(format!("this is the host of the URL of `upstream.{other}`"));
                reader.refuse(place, fault.hint("only an upstream whose URL has the same host may list it"));
            }
            taken.push((host, own_name));
        }
    }
}

/// Refuses a listener's own name that means an upstream: it would hide it.
fn check_own_names(reader: &Reader<'_>, listeners: &[ListenerFile<'_>], upstreams: &UpstreamsFile<'_>) {
    for At { value: name, place } in listeners.iter().flat_map(|written| &written.names) {
        let by_url = || means_other_by_url(name, "", &upstreams.read);
        if let Some(other) = means_other_by_name(name, "", &upstreams.names).or_else(by_url) {
            reader.refuse(place, Fault::new(format!("this name means `upstream.{other}`, not the listener")));
        }
    }
}

fn refuse_second(reader: &Reader<'_>, place: &Place, first: &str, own_name: &str) {
    if first == own_name {
        reader.refuse(place, "this host is listed twice");
    } else {
        let fault = Fault::new(format!("`upstream.{first}` has this host already"));
        reader
            .refuse(place, fault.hint("a host means one upstream; reach the other one by `NAME.localhost` or `/NAME`"));
    }
}

fn means_a_listener(host: &str, listeners: &[ListenerFile<'_>]) -> bool {
    let is_address = |written: &ListenerFile<'_>| match written.address.as_ref().map(|address| &address.value) {
        Some(ListenAddress::Tcp(address)) => *host == Host::Address(address.ip()).to_string(),
        Some(ListenAddress::Unix { .. } | ListenAddress::Systemd(_)) | None => false,
    };
    matches!(host, "localhost" | "127.0.0.1" | "[::1]")
        || listeners.iter().any(|written| is_address(written) || written.names.iter().any(|name| *name.value == *host))
}

/// `NAME.localhost` means the upstream NAME, and so no other.
fn means_other_by_name<'a>(host: &str, own_name: &str, names: &[&'a str]) -> Option<&'a str> {
    let label = host.strip_suffix(".localhost")?;
    names.iter().copied().find(|name| *name == label && *name != own_name)
}

/// The host of one upstream's URL means no other, unless it is the host of the other's URL, too.
fn means_other_by_url<'a>(host: &str, own_name: &str, upstreams: &'a [Upstream]) -> Option<&'a str> {
    let has_host = |upstream: &&Upstream| upstream.origin.host().to_string() == *host;
    if upstreams.iter().any(|upstream| *upstream.name == *own_name && has_host(&upstream)) {
        return None;
    }
    upstreams.iter().find(has_host).map(|upstream| &*upstream.name)
}
