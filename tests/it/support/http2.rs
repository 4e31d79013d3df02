//! Callers that speak HTTP/2: one that is well-behaved ([`Http2Caller`]), and one that sends any frames ([`FrameCaller`]).

use std::future::poll_fn;
use std::net::SocketAddr;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::ext::Protocol;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Request, Response, StatusCode};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

pub(crate) use super::frame::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, Frame, GOAWAY, HEADERS, PING, PREFACE, RST_STREAM, SETTINGS,
    WINDOW_UPDATE, fields, frame, setting,
};
use super::wire::{Broken, Record};
use super::{Caller, PATIENCE};

/// An HTTP/2 client that was not written for sidekey, on one connection.
pub(crate) struct Http2Caller {
    runtime: Runtime,
    sender: SendRequest<Bytes>,
    record: Record,
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Http2Answer {
    pub(crate) status: u16,
    pub(crate) fields: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: HeaderMap,
}

impl Http2Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(|value| value.to_str().unwrap())
    }

    /// Asserts that it is sidekey's own, of this kind.
    pub(crate) fn assert_own(&self, status: u16, kind: &str) {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.field("content-type"), Some("application/problem+json"));
        assert!(self.field("proxy-status").is_some_and(|text| text.starts_with("sidekey; error=")));
        assert!(self.field("x-request-id").is_some() && self.field("connection").is_none());
        let problem: serde_json::Value = serde_json::from_slice(&self.body).unwrap();
        assert_eq!(problem["type"], format!("urn:sidekey:problem:{kind}"));
    }
}

/// A stream of bytes that a request has become, both ways.
pub(crate) struct Http2Tunnel {
    pub(crate) head: Response<()>,
    pub(crate) sending: SendStream<Bytes>,
    receiving: RecvStream,
}

/// An extended `CONNECT` (RFC 8441 4) to `path`, from the listener itself.
pub(crate) fn connect_http2(protocol: &'static str, path: &str) -> Request<()> {
    let request = Request::connect(format!("http://localhost{path}")).header("sec-websocket-version", "13");
    request.extension(Protocol::from_static(protocol)).body(()).unwrap()
}

/// A GET of `path` at `authority`.
pub(crate) fn get_http2(authority: &str, path: &str) -> Request<()> {
    Request::get(format!("http://{authority}{path}")).body(()).unwrap()
}

impl Http2Caller {
    /// `window`: what all of its streams together may be sent that it has not read.
    pub(super) fn new(address: SocketAddr, record: Record, window: u32) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let sender = runtime.block_on(async {
            let tcp = TcpStream::connect(address).await.unwrap();
            let (sender, connection) =
                h2::client::Builder::new().initial_connection_window_size(window).handshake(tcp).await.unwrap();
            tokio::spawn(connection);
            sender
        });
        Self { runtime, sender, record }
    }

    /// Begins a request; `ends`: without a body.
    pub(crate) fn begin(&mut self, request: Request<()>, ends: bool) -> (ResponseFuture, SendStream<Bytes>) {
        let sender = self.sender.clone();
        self.runtime.block_on(async {
            let mut sender = timeout(PATIENCE, sender.ready()).await.unwrap().unwrap();
            let begun = sender.send_request(request, ends).unwrap();
            // It leaves before anything else happens.
            for _ in 0..3 {
                tokio::task::yield_now().await;
            }
            begun
        })
    }

    /// Lets the connection move for a while.
    pub(crate) fn idle(&self, time: Duration) {
        self.runtime.block_on(async { tokio::time::sleep(time).await });
    }

    /// A request without a body, and its answer.
    pub(crate) fn ask(&mut self, request: Request<()>) -> Result<Http2Answer, h2::Error> {
        let (answer, _) = self.begin(request, true);
        self.answer(answer)
    }

    /// One with a body.
    pub(crate) fn post(&mut self, request: Request<()>, body: &'static [u8]) -> Result<Http2Answer, h2::Error> {
        let (answer, mut sending) = self.begin(request, false);
        sending.send_data(Bytes::from_static(body), true)?;
        self.answer(answer)
    }

    /// Begins a tunnel, and waits for the header of what it is answered with.
    pub(crate) fn open(&mut self, request: Request<()>) -> Http2Tunnel {
        let (answer, sending) = self.begin(request, false);
        let (head, receiving) = self.runtime.block_on(timeoutless(answer)).unwrap().into_parts();
        Http2Tunnel { head: Response::from_parts(head, ()), sending, receiving }
    }

    /// What comes through it, until it is so long, or at its end.
    pub(crate) fn hear(&self, tunnel: &mut Http2Tunnel, length: usize) -> Result<Vec<u8>, h2::Error> {
        let mut heard = Vec::new();
        self.runtime.block_on(timeoutless(async {
            while heard.len() < length {
                let Some(piece) = tunnel.receiving.data().await else { break };
                let piece = piece?;
                tunnel.receiving.flow_control().release_capacity(piece.len())?;
                self.record.lock().unwrap().extend_from_slice(&piece);
                heard.extend_from_slice(&piece);
            }
            Ok(heard)
        }))
    }

    /// How much may be sent through it. `None`: nothing, for so long.
    pub(crate) fn room(&self, tunnel: &mut Http2Tunnel, patience: Duration) -> Option<usize> {
        tunnel.sending.reserve_capacity(16 * 1024);
        let room = poll_fn(|cx| match tunnel.sending.capacity() {
            0 => tunnel.sending.poll_capacity(cx).map(|room| room.unwrap().unwrap()),
            room => Poll::Ready(room),
        });
        self.runtime.block_on(async { timeout(patience, room).await.ok() })
    }

    /// Waits for the whole answer. An error: its stream or connection was ended, or nothing came.
    pub(crate) fn answer(&self, answer: ResponseFuture) -> Result<Http2Answer, h2::Error> {
        let whole = async {
            let (head, mut stream) = answer.await?.into_parts();
            let body = self.body(&mut stream).await?;
            let trailers = stream.trailers().await?.unwrap_or_default();
            for value in head.headers.values().chain(trailers.values()) {
                self.record.lock().unwrap().extend_from_slice(value.as_bytes());
            }
            Ok(Http2Answer { status: head.status.as_u16(), fields: head.headers, body, trailers })
        };
        self.runtime.block_on(timeoutless(whole))
    }

    /// The answer's status, and then how its body failed.
    pub(crate) fn cut_answer(&self, answer: ResponseFuture) -> (StatusCode, h2::Error) {
        self.runtime.block_on(timeoutless(async {
            let (head, mut stream) = answer.await.unwrap().into_parts();
            (head.status, self.body(&mut stream).await.expect_err("the answer should have been cut"))
        }))
    }

    async fn body(&self, stream: &mut RecvStream) -> Result<Vec<u8>, h2::Error> {
        let mut body = Vec::new();
        while let Some(piece) = stream.data().await {
            let piece = piece?;
            stream.flow_control().release_capacity(piece.len())?;
            self.record.lock().unwrap().extend_from_slice(&piece);
            body.extend_from_slice(&piece);
        }
        Ok(body)
    }
}

async fn timeoutless<T>(work: impl Future<Output = T>) -> T {
    timeout(PATIENCE, work).await.expect("an answer in time")
}

/// The fields of a GET of `path` from the listener itself.
pub(crate) fn get_fields(path: &str) -> Vec<u8> {
    fields(&[(":method", "GET"), (":scheme", "http"), (":authority", "localhost"), (":path", path)])
}

/// A whole GET on a stream.
pub(crate) fn get_frame(stream: u32, path: &str) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &get_fields(path))
}

/// A caller that sends frames as it likes.
pub(crate) struct FrameCaller {
    pub(crate) caller: Caller,
}

impl FrameCaller {
    /// Begins with the preface, and these settings.
    pub(super) fn new(mut caller: Caller, settings: &[u8]) -> Self {
        caller.send([PREFACE, &frame(SETTINGS, 0, 0, settings)].concat());
        Self { caller }
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.caller.send(bytes);
    }

    /// Sends what the other side may not want any more.
    pub(crate) fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.caller.try_send(bytes).is_ok()
    }

    pub(crate) fn next(&mut self) -> Result<Frame, Broken> {
        Frame::read(|length| self.caller.try_exactly(length))
    }

    /// The next frame of `kind`. Others are passed over.
    pub(crate) fn await_frame(&mut self, kind: u8) -> Frame {
        loop {
            let frame = self.next().unwrap_or_else(|broken| panic!("no frame of type {kind}: {broken:?}"));
            if frame.kind == kind {
                return frame;
            }
        }
    }

    /// Everything until the connection is closed.
    pub(crate) fn rest(&mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        loop {
            match self.next() {
                Ok(frame) => frames.push(frame),
                Err(Broken::Silent) => panic!("the connection is not closed: {frames:?}"),
                Err(Broken::Closed | Broken::Reset) => return frames,
            }
        }
    }

    /// Asserts that the connection is ended with `code`.
    #[track_caller]
    pub(crate) fn assert_goes_away(&mut self, code: Reason) {
        let frames = self.rest();
        let last = frames.iter().rfind(|frame| frame.kind == GOAWAY);
        assert_eq!(last.map(Frame::code), Some(code), "{frames:?}");
    }
}
