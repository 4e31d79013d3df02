//! One caller's connection, from its first byte to its last. What it speaks is spoken elsewhere: HTTP/1.1, unless it
//! begins with the preface of HTTP/2 (RFC 9113 3.3), which the reader of requests meets where it looks for a request line. So
//! finding out costs HTTP/1.1 nothing.

use std::rc::Rc;

use super::stream::{Socket, Stream};
use super::tls::{self, Protocol};
use super::worker::Worker;
use super::{http1, http2};
use crate::caller::Peer;

/// Serves what came by `socket` until it ends. Dropping the future closes it, and cancels what was under way.
pub(super) async fn serve(worker: Rc<Worker>, mut peer: Peer, socket: Socket) {
    let (stream, protocol) = match worker.snapshot().tls(peer.listener) {
        None => (Stream::Plain(socket), Protocol::Http1),
        // In a box, as most connections need no room for it.
        Some(tls) => match Box::pin(tls::accept(&worker, &tls, socket)).await {
            Some(secured) => {
                peer.certificate = secured.names;
                (secured.stream, secured.protocol)
            }
            None => return,
        },
    };
    // HTTP/2 is boxed: an HTTP/1.1 caller, of whom there are many, should not keep room for it.
    match protocol {
        Protocol::Http1 => {
            if let Some((stream, read)) = http1::serve(Rc::clone(&worker), peer.clone(), stream).await {
                Box::pin(http2::serve(worker, peer, stream, read)).await;
            }
        }
        Protocol::Http2 => Box::pin(http2::serve(worker, peer, stream, Vec::new())).await,
    }
}
