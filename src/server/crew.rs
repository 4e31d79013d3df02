//! The workers, as each of them and the main thread know them: how many connections each has, and how it is told something.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

use super::arrival::Arrival;
use super::pulse::Pulses;
use super::worker::Order;

/// All workers, by their number.
pub(super) struct Crew {
    hands: Box<[Hand]>,
    pulses: Pulses,
}

struct Hand {
    orders: UnboundedSender<Order>,
    load: Arc<Load>,
}

/// How many connections a worker has. Far from any other's in memory: each is written whenever a connection comes or goes.
#[derive(Default)]
#[repr(align(128))]
struct Load(AtomicUsize);

/// How many connections one worker has, as it counts them itself, and how many there may be with those of the others. A
/// connection in HTTP/2 counts for as many as it has requests under way, and for one at least.
pub(super) struct Headcount {
    own: Arc<Load>,
    all: Arc<[Arc<Load>]>,
    limit: usize,
}

impl Headcount {
    pub(super) fn add_one(&self) {
        self.own.add_one();
    }

    pub(super) fn take_one(&self) {
        self.own.take_one();
    }

    pub(super) fn count(&self) -> usize {
        self.own.count()
    }

    /// Whether there are more than there may be.
    pub(super) fn is_over(&self) -> bool {
        self.all.iter().map(|load| load.count()).sum::<usize>() > self.limit
    }
}

impl Load {
    fn add_one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn take_one(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Crew {
    /// So many workers, and what each of them is told.
    pub(super) fn new(workers: usize, pulses: Pulses) -> (Arc<Self>, Vec<UnboundedReceiver<Order>>) {
        let (hands, orders): (Vec<_>, _) = (0..workers)
            .map(|_| {
                let (orders, receiver) = mpsc::unbounded_channel();
                (Hand { orders, load: Arc::default() }, receiver)
            })
            .unzip();
        (Arc::new(Self { hands: hands.into(), pulses }), orders)
    }

    /// How many connections there are.
    pub(super) fn load(&self) -> usize {
        self.hands.iter().map(|hand| hand.load.count()).sum()
    }

    /// What each worker counts by, where there may be `limit` of them.
    pub(super) fn headcounts(&self, limit: usize) -> impl Iterator<Item = Headcount> {
        let all: Arc<[_]> = self.hands.iter().map(|hand| Arc::clone(&hand.load)).collect();
        self.hands.iter().map(move |hand| Headcount { own: Arc::clone(&hand.load), all: Arc::clone(&all), limit })
    }

    /// A worker that is gone hears nothing.
    pub(super) fn tell(&self, worker: usize, order: Order) {
        if let Some(hand) = self.hands.get(worker) {
            let _ = hand.orders.send(order);
        }
    }

    pub(super) fn tell_all(&self, order: impl Fn() -> Order) {
        (0..self.hands.len()).for_each(|worker| self.tell(worker, order()));
    }

    /// Has `worker` serve it. Is it gone, the connection is closed.
    pub(super) fn deal(&self, worker: usize, arrival: Arrival) {
        if let Some(hand) = self.hands.get(worker) {
            hand.load.add_one();
            if hand.orders.send(Order::Serve(arrival)).is_err() {
                // Nobody else would count it off.
                hand.load.take_one();
            }
        }
    }

    /// Who should serve the next connection: the worker that has the fewest, or `own`, where none has fewer. One that is
    /// gone, or may be stuck, is given none while another is there.
    pub(super) fn choose(&self, own: usize) -> usize {
        let by_load = |(worker, hand): &(usize, &Hand)| {
            let (gone, late) = (hand.orders.is_closed(), self.pulses.is_late(*worker));
            (gone, late, hand.load.count(), *worker != own)
        };
        self.hands.iter().enumerate().min_by_key(by_load).map_or(own, |(worker, _)| worker)
    }

    /// Whether `worker` may be stuck.
    pub(super) fn is_late(&self, worker: usize) -> bool {
        self.pulses.is_late(worker)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use tokio_util::either::Either;

    use super::{Arrival, Crew};
    use crate::server::Pulses;

    #[test]
    fn who_has_fewest_is_chosen_and_oneself_among_equals() {
        let (crew, _orders) = Crew::new(4, Pulses::of(4));
        let mut dealt = Vec::new();
        for _ in 0..9 {
            let chosen = crew.choose(2);
            crew.hands[chosen].load.add_one();
            dealt.push(chosen);
        }
        assert_eq!(dealt, [2, 0, 1, 3, 2, 0, 1, 3, 2]);
        crew.hands[3].load.take_one();
        assert_eq!(crew.choose(2), 3);
    }

    #[test]
    fn who_is_gone_is_chosen_no_more_and_has_no_connections() {
        let (crew, mut orders) = Crew::new(2, Pulses::of(2));
        crew.hands[0].load.add_one();
        assert_eq!(crew.choose(0), 1);
        orders.truncate(1);
        assert_eq!(crew.choose(0), 0);
        let stream = Either::Right(UnixStream::pair().unwrap().0);
        crew.deal(1, Arrival { listener: 0, stream });
        assert_eq!(crew.load(), 1);
    }

    #[test]
    fn who_may_be_stuck_is_chosen_only_where_all_are() {
        let pulses = Pulses::of(2);
        let (crew, _orders) = Crew::new(2, pulses.clone());
        crew.hands[0].load.add_one();
        (0..10).for_each(|_| pulses.tick());
        assert!(crew.is_late(0) && crew.is_late(1));
        assert_eq!(crew.choose(0), 1);
        pulses.pulse(0).catch_up();
        assert!(!crew.is_late(0));
        assert_eq!(crew.choose(1), 0);
    }
}
