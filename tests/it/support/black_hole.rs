//! An address at which nobody answers: neither yes nor no.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

/// Holds the address until it is dropped.
pub(crate) struct BlackHole {
    address: SocketAddr,
    _held: (Socket, Vec<TcpStream>),
}

impl BlackHole {
    /// A listener with a queue of one, which is full: the kernel does not answer the next caller.
    pub(crate) fn at(address: SocketAddr) -> Self {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
        socket.bind(&address.into()).unwrap();
        socket.listen(0).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        let connect = |_| TcpStream::connect_timeout(&address, Duration::from_millis(200)).ok();
        let full: Vec<_> = (0..3).map(connect).collect();
        assert!(full.iter().any(Option::is_none), "the queue is not full");
        Self { address, _held: (socket, full.into_iter().flatten().collect()) }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}
