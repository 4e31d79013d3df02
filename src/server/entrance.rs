//! Lets in as many connections as `max_connections` allows. Who is over that is told so, without being read, and no faster
//! than a flood of them can be borne.

use std::convert::Infallible;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep_until, timeout};

use super::arrival::Accepted;
use super::crew::Crew;
use super::listen::Door;
use super::refusal;
use super::state::State;
use super::tls;
use super::worker::Worker;
use crate::error::ProxyError;

/// So many are being turned away at once. While there are more, nobody is accepted: the kernel has them wait.
const TURNED_AWAY_AT_ONCE: usize = 64;
/// How long one of them stays at least, so that whoever comes again at once is not refused more than so often; and how long
/// and how much it may go on sending, so that it gets to see its answer.
const SHORTEST: Duration = Duration::from_millis(25);
const LONGEST: Duration = Duration::from_secs(1);
const WASTE: u64 = 64 * 1024;
/// The log is told of it so often.
const TELL: Duration = Duration::from_secs(1);

/// Between the listeners and the workers: the same one, whichever worker accepts.
pub(super) struct Entrance {
    crew: Arc<Crew>,
    state: Arc<State>,
    turning_away: Arc<Semaphore>,
    began: Instant,
    /// In milliseconds since `began`, when the log is to be told next.
    tell_at: AtomicU64,
}

impl Entrance {
    pub(super) fn new(crew: &Arc<Crew>, state: &Arc<State>) -> Self {
        let turning_away = Arc::new(Semaphore::new(TURNED_AWAY_AT_ONCE));
        let (crew, state) = (Arc::clone(crew), Arc::clone(state));
        Self { crew, state, turning_away, began: Instant::now(), tell_at: AtomicU64::new(0) }
    }

    /// Has `worker` let in, or turn away, whoever comes in by `door`, for ever.
    pub(super) async fn attend(&self, worker: &Rc<Worker>, mut door: Door) -> Infallible {
        loop {
            self.enter(worker, door.next().await).await;
        }
    }

    /// Lets a connection in, or turns it away. Waits only while too many are being turned away.
    async fn enter(&self, worker: &Rc<Worker>, accepted: Accepted) {
        if self.has_room() {
            return self.let_in(worker, accepted);
        }
        let Ok(place) = Arc::clone(&self.turning_away).acquire_owned().await else { return };
        // It may have waited for that.
        if self.has_room() {
            return self.let_in(worker, accepted);
        }
        self.tell();
        let listener = accepted.listener;
        let is_tls = self.state.in_force().config.listeners.get(listener).is_some_and(|known| known.tls.is_some());
        super::spawn(async move {
            // Whoever does not wait for its answer misses it.
            let _ = turn_away(accepted, is_tls, place).await;
        });
    }

    /// `worker` keeps it unless another one has fewer: few connections that stay are spread as evenly as many.
    fn let_in(&self, worker: &Rc<Worker>, accepted: Accepted) {
        let chosen = self.crew.choose(worker.number());
        if chosen == worker.number() {
            return worker.admit(accepted);
        }
        // A socket that the runtime cannot let go has lost its caller already.
        if let Ok(arrival) = accepted.unwatch() {
            self.crew.deal(chosen, arrival);
        }
    }

    fn has_room(&self) -> bool {
        self.crew.load() < self.state.max_connections()
    }

    fn tell(&self) {
        let turned_away = self.state.turn_away();
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        if now >= self.tell_at.load(Ordering::Relaxed) {
            self.tell_at.store(now.saturating_add(TELL.as_millis() as u64), Ordering::Relaxed);
            let max_connections = self.state.max_connections();
            tracing::warn!(target: "server", turned_away, max_connections, "more connections than `max_connections`");
        }
    }
}

/// Answers what was not asked yet. `_place` is given back when it is over.
async fn turn_away(
    Accepted { mut stream, .. }: Accepted,
    is_tls: bool,
    _place: OwnedSemaphorePermit,
) -> io::Result<()> {
    let soonest = Instant::now() + SHORTEST;
    let goodbye = async {
        match is_tls {
            true => stream.write_all(tls::TURNED_AWAY).await?,
            false => stream.write_all(&refusal::unlogged(&ProxyError::TooManyConnections)).await?,
        }
        stream.shutdown().await?;
        // Closed with something unread, it would be reset, and the answer lost (RFC 9112 9.6).
        tokio::io::copy(&mut (&mut stream).take(WASTE), &mut tokio::io::sink()).await
    };
    let said = timeout(LONGEST, goodbye).await;
    drop(stream);
    sleep_until(soonest.into()).await;
    said?.map(drop)
}
