//! The body of a request, whichever version of HTTP it came by.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::Reason;
use http_body::{Body, Frame, SizeHint};

use super::http2::Http2Body;
use super::socket::Http1Body;
use crate::wire::Malformed;

/// What a caller sends after a request's head.
pub(crate) enum CallerBody {
    Empty,
    Http1(Http1Body),
    Http2(Http2Body),
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
    /// No more of the error than that: with a GOAWAY come bytes of the caller's choice.
    #[error("its stream was reset: {0}")]
    Reset(Reason),
}

impl From<h2::Error> for CallerFault {
    fn from(error: h2::Error) -> Self {
        match error.reason() {
            Some(reason) => Self::Reset(reason),
            None => Self::Ended,
        }
    }
}

impl Body for CallerBody {
    type Data = Bytes;
    type Error = CallerFault;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Http1(body) => Pin::new(body).poll_frame(cx),
            Self::Http2(body) => body.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Http1(body) => body.is_end_stream(),
            Self::Http2(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Http1(body) => body.size_hint(),
            Self::Http2(body) => body.size_hint(),
        }
    }
}
