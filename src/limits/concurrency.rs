//! So many requests under way at once. Who waits goes on in the order in which they came, on whatever worker.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout_at;

/// The places that there are.
pub(super) struct Concurrency {
    places: Arc<Semaphore>,
    of: usize,
}

impl Concurrency {
    pub(super) fn new(of: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(of)), of }
    }

    pub(super) fn of(&self) -> usize {
        self.of
    }

    /// How many are taken.
    pub(super) fn in_use(&self) -> usize {
        self.of.saturating_sub(self.places.available_permits())
    }

    /// A place, if one is free and nobody waits for it.
    pub(super) fn take_free(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.places).try_acquire_owned().ok()
    }

    /// The next place, if it comes before `deadline`. Dropping the future gives the place in the queue up.
    pub(super) async fn take(&self, deadline: Instant) -> Option<OwnedSemaphorePermit> {
        timeout_at(deadline.into(), Arc::clone(&self.places).acquire_owned()).await.ok()?.ok()
    }
}
