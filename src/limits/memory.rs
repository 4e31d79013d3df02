//! The account of all bodies that are held in memory, whichever worker holds them: together they are never more than
//! `max_buffered`. What is charged is memory that was taken, not a length that was claimed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

/// The first piece of memory that a body takes.
const FIRST: usize = 16 * 1024;

/// The bodies that are held would be more than `max_buffered`, or than the system has memory for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the bodies that are held would be more than `max_buffered`")]
pub(crate) struct OutOfMemory;

/// How much is held, and how much may be.
pub(crate) struct Account {
    limit: u64,
    used: AtomicU64,
}

impl Account {
    /// An account of `limit` bytes: `previous`, if that is its limit.
    pub(crate) fn new(limit: u64, previous: Option<&Arc<Self>>) -> Arc<Self> {
        match previous.filter(|previous| previous.limit == limit) {
            Some(previous) => Arc::clone(previous),
            None => Arc::new(Self { limit, used: AtomicU64::new(0) }),
        }
    }

    /// How many bytes are held now.
    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// How many there may be.
    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }

    fn charge(&self, bytes: u64) -> Result<(), OutOfMemory> {
        let add = |used: u64| used.checked_add(bytes).filter(|used| *used <= self.limit);
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).map(drop).map_err(|_| OutOfMemory)
    }
}

/// A body that is being held, and what was charged for it. Dropping it makes room.
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    charge: Charge,
}

struct Charge {
    account: Arc<Account>,
    bytes: u64,
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.account.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Buffer {
    pub(crate) fn new(account: &Arc<Account>) -> Self {
        Self { bytes: Vec::new(), charge: Charge { account: Arc::clone(account), bytes: 0 } }
    }

    /// Whether `length` bytes could be held now. A body that is announced too long need not be read first.
    pub(crate) fn expect(&self, length: u64) -> Result<(), OutOfMemory> {
        let account = &self.charge.account;
        let free = account.limit.saturating_sub(account.used.load(Ordering::Relaxed));
        if length <= free { Ok(()) } else { Err(OutOfMemory) }
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Holds `piece`, too. `whole`: how long it will become at most, as far as is known, so that no more is taken than that.
    pub(crate) fn push(&mut self, piece: &[u8], whole: usize) -> Result<(), OutOfMemory> {
        let length = self.bytes.len().saturating_add(piece.len());
        if length > self.bytes.capacity() {
            let roomy = self.bytes.capacity().saturating_mul(2).max(FIRST);
            let capacity = roomy.min(whole).max(length);
            let more = (capacity - self.bytes.capacity()) as u64;
            self.charge.account.charge(more)?;
            self.charge.bytes += more;
            self.bytes.try_reserve_exact(capacity - self.bytes.len()).map_err(|_| OutOfMemory)?;
        }
        self.bytes.extend_from_slice(piece);
        Ok(())
    }

    /// Holds nothing any more.
    pub(crate) fn clear(&mut self) {
        self.bytes = Vec::new();
        self.charge.account.used.fetch_sub(std::mem::take(&mut self.charge.bytes), Ordering::Relaxed);
    }

    /// What is held. It stays charged until nobody has any of it.
    pub(crate) fn freeze(self) -> Bytes {
        if self.bytes.is_empty() { Bytes::new() } else { Bytes::from_owner(self) }
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::{Account, Buffer, FIRST, OutOfMemory};

    #[test]
    fn what_is_held_is_charged_until_nobody_has_it() {
        let account = Account::new(100_000, None);
        let mut first = Buffer::new(&account);
        assert_eq!(account.used(), 0, "nothing came yet");
        first.push(b"hello", usize::MAX).unwrap();
        assert_eq!(account.used(), FIRST as u64);
        let held = first.freeze();
        let part = held.slice(1..3);
        drop(held);
        assert_eq!(account.used(), FIRST as u64);
        assert_eq!(&*part, b"el");
        drop(part);
        assert_eq!(account.used(), 0);
    }

    #[test]
    fn no_more_is_taken_than_was_announced() {
        let account = Account::new(1_000_000, None);
        let mut buffer = Buffer::new(&account);
        for _ in 0..100 {
            buffer.push(&[b'x'; 1000], 100_000).unwrap();
        }
        assert_eq!((buffer.len(), account.used()), (100_000, 100_000));
    }

    #[test]
    fn what_does_not_fit_is_refused_and_the_others_stay() {
        let account = Account::new(50_000, None);
        let mut buffers = [(); 2].map(|()| Buffer::new(&account));
        assert!(buffers[0].expect(50_000).is_ok() && buffers[0].expect(50_001) == Err(OutOfMemory));
        buffers[0].push(&[b'x'; 30_000], usize::MAX).unwrap();
        assert_eq!(buffers[1].expect(20_001), Err(OutOfMemory));
        assert_eq!(buffers[1].push(&[b'x'; 20_001], usize::MAX), Err(OutOfMemory));
        assert_eq!((buffers[1].len(), account.used()), (0, 30_000));
        buffers[1].push(&[b'x'; 20_000], usize::MAX).unwrap();
        drop(buffers);
        assert_eq!(account.used(), 0);
    }

    #[test]
    fn another_limit_is_another_account() {
        let account = Account::new(10, None);
        assert!(std::sync::Arc::ptr_eq(&account, &Account::new(10, Some(&account))));
        assert!(!std::sync::Arc::ptr_eq(&account, &Account::new(11, Some(&account))));
    }
}
