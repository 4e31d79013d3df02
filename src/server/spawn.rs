//! What is started beside what runs, each by its kind. No task is spawned anywhere else.

use std::future::Future;
use std::thread;

use tokio::task::JoinHandle;

use super::ServeError;
use super::reload::{Reloader, Requests};
use crate::upstream::resolve::Lookups;

/// Starts the thread that reads config and secrets again.
pub(super) fn start_reloader(reloader: Reloader, requests: Requests) -> Result<(), ServeError> {
    let reading = thread::Builder::new().name("reload".into());
    reading.spawn(move || reloader.run(&requests)).map(drop).map_err(ServeError::Worker)
}

/// Starts a task on the worker that calls.
#[expect(clippy::disallowed_methods, reason = "the one place that spawns on a worker")]
pub(crate) fn spawn(task: impl Future<Output = ()> + 'static) -> JoinHandle<()> {
    tokio::task::spawn_local(task)
}

/// Starts one name's look-up beside the others.
#[expect(clippy::disallowed_methods, reason = "the one place that spawns on the main thread")]
pub(crate) fn spawn_lookup(lookup: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(lookup);
}

/// Starts the admin listener, or one of its connections.
#[expect(clippy::disallowed_methods, reason = "the one place that spawns on the main thread")]
pub(super) fn spawn_admin(task: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    tokio::spawn(task)
}

#[expect(clippy::disallowed_methods, reason = "the one place that spawns on the main thread")]
pub(super) fn spawn_lookups(lookups: Lookups) -> JoinHandle<()> {
    tokio::spawn(lookups.serve())
}
