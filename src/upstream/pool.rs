//! The idle connections of one upstream, on one worker.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::time::Instant;

use super::http1::Connection;
use crate::config;

/// The last one used is the first one taken, so that a quiet hour lets the others go.
pub(super) struct Pool {
    idle: RefCell<VecDeque<Connection>>,
    limits: config::Pool,
}

impl Pool {
    pub(super) fn new(limits: config::Pool) -> Self {
        Self { idle: RefCell::new(VecDeque::new()), limits }
    }

    /// A connection that can take a request. `must_be_quiet`: one whose loss would cost the request, so the kernel is
    /// asked, too.
    pub(super) fn take(&self, must_be_quiet: bool) -> Option<Connection> {
        let mut idle = self.idle.borrow_mut();
        for at in (0..idle.len()).rev() {
            let Some(connection) = idle.get(at) else { continue };
            if connection.is_closed() || connection.idle_since().elapsed() >= self.limits.idle {
                idle.remove(at);
            } else if connection.is_ready() {
                let taken = idle.remove(at).filter(|connection| !must_be_quiet || connection.is_quiet());
                if taken.is_some() {
                    return taken;
                }
            }
            // Neither: its last exchange has ended, and its task has not been told yet.
        }
        None
    }

    /// Takes back a connection whose exchange has ended as it should.
    pub(super) fn put(&self, mut connection: Connection) {
        connection.rest();
        let mut idle = self.idle.borrow_mut();
        idle.push_back(connection);
        if idle.len() > self.limits.max_idle {
            idle.pop_front();
        }
    }

    /// Takes in a connection that is new, for the request for which it was made.
    pub(super) fn lay_in(&self, connection: Connection) {
        self.idle.borrow_mut().push_back(connection);
    }

    /// Closes what has been idle for too long, or was closed by the upstream.
    pub(super) fn sweep(&self) {
        let now = Instant::now();
        self.idle.borrow_mut().retain(|connection| {
            !connection.is_closed() && now.duration_since(connection.idle_since()) < self.limits.idle
        });
    }
}
