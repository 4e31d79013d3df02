//! The upstream's side of a tunnel: what its connection, or of HTTP/2 its stream, is when that speaks HTTP no more.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Upstream;
use super::http1::Connection;
use super::http2::ByteStream;
use crate::config::Timeouts;
use crate::limits::Permit;

/// The upstream, as a stream of bytes. Dropping it closes the connection, or resets the one stream.
pub(crate) struct Far {
    upstream: Rc<Upstream>,
    line: Line,
    /// The request's place among those under way, which it has until the tunnel's end.
    _permit: Option<Permit>,
}

/// What its bytes go on.
pub(super) enum Line {
    Http1(Box<Connection>),
    Http2(Box<ByteStream>),
}

impl Far {
    pub(super) fn new(upstream: Rc<Upstream>, line: Line, permit: Option<Permit>) -> Self {
        Self { upstream, line, _permit: permit }
    }

    pub(crate) fn timeouts(&self) -> &Timeouts {
        self.upstream.timeouts()
    }
}

impl AsyncRead for Far {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.line {
            Line::Http1(connection) => connection.socket().borrow_mut().poll_read_other(cx, buffer),
            Line::Http2(stream) => Pin::new(&mut **stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Far {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.line {
            Line::Http1(connection) => connection.socket().borrow_mut().wire().poll_write(cx, bytes),
            Line::Http2(stream) => Pin::new(&mut **stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.line {
            Line::Http1(connection) => connection.socket().borrow_mut().wire().poll_flush(cx),
            Line::Http2(stream) => Pin::new(&mut **stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.line {
            Line::Http1(connection) => connection.socket().borrow_mut().wire().poll_shutdown(cx),
            Line::Http2(stream) => Pin::new(&mut **stream).poll_shutdown(cx),
        }
    }
}
