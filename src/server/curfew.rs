//! When a drain is nearly over. What has no end of its own ends then, a little before it would be cut with everything else, so
//! that there is time to say so in the log.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::pending;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::sleep;

/// How long before the end that is, at most.
const EARLY: Duration = Duration::from_millis(200);

/// That of one worker.
#[derive(Default)]
pub(super) struct Curfew {
    rung: Cell<bool>,
    bell: Notify,
}

impl Curfew {
    /// Rings when most of a drain of `limit` is over. To be dropped when there is nothing left to end.
    pub(super) async fn keep(&self, limit: Duration) -> Infallible {
        sleep(limit.saturating_sub(EARLY.min(limit / 10))).await;
        self.rung.set(true);
        self.bell.notify_waiters();
        pending().await
    }

    /// Waits for it.
    pub(super) async fn rings(&self) {
        if !self.rung.get() {
            self.bell.notified().await;
        }
    }
}
