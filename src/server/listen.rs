//! Listening sockets, and the connections that come in by them.

use std::fmt;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::time::sleep;
use tokio_util::either::Either;

use super::arrival::{Accepted, Arrival};
use super::inherited::InheritedSockets;
use crate::config::ListenAddress;

/// Connections that the kernel keeps while the workers are busy.
const BACKLOG: i32 = 4096;
/// How long accepting rests when the process has no file descriptor left.
const BACK_OFF: Duration = Duration::from_millis(100);
/// How often it is said that nothing can be accepted, for as long as that lasts.
const REMINDER: Duration = Duration::from_secs(10);

/// A listener that is bound. Dropping it stops listening, and removes the file of a Unix socket that was made here.
pub(super) struct Listening {
    socket: Arc<Socket>,
    address: BoundAddress,
    /// Its place in the config.
    listener: usize,
    /// The service manager has made it, and keeps it.
    inherited: bool,
}

/// Where a listener was bound, with the port that the system chose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BoundAddress {
    /// An address and port.
    Tcp(SocketAddr),
    /// A file.
    Unix(PathBuf),
}

impl BoundAddress {
    /// The address, if it is one of TCP.
    pub fn tcp(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }
}

impl fmt::Display for BoundAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Listening {
    /// Binds the listener that is at `listener` in the config, or takes over those of `inherited` that are meant.
    pub(super) fn bind(
        listener: usize,
        address: &ListenAddress,
        inherited: &mut InheritedSockets,
    ) -> io::Result<Vec<Self>> {
        let (socket, address) = match address {
            ListenAddress::Tcp(address) => bind_tcp(*address)?,
            ListenAddress::Unix { path, mode } => (bind_unix(path, *mode)?, BoundAddress::Unix(path.clone())),
            ListenAddress::Systemd(name) => {
                return inherited.claim(name).into_iter().map(|socket| Self::adopt(listener, socket)).collect();
            }
        };
        prepare(&socket)?;
        Ok(vec![Self { socket: Arc::new(socket), address, listener, inherited: false }])
    }

    fn adopt(listener: usize, socket: Socket) -> io::Result<Self> {
        prepare(&socket)?;
        let local = socket.local_addr()?;
        let address = match local.as_socket() {
            Some(address) => BoundAddress::Tcp(address),
            // An abstract one is written as systemd and `ss` do.
            None => BoundAddress::Unix(local.as_pathname().map_or_else(
                || {
                    let name = local.as_abstract_namespace().unwrap_or_default();
                    PathBuf::from(format!("@{}", name.escape_ascii()))
                },
                Path::to_owned,
            )),
        };
        Ok(Self { socket: Arc::new(socket), address, listener, inherited: true })
    }

    /// Whether other machines may reach it. Fails closed: an address that is not surely loopback counts as reachable.
    pub(super) fn is_open(&self) -> bool {
        self.address.tcp().is_some_and(|address| !address.ip().to_canonical().is_loopback())
    }

    pub(super) fn is_inherited(&self) -> bool {
        self.inherited
    }

    pub(super) fn address(&self) -> &BoundAddress {
        &self.address
    }

    /// A way to accept, on whichever thread.
    pub(super) fn door(&self) -> Door {
        let (socket, address) = (Arc::clone(&self.socket), self.address.clone());
        Door { socket, address, listener: self.listener, acceptor: None, told: None }
    }

    /// Hands over what waits already, before the listener is closed: the kernel would reset all of it, and with it
    /// requests that have been sent.
    pub(super) fn accept_waiting(&self, deal: impl Fn(Arrival)) {
        // No more than can have waited: under a flood this, too, comes to an end.
        for _ in 0..BACKLOG {
            let socket = match self.socket.accept() {
                Ok((socket, _)) => socket,
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
                Err(_) => return,
            };
            if socket.set_nonblocking(true).is_err() {
                continue;
            }
            let stream = match &self.address {
                BoundAddress::Tcp(_) => Either::Left(socket.into()),
                BoundAddress::Unix(_) => Either::Right(socket.into()),
            };
            deal(Arrival { listener: self.listener, stream });
        }
    }
}

/// Where the connections of one listener come in.
pub(super) struct Door {
    socket: Arc<Socket>,
    address: BoundAddress,
    /// Its place in the config.
    listener: usize,
    /// The runtime of the thread that accepts watches it, from the first time on.
    acceptor: Option<Acceptor>,
    /// When it was last said that it cannot.
    told: Option<Instant>,
}

impl Door {
    /// The next connection, however long that takes.
    ///
    /// Dropping the future loses none: the kernel keeps what was not accepted.
    pub(super) async fn next(&mut self) -> Accepted {
        loop {
            match self.accept().await {
                Ok(stream) => return Accepted { listener: self.listener, stream },
                // The caller went away while it waited (accept(2)).
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    if self.told.is_none_or(|at| at.elapsed() >= REMINDER) {
                        self.told = Some(Instant::now());
                        tracing::warn!(target: "server", address = %self.address, %error, "cannot accept; trying again");
                    }
                    sleep(BACK_OFF).await;
                }
            }
        }
    }

    async fn accept(&mut self) -> io::Result<Either<TcpStream, UnixStream>> {
        let acceptor = match &self.acceptor {
            Some(acceptor) => acceptor,
            None => self.acceptor.insert(Acceptor::new(&self.socket, &self.address)?),
        };
        match &acceptor.0 {
            Either::Left(listener) => listener.accept().await.map(|(stream, _)| Either::Left(stream)),
            Either::Right(listener) => listener.accept().await.map(|(stream, _)| Either::Right(stream)),
        }
    }
}

/// A listening socket that this thread's runtime watches.
struct Acceptor(Either<TcpListener, UnixListener>);

impl Acceptor {
    fn new(socket: &Socket, address: &BoundAddress) -> io::Result<Self> {
        let socket = socket.try_clone()?;
        match address {
            BoundAddress::Tcp(_) => TcpListener::from_std(socket.into()).map(Either::Left),
            BoundAddress::Unix(_) => UnixListener::from_std(socket.into()).map(Either::Right),
        }
        .map(Self)
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        if let BoundAddress::Unix(path) = &self.address
            && !self.inherited
        {
            // It may be gone, or belong to a successor by now; either way nothing is left to do.
            let _ = fs::remove_file(path);
        }
    }
}

/// Sets what accepted sockets take over from the listening one: it costs none of them a system call.
fn prepare(socket: &Socket) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    if socket.domain()? != Domain::UNIX {
        // Answers leave when they are written.
        socket.set_tcp_nodelay(true)?;
    }
    Ok(())
}

fn bind_tcp(address: SocketAddr) -> io::Result<(Socket, BoundAddress)> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    let bound = socket.local_addr()?.as_socket().unwrap_or(address);
    Ok((socket, BoundAddress::Tcp(bound)))
}

/// Binds under a name of its own, sets the mode, and only then moves the socket to `path`: at no moment can anyone
/// connect whom the mode keeps out.
fn bind_unix(path: &Path, mode: u32) -> io::Result<Socket> {
    refuse_if_in_use(path)?;
    let mut private = path.as_os_str().to_owned();
    private.push(format!(".{}", std::process::id()));
    let private = PathBuf::from(private);
    let _ = fs::remove_file(&private);
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&SockAddr::unix(&private)?)?;
    let published = fs::set_permissions(&private, fs::Permissions::from_mode(mode))
        .and_then(|()| socket.listen(BACKLOG))
        .and_then(|()| fs::rename(&private, path));
    if published.is_err() {
        let _ = fs::remove_file(&private);
    }
    published.map(|()| socket)
}

/// A socket file that nobody listens on was left by a process that died; anything else is not ours to replace.
fn refuse_if_in_use(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if !metadata.file_type().is_socket() => Err(io::ErrorKind::AlreadyExists.into()),
        Ok(_) if std::os::unix::net::UnixStream::connect(path).is_ok() => Err(io::ErrorKind::AddrInUse.into()),
        Ok(_) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::{InheritedSockets, ListenAddress, Listening};

    #[test]
    fn what_is_accepted_sends_at_once_without_being_told() {
        let address = ListenAddress::Tcp("127.0.0.1:0".parse().unwrap());
        let bound = Listening::bind(0, &address, &mut InheritedSockets::default()).unwrap();
        let _caller = TcpStream::connect(bound[0].address().tcp().unwrap()).unwrap();
        let accepted = bound[0].socket.accept().unwrap().0;
        assert!(accepted.tcp_nodelay().unwrap());
    }
}
