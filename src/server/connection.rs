//! One caller's connection, from its first byte to its last. What it speaks is spoken elsewhere: HTTP/1.1, unless it
//! begins with the preface of HTTP/2 (RFC 9113 3.3), which the wire screen meets where it looks for a request line. So
//! finding out costs HTTP/1.1 nothing.

use std::rc::Rc;

use super::socket::Stream;
use super::worker::Worker;
use super::{http1, http2};
use crate::caller::Peer;

/// Serves `stream` until it ends. Dropping the future closes it, and cancels what was under way.
pub(super) async fn serve(worker: Rc<Worker>, peer: Peer, stream: Stream) {
    if let Some((stream, read)) = http1::serve(Rc::clone(&worker), peer, stream).await {
        // Boxed: an HTTP/1.1 caller, of whom there are many, should not keep room for it.
        Box::pin(http2::serve(worker, peer, stream, read)).await;
    }
}
