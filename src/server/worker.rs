//! A worker: one thread, one runtime, and all that belongs to the callers that it serves. Nothing is shared with another
//! worker on a request's path.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::futures::Notified;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::arrival::{Accepted, Arrival};
use super::blueprint::Blueprint;
use super::connection;
use super::crew::Headcount;
use super::curfew::Curfew;
use super::entrance::Entrance;
use super::listen::Door;
use super::rest::Wakeful;
use super::roster::{Place, Roster};
use super::snapshot::{Limits, Snapshot};
use super::socket::CallerSocket;
use crate::telemetry::metrics;
use crate::upstream::Network;

/// How often pools are looked through.
const SWEEP: Duration = Duration::from_secs(5);

/// What a worker is told.
pub(super) enum Order {
    /// Accept what comes in by these from now on.
    Attend(Arc<Entrance>, Vec<Door>),
    /// Accept no more, and drop the sender when that is so.
    StepDown(oneshot::Sender<()>),
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
    sockets: Rc<Roster>,
    wakeful: Rc<Wakeful>,
    /// Told when it begins to leave, and to drain: HTTP/2 callers are told so, too.
    parting: Notify,
    /// Told when it begins to drain.
    drains: Notify,
    /// Told whenever a connection ends.
    ended: Notify,
    curfew: Curfew,
    number: usize,
    headcount: Headcount,
}

impl Worker {
    /// Worker `number`, which begins with `blueprint`. `headcount`: of its connections, which others read.
    pub(super) fn new(blueprint: &Blueprint, network: Network, number: usize, headcount: Headcount) -> Rc<Self> {
        let snapshot = RefCell::new(Snapshot::new(blueprint, &network, None));
        Rc::new(Self {
            network,
            snapshot,
            leaving: Cell::new(false),
            draining: Cell::new(false),
            sockets: Rc::default(),
            wakeful: Rc::default(),
            parting: Notify::new(),
            drains: Notify::new(),
            ended: Notify::new(),
            curfew: Curfew::default(),
            number,
            headcount,
        })
    }

    /// Does what it is told until it is to drain, and ends when what has begun is finished.
    pub(super) async fn run(self: Rc<Self>, mut orders: mpsc::UnboundedReceiver<Order>) {
        let mut attendants = Vec::new();
        let mut sweep = interval(SWEEP);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                order = orders.recv() => match order {
                    Some(Order::Attend(entrance, doors)) => {
                        attendants.extend(doors.into_iter().map(|door| self.attend(Arc::clone(&entrance), door)));
                    }
                    Some(Order::StepDown(done)) => {
                        step_down(&mut attendants).await;
                        drop(done);
                    }
                    Some(Order::Serve(arrival)) => self.take_over(arrival),
                    Some(Order::Adopt(blueprint)) => self.adopt(&blueprint),
                    Some(Order::TakeLeave) => self.take_leave(),
                    Some(Order::Drain) | None => break,
                },
                _ = sweep.tick() => self.snapshot().upstreams.iter().for_each(|upstream| upstream.sweep_pool()),
            }
        }
        step_down(&mut attendants).await;
        // What was dealt before that is served; from now on, who deals hears that nobody is here.
        orders.close();
        while let Ok(order) = orders.try_recv() {
            if let Order::Serve(arrival) = order {
                self.take_over(arrival);
            }
        }
        self.drain().await;
    }

    /// Has the turn to accept.
    fn attend(self: &Rc<Self>, entrance: Arc<Entrance>, door: Door) -> JoinHandle<()> {
        let worker = Rc::clone(self);
        super::spawn(async move { match entrance.attend(&worker, door).await {} })
    }

    /// Serves what another thread has accepted, and counted.
    fn take_over(self: &Rc<Self>, arrival: Arrival) {
        let departure = Departure::of(self);
        if let Ok(accepted) = arrival.watch() {
            self.serve(departure, accepted);
        }
    }

    /// Serves what this worker has accepted itself.
    pub(super) fn admit(self: &Rc<Self>, accepted: Accepted) {
        self.headcount.add_one();
        self.serve(Departure::of(self), accepted);
    }

    /// A connection has one more request under way than it counts for. `false`: there is no room for it, though it counts.
    pub(super) fn admit_request(&self) -> bool {
        self.headcount.add_one();
        !self.headcount.is_over()
    }

    /// It has one less.
    pub(super) fn dismiss_request(&self) {
        self.headcount.take_one();
    }

    fn serve(self: &Rc<Self>, departure: Departure, accepted: Accepted) {
        let (peer, stream) = accepted.into_parts();
        super::spawn(async move {
            connection::serve(Rc::clone(&departure.0), peer, stream).await;
        });
    }

    /// What is under way keeps what it began with; the connections that serve as well are kept for what comes.
    fn adopt(&self, blueprint: &Blueprint) {
        let next = Snapshot::new(blueprint, &self.network, Some(&*self.snapshot()));
        self.snapshot.replace(next);
    }

    fn take_leave(&self) {
        self.leaving.set(true);
        self.parting.notify_waiters();
    }

    async fn drain(&self) {
        self.draining.set(true);
        self.parting.notify_waiters();
        self.drains.notify_waiters();
        self.sockets.each(|socket| socket.wake());
        let all = async {
            while self.headcount.count() > 0 {
                self.ended.notified().await;
            }
        };
        tokio::select! {
            () = all => {}
            never = self.curfew.keep(self.limits().drain) => match never {},
        }
    }

    /// When what has no end of its own is to end.
    pub(super) fn curfew(&self) -> &Curfew {
        &self.curfew
    }

    /// Wakes the connection when the server drains, until what is returned is dropped.
    pub(super) fn register(&self, socket: &Rc<RefCell<CallerSocket>>) -> Place {
        self.sockets.enter(socket)
    }

    /// Its connections that are not at rest.
    pub(super) fn wakeful(&self) -> &Rc<Wakeful> {
        &self.wakeful
    }

    pub(super) fn number(&self) -> usize {
        self.number
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

    /// Ready when [`leaving`](Self::leaving) or [`draining`](Self::draining) becomes so, after this was called.
    pub(super) fn parting(&self) -> Notified<'_> {
        self.parting.notified()
    }

    pub(super) fn draining(&self) -> bool {
        self.draining.get()
    }

    /// Waits until it has drained for `time`. Dropping the future does nothing.
    pub(super) async fn drained_for(&self, time: Duration) {
        if !self.draining() {
            self.drains.notified().await;
        }
        sleep(time).await;
    }
}

/// Counts a connection off when it is over, however it ended.
struct Departure(Rc<Worker>);

impl Departure {
    fn of(worker: &Rc<Worker>) -> Self {
        metrics::on_worker(|account| account.accepted.add(1));
        Self(Rc::clone(worker))
    }
}

impl Drop for Departure {
    fn drop(&mut self) {
        self.0.headcount.take_one();
        metrics::on_worker(|account| account.departed.add(1));
        self.0.ended.notify_one();
    }
}

/// Returns when none of them accepts any more.
async fn step_down(attendants: &mut Vec<JoinHandle<()>>) {
    for attendant in attendants.drain(..) {
        attendant.abort();
        // It ends because it was aborted, which is no news.
        let _ = attendant.await;
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;
    use std::path::Path;
    use std::time::Duration;

    use tokio::runtime::{Builder, LocalOptions};
    use tokio::time::timeout;
    use tokio_util::either::Either;

    use super::{Arrival, Blueprint, Network, Order, Worker};
    use crate::config::file::parse_with;
    use crate::secret::source::Source;
    use crate::server::Pulses;
    use crate::server::crew::Crew;
    use crate::upstream::OwnListeners;
    use crate::upstream::resolve::{SystemFiles, resolver};

    #[test]
    fn who_was_dealt_with_when_the_drain_had_begun_is_served_and_holds_up_no_end() {
        let text = "[upstream.x]\nurl = 'http://127.0.0.1:9'\nauth.bearer.token = 'env:KEY'\n";
        let config = parse_with(Path::new("sidekey.toml"), text, Source::Given(&[("env:KEY", b"k3y-k3y")])).unwrap();
        let blueprint = Blueprint::new(config, None).unwrap();
        let (resolver, _lookups) = resolver(blueprint.config.server.lookup.clone(), SystemFiles::default());
        let network = Network { resolver, own: OwnListeners::default() };
        let (crew, mut orders) = Crew::new(1, Pulses::of(1));
        let headcount = crew.headcounts(1).next().unwrap();
        let worker = Worker::new(&blueprint, network, 0, headcount);
        let (mut caller, stream) = UnixStream::pair().unwrap();
        stream.set_nonblocking(true).unwrap();
        caller.write_all(b"GET /nobody HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        crew.tell(0, Order::Drain);
        crew.deal(0, Arrival { listener: 0, stream: Either::Right(stream) });
        let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).unwrap();
        let run = worker.run(orders.remove(0));
        runtime.block_on(async { timeout(Duration::from_secs(10), run).await }).expect("its end");
        drop(runtime);
        let mut answer = String::new();
        caller.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
        assert_eq!(crew.load(), 0);
    }
}
