//! Listening sockets, and the connections that come in by them.

use std::fmt;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::{TcpListener, UnixListener};
use tokio::time::sleep;
use tokio_util::either::Either;

use super::inherited::InheritedSockets;
use super::worker::Arrival;
use crate::config::ListenAddress;

/// Connections that the kernel keeps while the workers are busy.
const BACKLOG: i32 = 4096;
/// How long accepting rests when the process has no file descriptor left.
const BACK_OFF: Duration = Duration::from_millis(100);
/// How often it is said that nothing can be accepted, for as long as that lasts.
const REMINDER: Duration = Duration::from_secs(10);

/// A listener that is bound. Dropping it stops listening, and removes the file of a Unix socket that was made here.
pub(super) struct Listening {
    socket: Socket,
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
        socket.set_nonblocking(true)?;
        Ok(vec![Self { socket, address, listener, inherited: false }])
    }

    fn adopt(listener: usize, socket: Socket) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
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
        Ok(Self { socket, address, listener, inherited: true })
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

    /// Begins to accept. An error: the runtime cannot watch the socket.
    pub(super) fn accepting(&self) -> io::Result<Accepting<'_>> {
        Ok(Accepting { listening: self, acceptor: self.acceptor()?, told: None })
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

    fn acceptor(&self) -> io::Result<Acceptor> {
        let socket = self.socket.try_clone()?;
        match &self.address {
            BoundAddress::Tcp(_) => TcpListener::from_std(socket.into()).map(Either::Left),
            BoundAddress::Unix(_) => UnixListener::from_std(socket.into()).map(Either::Right),
        }
        .map(Acceptor)
    }
}

/// Takes the connections that come in by one listener.
pub(super) struct Accepting<'a> {
    listening: &'a Listening,
    acceptor: Acceptor,
    /// When it was last said that it cannot.
    told: Option<Instant>,
}

impl Accepting<'_> {
    /// The next connection, however long that takes.
    ///
    /// Dropping the future loses none: the kernel keeps what was not accepted.
    pub(super) async fn next(&mut self) -> Arrival {
        let Listening { listener, address, .. } = self.listening;
        loop {
            match self.acceptor.accept().await {
                Ok(stream) => return Arrival { listener: *listener, stream },
                // The caller went away while it waited (accept(2)).
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    if self.told.is_none_or(|at| at.elapsed() >= REMINDER) {
                        self.told = Some(Instant::now());
                        tracing::warn!(target: "server", %address, %error, "cannot accept; trying again");
                    }
                    sleep(BACK_OFF).await;
                }
            }
        }
    }
}

/// A listening socket that the runtime watches.
struct Acceptor(Either<TcpListener, UnixListener>);

impl Acceptor {
    /// The next connection, which no runtime watches yet: it will be a worker's.
    async fn accept(&self) -> io::Result<Either<std::net::TcpStream, UnixStream>> {
        match &self.0 {
            Either::Left(listener) => listener.accept().await?.0.into_std().map(Either::Left),
            Either::Right(listener) => listener.accept().await?.0.into_std().map(Either::Right),
        }
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
        Ok(_) if UnixStream::connect(path).is_ok() => Err(io::ErrorKind::AddrInUse.into()),
        Ok(_) | Err(_) => Ok(()),
    }
}
