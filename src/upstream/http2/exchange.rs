//! One request on one stream: said as HTTP/2 says it, sent beside the wait for its answer, and given back whole where the
//! upstream has not looked at it.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use h2::Reason;
use h2::client::ResponseFuture;
use h2::ext::Protocol;
use http::header::{CONNECTION, HOST, TE, TRANSFER_ENCODING};
use http::{Method, Request, StatusCode, Version};
use http_body::Body;
use tokio::time::sleep_until;

use super::upload::Upload;
use super::{AnswerStream, Driver, Line, Stream, StreamError};
use crate::config::Timeouts;
use crate::message::{RequestHead, Response, ResponseHead};
use crate::server;
use crate::tunnel::connect::Connect;
use crate::upstream::body::RequestBody;
use crate::upstream::connection::{Failed, Fault, Lost, Received};
use crate::upstream::exchange::Exchange;
use crate::upstream::http1::overdue;
use crate::wire::response::MAX_INTERIM;
use crate::wire::{MAX_FIELDS, Malformed};

/// Some time after any timeout: the exchange sets the alarm.
const FIRST_ALARM: Duration = Duration::from_secs(24 * 60 * 60);

impl Stream {
    /// Sends one request, and waits for the response's header as long as `timeouts` allow.
    ///
    /// Dropping the future resets the stream, and nothing but the stream.
    pub(in crate::upstream) async fn exchange(
        &mut self,
        head: &RequestHead,
        body: RequestBody,
        exchange: &Exchange,
        timeouts: &Timeouts,
    ) -> Result<Response<Received>, Failed> {
        let mut alarm = pin!(sleep_until((Instant::now() + FIRST_ALARM).into()));
        let asked = head.extensions.get::<Connect>().cloned();
        let is_handshake = asked.is_some();
        if is_handshake {
            tokio::select! {
                biased;
                may = self.line.may_ask() => may.map_err(|error| lost(error.into(), None))?,
                late = overdue(alarm.as_mut(), exchange, timeouts) => return Err(Failed::Overdue(late)),
            }
        }
        let (mut waiting, mut upload) = self.line.send(head, body)?;
        let outcome = {
            let answer = poll_fn(|cx| waiting.poll(&mut upload, exchange, cx));
            tokio::select! {
                biased;
                outcome = answer => outcome,
                late = overdue(alarm.as_mut(), exchange, timeouts) => return Err(Failed::Overdue(late)),
            }
        };
        let is_early = is_handshake || !upload.has_ended();
        match outcome.and_then(|response| Ok(receive(response, is_early, asked)?)) {
            Ok(response) => {
                if response.head.status == StatusCode::SWITCHING_PROTOCOLS {
                    self.sending = Some(upload.into_stream());
                } else if is_handshake {
                    upload.end();
                } else if !upload.has_ended() {
                    self.upload_beside(upload);
                }
                Ok(response)
            }
            Err(fault) => {
                let unwritten = if fault.is_unprocessed() { upload.untouched() } else { None };
                Err(lost(fault, unwritten))
            }
        }
    }

    /// The answer has come before the request was sent: the rest of it goes on beside, as the two need not wait for each
    /// other, and stops with the answer's end.
    fn upload_beside(&mut self, upload: Upload) {
        self.upload = Some(Driver(server::spawn(async move {
            // What fails here resets the stream: that the answer's reader is told.
            let _ = upload.await;
        })));
    }
}

impl Line {
    /// Whether an extended `CONNECT` may be sent. On a connection that is lost it may: it fails as any request does.
    async fn may_ask(&self) -> Result<(), StreamError> {
        if self.opens_tunnels().await || self.is_closed() { Ok(()) } else { Err(StreamError::NoTunnels) }
    }

    /// Gives the request a stream. What comes back as unwritten was never on the wire.
    fn send(&self, head: &RequestHead, body: RequestBody) -> Result<(Waiting, Upload), Failed> {
        let mut sender = self.sender.borrow().clone();
        let ready = sender.poll_ready(&mut Context::from_waker(Waker::noop()));
        if let Poll::Ready(Err(error)) = ready {
            return Err(lost(StreamError::from(error).into(), Some(body)));
        }
        let (ended, stays_open) = (body.is_end_stream(), head.method == Method::CONNECT);
        let sent = self.translate(head).and_then(|request| Ok(sender.send_request(request, ended && !stays_open)?));
        let (response, stream) = sent.map_err(|error| lost(error.into(), None))?;
        Ok((Waiting { response, interim: 0 }, Upload::new(stream, body, ended)))
    }

    /// RFC 9113 8.2.2 and 8.3.1: where it goes is said by the origin alone, and nothing is left that concerns an HTTP/1.1
    /// connection. `TE` has been reduced to `trailers` before.
    fn translate(&self, head: &RequestHead) -> Result<Request<()>, StreamError> {
        let mut request = Request::new(());
        *request.method_mut() = head.method.clone();
        *request.headers_mut() = head.fields.to_map();
        for name in [HOST, CONNECTION, TRANSFER_ENCODING] {
            request.headers_mut().remove(name);
        }
        if request.headers().get(TE).is_some_and(|te| te != "trailers") {
            request.headers_mut().remove(TE);
        }
        if head.method == Method::CONNECT {
            request.extensions_mut().insert(Protocol::from_static("websocket"));
        }
        *request.version_mut() = Version::HTTP_2;
        *request.uri_mut() = self.target.uri(&head.path).ok_or(StreamError::NotSayable)?;
        Ok(request)
    }
}

/// An answer that has not come.
struct Waiting {
    response: ResponseFuture,
    interim: usize,
}

impl Waiting {
    /// Sends what can be sent, and looks whether there is an answer.
    fn poll(
        &mut self,
        upload: &mut Upload,
        exchange: &Exchange,
        cx: &mut Context<'_>,
    ) -> Poll<Result<http::Response<h2::RecvStream>, Fault>> {
        while let Poll::Ready(Some(Ok(interim))) = self.response.poll_informational(cx) {
            self.interim += 1;
            if self.interim > MAX_INTERIM {
                return Poll::Ready(Err(StreamError::from(Malformed::TooManyInterim).into()));
            }
            if interim.status() == StatusCode::SWITCHING_PROTOCOLS {
                // RFC 9113 8.6: there is none, and HTTP/1.1 takes none that nobody asked for.
                return Poll::Ready(Err(StreamError::Protocol(Reason::PROTOCOL_ERROR).into()));
            }
            if interim.status() == StatusCode::CONTINUE {
                exchange.want_body();
            }
        }
        if let Poll::Ready(answer) = Pin::new(&mut self.response).poll(cx) {
            return Poll::Ready(answer.map_err(|error| StreamError::from(error).into()));
        }
        if !upload.has_ended()
            && let Poll::Ready(Err(error)) = Pin::new(upload).poll(cx)
        {
            return Poll::Ready(Err(error.into()));
        }
        Poll::Pending
    }
}

/// Looks at what bounds an HTTP/1.1 response that `h2` does not look at. Where a WebSocket was asked for and is open, it is
/// the 101 of the path, which in HTTP/2 is none that could come (RFC 9113 8.6).
fn receive(
    response: http::Response<h2::RecvStream>,
    is_early: bool,
    asked: Option<Connect>,
) -> Result<Response<Received>, StreamError> {
    let (head, stream) = response.into_parts();
    let mut head = ResponseHead::from(head);
    if head.fields.len() > MAX_FIELDS {
        return Err(Malformed::TooManyFields.into());
    }
    let body = match asked.filter(|_| Connect::is_agreed_to(head.status)) {
        Some(asked) => {
            asked.finish(&mut head);
            AnswerStream::bare(stream)
        }
        None => AnswerStream::new(stream, &head.fields, is_early)?,
    };
    // As far as the rest of the path is concerned: what it says to the caller is said in the caller's version.
    head.version = Version::HTTP_11;
    Ok(Response { head, body: Received::Http2(body) })
}

fn lost(fault: Fault, unwritten: Option<RequestBody>) -> Failed {
    Failed::Lost(Box::new(Lost { fault, unwritten }))
}
