//! How the server as a whole is: what is in force, how the last reload went, and whether it is stopping. Whoever answers
//! for it (the log, the admin listener, the service manager) asks here; nothing on a request's path does.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use super::blueprint::Blueprint;

/// Shared by all threads.
pub(crate) struct State {
    in_force: Mutex<Arc<Blueprint>>,
    reload: Mutex<ReloadState>,
    draining: AtomicBool,
    max_connections: usize,
    turned_away: AtomicU64,
}

/// What became of the config and secret files since the start.
#[derive(Clone)]
pub(crate) struct ReloadState {
    /// How many configs have come into force, the first included.
    pub(crate) generation: u64,
    /// When the one in force came into force.
    pub(crate) in_force_since: SystemTime,
    /// When all files were last read without a fault.
    pub(crate) read: SystemTime,
    /// Reloads that changed something.
    pub(crate) succeeded: u64,
    /// Reloads that would have changed something, and could not.
    pub(crate) failed: u64,
    /// When a reading last made a difference, or could not.
    pub(crate) last: Option<SystemTime>,
    /// Why what is in force is not what the files say. `None`: it is.
    pub(crate) stale: Option<Stale>,
}

/// Since when, and why, the last good config stays in force.
#[derive(Clone)]
pub(crate) struct Stale {
    pub(crate) since: SystemTime,
    /// Places, keys, and what was expected there: never a value.
    pub(crate) reason: Box<str>,
}

impl State {
    /// That of a server that begins with `blueprint`, and has room for `max_connections`.
    pub(crate) fn new(blueprint: Arc<Blueprint>, max_connections: usize) -> Arc<Self> {
        let now = SystemTime::now();
        let reload = ReloadState {
            generation: 1,
            in_force_since: now,
            read: now,
            succeeded: 0,
            failed: 0,
            last: None,
            stale: None,
        };
        let (draining, turned_away) = Default::default();
        let (in_force, reload) = (Mutex::new(blueprint), Mutex::new(reload));
        Arc::new(Self { in_force, reload, draining, max_connections, turned_away })
    }

    pub(crate) fn in_force(&self) -> Arc<Blueprint> {
        Arc::clone(&lock(&self.in_force))
    }

    pub(crate) fn reload(&self) -> ReloadState {
        lock(&self.reload).clone()
    }

    /// Whether SIGTERM has come: nobody should send more here.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// How many connections of callers are served at once.
    pub(crate) fn max_connections(&self) -> usize {
        self.max_connections
    }

    /// How many connections have been turned away because there were as many.
    pub(crate) fn turned_away(&self) -> u64 {
        self.turned_away.load(Ordering::Relaxed)
    }

    /// One more was. Returns how many that makes.
    pub(super) fn turn_away(&self) -> u64 {
        self.turned_away.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(super) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// All files were read, and say what is in force. Whether that is news.
    pub(super) fn confirm(&self) -> bool {
        let mut reload = lock(&self.reload);
        reload.read = SystemTime::now();
        reload.stale.take().is_some()
    }

    pub(crate) fn adopt(&self, blueprint: Arc<Blueprint>) {
        *lock(&self.in_force) = blueprint;
        let mut reload = lock(&self.reload);
        let now = SystemTime::now();
        reload.generation += 1;
        reload.succeeded += 1;
        reload.last = Some(now);
        (reload.in_force_since, reload.read, reload.stale) = (now, now, None);
    }

    /// What is in force stays so, for `reason`. Whether that is news.
    pub(crate) fn keep(&self, reason: &str) -> bool {
        let mut reload = lock(&self.reload);
        reload.failed += 1;
        reload.last = Some(SystemTime::now());
        match &mut reload.stale {
            Some(stale) if *stale.reason == *reason => false,
            Some(stale) => {
                stale.reason = reason.into();
                true
            }
            none => {
                *none = Some(Stale { since: SystemTime::now(), reason: reason.into() });
                true
            }
        }
    }
}

/// Each value in here is whole at every moment, whoever panicked.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
