//! How a caller's connection ends, so that it gets to see its last answer, or that this is not whole.

use crate::error::ProxyError;
use crate::server::linger::linger;
use crate::server::near::Near;
use crate::server::refusal;
use crate::server::socket::{CallerSocket, NoRequest};
use crate::server::worker::Worker;
use crate::tunnel::Tunnel;
use crate::wire::Malformed;

/// What is left to do when no further request is served.
pub(super) enum Ending {
    Close,
    /// Make it a failure that nobody can take for the message's end.
    Reset,
    /// Say what was wrong.
    Refuse(ProxyError),
    /// Begin anew when the caller sends something.
    Rest,
    /// Leave it to the other protocol.
    SpeakHttp2,
    /// The caller has sent what nobody has read: give it time to read the answer.
    Linger,
    /// The last answer was a 101: what follows is another protocol.
    Switch(Box<Tunnel>),
}

impl Ending {
    pub(super) fn of_no_request(no_request: NoRequest) -> Self {
        match no_request {
            NoRequest::End => Self::Close,
            NoRequest::Fault(Malformed::Http2) => Self::SpeakHttp2,
            NoRequest::Fault(fault) => Self::Refuse(ProxyError::Malformed(fault)),
        }
    }

    /// After an answer that nothing follows.
    pub(super) fn of_last(socket: &mut CallerSocket) -> Self {
        let is_read = socket.between_requests() && !socket.has_leftovers();
        if is_read || socket.caller_closed() { Self::Close } else { Self::Linger }
    }
}

pub(super) async fn end(ending: Ending, mut socket: CallerSocket, worker: &Worker) {
    match ending {
        // After these it is not over; HTTP/2 is spoken elsewhere.
        Ending::Rest | Ending::SpeakHttp2 | Ending::Close => socket.stream().say_goodbye(),
        Ending::Reset => socket.stream().reset_on_close(),
        Ending::Refuse(error) => {
            // Smaller than any socket's buffer, which is empty or has a caller behind it that does not read.
            let _ = socket.stream().try_write(&refusal::render(&error));
            linger(socket.into_parts().0).await;
        }
        Ending::Linger => linger(socket.into_parts().0).await,
        Ending::Switch(tunnel) => {
            let mut near = Near(socket);
            // Boxed: every connection would have room for it.
            let run = tunnel.run(&mut near, worker.limits().write_timeout, worker.curfew().rings());
            if Box::pin(run).await {
                near.0.stream().reset_on_close();
            }
        }
    }
}
