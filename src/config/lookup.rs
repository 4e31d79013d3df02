//! The part of `[server]` that says how names are looked up.

use std::net::{IpAddr, SocketAddr};

use super::Lookup;
use super::read::{At, Table};

/// The port of a name server that names none.
const DNS: u16 = 53;

pub(super) fn read(table: &mut Table<'_>) -> Lookup {
    let hosts_file = table.boolean("hosts_file").is_some_and(|read| read.value);
    let mut nameservers = Vec::new();
    let written = table.list("nameservers", "a list of addresses, `IP` or `IP:PORT`");
    for At { value, place } in written.map(|list| list.value).unwrap_or_default() {
        let with_port = || value.parse::<IpAddr>().map(|address| SocketAddr::new(address, DNS));
        match value.parse::<SocketAddr>().or_else(|_| with_port()) {
            Ok(address) if address.port() != 0 => nameservers.push(address),
            Ok(_) | Err(_) => table.refuse(&place, "expected an address, `IP` or `IP:PORT`"),
        }
    }
    Lookup { hosts_file, nameservers }
}
