//! The idle HTTP/1.1 connections of one upstream, on one worker.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::time::Instant;

use super::http1::Connection;
use crate::config;

/// The last one used is the first one taken, so that a quiet hour lets the others go.
pub(super) struct Pool {
    idle: RefCell<VecDeque<Box<Connection>>>,
    limits: config::Pool,
}

impl Pool {
    pub(super) fn new(limits: config::Pool) -> Self {
        Self { idle: RefCell::new(VecDeque::new()), limits }
    }

    /// A connection that can take a request `now`. `must_be_quiet`: one whose loss would cost the request, so the kernel is
    /// asked, too.
    pub(super) fn take(&self, must_be_quiet: bool, now: Instant) -> Option<Box<Connection>> {
        let mut idle = self.idle.borrow_mut();
        while let Some(mut connection) = idle.pop_back() {
            let is_fresh = now.duration_since(connection.idle_since()) < self.limits.idle;
            if is_fresh && connection.is_ready() && (!must_be_quiet || connection.is_quiet()) {
                return Some(connection);
            }
            connection.part();
        }
        None
    }

    /// Takes back a connection whose exchange has ended as it should.
    pub(super) fn put(&self, mut connection: Box<Connection>) {
        if !connection.rest() {
            connection.part();
            return;
        }
        let mut idle = self.idle.borrow_mut();
        idle.push_back(connection);
        if idle.len() > self.limits.max_idle
            && let Some(oldest) = idle.pop_front()
        {
            oldest.part();
        }
    }

    /// Takes in a connection that is new, for the request for which it was made.
    pub(super) fn lay_in(&self, connection: Box<Connection>) {
        self.idle.borrow_mut().push_back(connection);
    }

    /// Closes what has been idle for too long, or was closed by the upstream.
    pub(super) fn sweep(&self) {
        let now = Instant::now();
        self.idle.borrow_mut().retain_mut(|connection| {
            connection.settle();
            let stays = connection.is_ready() && now.duration_since(connection.idle_since()) < self.limits.idle;
            if !stays {
                connection.part();
            }
            stays
        });
    }
}
