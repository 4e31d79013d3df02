//! A request's body as it comes out of a stream. What was handed on makes room for as much again, so that a caller sends no
//! faster than the upstream takes it.

use std::cell::RefCell;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::{Method, Request, Response, StatusCode};
use http_body::{Frame, SizeHint};

use super::piece::Piece;
use crate::fields::Fields;
use crate::headers;
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
    /// How the caller is asked for a body that it holds back (RFC 9110 10.1.1), until it has been.
    asking: Option<Rc<RefCell<SendResponse<Piece>>>>,
}

/// Takes a request's stream for its body; of a `CONNECT`, which has none, for what may become a tunnel.
pub(super) fn split(
    request: Request<RecvStream>,
    respond: &Rc<RefCell<SendResponse<Piece>>>,
) -> (message::Request<CallerBody>, Option<RecvStream>) {
    let (head, stream) = request.into_parts();
    let head = RequestHead::from(head);
    if head.method == Method::CONNECT {
        return (message::Request { head, body: CallerBody::Empty }, Some(stream));
    }
    let body = if stream.is_end_stream() {
        CallerBody::Empty
    } else {
        let left = wire::http2::announced_length(&head.fields);
        let asking = headers::expects_continue(&head).then(|| Rc::clone(respond));
        CallerBody::Http2(Http2Body { stream, left, is_read: false, asking })
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
        if let Some(asking) = self.asking.take() {
            let mut asked = Response::new(());
            *asked.status_mut() = StatusCode::CONTINUE;
            // It fails if the answer has begun: then nobody is to send more.
            let _ = asking.borrow_mut().send_informational(asked);
        }
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
