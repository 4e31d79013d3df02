//! The body of a request, whichever version of HTTP it came by.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::socket::Http1Body;
use crate::fields::Fields;
use crate::wire::{self, Malformed};

/// What a caller sends after a request's head.
pub(crate) enum CallerBody {
    Empty,
    Http1(Http1Body),
    Http2(Incoming),
}

/// Why a body did not come to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallerFault {
    #[error("the caller sends no more of it")]
    Ended,
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error(transparent)]
    Socket(#[from] io::Error),
    #[error(transparent)]
    Http2(#[from] hyper::Error),
}

impl Body for CallerBody {
    type Data = Bytes;
    type Error = CallerFault;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Http1(body) => Pin::new(body).poll_frame(cx),
            Self::Http2(incoming) => {
                let frame = ready!(Pin::new(incoming).poll_frame(cx)).transpose()?;
                // Trailers, of which h2 takes any number that its list has room for.
                if let Some(trailers) = frame.as_ref().and_then(Frame::trailers_ref) {
                    wire::http2::check_fields(&Fields::from(trailers))?;
                }
                Poll::Ready(frame.map(Ok))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Http1(body) => body.is_end_stream(),
            Self::Http2(incoming) => incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Http1(body) => body.size_hint(),
            Self::Http2(incoming) => incoming.size_hint(),
        }
    }
}
