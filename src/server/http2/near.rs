//! The caller's side of a tunnel that is one stream of HTTP/2 (RFC 8441 5): END_STREAM ends a direction, as FIN does, and a
//! reset all of it, as RST does. hyper reads a reset for an end, and makes an end of whatever is dropped: so the task by which
//! it sends tells of the one, and is kept from the other.

use std::cell::Cell;
use std::future::pending;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::JoinHandle;

use crate::server::worker::Worker;
use crate::tunnel::Tunnel;

/// hyper's task that sends what is written. It ends with what it sends, and before that if the stream is no more. Dropped
/// before, it resets the stream.
pub(super) struct Sender(pub(super) JoinHandle<()>);

impl Drop for Sender {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Passes bytes between the stream, which is `bare` of HTTP from now on, and the upstream until the tunnel ends. What has not
/// come to its end on both sides then, is reset.
///
/// Dropping the future cuts it.
pub(super) async fn pass(tunnel: Box<Tunnel>, bare: OnUpgrade, mut sender: Sender, worker: &Worker) {
    // An error: the stream was lost before its answer.
    let Ok(stream) = bare.await else { return };
    let closed = Rc::new(Cell::new(false));
    let mut near = Near { stream: TokioIo::new(stream), closed: Rc::clone(&closed) };
    let gone = async {
        // How it ends, it does not say.
        let _ = (&mut sender.0).await;
        if closed.get() {
            pending::<()>().await;
        }
    };
    tokio::select! {
        biased;
        () = gone => {}
        _ = tunnel.run(&mut near, worker.limits().write_timeout, worker.curfew().rings()) => {}
    }
}

/// The caller, as a stream of bytes.
struct Near {
    stream: TokioIo<Upgraded>,
    /// Whether nothing more is to be sent.
    closed: Rc<Cell<bool>>,
}

impl AsyncRead for Near {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Near {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.closed.set(true);
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
