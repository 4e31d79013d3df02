//! Time in one word, as an atomic holds it: milliseconds since this was first asked. Never 0, which stands for no time.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

pub(super) fn now() -> u64 {
    static BEGAN: OnceLock<Instant> = OnceLock::new();
    of(BEGAN.get_or_init(Instant::now).elapsed()) + 1
}

pub(super) fn of(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX / 2)
}
