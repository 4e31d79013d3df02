//! After stage 10, instead of a body: a WebSocket that the upstream has agreed to. From the 101 on, bytes pass both ways as
//! they come, neither read nor cleaned, until a side ends, or both are silent for too long.
//!
//! [`handshake`] says what a request for one is, [`extended`] brings a caller's in HTTP/2 to that and [`connect`] an upstream's, and
//! [`mod@relay`] passes the bytes.

pub(crate) mod connect;
mod direction;
pub(crate) mod extended;
pub(crate) mod handshake;
mod key;
mod relay;

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};

use self::relay::{Limits, relay};
use crate::telemetry::access::AccessRecord;
use crate::upstream::{BrokenAnswer, Far};

/// One end of a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Caller,
    Upstream,
}

/// How a tunnel ended.
#[derive(Debug)]
enum Ended {
    /// Each side has ended what it sends, this one first.
    By(Side),
    /// Nothing came from either for too long.
    Silent,
    /// The connection of this side failed.
    Broken(Side, std::io::Error),
    /// This side took nothing for too long.
    Stuck(Side),
    /// sidekey is about to end.
    Curfew,
}

/// A tunnel to an upstream that has no caller's socket yet: its connection has that until the 101 has gone out.
pub(crate) struct Tunnel {
    far: Far,
    record: AccessRecord,
}

impl Tunnel {
    /// Boxed: few connections ever become one.
    pub(crate) fn new(far: Far, mut record: AccessRecord) -> Box<Self> {
        record.begin_tunnel();
        Box::new(Self { far, record })
    }

    /// Passes bytes between `near`, the caller, and the upstream until the tunnel ends, or `curfew` does; `write_timeout` is
    /// how long the caller may take none. `true`: it broke off at the upstream, and is not to look whole.
    ///
    /// Dropping the future cuts it.
    pub(crate) async fn run(
        mut self: Box<Self>,
        near: &mut (impl AsyncRead + AsyncWrite + Unpin),
        write_timeout: Duration,
        curfew: impl Future<Output = ()>,
    ) -> bool {
        let timeouts = *self.far.timeouts();
        let limits = Limits {
            silence: timeouts.tunnel,
            farewell: timeouts.tunnel.min(timeouts.idle),
            caller_takes: write_timeout,
            upstream_takes: timeouts.idle,
        };
        let ended = tokio::select! {
            biased;
            ended = relay(near, &mut self.far, &limits, &mut self.record) => ended,
            () = curfew => Ended::Curfew,
        };
        self.tell(ended)
    }

    /// Says in the record how it ended. `true`: not as it should, because of the upstream.
    fn tell(&mut self, ended: Ended) -> bool {
        let broken = match ended {
            Ended::By(Side::Caller) => return self.finish("caller"),
            Ended::By(Side::Upstream) => return self.finish("upstream"),
            Ended::Silent => return self.finish("silence"),
            // It went away, as callers do.
            Ended::Broken(Side::Caller, _) | Ended::Stuck(Side::Caller) => return false,
            Ended::Curfew => {
                self.record.tunnel_ended_by("drain");
                return false;
            }
            Ended::Broken(Side::Upstream, error) => BrokenAnswer::Tunnel(error),
            Ended::Stuck(Side::Upstream) => BrokenAnswer::TunnelStuck,
        };
        self.record.broke_off(&broken);
        true
    }

    fn finish(&mut self, by: &'static str) -> bool {
        self.record.tunnel_ended_by(by);
        self.record.finish();
        false
    }
}
