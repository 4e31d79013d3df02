//! A request's body as it comes out of a stream. What was handed on makes room for as much again, so that a caller sends no
//! faster than the upstream takes it.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::RecvStream;
use http::{Method, Request};
use http_body::{Frame, SizeHint};

use crate::fields::Fields;
use crate::message::{self, RequestHead};
use crate::server::body::{CallerBody, CallerFault};
use crate::wire;

/// The body of a request. Dropped before its end, it is let go by: what has come of it, and still comes, takes no room from others.
pub(crate) struct Http2Body {
    stream: RecvStream,
    /// What is left of a length that was announced, to which `h2` holds the caller.
    left: Option<u64>,
    /// Whether nothing but trailers can come.
    is_read: bool,
}

/// Takes a request's stream for its body; of a `CONNECT`, which has none, for what may become a tunnel.
pub(super) fn split(request: Request<RecvStream>) -> (message::Request<CallerBody>, Option<RecvStream>) {
    let (head, stream) = request.into_parts();
    let head = RequestHead::from(head);
    if head.method == Method::CONNECT {
        return (message::Request { head, body: CallerBody::Empty }, Some(stream));
    }
    let body = if stream.is_end_stream() {
        CallerBody::Empty
    } else {
        CallerBody::Http2(Http2Body { left: wire::http2::announced_length(&head.fields), stream, is_read: false })
    };
    (message::Request { head, body }, None)
}

impl Http2Body {
    pub(in crate::server) fn is_end_stream(&self) -> bool {
        self.stream.is_end_stream()
    }

    pub(in crate::server) fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }

    /// A reset is never an end, whatever its reason: what came before it is no whole request.
    pub(in crate::server) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, CallerFault>>> {
        if !self.is_read {
            if let Some(piece) = ready!(self.stream.poll_data(cx)).transpose()? {
                // What has ended has no window any more, and needs none.
                let _ = self.stream.flow_control().release_capacity(piece.len());
                self.left = self.left.map(|left| left.saturating_sub(piece.len() as u64));
                return Poll::Ready(Some(Ok(Frame::data(piece))));
            }
            self.is_read = true;
        }
        let Some(trailers) = ready!(self.stream.poll_trailers(cx))? else { return Poll::Ready(None) };
        // Of which `h2` takes any number that its list has room for.
        wire::http2::check_fields(&Fields::from(&trailers))?;
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }
}
