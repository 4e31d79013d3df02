//! `sidekey health`: asks the admin listener of a running proxy, for containers that have no shell. Of the config it
//! reads `[admin]` alone: no secret is needed, nor looked at.

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Collected, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::runtime::Builder;
use tokio::time::timeout;

use crate::config::admin::{self, AdminFile};
use crate::config::{ConfigError, ListenAddress};

/// For all of it.
const DEADLINE: Duration = Duration::from_secs(1);
/// The longest answer that is read.
const MAX_ANSWER: usize = 1024;

/// Why the proxy is not known to be well.
#[derive(Debug, thiserror::Error)]
pub enum HealthError {
    /// The config cannot be read, or what it says of the admin listener is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// There is nobody to ask.
    #[error(
        "the config has no `[admin]`, so there is nobody to ask\n  hint: add `[admin]`, whose default address is 127.0.0.1:9901"
    )]
    NoAdmin,
    /// The port is one that the system chose, and only the running proxy knows it.
    #[error("`admin.address` has port 0, which is another one each time")]
    AnyPort,
    /// Nobody answers.
    #[error("not answering")]
    Connect(#[from] io::Error),
    /// What answers does not speak HTTP.
    #[error("not answering as it should")]
    Http(#[from] hyper::Error),
    /// No answer in time.
    #[error("no answer within a second")]
    Deadline,
    /// It says that it is not.
    #[error("{0}")]
    Unwell(String),
}

/// Asks the proxy that runs with the config at `path` whether it is ready, or only whether it is alive, and writes what it
/// says. A file that is wrong by now says nothing of a proxy that goes on with what was right: it is told only where
/// nobody answers.
///
/// # Errors
/// It is not, does not answer, or cannot be asked.
pub fn health(path: &Path, live: bool, out: &mut dyn Write) -> Result<(), HealthError> {
    let AdminFile { admin, wrong } = admin::load(path)?;
    let Some(admin) = admin else { return Err(wrong.map_or(HealthError::NoAdmin, HealthError::Config)) };
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let page = if live { "/livez" } else { "/readyz" };
    let asked = runtime.block_on(async { timeout(DEADLINE, ask(&admin.address, page)).await });
    let (status, text) = match (asked.unwrap_or(Err(HealthError::Deadline)), wrong) {
        (Err(HealthError::Connect(_)), Some(wrong)) => return Err(wrong.into()),
        (asked, _) => asked?,
    };
    match status {
        StatusCode::OK => Ok(writeln!(out, "{text}")?),
        _ => Err(HealthError::Unwell(text)),
    }
}

async fn ask(address: &ListenAddress, page: &str) -> Result<(StatusCode, String), HealthError> {
    match address {
        ListenAddress::Tcp(address) if address.port() == 0 => Err(HealthError::AnyPort),
        ListenAddress::Tcp(address) => ask_on(TcpStream::connect(reachable(*address)).await?, page).await,
        ListenAddress::Unix { path, .. } => ask_on(UnixStream::connect(path).await?, page).await,
        // `[admin]` has none: it is refused when the file is read.
        ListenAddress::Systemd(_) => Err(HealthError::NoAdmin),
    }
}

/// Where whoever listens at every address can be reached from here.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

async fn ask_on(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin,
    page: &str,
) -> Result<(StatusCode, String), HealthError> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let mut request = Request::new(Empty::<Bytes>::new());
    *request.uri_mut() = page.parse().unwrap_or_default();
    request.headers_mut().insert(HOST, http::HeaderValue::from_static("localhost"));
    let answer = async {
        let (head, body) = sender.send_request(request).await?.into_parts();
        // What is longer, or breaks off, has said enough by its status.
        let body = Limited::new(body, MAX_ANSWER).collect().await.map(Collected::to_bytes).unwrap_or_default();
        Ok((head.status, first_line(&body)))
    };
    tokio::select! {
        biased;
        answer = answer => answer,
        // The exchange has its own word on how the connection ended, if it was let go on.
        Err(error) = connection => Err(error.into()),
    }
}

/// The first line, without what a terminal might obey: the port may be another program's.
fn first_line(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    text.lines().next().unwrap_or_default().chars().filter(|character| !character.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::{first_line, reachable};

    #[test]
    fn whoever_listens_everywhere_is_asked_on_loopback() {
        for (bound, asked) in [
            ("0.0.0.0:9901", "127.0.0.1:9901"),
            ("[::]:9901", "[::1]:9901"),
            ("127.0.0.1:1", "127.0.0.1:1"),
            ("198.51.100.7:1", "198.51.100.7:1"),
        ] {
            assert_eq!(reachable(bound.parse().unwrap()), asked.parse().unwrap());
        }
    }

    #[test]
    fn what_is_printed_moves_no_cursor() {
        assert_eq!(first_line(b"ready\nmore"), "ready");
        assert_eq!(first_line(b"\x1b[2Jready\x07\xff"), "[2Jready\u{fffd}");
        assert_eq!(first_line(b""), "");
    }
}
