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

use super::connection;
use super::socket::{CallerSocket, Stream};
use crate::browser::Guard;
use crate::caller::{Callers, Peer, PeerProcess};
use crate::config::{self, Config};
use crate::route::Routes;
use crate::upstream::{Network, Upstream, tls};
use crate::wire::Tcp;

/// How often pools are looked through.
const SWEEP: Duration = Duration::from_secs(5);

/// A connection that was accepted, on its way to a worker.
pub(super) struct Arrival {
    pub(super) listener: usize,
    pub(super) stream: Either<std::net::TcpStream, std::os::unix::net::UnixStream>,
}

/// What a worker's connections have in common.
pub(crate) struct Worker {
    guard: Guard,
    routes: Routes,
    callers: Callers,
    upstreams: Vec<Rc<Upstream>>,
    limits: Limits,
    draining: Cell<bool>,
    sockets: RefCell<HashMap<u64, Rc<RefCell<CallerSocket>>>>,
    next_socket: Cell<u64>,
    /// Told whenever a connection ends.
    ended: Notify,
    load: Arc<AtomicUsize>,
}

/// The deadlines on a caller's side.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    pub(super) header_timeout: Duration,
    pub(super) keep_alive: Duration,
    pub(super) write_timeout: Duration,
}

impl Limits {
    fn new(server: &config::Server) -> Self {
        let config::Server { header_timeout, keep_alive, write_timeout, .. } = *server;
        Self { header_timeout, keep_alive, write_timeout }
    }
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
    /// A worker for `config`; `clients` stand in the order of its upstreams. `load`: how many connections it has,
    /// which others read.
    pub(super) fn new(
        config: &Config,
        clients: &[Option<tls::Client>],
        network: &Network,
        load: Arc<AtomicUsize>,
    ) -> Rc<Self> {
        let upstreams: Vec<_> = config
            .upstreams
            .iter()
            .zip(clients)
            .map(|(upstream, client)| Rc::new(Upstream::new(upstream, client.clone(), network.clone())))
            .collect();
        Rc::new(Self {
            guard: Guard::new(&config.browser),
            routes: Routes::new(config, upstreams.clone()),
            callers: Callers::new(config),
            upstreams,
            limits: Limits::new(&config.server),
            draining: Cell::new(false),
            sockets: RefCell::new(HashMap::new()),
            next_socket: Cell::new(0),
            ended: Notify::new(),
            load,
        })
    }

    /// Serves what arrives until nothing more will, then finishes what has begun.
    pub(super) async fn run(self: Rc<Self>, mut arrivals: mpsc::UnboundedReceiver<Arrival>) {
        let mut sweep = interval(SWEEP);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                arrival = arrivals.recv() => match arrival {
                    Some(arrival) => self.admit(arrival),
                    None => break,
                },
                _ = sweep.tick() => self.upstreams.iter().for_each(|upstream| upstream.sweep_pool()),
            }
        }
        self.drain().await;
    }

    fn admit(self: &Rc<Self>, arrival: Arrival) {
        let departure = Departure(Rc::clone(self));
        // A socket that the runtime cannot take has lost its caller already.
        let Ok((peer, stream)) = adopt(arrival) else { return };
        super::spawn(async move {
            connection::serve(Rc::clone(&departure.0), peer, stream).await;
        });
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

    pub(super) fn guard(&self) -> &Guard {
        &self.guard
    }

    pub(super) fn routes(&self) -> &Routes {
        &self.routes
    }

    pub(super) fn callers(&self) -> &Callers {
        &self.callers
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
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
        self.0.ended.notify_one();
    }
}

fn adopt(Arrival { listener, stream }: Arrival) -> std::io::Result<(Peer, Stream)> {
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
