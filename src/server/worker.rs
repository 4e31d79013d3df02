//! A worker: one thread, one runtime, and all that belongs to the callers that were dealt to it. Nothing is shared
//! with another worker on a request's path.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::net::{TcpStream, UnixStream};
use tokio::sync::{Notify, mpsc};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::either::Either;

use super::blueprint::Blueprint;
use super::connection;
use super::snapshot::{Limits, Snapshot};
use super::socket::{CallerSocket, Stream};
use crate::caller::{Peer, PeerProcess};
use crate::telemetry::metrics;
use crate::upstream::Network;
use crate::wire::Tcp;

/// How often pools are looked through.
const SWEEP: Duration = Duration::from_secs(5);

/// A connection that was accepted, on its way to a worker.
pub(super) struct Arrival {
    pub(super) listener: usize,
    pub(super) stream: Either<std::net::TcpStream, std::os::unix::net::UnixStream>,
}

/// What a worker is told.
pub(super) enum Order {
    /// Serve it.
    Serve(Arrival),
    /// From now on this is in force.
    Adopt(Arc<Blueprint>),
    /// From now on every answer is the last one on its connection.
    TakeLeave,
    /// Finish what has begun.
    Drain,
}

/// What a worker's connections have in common.
pub(crate) struct Worker {
    network: Network,
    snapshot: RefCell<Rc<Snapshot>>,
    leaving: Cell<bool>,
    draining: Cell<bool>,
    sockets: RefCell<HashMap<u64, Rc<RefCell<CallerSocket>>>>,
    next_socket: Cell<u64>,
    /// Told whenever a connection ends.
    ended: Notify,
    load: Arc<AtomicUsize>,
}

/// A connection's place among those of its worker; dropped, it is gone from there.
pub(super) struct Registration {
    worker: Weak<Worker>,
    key: u64,
}

impl Drop for Registration {
    fn drop(&mut self) {
        if let Some(worker) = self.worker.upgrade() {
            worker.sockets.borrow_mut().remove(&self.key);
        }
    }
}

impl Worker {
    /// A worker that begins with `blueprint`. `load`: how many connections it has, which others read.
    pub(super) fn new(blueprint: &Blueprint, network: Network, load: Arc<AtomicUsize>) -> Rc<Self> {
        let snapshot = RefCell::new(Snapshot::new(blueprint, &network, None));
        Rc::new(Self {
            network,
            snapshot,
            leaving: Cell::new(false),
            draining: Cell::new(false),
            sockets: RefCell::new(HashMap::new()),
            next_socket: Cell::new(0),
            ended: Notify::new(),
            load,
        })
    }

    /// Does what it is told until it is to drain, and ends when what has begun is finished.
    pub(super) async fn run(self: Rc<Self>, mut orders: mpsc::UnboundedReceiver<Order>) {
        let mut sweep = interval(SWEEP);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                order = orders.recv() => match order {
                    Some(Order::Serve(arrival)) => self.admit(arrival),
                    Some(Order::Adopt(blueprint)) => self.adopt(&blueprint),
                    Some(Order::TakeLeave) => self.leaving.set(true),
                    Some(Order::Drain) | None => break,
                },
                _ = sweep.tick() => self.snapshot().upstreams.iter().for_each(|upstream| upstream.sweep_pool()),
            }
        }
        self.drain().await;
    }

    fn admit(self: &Rc<Self>, arrival: Arrival) {
        let departure = Departure(Rc::clone(self));
        metrics::on_worker(|account| account.accepted.add(1));
        // A socket that the runtime cannot take has lost its caller already.
        let Ok((peer, stream)) = take_over(arrival) else { return };
        super::spawn(async move {
            connection::serve(Rc::clone(&departure.0), peer, stream).await;
        });
    }

    /// What is under way keeps what it began with; the connections that serve as well are kept for what comes.
    fn adopt(&self, blueprint: &Blueprint) {
        let next = Snapshot::new(blueprint, &self.network, Some(&*self.snapshot()));
        self.snapshot.replace(next);
    }

    async fn drain(&self) {
        self.draining.set(true);
        for socket in self.sockets.borrow().values() {
            socket.borrow().wake();
        }
        while self.load.load(Ordering::Relaxed) > 0 {
            self.ended.notified().await;
        }
    }

    pub(super) fn register(self: &Rc<Self>, socket: &Rc<RefCell<CallerSocket>>) -> Registration {
        let key = self.next_socket.get();
        self.next_socket.set(key + 1);
        self.sockets.borrow_mut().insert(key, Rc::clone(socket));
        Registration { worker: Rc::downgrade(self), key }
    }

    /// What is in force now.
    pub(super) fn snapshot(&self) -> Rc<Snapshot> {
        Rc::clone(&self.snapshot.borrow())
    }

    pub(super) fn limits(&self) -> Limits {
        self.snapshot.borrow().limits
    }

    /// Whether callers should go elsewhere after their next answer.
    pub(super) fn leaving(&self) -> bool {
        self.leaving.get()
    }

    pub(super) fn draining(&self) -> bool {
        self.draining.get()
    }
}

/// Counts a connection off when it is over, however it ended.
struct Departure(Rc<Worker>);

impl Drop for Departure {
    fn drop(&mut self) {
        self.0.load.fetch_sub(1, Ordering::Relaxed);
        metrics::on_worker(|account| account.departed.add(1));
        self.0.ended.notify_one();
    }
}

fn take_over(Arrival { listener, stream }: Arrival) -> std::io::Result<(Peer, Stream)> {
    match stream {
        Either::Left(stream) => {
            // Answers leave when they are written.
            let _ = stream.set_nodelay(true);
            let stream = TcpStream::from_std(stream).map(Tcp::new)?;
            Ok((Peer { listener, process: None }, Either::Left(stream)))
        }
        Either::Right(stream) => {
            let stream = UnixStream::from_std(stream)?;
            let process = stream.peer_cred().ok().map(|known| PeerProcess { uid: known.uid(), gid: known.gid() });
            Ok((Peer { listener, process }, Either::Right(stream)))
        }
    }
}
