//! An origin that speaks HTTP/2 as it should be spoken, over TLS, and keeps what came.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::thread;

use bytes::Bytes;
use h2::ext::Protocol;
use h2::server::{Builder as Server, SendResponse};
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use rustls::ServerConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy, split};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio::task::{LocalSet, spawn_local};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::message::Fields;

/// Listens on loopback. By its path a request says what it wants: `/echo` its body and its trailers back, `/bytes/N` so
/// many bytes, anything else a short answer. An extended `CONNECT` gets its bytes back, but from `/refused` a 403. Without HTTP/2 it
/// makes a WebSocket of whatever comes. Stopped with its thread's process.
pub(crate) struct Http2Origin {
    address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    connections: usize,
    requests: Vec<Arrived>,
    switched: usize,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Arrived {
    pub(crate) method: String,
    /// `:protocol`.
    pub(crate) protocol: Option<String>,
    /// `:scheme`, `:authority` and `:path` in one.
    pub(crate) url: String,
    pub(crate) fields: Fields,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Fields,
}

impl Http2Origin {
    pub(crate) fn start(tls: Arc<ServerConfig>) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (serving, (bound, address)) = (Arc::clone(&seen), std::sync::mpsc::channel());
        thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            LocalSet::new().block_on(&runtime, async move {
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
                bound.send(listener.local_addr().unwrap()).unwrap();
                loop {
                    let (tcp, _) = listener.accept().await.unwrap();
                    serving.lock().unwrap().connections += 1;
                    spawn_local(serve(TlsAcceptor::from(Arc::clone(&tls)), tcp, Arc::clone(&serving)));
                }
            });
        });
        Self { address: address.recv().unwrap(), seen }
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(crate) fn connections(&self) -> usize {
        self.seen.lock().unwrap().connections
    }

    /// How many it has answered with a 101, in HTTP/1.1.
    pub(crate) fn switched(&self) -> usize {
        self.seen.lock().unwrap().switched
    }

    /// Those that have come whole.
    pub(crate) fn requests(&self) -> Vec<Arrived> {
        self.seen.lock().unwrap().requests.clone()
    }
}

/// Whatever goes wrong on a connection ends it: the caller's side of the test sees that.
async fn serve(acceptor: TlsAcceptor, tcp: TcpStream, seen: Arc<Mutex<Seen>>) {
    let Ok(stream) = acceptor.accept(tcp).await else { return };
    if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
        return echo(stream, &seen).await;
    }
    let Ok(mut connection) = Server::new().enable_connect_protocol().handshake(stream).await else { return };
    while let Some(Ok((request, answer))) = connection.accept().await {
        let seen = Arc::clone(&seen);
        spawn_local(async move {
            let _ = respond(request, answer, &seen).await;
        });
    }
}

/// What a caller gets that does not agree on HTTP/2: 101, whatever it asks for, and its bytes back.
async fn echo(mut stream: TlsStream<TcpStream>, seen: &Mutex<Seen>) {
    let mut header = Vec::new();
    while !header.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else { return };
        header.push(byte);
    }
    seen.lock().unwrap().switched += 1;
    let answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
    let _ = stream.write_all(answer.as_bytes()).await;
    let (mut reading, mut writing) = split(stream);
    let _ = copy(&mut reading, &mut writing).await;
}

async fn respond(
    request: Request<RecvStream>,
    mut answer: SendResponse<Bytes>,
    seen: &Mutex<Seen>,
) -> Result<(), h2::Error> {
    let (head, mut stream) = request.into_parts();
    if let Some(protocol) = head.extensions.get::<Protocol>() {
        seen.lock().unwrap().requests.push(Arrived {
            method: head.method.to_string(),
            protocol: Some(protocol.as_str().to_owned()),
            url: head.uri.to_string(),
            fields: fields(&head.headers),
            body: Vec::new(),
            trailers: Fields::default(),
        });
        return tunnel(head.uri.path(), stream, answer).await;
    }
    let mut body = Vec::new();
    while let Some(piece) = stream.data().await {
        let piece = piece?;
        stream.flow_control().release_capacity(piece.len())?;
        body.extend_from_slice(&piece);
    }
    let trailers = stream.trailers().await?.unwrap_or_default();
    let arrived = Arrived {
        method: head.method.to_string(),
        protocol: None,
        url: head.uri.to_string(),
        fields: fields(&head.headers),
        body: body.clone(),
        trailers: fields(&trailers),
    };
    seen.lock().unwrap().requests.push(arrived);
    let path = head.uri.path();
    let body = match path.strip_prefix("/bytes/") {
        Some(count) => Bytes::from(vec![b'x'; count.parse().unwrap()]),
        None if path == "/echo" => Bytes::from(body),
        None => Bytes::from_static(b"ok"),
    };
    let mut head = Response::new(());
    if !trailers.is_empty() {
        // Or a caller in HTTP/1.1 does not get them.
        head.headers_mut().insert("trailer", http::HeaderValue::from_static("x-sum"));
    }
    let mut sending = answer.send_response(head, false)?;
    send(&mut sending, body).await?;
    if path == "/echo" && !trailers.is_empty() {
        sending.send_trailers(trailers)
    } else {
        sending.send_data(Bytes::new(), true)
    }
}

/// Agrees to a WebSocket, and sends back what comes until nothing does; or does not agree.
async fn tunnel(path: &str, mut stream: RecvStream, mut answer: SendResponse<Bytes>) -> Result<(), h2::Error> {
    let mut head = Response::new(());
    if path == "/refused" {
        *head.status_mut() = http::StatusCode::FORBIDDEN;
        return answer.send_response(head, false)?.send_data(Bytes::from_static(b"no!"), true);
    }
    head.headers_mut().insert("sec-websocket-protocol", http::HeaderValue::from_static("chat"));
    let mut sending = answer.send_response(head, false)?;
    while let Some(piece) = stream.data().await {
        let piece = piece?;
        let length = piece.len();
        send(&mut sending, piece).await?;
        stream.flow_control().release_capacity(length)?;
    }
    sending.send_data(Bytes::new(), true)
}

/// No faster than the other side reads.
async fn send(sending: &mut SendStream<Bytes>, mut body: Bytes) -> Result<(), h2::Error> {
    while !body.is_empty() {
        sending.reserve_capacity(body.len());
        let room = std::future::poll_fn(|cx| sending.poll_capacity(cx)).await;
        let room = room.unwrap_or(Err(h2::Reason::CANCEL.into()))?;
        sending.send_data(body.split_to(room.min(body.len())), false)?;
    }
    Ok(())
}

fn fields(headers: &HeaderMap) -> Fields {
    let text = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    Fields(headers.iter().map(text).collect())
}
