//! A small HTTP/1.1 client: one request on one connection, with a deadline. It adds nothing to the request but `Host`.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// For everything, from connecting to the answer's last byte.
const DEADLINE: Duration = Duration::from_secs(20);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    #[error("no answer in time")]
    Deadline,
    #[error("cannot connect")]
    Connect(#[from] std::io::Error),
    #[error("cannot set up TLS")]
    Tls(#[from] rustls::Error),
    #[error("no HTTP answer")]
    Http(#[from] hyper::Error),
    #[error("not a name to connect to")]
    Name(#[from] rustls::pki_types::InvalidDnsNameError),
    #[error("not a `Host`")]
    Host(#[from] http::header::InvalidHeaderValue),
}

/// Sends `request` to `address` in plain HTTP. Dropping the future drops the connection.
pub(crate) async fn plain(address: SocketAddr, request: Request<Bytes>) -> Result<Response<Bytes>, ClientError> {
    within_deadline(async {
        let stream = TcpStream::connect(address).await?;
        exchange(stream, with_host(request, &address.to_string())?).await
    })
    .await
}

/// Sends `request` over TLS to `localhost` at `address`, which has to show a certificate by `ca`. Dropping the future
/// drops the connection.
pub(crate) async fn tls(
    address: SocketAddr,
    ca: &CertificateDer<'static>,
    request: Request<Bytes>,
) -> Result<Response<Bytes>, ClientError> {
    let mut roots = RootCertStore::empty();
    roots.add(ca.clone())?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let name = ServerName::try_from("localhost")?;
    within_deadline(async {
        let stream = TcpStream::connect(address).await?;
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
        exchange(stream, with_host(request, &format!("localhost:{}", address.port()))?).await
    })
    .await
}

async fn within_deadline<T>(work: impl Future<Output = Result<T, ClientError>>) -> Result<T, ClientError> {
    tokio::time::timeout(DEADLINE, work).await.unwrap_or(Err(ClientError::Deadline))
}

/// `request` with this `Host`, unless it brought its own.
fn with_host(mut request: Request<Bytes>, authority: &str) -> Result<Request<Bytes>, ClientError> {
    if !request.headers().contains_key(HOST) {
        request.headers_mut().insert(HOST, HeaderValue::from_str(authority)?);
    }
    Ok(request)
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    request: Request<Bytes>,
) -> Result<Response<Bytes>, ClientError> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let answer = async move {
        let (parts, body) = sender.send_request(request.map(Full::new)).await?.into_parts();
        // The sender goes with this block, which ends the connection.
        Ok(Response::from_parts(parts, body.collect().await?.to_bytes()))
    };
    // How the connection ends after a whole answer is of no interest.
    let (answer, _ended) = tokio::join!(answer, connection);
    answer
}
