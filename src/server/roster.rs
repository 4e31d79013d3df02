//! Callers' sockets, each of which can be found until its connection gives its place up.

use std::cell::RefCell;
use std::rc::Rc;

use slab::Slab;

use super::socket::CallerSocket;

/// Some of a worker's connections.
#[derive(Default)]
pub(super) struct Roster(RefCell<Slab<Rc<RefCell<CallerSocket>>>>);

/// A connection's place; dropped, it is free for another.
pub(super) struct Place {
    roster: Rc<Roster>,
    key: usize,
}

impl Roster {
    pub(super) fn enter(self: &Rc<Self>, socket: &Rc<RefCell<CallerSocket>>) -> Place {
        Place { roster: Rc::clone(self), key: self.0.borrow_mut().insert(Rc::clone(socket)) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }

    /// `visit` may enter nothing and remove nothing.
    pub(super) fn each(&self, visit: impl Fn(&mut CallerSocket)) {
        self.0.borrow().iter().for_each(|(_, socket)| visit(&mut socket.borrow_mut()));
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.roster.0.borrow_mut().try_remove(self.key);
    }
}
