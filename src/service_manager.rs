//! What systemd is told, if it asks (sd_notify(3)): that sidekey is ready, reloads, stops, and that every worker is alive.
//! A manager that cannot be told is a line in the log; serving goes on.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::pending;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::{MissedTickBehavior, interval};

use crate::BoundAddress;
use crate::server::Pulses;

/// The service manager, which may not be there.
pub(crate) struct ServiceManager {
    /// `STATUS=` while it serves.
    status: String,
    /// How long it may go without hearing that sidekey is alive. `None`: it does not ask.
    watchdog: Option<Duration>,
    /// It was told that sidekey stops: nothing else is true after that.
    stopping: Cell<bool>,
    silent: Cell<bool>,
}

impl ServiceManager {
    /// The one that the environment names, for a process that listens at `addresses`.
    pub(crate) fn new(addresses: &[BoundAddress]) -> Self {
        let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        let watchdog = sd_notify::watchdog_enabled().filter(|limit| !limit.is_zero());
        Self {
            status: format!("listening on {}", addresses.join(", ")),
            watchdog,
            stopping: Cell::new(false),
            silent: Cell::new(false),
        }
    }

    /// Says that sidekey is ready once every worker has begun, and from then on, while none is stuck, that it is alive.
    pub(crate) async fn attend(&self, pulses: &Pulses) -> Infallible {
        pulses.all_begun().await;
        self.ready();
        let Some(limit) = self.watchdog else { return pending().await };
        let mut alive = interval(limit / 2);
        alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            alive.tick().await;
            if pulses.stuck().next().is_none() {
                self.tell(&[NotifyState::Watchdog]);
            }
        }
    }

    /// What was read last is in force, or what was in force stays.
    pub(crate) fn ready(&self) {
        if !self.stopping.get() {
            self.tell(&[NotifyState::Ready, NotifyState::Status(&self.status)]);
        }
    }

    /// A reload begins. [`ready`](Self::ready) ends it, whatever came of it.
    pub(crate) fn reloading(&self) {
        if self.stopping.get() {
            return;
        }
        // Without the time, systemd would take the message for an older reload's (`Type=notify-reload`).
        match NotifyState::monotonic_usec_now() {
            Ok(now) => self.tell(&[NotifyState::Reloading, now, NotifyState::Status("reloading")]),
            Err(error) => tracing::warn!(target: "server", %error, "cannot tell the service manager of a reload"),
        }
    }

    /// It was asked to stop.
    pub(crate) fn stopping(&self) {
        self.stopping.set(true);
        self.tell(&[NotifyState::Stopping, NotifyState::Status("finishing what has begun")]);
    }

    fn tell(&self, states: &[NotifyState<'_>]) {
        if let Err(error) = sd_notify::notify(states)
            && !self.silent.replace(true)
        {
            tracing::warn!(target: "server", %error, "cannot tell the service manager");
        }
    }
}
