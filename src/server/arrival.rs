//! A connection between accepting it and serving it: the worker that accepted it may have another one serve it.

use std::io;
use std::os::unix::net::UnixStream as UnwatchedUnixStream;

use tokio::net::{TcpStream, UnixStream};
use tokio_util::either::Either;

use super::stream::Socket;
use crate::caller::{Peer, PeerProcess};
use crate::wire::Tcp;

/// A connection that was accepted, and that this thread's runtime watches.
pub(super) struct Accepted {
    pub(super) listener: usize,
    pub(super) stream: Either<TcpStream, UnixStream>,
}

/// A connection on its way to a worker, which no runtime watches.
pub(super) struct Arrival {
    pub(super) listener: usize,
    pub(super) stream: Either<std::net::TcpStream, UnwatchedUnixStream>,
}

impl Accepted {
    /// Lets another thread have it.
    pub(super) fn unwatch(self) -> io::Result<Arrival> {
        let stream = match self.stream {
            Either::Left(stream) => Either::Left(stream.into_std()?),
            Either::Right(stream) => Either::Right(stream.into_std()?),
        };
        Ok(Arrival { listener: self.listener, stream })
    }

    /// Who is at the other end, and the socket.
    pub(super) fn into_parts(self) -> (Peer, Socket) {
        let listener = self.listener;
        match self.stream {
            Either::Left(stream) => {
                (Peer { listener, process: None, certificate: None }, Either::Left(Tcp::new(stream)))
            }
            Either::Right(stream) => {
                let process = stream.peer_cred().ok().map(|known| PeerProcess { uid: known.uid(), gid: known.gid() });
                (Peer { listener, process, certificate: None }, Either::Right(stream))
            }
        }
    }
}

impl Arrival {
    /// Has this thread's runtime watch it. An error: the runtime cannot, so it has lost its caller already.
    pub(super) fn watch(self) -> io::Result<Accepted> {
        let stream = match self.stream {
            Either::Left(stream) => Either::Left(TcpStream::from_std(stream)?),
            Either::Right(stream) => Either::Right(UnixStream::from_std(stream)?),
        };
        Ok(Accepted { listener: self.listener, stream })
    }
}
