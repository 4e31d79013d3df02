//! How long the phases of an exchange took. Written on the way by whoever does them, read when it is over.

use std::cell::Cell;
use std::future::Future;
use std::time::{Duration, Instant};

/// What a request waited for, and for how long. A phase that was cut short counts until then; one that was repeated counts
/// as often as it was.
#[derive(Default)]
pub(crate) struct Phases {
    lookup: Cell<Option<Duration>>,
    connect: Cell<Option<Duration>>,
    tls: Cell<Option<Duration>>,
    wait: Cell<Option<Duration>>,
    connection: Cell<Connected>,
    retries: Cell<u32>,
}

/// On what the request went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Connected {
    #[default]
    NotYet,
    Anew,
    Before,
}

impl Phases {
    /// Times a name look-up.
    pub(super) async fn look_up<T>(&self, lookup: impl Future<Output = T>) -> T {
        let _lap = Lap::begin(&self.lookup);
        lookup.await
    }

    /// Times connecting.
    pub(super) async fn connect<T>(&self, connecting: impl Future<Output = T>) -> T {
        let _lap = Lap::begin(&self.connect);
        connecting.await
    }

    /// Times a TLS handshake.
    pub(super) async fn handshake<T>(&self, handshake: impl Future<Output = T>) -> T {
        let _lap = Lap::begin(&self.tls);
        handshake.await
    }

    /// A pooled connection was taken.
    pub(super) fn reuse(&self) {
        self.connection.set(Connected::Before);
    }

    /// The request leaves.
    pub(super) fn leave(&self) {
        if self.connection.get() == Connected::NotYet {
            self.connection.set(Connected::Anew);
        }
    }

    pub(super) fn has_left(&self) -> bool {
        self.connection.get() != Connected::NotYet
    }

    /// The answer's header has come, or is waited for no longer.
    pub(super) fn waited(&self, time: Duration) {
        self.wait.set(Some(time));
    }

    /// It is sent once more: on what, is open again.
    pub(crate) fn retry(&self) {
        self.retries.set(self.retries.get() + 1);
        self.connection.set(Connected::NotYet);
    }

    /// Name look-up, if there was one.
    pub(crate) fn lookup_time(&self) -> Option<Duration> {
        self.lookup.get()
    }

    /// Connecting, if there was need.
    pub(crate) fn connect_time(&self) -> Option<Duration> {
        self.connect.get()
    }

    /// The TLS handshake, if there was one.
    pub(crate) fn tls_time(&self) -> Option<Duration> {
        self.tls.get()
    }

    /// From when the whole request had left to the answer's header, the last time that it was sent.
    pub(crate) fn wait_time(&self) -> Option<Duration> {
        self.wait.get()
    }

    /// Whether it went on a connection that had been used before. `None`: it went on none.
    pub(crate) fn reused(&self) -> Option<bool> {
        match self.connection.get() {
            Connected::NotYet => None,
            Connected::Anew => Some(false),
            Connected::Before => Some(true),
        }
    }

    /// How often it was sent again.
    pub(crate) fn retries(&self) -> u32 {
        self.retries.get()
    }
}

/// A phase under way; its end, however it comes, is when this is dropped.
struct Lap<'a> {
    total: &'a Cell<Option<Duration>>,
    began: Instant,
}

impl<'a> Lap<'a> {
    fn begin(total: &'a Cell<Option<Duration>>) -> Self {
        Self { total, began: Instant::now() }
    }
}

impl Drop for Lap<'_> {
    fn drop(&mut self) {
        self.total.set(Some(self.total.get().unwrap_or_default() + self.began.elapsed()));
    }
}
