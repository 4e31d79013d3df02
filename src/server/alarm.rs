//! One alarm over several deadlines, which move as things go on. It is set anew only when it rings, or would ring too late: most
//! deadlines pass on unnoticed.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use tokio::time::Sleep;

/// Ready when the next of the deadlines is over, with what it stands for. `next`: which that is, asked again whenever the alarm
/// rings; nothing is waited for while there is none.
pub(super) fn poll_due<T>(
    mut alarm: Pin<&mut Sleep>,
    cx: &mut Context<'_>,
    next: impl Fn() -> Option<(Instant, T)>,
) -> Poll<T> {
    while let Some((deadline, due)) = next() {
        if alarm.deadline().into_std() > deadline {
            alarm.as_mut().reset(deadline.into());
        }
        ready!(alarm.as_mut().poll(cx));
        if Instant::now() >= deadline {
            return Poll::Ready(due);
        }
        alarm.as_mut().reset(deadline.into());
    }
    Poll::Pending
}
