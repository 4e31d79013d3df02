//! Where accounts are found: by a worker when a config is loaded, by a scrape when it comes. One a process, as the log is.

use std::cell::OnceCell;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::accounts::{UpstreamAccount, WorkerAccount};

/// So many names of callers, and of upstreams on each worker, are kept apart, those of earlier configs among them: what
/// comes after is [`OTHER`]. Names that are gone stay until the process ends, as what was counted must not vanish.
pub(super) const MAX_CALLERS: usize = 256;
const MAX_UPSTREAMS: usize = 1024;
/// No name of a config: these have no `_`.
pub(super) const OTHER: &str = "_other";

static REGISTRY: Mutex<Registry> = Mutex::new(Registry { workers: Vec::new(), callers: Vec::new() });

struct Registry {
    workers: Vec<Arc<Books>>,
    /// By [`CallerId`], from 1 on.
    callers: Vec<Box<str>>,
}

/// A worker's accounts.
pub(super) struct Books {
    pub(super) number: usize,
    pub(super) worker: WorkerAccount,
    upstreams: Mutex<Vec<Arc<UpstreamAccount>>>,
}

/// Which caller is meant in an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CallerId(pub(super) usize);

impl CallerId {
    /// Nobody that the config knows.
    pub(crate) const NOBODY: Self = Self(0);

    /// The caller of this name in the config.
    pub(crate) fn of(name: &str) -> Self {
        Self::among(&mut lock(&REGISTRY).callers, name)
    }

    fn among(callers: &mut Vec<Box<str>>, name: &str) -> Self {
        let known = callers.iter().position(|known| **known == *name);
        Self(
            1 + known.unwrap_or_else(|| {
                let next = callers.len();
                if next + 2 < MAX_CALLERS {
                    callers.push(name.into());
                }
                next
            }),
        )
    }
}

thread_local! {
    static BOOKS: OnceCell<Arc<Books>> = const { OnceCell::new() };
}

/// From now on this thread is worker `number`, and what it counts is told.
pub(crate) fn begin_worker(number: usize) {
    BOOKS.with(|books| {
        let books = books.get_or_init(|| Books::new(number));
        lock(&REGISTRY).workers.push(Arc::clone(books));
    });
}

/// What `enter` enters into this thread's account. A thread that is no worker has one that nobody reads.
pub(crate) fn on_worker<T>(enter: impl FnOnce(&WorkerAccount) -> T) -> T {
    BOOKS.with(|books| enter(&books.get_or_init(|| Books::new(0)).worker))
}

/// This thread's account of an upstream.
pub(crate) fn upstream(name: &str) -> Arc<UpstreamAccount> {
    BOOKS.with(|books| books.get_or_init(|| Books::new(0)).upstream(name))
}

impl Books {
    fn new(number: usize) -> Arc<Self> {
        Arc::new(Self { number, worker: WorkerAccount::new(), upstreams: Mutex::default() })
    }

    pub(super) fn upstreams(&self) -> Vec<Arc<UpstreamAccount>> {
        lock(&self.upstreams).clone()
    }

    fn upstream(&self, name: &str) -> Arc<UpstreamAccount> {
        let mut upstreams = lock(&self.upstreams);
        let named = |name: &str| upstreams.iter().find(|known| *known.name == *name).map(Arc::clone);
        let full = upstreams.len() >= MAX_UPSTREAMS;
        if let Some(known) = named(name).or_else(|| named(OTHER).filter(|_| full)) {
            return known;
        }
        let account = Arc::new(UpstreamAccount::new(if full { OTHER } else { name }));
        upstreams.push(Arc::clone(&account));
        account
    }
}

/// All books, and the names of callers in the order of their ids.
pub(super) fn open() -> (Vec<Arc<Books>>, Vec<Box<str>>) {
    let registry = lock(&REGISTRY);
    (registry.workers.clone(), registry.callers.clone())
}

/// A registry in which a thread panicked is still one: it only ever grows.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Books, CallerId, MAX_CALLERS, MAX_UPSTREAMS, OTHER};

    #[test]
    fn an_upstream_that_comes_back_goes_on_with_its_account() {
        let books = Books::new(0);
        let first = books.upstream("a");
        assert!(!Arc::ptr_eq(&first, &books.upstream("b")));
        assert!(Arc::ptr_eq(&first, &books.upstream("a")));
    }

    #[test]
    fn however_many_names_configs_have_had_there_are_only_so_many_accounts() {
        let books = Books::new(0);
        for name in 0..2 * MAX_UPSTREAMS {
            books.upstream(&format!("u{name}"));
        }
        assert_eq!(books.upstreams.lock().unwrap().len(), MAX_UPSTREAMS + 1);
        assert_eq!(&*books.upstream("one-more").name, OTHER);
        assert_eq!(&*books.upstream("u7").name, "u7");
        let mut callers = Vec::new();
        let ids: Vec<_> =
            (0..2 * MAX_CALLERS).map(|name| CallerId::among(&mut callers, &format!("c{name}")).0).collect();
        assert_eq!((ids[0], CallerId::among(&mut callers, "c7")), (1, CallerId(8)));
        assert_eq!(ids.last(), Some(&(MAX_CALLERS - 1)));
    }
}
