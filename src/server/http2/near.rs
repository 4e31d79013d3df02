//! The caller's side of a tunnel that is one stream of HTTP/2 (RFC 8441 5): DATA carries its bytes, END_STREAM ends a direction,
//! as FIN does, and a reset all of it, as RST does; and what was handed on makes room for as much again.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{Reason, RecvStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::sending::{Gone, Sending};
use crate::server::worker::Worker;
use crate::tunnel::Tunnel;

/// A stream that carries no more HTTP. Dropping it resets it, unless both directions have ended.
pub(super) struct Bare {
    sending: Sending,
    receiving: RecvStream,
    /// What came, and was not handed on.
    piece: Bytes,
    closed: bool,
}

/// Passes bytes between the stream and the upstream until the tunnel ends. What has not come to its end on both sides then, is
/// reset.
///
/// Dropping the future cuts it.
pub(super) async fn pass(tunnel: Box<Tunnel>, bare: Bare, worker: &Worker) {
    let bare = RefCell::new(bare);
    // A reset is noticed even where nobody reads, as the upstream takes nothing.
    let gone = poll_fn(|cx| bare.borrow_mut().sending.poll_gone(cx));
    let mut near = Near(&bare);
    tokio::select! {
        biased;
        Gone = gone => {}
        _ = tunnel.run(&mut near, worker.limits().write_timeout, worker.curfew().rings()) => {}
    }
}

impl Bare {
    pub(super) fn new(sending: Sending, receiving: RecvStream) -> Self {
        Self { sending, receiving, piece: Bytes::new(), closed: false }
    }

    /// The next piece that came; an empty one: nothing more does.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        loop {
            match ready!(self.receiving.poll_data(cx)) {
                Some(Ok(piece)) if piece.is_empty() => {}
                Some(Ok(piece)) => return Poll::Ready(Ok(piece)),
                Some(Err(_)) => return Poll::Ready(Err(ErrorKind::ConnectionReset.into())),
                None => break,
            }
        }
        match ready!(self.receiving.poll_trailers(cx)) {
            Ok(None) => Poll::Ready(Ok(Bytes::new())),
            Ok(Some(_)) => {
                // RFC 9113 8.5: none but DATA may come.
                self.sending.reset(Reason::PROTOCOL_ERROR);
                Poll::Ready(Err(ErrorKind::InvalidData.into()))
            }
            Err(_) => Poll::Ready(Err(ErrorKind::ConnectionReset.into())),
        }
    }
}

/// The caller, as a stream of bytes.
struct Near<'a>(&'a RefCell<Bare>);

impl AsyncRead for Near<'_> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let bare = &mut *self.0.borrow_mut();
        if bare.piece.is_empty() {
            bare.piece = ready!(bare.poll_piece(cx))?;
        }
        let part = bare.piece.split_to(bare.piece.len().min(buffer.remaining()));
        buffer.put_slice(&part);
        // What has ended has no window any more, and needs none.
        let _ = bare.receiving.flow_control().release_capacity(part.len());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Near<'_> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let sending = &mut self.0.borrow_mut().sending;
        let room = ready!(sending.poll_room(bytes.len(), cx)).map_err(|Gone| ErrorKind::ConnectionReset)?;
        let part = Bytes::copy_from_slice(bytes.get(..room).unwrap_or(bytes));
        sending.send(part, false).map_err(|Gone| ErrorKind::ConnectionReset)?;
        Poll::Ready(Ok(room))
    }

    /// What was written leaves with the connection's own task.
    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let bare = &mut *self.0.borrow_mut();
        if !std::mem::replace(&mut bare.closed, true) {
            // A caller that has reset it need not be told.
            let _ = bare.sending.send(Bytes::new(), true);
        }
        Poll::Ready(Ok(()))
    }
}
