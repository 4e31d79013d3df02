//! For tests: whether what was in memory is gone from it.

use std::fs::File;
use std::os::unix::fs::FileExt;

/// An allocator keeps its own notes in the first bytes of what was freed.
const NOTES: usize = 16;
/// So many bytes in a row are no coincidence.
const TRACE: usize = 16;

/// Drops `owner`, and asserts that nothing is left of the `length` bytes at `address`, which it owns.
pub(crate) fn assert_wiped<T>(owner: T, address: usize, length: usize) {
    let memory = File::open("/proc/self/mem").unwrap();
    // Allocated before anything is freed, so that they do not take its place.
    let (mut before, mut after) = (vec![0; length], vec![0; length]);
    memory.read_exact_at(&mut before, address as u64).unwrap();
    drop(owner);
    memory.read_exact_at(&mut after, address as u64).unwrap();
    let traces = |at: usize| before[at..at + TRACE].iter().filter(|byte| **byte != 0).count() >= TRACE / 2;
    let places: Vec<_> = (NOTES..=length - TRACE).filter(|at| traces(*at)).collect();
    assert!(!places.is_empty(), "nothing was there to be wiped");
    for at in places {
        assert_ne!(before[at..at + TRACE], after[at..at + TRACE], "it is still there, {at} bytes in");
    }
}
