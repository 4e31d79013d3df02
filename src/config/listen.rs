//! `[listen.NAME]`: where callers come in.

use std::net::SocketAddr;

use super::error::Fault;
use super::listen_tls::{self, ListenTlsFile};
use super::names::HostName;
use super::read::{At, Reader, Table};
use super::{ListenAddress, Listener, names};
use crate::upstream::Host;

const EXPECTED: &str = "an address, `IP:PORT`, `unix:/PATH` or `systemd:NAME`";
/// The mode of a Unix socket: its owner alone.
const SOCKET_MODE: u32 = 0o600;
/// The longest path that the operating systems' `sockaddr_un` holds, besides its final NUL.
const MAX_SOCKET_PATH: usize = 107;

/// A listener, as far as it could be read, and where what it says of others stands.
pub(super) struct ListenerFile<'a> {
    pub(super) name: &'a str,
    pub(super) address: Option<At<ListenAddress>>,
    pub(super) names: Vec<HostName>,
    pub(super) upstream: Option<At<&'a str>>,
    dangerously_open: bool,
    tls: Option<ListenTlsFile>,
}

impl ListenerFile<'_> {
    /// The address, if it could be read and is known to be one of TCP.
    pub(super) fn tcp(&self) -> Option<SocketAddr> {
        self.address.as_ref()?.value.tcp()
    }

    /// The listener, which serves the upstream at `upstream` alone, if it names one.
    pub(super) fn into_listener(self, upstream: Option<usize>) -> Option<Listener> {
        let Self { name, address, names, dangerously_open, tls, .. } = self;
        let names = names.into_iter().map(|name| name.value).collect();
        let (address, tls) = (address?.value, tls.and_then(|tls| tls.read));
        Some(Listener { name: name.into(), address, names, upstream, dangerously_open, open: false, tls })
    }

    /// Whether nobody is to get in without a certificate.
    pub(super) fn asks_certificates(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.asks)
    }
}

pub(super) fn read_all<'a>(table: &mut Table<'a>) -> Vec<ListenerFile<'a>> {
    table.each(read)
}

/// Refuses a listener that other machines may reach while nobody is asked who they are: whoever connects spends the
/// credentials. Fails closed: an address that is not surely loopback counts as reachable.
pub(super) fn check_open(reader: &Reader<'_>, listeners: &[ListenerFile<'_>], has_callers: bool) {
    let is_unguarded = |written: &&ListenerFile<'_>| !written.dangerously_open && !written.asks_certificates();
    for written in listeners.iter().filter(|written| !has_callers && is_unguarded(written)) {
        if let (Some(At { place, .. }), Some(address)) = (&written.address, written.tcp())
            && !address.ip().to_canonical().is_loopback()
        {
            let fault = Fault::new("other machines may reach this address, and nobody is asked who they are");
            let hint = "name callers in `[caller.NAME]`, bind to loopback or `unix:`, ask for certificates with `tls.client_ca`, or say `dangerously_open = true`";
            reader.refuse(place, fault.hint(hint));
        }
    }
}

fn read<'a>(name: &At<&'a str>, table: &mut Table<'a>) -> Option<ListenerFile<'a>> {
    names::check_label(table, name);
    let names = names::read_hosts(table, "names");
    let upstream = table.text("upstream", "the name of an upstream");
    let dangerously_open = table.boolean("dangerously_open").is_some_and(|open| open.value);
    let tls = table.optional_section("tls", listen_tls::read);
    if !table.has("address") {
        table.refuse_missing("address", EXPECTED);
    }
    let address = read_address(table);
    Some(ListenerFile { name: name.value, address, names, upstream, dangerously_open, tls })
}

/// `address`, with the `mode` of a socket. `None`: there is none, or it is wrong.
pub(super) fn read_address(table: &mut Table<'_>) -> Option<At<ListenAddress>> {
    let mode = table.parsed("mode", "a mode in quotes, such as `\"0660\"`", parse_mode);
    let mut address = parse_address(table);
    match (address.as_mut().map(|address| &mut address.value), mode) {
        (Some(ListenAddress::Unix { mode, .. }), Some(written)) => *mode = written.value,
        (Some(ListenAddress::Tcp(_)), Some(written)) => {
            table.refuse(&written.place, "only a `unix:` socket has a mode");
        }
        (Some(ListenAddress::Systemd(_)), Some(written)) => {
            let fault = Fault::new("only a `unix:` socket has a mode");
            table.refuse(&written.place, fault.hint("the socket's unit says `SocketMode=`"));
        }
        (None, _) | (_, None) => {}
    }
    address
}

fn parse_address(table: &mut Table<'_>) -> Option<At<ListenAddress>> {
    let source = table.reader().source;
    table.parsed("address", EXPECTED, |text| match text.split_once(':') {
        Some(("unix", path)) if path.is_empty() || path.chars().any(char::is_control) => {
            Err(Fault::new("expected a path after `unix:`"))
        }
        Some(("unix", path)) => {
            let path = source.locate(path);
            match path.as_os_str().len() {
                0..=MAX_SOCKET_PATH => Ok(ListenAddress::Unix { path, mode: SOCKET_MODE }),
                _ => Err(Fault::new(format!(
                    "the path is longer than the {MAX_SOCKET_PATH} bytes that a socket may have"
                ))),
            }
        }
        Some(("systemd", name)) if is_socket_name(name) => Ok(ListenAddress::Systemd(name.into())),
        Some(("systemd", _)) => Err(Fault::new("expected a `FileDescriptorName=` after `systemd:`")),
        Some(_) | None => text.parse::<SocketAddr>().map(ListenAddress::Tcp).map_err(|_| {
            let port_missing = Host::parse(text).is_some();
            let fault = Fault::new(format!("expected {EXPECTED}"));
            fault.hint(if port_missing { "the port is missing" } else { "such as `127.0.0.1:8080`, or `[::1]:8080`" })
        }),
    })
}

/// What systemd takes for a name of file descriptors (sd_listen_fds(3)).
fn is_socket_name(name: &str) -> bool {
    (1..=255).contains(&name.len()) && name.bytes().all(|byte| (b' '..=b'~').contains(&byte) && byte != b':')
}

fn parse_mode(text: &str) -> Result<u32, Fault> {
    let octal = (3..=4).contains(&text.len()) && text.bytes().all(|digit| matches!(digit, b'0'..=b'7'));
    let mode = u32::from_str_radix(text, 8).ok().filter(|mode| octal && *mode <= 0o777);
    mode.ok_or_else(|| Fault::new("expected a mode of octal digits, from `\"0000\"` to `\"0777\"`"))
}
