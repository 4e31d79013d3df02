//! sidekey's own listeners, as bound: an upstream that is one of them would have each request make another, without end.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;

/// Where sidekey listens, with the ports that the system chose.
#[derive(Clone, Default)]
pub(crate) struct OwnListeners(Arc<[SocketAddr]>);

impl OwnListeners {
    pub(crate) fn new(bound: impl IntoIterator<Item = SocketAddr>) -> Self {
        Self(bound.into_iter().collect())
    }

    /// Whether a connection to `address` would come in here.
    pub(super) fn would_take(&self, address: SocketAddr) -> bool {
        self.0.iter().any(|listener| takes(*listener, address))
    }
}

fn takes(listener: SocketAddr, address: SocketAddr) -> bool {
    let (own, dialled) = (listener.ip().to_canonical(), address.ip().to_canonical());
    // `[::]` may take IPv4, too, which depends on the system.
    let same_family = own.is_ipv6() || dialled.is_ipv4();
    listener.port() == address.port()
        && (own == dialled || (own.is_unspecified() && same_family && is_this_machine(dialled)))
}

/// Asks the kernel's routes: it would send from the very address to which it sends. Nothing is sent. That a socket can
/// be bound to an address would say less: with `ip_nonlocal_bind`, any can.
fn is_this_machine(address: IpAddr) -> bool {
    let any: IpAddr = if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let source = || {
        let socket = UdpSocket::bind((any, 0))?;
        socket.connect((address, 9))?;
        socket.local_addr()
    };
    // All of 127.0.0.0/8 is this machine, which sends from the first.
    address.is_loopback() || source().is_ok_and(|source| source.ip() == address)
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

    use super::OwnListeners;

    fn would_take(listener: &str, address: &str) -> bool {
        OwnListeners::new([listener.parse().unwrap()]).would_take(address.parse().unwrap())
    }

    #[test]
    fn a_listener_takes_what_comes_to_its_address_and_port() {
        for (listener, address) in [
            ("127.0.0.1:8080", "127.0.0.1:8080"),
            ("127.0.0.1:8080", "[::ffff:127.0.0.1]:8080"),
            ("[::1]:8080", "[::1]:8080"),
            ("198.51.100.7:8080", "198.51.100.7:8080"),
            ("0.0.0.0:8080", "127.0.0.1:8080"),
            ("0.0.0.0:8080", "127.9.9.9:8080"),
            ("0.0.0.0:8080", "[::ffff:127.0.0.1]:8080"),
            ("[::]:8080", "[::1]:8080"),
            ("[::]:8080", "127.0.0.1:8080"),
        ] {
            assert!(would_take(listener, address), "{listener} {address}");
            assert!(!would_take(listener, &address.replace(":8080", ":8081")), "{listener} {address}");
        }
        for (listener, address) in [
            ("127.0.0.1:8080", "127.0.0.2:8080"),
            ("127.0.0.1:8080", "[::1]:8080"),
            ("[::1]:8080", "127.0.0.1:8080"),
            ("198.51.100.7:8080", "127.0.0.1:8080"),
            ("0.0.0.0:8080", "[::1]:8080"),
            ("0.0.0.0:8080", "198.51.100.7:8080"),
            ("[::]:8080", "[2001:db8::7]:8080"),
        ] {
            assert!(!would_take(listener, address), "{listener} {address}");
        }
    }

    #[test]
    fn an_unspecified_listener_takes_every_address_of_the_machine() {
        // The address from which this machine would speak to another, if it has a way to any.
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        let own = match socket.connect("192.0.2.1:9").and_then(|()| socket.local_addr()) {
            Ok(address) => address.ip(),
            Err(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        };
        let listener = OwnListeners::new([SocketAddr::from((Ipv4Addr::UNSPECIFIED, 8080))]);
        assert!(listener.would_take(SocketAddr::new(own, 8080)), "{own}");
    }
}
