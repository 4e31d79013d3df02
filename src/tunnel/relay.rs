//! Both directions of a tunnel, and the deadlines over them.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Sleep, sleep_until};

use super::direction::{Direction, Failed};
use super::{Ended, Side};
use crate::telemetry::access::AccessRecord;

/// How long what may take.
pub(super) struct Limits {
    /// Nothing comes from either side.
    pub(super) silence: Duration,
    /// The same, when one has ended.
    pub(super) farewell: Duration,
    /// A side takes nothing of what is there for it.
    pub(super) caller_takes: Duration,
    pub(super) upstream_takes: Duration,
}

/// Passes bytes both ways until the tunnel ends, and keeps account of them.
pub(super) async fn relay(
    near: &mut (impl AsyncRead + AsyncWrite + Unpin),
    far: &mut (impl AsyncRead + AsyncWrite + Unpin),
    limits: &Limits,
    record: &mut AccessRecord,
) -> Ended {
    let mut relay = Relay::new();
    let mut alarm = pin!(sleep_until((relay.moved + limits.silence).into()));
    poll_fn(|cx| match relay.poll_pass(near, far, cx, record) {
        Poll::Ready(ended) => Poll::Ready(ended),
        Poll::Pending => relay.poll_late(alarm.as_mut(), limits, cx),
    })
    .await
}

struct Relay {
    upwards: Direction,
    downwards: Direction,
    /// Who ended first.
    first: Option<Side>,
    /// When something was last taken.
    moved: Instant,
}

impl Relay {
    fn new() -> Self {
        let (upwards, downwards) = Default::default();
        Self { upwards, downwards, first: None, moved: Instant::now() }
    }

    fn poll_pass(
        &mut self,
        near: &mut (impl AsyncRead + AsyncWrite + Unpin),
        far: &mut (impl AsyncRead + AsyncWrite + Unpin),
        cx: &mut Context<'_>,
        record: &mut AccessRecord,
    ) -> Poll<Ended> {
        let mut moved = false;
        let upwards = self.upwards.poll_pass(near, far, cx, |bytes| {
            record.sent(bytes);
            moved = true;
        });
        let downwards = self.downwards.poll_pass(far, near, cx, |bytes| {
            record.received(bytes);
            moved = true;
        });
        let ended = [(&self.upwards, Side::Caller), (&self.downwards, Side::Upstream)];
        if self.first.is_none()
            && let Some((_, side)) = ended.into_iter().find(|(direction, _)| direction.has_ended())
        {
            self.first = Some(side);
            moved = true;
        }
        if moved {
            self.moved = Instant::now();
        }
        match (upwards, downwards) {
            (Poll::Ready(Err(Failed::Reading(error))), _) | (_, Poll::Ready(Err(Failed::Writing(error)))) => {
                Poll::Ready(Ended::Broken(Side::Caller, error))
            }
            (Poll::Ready(Err(Failed::Writing(error))), _) | (_, Poll::Ready(Err(Failed::Reading(error)))) => {
                Poll::Ready(Ended::Broken(Side::Upstream, error))
            }
            (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => Poll::Ready(Ended::By(self.first.unwrap_or(Side::Caller))),
            (Poll::Pending, _) | (_, Poll::Pending) => Poll::Pending,
        }
    }

    /// The one alarm is moved only when it would ring too late; when it rings too early, it is set anew.
    fn poll_late(&self, mut alarm: Pin<&mut Sleep>, limits: &Limits, cx: &mut Context<'_>) -> Poll<Ended> {
        loop {
            let (deadline, ended) = self.deadline(limits);
            if alarm.deadline().into_std() > deadline {
                alarm.as_mut().reset(deadline.into());
            }
            if alarm.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            if Instant::now() >= deadline {
                return Poll::Ready(ended);
            }
            alarm.as_mut().reset(deadline.into());
        }
    }

    /// What is waited for, and until when.
    fn deadline(&self, limits: &Limits) -> (Instant, Ended) {
        let silence = if self.first.is_some() { limits.farewell } else { limits.silence };
        let silent = Some((self.moved + silence, Ended::Silent));
        let stuck = |direction: &Direction, limit, side| {
            direction.stuck_since().map(|since| (since + limit, Ended::Stuck(side)))
        };
        let upstream = stuck(&self.upwards, limits.upstream_takes, Side::Upstream);
        let caller = stuck(&self.downwards, limits.caller_takes, Side::Caller);
        let deadlines = [silent, upstream, caller].into_iter().flatten();
        deadlines.min_by_key(|(at, _)| *at).unwrap_or((self.moved + silence, Ended::Silent))
    }
}
