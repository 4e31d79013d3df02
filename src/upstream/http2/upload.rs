//! A request's body on its way into a stream, never more of it than the upstream has room for.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{Reason, SendStream};
use http_body::{Body, Frame};

use crate::upstream::body::{CallerBodyError, RequestBody};

/// Sends a body. Ready when nothing of it is left to be sent, or wanted.
///
/// Dropping it before resets the stream, unless the answer holds it open. A body that breaks off resets it in any case.
pub(super) struct Upload {
    stream: SendStream<Bytes>,
    body: RequestBody,
    /// What the upstream has no room for yet.
    piece: Bytes,
    begun: bool,
    ended: bool,
}

impl Upload {
    /// `ended`: there is no body, and the header has said so.
    pub(super) fn new(stream: SendStream<Bytes>, body: RequestBody, ended: bool) -> Self {
        Self { stream, body, piece: Bytes::new(), begun: false, ended }
    }

    /// The stream, of which more than a body is to be made.
    pub(super) fn into_stream(self) -> SendStream<Bytes> {
        self.stream
    }

    /// Ends a stream that was held open without a body.
    pub(super) fn end(&mut self) {
        // What fails here, the answer's side is told.
        let _ = self.stream.send_data(Bytes::new(), true);
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// The body, if nothing was taken out of it.
    pub(super) fn untouched(self) -> Option<RequestBody> {
        (!self.begun).then_some(self.body)
    }

    /// The upstream wants no more of it: what it says instead is the answer's affair.
    fn poll_refusal(&mut self, cx: &mut Context<'_>) -> bool {
        match self.stream.poll_reset(cx) {
            Poll::Ready(_) => {
                self.ended = true;
                true
            }
            Poll::Pending => false,
        }
    }

    /// Sends of the piece in hand what there is room for. What fails here, the answer's side is told.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), h2::Error>> {
        while !self.piece.is_empty() {
            self.stream.reserve_capacity(self.piece.len());
            let Some(room) = ready!(self.stream.poll_capacity(cx)) else {
                self.ended = true;
                return Poll::Ready(Ok(()));
            };
            let part = self.piece.split_to(room?.min(self.piece.len()));
            let is_last = self.piece.is_empty() && self.body.is_end_stream();
            self.ended |= is_last;
            self.stream.send_data(part, is_last)?;
        }
        Poll::Ready(Ok(()))
    }

    /// Sends what comes next of the body.
    fn send(&mut self, frame: Option<Frame<Bytes>>) -> Result<(), h2::Error> {
        match frame.map(Frame::into_data) {
            Some(Ok(piece)) => self.piece = piece,
            Some(Err(other)) => {
                if let Ok(trailers) = other.into_trailers() {
                    self.ended = true;
                    self.stream.reserve_capacity(0);
                    self.stream.send_trailers(trailers)?;
                }
            }
            None => {
                self.ended = true;
                self.stream.send_data(Bytes::new(), true)?;
            }
        }
        Ok(())
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), CallerBodyError>> {
        while !self.ended && !self.poll_refusal(cx) {
            self.ended |= ready!(self.poll_piece(cx)).is_err();
            if !self.ended {
                let frame = ready!(Pin::new(&mut self.body).poll_frame(cx)).transpose()?;
                self.begun = true;
                self.ended |= self.send(frame).is_err();
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl Future for Upload {
    type Output = Result<(), CallerBodyError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let upload = self.get_mut();
        let sent = ready!(upload.poll_send(cx));
        if sent.is_err() {
            // Where the answer holds the stream open, the upstream would wait for the rest, and the caller for the upstream.
            upload.stream.send_reset(Reason::CANCEL);
        }
        Poll::Ready(sent)
    }
}
