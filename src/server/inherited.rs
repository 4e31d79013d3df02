//! Listening sockets that the service manager has opened, and goes on holding (`LISTEN_FDS`, sd_listen_fds(3)): whoever
//! connects while sidekey is not there waits in them, and nothing of them is taken away when it ends.

use std::io;

use listenfd::ListenFd;
use socket2::Socket;

/// The sockets that were passed, each under its name. A unit's sockets may share one.
#[derive(Default)]
pub struct InheritedSockets(Vec<(Box<str>, Socket)>);

/// Why what was passed cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InheritError {
    /// The variables contradict each other, or what is there.
    #[error("cannot take over the sockets of `LISTEN_FDS`")]
    Variables(#[source] io::Error),
    /// Nothing can be accepted from it.
    #[error("the socket `{0}` that systemd passed is not one that streams are accepted from")]
    NotListening(Box<str>),
}

impl InheritedSockets {
    /// Takes over what was passed to this process, if anything was.
    ///
    /// This comes before any other thread, as it changes the environment, and before any program is started, which would
    /// have the sockets, too.
    ///
    /// # Errors
    /// What was passed cannot be used.
    pub fn take() -> Result<Self, InheritError> {
        let passed = sd_notify::listen_fds_with_names().map_err(InheritError::Variables)?;
        let names: Vec<String> = passed.map(|(_, name)| name).collect();
        if names.is_empty() {
            return Ok(Self::default());
        }
        let mut passed = ListenFd::from_env();
        let socket = |(index, name): (usize, String)| {
            let name = name.into_boxed_str();
            match listening(&mut passed, index) {
                Some(socket) => Ok((name, socket)),
                None => Err(InheritError::NotListening(name)),
            }
        };
        names.into_iter().enumerate().map(socket).collect::<Result<_, _>>().map(Self)
    }

    /// The sockets of this name.
    pub(super) fn claim(&mut self, name: &str) -> Vec<Socket> {
        self.0.extract_if(.., |(known, _)| **known == *name).map(|(_, socket)| socket).collect()
    }

    /// The name of one that is left.
    pub(super) fn unclaimed(&self) -> Option<&str> {
        self.0.first().map(|(name, _)| &**name)
    }
}

fn listening(passed: &mut ListenFd, index: usize) -> Option<Socket> {
    let tcp = passed.take_tcp_listener(index).ok().flatten().map(Socket::from);
    let socket = tcp.or_else(|| passed.take_unix_listener(index).ok().flatten().map(Socket::from))?;
    is_listening(&socket).then_some(socket)
}

#[cfg(target_os = "linux")]
fn is_listening(socket: &Socket) -> bool {
    socket.is_listener().unwrap_or_default()
}

/// Elsewhere no service manager is known to pass any.
#[cfg(not(target_os = "linux"))]
fn is_listening(_: &Socket) -> bool {
    true
}
