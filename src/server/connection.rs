//! One caller's connection, from its first byte to its last: whatever is spoken on it is spoken elsewhere.

use std::rc::Rc;

use super::http1;
use super::socket::Stream;
use super::worker::Worker;
use crate::caller::Peer;

/// Serves `stream` until it ends. Dropping the future closes it, and cancels what was under way.
pub(super) async fn serve(worker: Rc<Worker>, peer: Peer, stream: Stream) {
    http1::serve(worker, peer, stream).await;
}
