//! The upstream's side of a tunnel: what its connection is when that speaks HTTP no more.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Upstream;
use super::http1::Connection;
use crate::config::Timeouts;
use crate::limits::Permit;

/// The upstream, as a stream of bytes. Dropping it closes the connection.
pub(crate) struct Far {
    upstream: Rc<Upstream>,
    connection: Box<Connection>,
    /// The request's place among those under way, which it has until the tunnel's end.
    _permit: Option<Permit>,
}

impl Far {
    pub(super) fn new(upstream: Rc<Upstream>, connection: Box<Connection>, permit: Option<Permit>) -> Self {
        Self { upstream, connection, _permit: permit }
    }

    pub(crate) fn timeouts(&self) -> &Timeouts {
        self.upstream.timeouts()
    }
}

impl AsyncRead for Far {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.connection.socket().borrow_mut().poll_read_other(cx, buffer)
    }
}

impl AsyncWrite for Far {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.connection.socket().borrow_mut().wire().poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.connection.socket().borrow_mut().wire().poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.connection.socket().borrow_mut().wire().poll_shutdown(cx)
    }
}
