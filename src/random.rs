//! Numbers that nobody else draws: no worker, no other sidekey, none before a restart. They are no secret, so a thread asks
//! the system once, and not for every request. What has to be secret is drawn elsewhere.

use std::cell::Cell;
use std::time::{SystemTime, UNIX_EPOCH};

thread_local! {
    static STATE: Cell<[u64; 2]> = Cell::new(seed());
}

/// The next number of this thread's own.
pub(crate) fn number() -> u128 {
    let state = STATE.get().map(|lane| lane.wrapping_add(0x9e37_79b9_7f4a_7c15));
    STATE.set(state);
    let [high, low] = state.map(mixed);
    u128::from(high) << 64 | u128::from(low)
}

/// From 0 to 1.
pub(crate) fn fraction() -> f64 {
    number() as f64 / u128::MAX as f64
}

/// SplitMix64's (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014).
fn mixed(lane: u64) -> u64 {
    let lane = (lane ^ (lane >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let lane = (lane ^ (lane >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    lane ^ (lane >> 31)
}

/// Where the system has no randomness, the time at which a thread drew first has to tell it from others.
fn seed() -> [u64; 2] {
    let mut lanes = [[0; 8]; 2];
    let drawn = lanes.iter_mut().all(|lane| getrandom::fill(lane).is_ok());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let [high, low] = lanes.map(u64::from_ne_bytes);
    if drawn { [high, low] } else { [now.as_secs(), u64::from(now.subsec_nanos())].map(mixed) }
}
