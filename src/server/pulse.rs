//! Whether every worker is still at work: each beats once a second on its own runtime, so one that is caught in something
//! stops. Time is counted in the main thread's ticks: where the whole process is held, nobody has missed a beat.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Interval, MissedTickBehavior, interval};

const BEAT: Duration = Duration::from_secs(1);
/// A worker that has not beaten for so many ticks is stuck: no stage of a request may block for a fraction of it.
const STUCK: u64 = 10;
/// One that has not beaten for so many may be: what others can do as well is left to them.
const LATE: u64 = 2;
/// The beat of a worker that has come to its end, and is missed no more.
const ENDED: u64 = u64::MAX;

/// The pulse of every worker.
#[derive(Clone)]
pub(crate) struct Pulses(Arc<Shared>);

struct Shared {
    clock: AtomicU64,
    /// At which tick each worker has last beaten.
    beats: Box<[AtomicU64]>,
    /// How many have not begun.
    awaited: AtomicUsize,
    all_begun: Notify,
}

/// The pulse of one worker. Dropped before its work has ended, as by a panic, it is missed.
pub(super) struct Pulse {
    worker: usize,
    of_all: Arc<Shared>,
}

impl Pulses {
    pub(crate) fn of(workers: usize) -> Self {
        Self(Arc::new(Shared {
            clock: AtomicU64::new(0),
            beats: (0..workers).map(|_| AtomicU64::new(0)).collect(),
            awaited: AtomicUsize::new(workers),
            all_begun: Notify::new(),
        }))
    }

    pub(super) fn pulse(&self, worker: usize) -> Pulse {
        Pulse { worker, of_all: Arc::clone(&self.0) }
    }

    /// The workers, by their number, and whether each does not move any more.
    pub(crate) fn each(&self) -> impl Iterator<Item = (usize, bool)> {
        let now = self.0.clock.load(Ordering::Relaxed);
        let missed = move |beat: &AtomicU64| now.saturating_sub(beat.load(Ordering::Relaxed));
        self.0.beats.iter().map(move |beat| missed(beat) > STUCK).enumerate()
    }

    /// Those that do not.
    pub(crate) fn stuck(&self) -> impl Iterator<Item = usize> {
        self.each().filter(|(_, is_stuck)| *is_stuck).map(|(worker, _)| worker)
    }

    /// Whether `worker` may be stuck.
    pub(super) fn is_late(&self, worker: usize) -> bool {
        let now = self.0.clock.load(Ordering::Relaxed);
        self.0.beats.get(worker).is_none_or(|beat| now.saturating_sub(beat.load(Ordering::Relaxed)) > LATE)
    }

    /// Waits until every worker has begun. For one waiter.
    pub(crate) async fn all_begun(&self) {
        while self.0.awaited.load(Ordering::Relaxed) > 0 {
            self.0.all_begun.notified().await;
        }
    }

    /// Counts the time, and says once of each worker that it is stuck, and once that it is not any more.
    pub(super) async fn watch(&self) -> Infallible {
        let mut told: Vec<usize> = Vec::new();
        let mut beat = every_beat();
        loop {
            beat.tick().await;
            self.tick();
            let stuck: Vec<usize> = self.stuck().collect();
            for worker in stuck.iter().filter(|worker| !told.contains(worker)) {
                tracing::error!(target: "server", worker, "a worker is stuck: its requests stand still");
            }
            for worker in told.iter().filter(|worker| !stuck.contains(worker)) {
                tracing::warn!(target: "server", worker, "a worker that was stuck goes on");
            }
            told = stuck;
        }
    }

    /// The main thread is at work: so much time has passed.
    pub(crate) fn tick(&self) {
        self.0.clock.fetch_add(1, Ordering::Relaxed);
    }
}

impl Pulse {
    /// Beats while `work` is being done.
    pub(super) async fn during(self, work: impl Future<Output = ()>) {
        self.begin();
        tokio::select! {
            biased;
            () = work => self.set(ENDED),
            never = self.beat_on() => match never {},
        }
    }

    fn begin(&self) {
        self.beat();
        if self.of_all.awaited.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.of_all.all_begun.notify_one();
        }
    }

    async fn beat_on(&self) -> Infallible {
        let mut beat = every_beat();
        loop {
            beat.tick().await;
            self.beat();
        }
    }

    fn beat(&self) {
        self.set(self.of_all.clock.load(Ordering::Relaxed));
    }

    /// Beats once, as a worker does that goes on.
    #[cfg(test)]
    pub(super) fn catch_up(&self) {
        self.beat();
    }

    fn set(&self, tick: u64) {
        if let Some(beat) = self.of_all.beats.get(self.worker) {
            beat.store(tick, Ordering::Relaxed);
        }
    }
}

fn every_beat() -> Interval {
    let mut every = interval(BEAT);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    every
}

#[cfg(test)]
mod tests {
    use std::future::{Future, pending};
    use std::pin::Pin;
    use std::sync::atomic::Ordering;
    use std::sync::mpsc::channel;
    use std::thread;
    use std::time::{Duration, Instant};

    use tokio::runtime::Builder;
    use tokio::sync::oneshot;

    use super::{Pulses, STUCK};

    fn stuck(pulses: &Pulses) -> Vec<usize> {
        pulses.stuck().collect()
    }

    fn ticks(pulses: &Pulses, count: u64) {
        (0..count).for_each(|_| pulses.tick());
    }

    #[test]
    fn who_misses_more_beats_than_may_be_is_stuck_until_the_next_one() {
        let pulses = Pulses::of(3);
        let [first, second, third] = [0, 1, 2].map(|worker| pulses.pulse(worker));
        ticks(&pulses, STUCK);
        assert!(stuck(&pulses).is_empty());
        first.beat();
        ticks(&pulses, 1);
        assert_eq!(stuck(&pulses), [1, 2]);
        second.beat();
        assert_eq!(stuck(&pulses), [2]);
        third.beat();
        assert!(stuck(&pulses).is_empty());
    }

    #[test]
    fn a_worker_that_has_ended_is_not_missed_and_one_that_broke_off_is() {
        let pulses = Pulses::of(2);
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(pulses.pulse(0).during(async {}));
        runtime.block_on(async {
            tokio::select! {
                biased;
                () = pulses.pulse(1).during(pending()) => {}
                () = async {} => {}
            }
        });
        ticks(&pulses, STUCK + 1);
        assert_eq!(stuck(&pulses), [1]);
    }

    #[test]
    fn a_worker_that_blocks_its_thread_is_stuck_and_one_that_waits_is_not() {
        let pulses = Pulses::of(2);
        let work = |worker: usize, work: Pin<Box<dyn Future<Output = ()> + Send>>| {
            let pulse = pulses.pulse(worker);
            thread::spawn(move || {
                let runtime = Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(pulse.during(work));
            })
        };
        let (release, blocked) = channel::<()>();
        let (end, waiting) = oneshot::channel::<()>();
        // It never comes to its beat.
        let blocked = work(0, Box::pin(async move { blocked.recv().unwrap() }));
        let waiting = work(1, Box::pin(async { waiting.await.unwrap() }));
        Builder::new_current_thread().build().unwrap().block_on(pulses.all_begun());
        ticks(&pulses, STUCK + 1);
        // Until the other's next beat.
        until(|| stuck(&pulses) == [0]);
        release.send(()).unwrap();
        until(|| stuck(&pulses).is_empty());
        end.send(()).unwrap();
        blocked.join().unwrap();
        waiting.join().unwrap();
    }

    #[test]
    fn the_clock_goes_on_while_it_is_watched() {
        let pulses = Pulses::of(1);
        let watched = pulses.clone();
        // It ends with the tests' process.
        thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(watched.watch())
        });
        until(|| pulses.0.clock.load(Ordering::Relaxed) >= 2);
        assert!(stuck(&pulses).is_empty());
    }

    fn until(so: impl Fn() -> bool) {
        let began = Instant::now();
        while !so() {
            assert!(began.elapsed() < Duration::from_secs(20), "it is not so");
            thread::yield_now();
        }
    }
}
