//! One stream of an HTTP/2 caller: a request, and its answer, with deadlines of its own. Whatever ends it leaves the
//! other streams alone.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Poll, ready};
use std::time::{Duration, Instant};

use hyper::upgrade::OnUpgrade;
use tokio::time::sleep_until;

use super::body::Flow;
use super::near;
use super::streams::Streams;
use crate::server::alarm::poll_due;
use crate::server::visit::{Stage, Visit};

/// Some time after any timeout: the first deadline sets the alarm.
const FIRST_ALARM: Duration = Duration::from_secs(24 * 60 * 60);

/// Why a stream's watch ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Watched {
    /// The upstream stopped in the middle of its body, the caller takes none of it, or the whole request took too long.
    Stalled,
    /// The whole request took too long, and nothing of its answer has gone.
    Overdue,
}

/// What the path, hyper and the connection know of one stream. Dropped when all three are done with it.
pub(super) struct Stream {
    visit: Rc<Visit>,
    flow: Rc<Flow>,
    /// Whether it came to an end that was not the caller's doing.
    settled: Cell<bool>,
    /// What it is when a tunnel has begun, of a request that may ask for one.
    bare: Cell<Option<OnUpgrade>>,
}

impl Stream {
    pub(super) fn new(visit: Rc<Visit>) -> Rc<Self> {
        Rc::new(Self { visit, flow: Flow::new(), settled: Cell::new(false), bare: Cell::new(None) })
    }

    pub(super) fn visit(&self) -> &Rc<Visit> {
        &self.visit
    }

    pub(super) fn flow(&self) -> &Rc<Flow> {
        &self.flow
    }

    /// Its answer has come to its end, or broken off.
    pub(super) fn settle(&self) {
        self.settled.set(true);
    }

    pub(super) fn is_settled(&self) -> bool {
        self.settled.get()
    }

    /// Its request is a `CONNECT`: `bare` comes about with an answer that agrees.
    pub(super) fn may_switch(&self, bare: OnUpgrade) {
        self.bare.set(Some(bare));
    }

    /// What is waited for, and until when.
    fn deadline(&self) -> Option<(Instant, Watched)> {
        let visit = &self.visit;
        let waiting = match visit.stage() {
            Stage::Idle => None,
            Stage::Asked => visit.due().map(|at| (at, Watched::Overdue)),
            Stage::Answered => {
                let deadlines = [visit.waiting_until(), visit.due()];
                deadlines.into_iter().flatten().min().map(|at| (at, Watched::Stalled))
            }
        };
        let stuck = self.flow.stuck_since();
        let stuck = stuck.map(|since| (since + visit.worker().limits().write_timeout, Watched::Stalled));
        [waiting, stuck].into_iter().flatten().min_by_key(|(deadline, _)| *deadline)
    }
}

/// Does hyper's `work` on a stream until it is done, or there is a reason to stop it: dropped, it resets the stream. Where a
/// tunnel has begun, it is open until that has ended.
pub(super) async fn run(streams: Rc<Streams>, stream: Rc<Stream>, work: impl Future<Output = ()>) {
    let open = streams.open(Rc::clone(&stream));
    {
        let mut work = pin!(work);
        let mut alarm = pin!(sleep_until((Instant::now() + FIRST_ALARM).into()));
        poll_fn(|cx| {
            loop {
                if work.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(());
                }
                match ready!(poll_due(alarm.as_mut(), cx, || stream.deadline())) {
                    // The work is looked at again, and answers.
                    Watched::Overdue => stream.visit.time_out(),
                    Watched::Stalled => {
                        stream.settle();
                        return Poll::Ready(());
                    }
                }
            }
        })
        .await;
    }
    let (bare, sender) = (stream.bare.take(), streams.take_sender());
    if let (Some(tunnel), Some(bare), Some(sender)) = (stream.visit.take_tunnel(), bare, sender) {
        // Boxed: every stream would have room for it.
        Box::pin(near::pass(tunnel, bare, sender, stream.visit.worker())).await;
    }
    drop(open);
}
