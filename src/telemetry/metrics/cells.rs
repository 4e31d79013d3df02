//! The numbers themselves. Each has one writer, a worker, and readers that come by now and then: so a count is a load
//! and a store, with no lock, no allocation, and no cache line that two workers write.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What goes up, and for a gauge also down.
#[derive(Default)]
pub(crate) struct Cell(AtomicU64);

impl Cell {
    pub(crate) fn add(&self, amount: u64) {
        self.0.store(self.value().wrapping_add(amount), Ordering::Relaxed);
    }

    pub(crate) fn subtract(&self, amount: u64) {
        self.0.store(self.value().wrapping_sub(amount), Ordering::Relaxed);
    }

    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    pub(crate) fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The upper bounds of a histogram's buckets, in seconds, besides the one that has none.
pub(crate) type Bounds = [f64; BOUNDS];

/// How many there are.
const BOUNDS: usize = 16;

/// What a request takes, and each of its phases: from half a millisecond to a minute.
pub(super) const WAITING: Bounds =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];
/// What takes nothing but computing: from a tenth of a millisecond to what nothing should take.
pub(super) const COMPUTING: Bounds =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// How long things took.
pub(crate) struct Histogram {
    bounds: &'static Bounds,
    buckets: [Cell; BOUNDS],
    above: Cell,
    nanos: Cell,
}

impl Histogram {
    pub(super) fn new(bounds: &'static Bounds) -> Self {
        Self { bounds, buckets: Default::default(), above: Cell::default(), nanos: Cell::default() }
    }

    pub(crate) fn observe(&self, took: Duration) {
        let seconds = took.as_secs_f64();
        let at = self.bounds.partition_point(|bound| *bound < seconds);
        self.buckets.get(at).unwrap_or(&self.above).add(1);
        self.nanos.add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
    }
}

/// What the histograms of several workers come to.
#[derive(Clone, Copy)]
pub(super) struct Sum {
    bounds: &'static Bounds,
    buckets: [u64; BOUNDS],
    above: u64,
    nanos: u64,
}

impl Sum {
    pub(super) fn of<'a>(bounds: &'static Bounds, histograms: impl Iterator<Item = &'a Histogram>) -> Self {
        let mut sum = Self { bounds, buckets: [0; BOUNDS], above: 0, nanos: 0 };
        for histogram in histograms {
            for (total, bucket) in sum.buckets.iter_mut().zip(&histogram.buckets) {
                *total += bucket.value();
            }
            sum.above += histogram.above.value();
            sum.nanos = sum.nanos.wrapping_add(histogram.nanos.value());
        }
        sum
    }

    /// Each bound with how many took no longer.
    pub(super) fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> {
        self.bounds.iter().zip(&self.buckets).scan(0, |so_far, (bound, bucket)| {
            *so_far += bucket;
            Some((*bound, *so_far))
        })
    }

    /// Of the buckets that were read: whatever comes in meanwhile, they agree.
    pub(super) fn count(&self) -> u64 {
        self.buckets.iter().sum::<u64>() + self.above
    }

    pub(super) fn seconds(&self) -> f64 {
        Duration::from_nanos(self.nanos).as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{COMPUTING, Histogram, Sum, WAITING};

    #[test]
    fn bounds_rise() {
        for bounds in [WAITING, COMPUTING] {
            assert!(bounds.is_sorted_by(|a, b| a < b), "{bounds:?}");
        }
    }

    #[test]
    fn what_took_as_long_as_a_bound_is_within_it() {
        let (one, other) = (Histogram::new(&WAITING), Histogram::new(&WAITING));
        for micros in [0, 500, 501] {
            one.observe(Duration::from_micros(micros));
        }
        other.observe(Duration::from_secs(60));
        other.observe(Duration::from_secs(61));
        let sum = Sum::of(&WAITING, [&one, &other].into_iter());
        let cumulative: Vec<_> = sum.cumulative().collect();
        assert_eq!(cumulative[0], (0.0005, 2));
        assert_eq!(cumulative[1], (0.001, 3));
        assert_eq!(cumulative[15], (60.0, 4));
        assert_eq!(sum.count(), 5);
        assert!((sum.seconds() - 121.001_001).abs() < 1e-9, "{}", sum.seconds());
    }
}
