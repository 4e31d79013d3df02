//! The wait for an answer: the request leaves, and what comes is looked at.

use std::task::{Context, Poll, ready};

use http::{Method, StatusCode};

use super::Fault;
use super::sending::Sending;
use crate::message::RequestHead;
use crate::upstream::body::RequestBody;
use crate::upstream::connection;
use crate::upstream::exchange::Exchange;
use crate::upstream::socket::UpstreamSocket;
use crate::wire::response::{FramedResponse, ResponseReader};

/// A request that has no answer yet.
pub(super) struct Attempt {
    sending: Sending,
    /// Why no more of the request can leave. What the upstream has said before is its answer all the same: that the request
    /// is too large, say.
    broken: Option<connection::Fault>,
    reader: ResponseReader,
    to_head: bool,
}

impl Attempt {
    pub(super) fn new(head: &RequestHead, body: RequestBody) -> Self {
        let (sending, reader) = (Sending::new(head, body), ResponseReader::new());
        Self { sending, broken: None, reader, to_head: head.method == Method::HEAD }
    }

    /// Sends what can be sent, and reads what has come. Ready: that is the answer's header, or there will be none.
    pub(super) fn poll(
        &mut self,
        socket: &mut UpstreamSocket,
        exchange: &Exchange,
        cx: &mut Context<'_>,
    ) -> Poll<Result<FramedResponse, connection::Fault>> {
        loop {
            self.send(socket, cx)?;
            let framed = match ready!(self.poll_head(socket, cx)) {
                Ok(framed) => framed,
                Err(Fault::Incomplete | Fault::Broken(_)) if self.broken.is_some() => {
                    return Poll::Ready(Err(self.broken.take().unwrap_or(Fault::Incomplete.into())));
                }
                Err(fault) => return Poll::Ready(Err(fault.into())),
            };
            match framed.head.status {
                // What it is for may leave now.
                StatusCode::CONTINUE => exchange.want_body(),
                StatusCode::SWITCHING_PROTOCOLS => return Poll::Ready(Ok(framed)),
                status if status.is_informational() => {}
                _ => return Poll::Ready(Ok(framed)),
            }
        }
    }

    /// What is left of the request.
    pub(super) fn into_sending(self) -> Sending {
        self.sending
    }

    fn send(&mut self, socket: &mut UpstreamSocket, cx: &mut Context<'_>) -> Result<(), connection::Fault> {
        if self.broken.is_some() || self.sending.is_over() {
            return Ok(());
        }
        match self.sending.poll(socket.wire(), cx) {
            // Of a request that it has not seen, it has said nothing.
            Poll::Ready(Err(fault)) if fault.is_broken() && self.sending.has_left() => self.broken = Some(fault),
            Poll::Ready(sent) => sent?,
            Poll::Pending => {}
        }
        Ok(())
    }

    fn poll_head(&mut self, socket: &mut UpstreamSocket, cx: &mut Context<'_>) -> Poll<Result<FramedResponse, Fault>> {
        loop {
            if let Some(head) = self.reader.read(socket.incoming(), self.to_head)? {
                return Poll::Ready(Ok(head));
            }
            if ready!(socket.poll_more(cx)).map_err(Fault::Broken)? == 0 {
                return Poll::Ready(Err(Fault::Incomplete));
            }
        }
    }
}
