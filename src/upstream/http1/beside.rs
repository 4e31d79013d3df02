//! What is left of a request whose answer has begun: a task goes on sending it, as the caller may take no more of the answer
//! until all of its request has gone. The task only writes, and whoever takes the answer only reads.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::task::JoinHandle;

use super::sending::Sending;
use crate::server;
use crate::upstream::connection::Fault;
use crate::upstream::socket::UpstreamSocket;

/// The task. Dropping it ends it.
pub(super) struct Beside {
    task: JoinHandle<()>,
    fault: Rc<Cell<Option<Fault>>>,
}

impl Beside {
    pub(super) fn begin(mut sending: Sending, socket: &Rc<RefCell<UpstreamSocket>>) -> Self {
        let fault = Rc::new(Cell::new(None));
        let (socket, told) = (Rc::clone(socket), Rc::clone(&fault));
        let task = server::spawn(async move {
            let sent = poll_fn(|cx| sending.poll(socket.borrow_mut().wire(), cx)).await;
            told.set(sent.err());
        });
        Self { task, fault }
    }

    /// Whether it has come to its end, to be asked until it has. That the upstream takes no more is for the answer to tell; but where
    /// the caller's body fails, the upstream would wait for the rest of it, and the caller for the rest of the answer.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        // How else it may have ended is its panic, which is reported.
        let _ = ready!(Pin::new(&mut self.task).poll(cx));
        match self.fault.take() {
            Some(fault) if !fault.is_broken() => Poll::Ready(Err(fault)),
            Some(_) | None => Poll::Ready(Ok(())),
        }
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        self.task.abort();
    }
}
