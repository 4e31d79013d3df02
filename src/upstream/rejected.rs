//! A vendor that refuses the credential: what an operator has to know at once, told no more than once a minute, as every
//! request may bring the next one.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::telemetry::Moment;

/// The least time between two warnings of one credential.
const PAUSE: Duration = Duration::from_secs(60);

/// How often the credential was refused since it was last told.
pub(super) struct Rejections {
    /// When the secret was read.
    read: Moment,
    untold: AtomicU64,
    /// When the next warning may come, in milliseconds since the secret was read.
    due: AtomicU64,
}

impl Rejections {
    /// None yet, of a secret that was read then.
    pub(super) fn new(read: Moment) -> Self {
        Self { read, untold: AtomicU64::new(0), due: AtomicU64::new(0) }
    }

    /// When the secret was read.
    pub(super) fn read(&self) -> &Moment {
        &self.read
    }

    /// The credential was refused once more.
    pub(super) fn warn(&self, upstream: &str, credential: &str, scheme: &str) {
        let age = self.read.elapsed();
        if let Some(rejected) = self.count(age) {
            let (secret_read, secret_age_s) = (self.read.date(), age.as_secs());
            tracing::warn!(
                target: "upstream",
                upstream, credential, scheme, rejected, secret_read, secret_age_s,
                "the vendor answers 401: is the key right, and still valid?"
            );
        }
    }

    /// How many there are to tell of, if it is time to.
    fn count(&self, age: Duration) -> Option<u64> {
        let count = self.untold.fetch_add(1, Relaxed) + 1;
        let (now, due) = (millis(age), self.due.load(Relaxed));
        // Of several at once, one tells.
        let tells = now >= due && self.due.compare_exchange(due, now + millis(PAUSE), Relaxed, Relaxed).is_ok();
        tells.then(|| {
            self.untold.fetch_sub(count, Relaxed);
            count
        })
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Rejections;
    use crate::telemetry::Moment;

    #[test]
    fn a_flood_is_told_once_a_minute_with_how_many_there_were() {
        let rejections = Rejections::new(Moment::now());
        let told = |second, millis| rejections.count(Duration::from_secs(second) + Duration::from_millis(millis));
        assert_eq!(told(5, 0), Some(1));
        for millis in 1..=100 {
            assert_eq!(told(5, millis), None);
        }
        assert_eq!(told(64, 999), None);
        assert_eq!(told(65, 0), Some(102));
        assert_eq!(told(65, 1), None);
        assert_eq!(told(1000, 0), Some(2));
    }
}
