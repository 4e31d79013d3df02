//! `[admin]`: where the operator asks how it goes. Without the table, nowhere.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use toml::de::DeTable;

use super::error::{ConfigError, Fault};
use super::listen::{self, ListenerFile};
use super::read::{At, Reader, Table};
use super::{Admin, ListenAddress, file, names};
use crate::secret::source::Source;

const ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9901);

/// `[admin]` as the file says it now, which need not be what is in force.
pub(crate) struct AdminFile {
    /// `None`: there is none, or none that could be read.
    pub(crate) admin: Option<Admin>,
    /// What is wrong with it, or with the file's TOML.
    pub(crate) wrong: Option<ConfigError>,
}

/// Reads `[admin]` of the file at `path`, and nothing else: no secret, and no other table, is looked at.
///
/// # Errors
/// The file cannot be read.
pub(crate) fn load(path: &Path) -> Result<AdminFile, ConfigError> {
    let text = file::read_text(path)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let (document, errors) = DeTable::parse_recoverable(&text);
    let reader = Reader::new(Source::Process { folder }, &text);
    let admin = reader.root(document.get_ref(), |table| {
        table.ignore_rest();
        read_in(table)
    });
    let problems = reader.take_problems(&text, super::syntax::problems(&text, &errors));
    let wrong = (!problems.is_empty()).then(|| ConfigError::new(path, problems));
    Ok(AdminFile { admin, wrong })
}

/// `[admin]` of the whole file. `None`: there is none, or it is wrong.
pub(super) fn read_in(table: &mut Table<'_>) -> Option<Admin> {
    table.optional_section("admin", read).flatten()
}

fn read(table: &mut Table<'_>) -> Option<Admin> {
    let names = names::read_hosts(table, "names").into_iter().map(|name| name.value).collect();
    let dangerously_open = table.boolean("dangerously_open").is_some_and(|open| open.value);
    let written = listen::read_address(table);
    if let Some(At { value: ListenAddress::Systemd(_), place }) = &written {
        table.refuse(place, "expected `IP:PORT` or `unix:/PATH`: the admin listener opens its own socket");
        return None;
    }
    let address = match (&written, table.has("address")) {
        (Some(At { value, place }), _) => {
            if !dangerously_open && value.tcp().is_some_and(|tcp| !tcp.ip().to_canonical().is_loopback()) {
                let fault = Fault::new("other machines may reach this address, and nobody is asked who they are");
                let hint = "what it tells is no secret: names of upstreams and callers, and how much they are used. \
                            Bind to loopback or `unix:`, or say `dangerously_open = true`";
                table.refuse(place, fault.hint(hint));
            }
            value.clone()
        }
        (None, false) => {
            if table.has("mode") {
                table.warn("`mode` does nothing without an `address` that is a `unix:` socket");
            }
            ListenAddress::Tcp(ADDRESS)
        }
        (None, true) => return None,
    };
    Some(Admin { address, names, dangerously_open })
}

/// Refuses an address that a listener has, too. Port 0 is a new port each time.
pub(super) fn check_address(reader: &Reader<'_>, admin: Option<&Admin>, listeners: &[ListenerFile<'_>]) {
    let Some(admin) = admin.filter(|admin| admin.address.tcp().is_none_or(|tcp| tcp.port() != 0)) else { return };
    let taken = listeners
        .iter()
        .find(|listener| listener.address.as_ref().is_some_and(|address| address.value.is_same_place(&admin.address)));
    if let Some(At { place, .. }) = taken.and_then(|listener| listener.address.as_ref()) {
        reader.refuse(place, Fault::new("`admin` has this address already"));
    }
}
