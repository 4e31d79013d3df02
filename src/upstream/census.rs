//! What is counted of connections to an upstream: each is counted off when it is dropped, however it ended.

use std::cell::Cell;
use std::sync::Arc;

use crate::telemetry::metrics::UpstreamAccount;

/// An open connection's place in the account.
pub(super) struct Counted {
    account: Arc<UpstreamAccount>,
    idle: Cell<bool>,
}

impl Counted {
    /// A connection has been made.
    pub(super) fn new(account: &Arc<UpstreamAccount>) -> Self {
        account.opened.add(1);
        account.open.add(1);
        Self { account: Arc::clone(account), idle: Cell::new(false) }
    }

    /// It waits for its next request.
    pub(super) fn rest(&self) {
        if !self.idle.replace(true) {
            self.account.idle.add(1);
        }
    }

    /// A request goes on it.
    pub(super) fn work(&self) {
        if self.idle.replace(false) {
            self.account.idle.subtract(1);
            self.account.reused.add(1);
        }
    }

    /// A further request goes on it beside others.
    pub(super) fn share(&self) {
        self.account.reused.add(1);
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if self.idle.get() {
            self.account.idle.subtract(1);
        }
        self.account.open.subtract(1);
    }
}
