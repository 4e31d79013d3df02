//! What the accounts of all workers come to, for whoever asks: `/metrics` and `/status`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use super::accounts::{CLASSES, OUTCOMES, UpstreamAccount, WorkerAccount};
use super::cells::{Bounds, Cell, Histogram, Sum};
use super::registry::{self, Books, OTHER};
use crate::credential::Which;
use crate::limits::LimitKind;
use crate::telemetry::clock::at_unix_millis;

/// Everything that there is to tell, as it is at this moment.
pub(crate) struct Ledger {
    books: Vec<Arc<Books>>,
    upstreams: BTreeMap<Box<str>, Accounts>,
    /// In the order of their ids, which begin with 1.
    callers: Vec<Box<str>>,
}

/// The accounts that the workers have of one upstream.
#[derive(Default)]
pub(crate) struct Accounts(Vec<Arc<UpstreamAccount>>);

impl Ledger {
    pub(crate) fn open() -> Self {
        let (books, callers) = registry::open();
        let mut upstreams: BTreeMap<_, Accounts> = BTreeMap::new();
        for account in books.iter().flat_map(|books| books.upstreams()) {
            upstreams.entry(account.name.clone()).or_default().0.push(account);
        }
        Self { books, upstreams, callers }
    }

    pub(crate) fn in_flight(&self) -> u64 {
        self.workers().map(|(_, worker)| worker.in_flight.value()).sum()
    }

    pub(crate) fn workers(&self) -> impl Iterator<Item = (usize, &WorkerAccount)> {
        self.books.iter().map(|books| (books.number, &books.worker))
    }

    pub(crate) fn upstream(&self, name: &str) -> Option<&Accounts> {
        self.upstreams.get(name)
    }

    pub(super) fn upstreams(&self) -> impl Iterator<Item = (&str, &Accounts)> {
        self.upstreams.iter().map(|(name, accounts)| (&**name, accounts))
    }

    /// Those of each upstream, and of what means none, which is the empty name.
    fn all(&self) -> impl Iterator<Item = (&str, Vec<&UpstreamAccount>)> {
        let astray = self.workers().map(|(_, worker)| &worker.astray).collect();
        let upstreams = self.upstreams().map(|(name, accounts)| (name, accounts.0.iter().map(|one| &**one).collect()));
        std::iter::once(("", astray)).chain(upstreams)
    }

    /// Upstream, caller, class of status, outcome, and how many. Left out is what has not happened; but whoever asked
    /// for anything has all classes of an upstream's whole answers, so that the first of a class is seen as a change.
    pub(super) fn each_outcome(&self, mut tell: impl FnMut(&str, &str, &str, &str, u64)) {
        for (upstream, accounts) in self.all() {
            for id in 0..=self.callers.len() + 1 {
                let asked: Vec<_> = accounts.iter().filter_map(|account| account.callers.get(id)?.get()).collect();
                for (row, outcome) in OUTCOMES.iter().enumerate().filter(|_| !asked.is_empty()) {
                    for (column, class) in CLASSES.iter().enumerate() {
                        let cells = asked.iter().filter_map(|outcomes| outcomes.0.get(row)?.get(column));
                        let count = cells.map(Cell::value).sum();
                        let usual = row == 0 && column > 0 && !upstream.is_empty();
                        if count > 0 || usual {
                            tell(upstream, self.caller(id), class, outcome, count);
                        }
                    }
                }
            }
        }
    }

    /// Upstream, problem, and how many.
    pub(super) fn each_problem(&self, mut tell: impl FnMut(&str, &str, u64)) {
        for (upstream, accounts) in self.all() {
            let mut counts = BTreeMap::new();
            for (problem, count) in accounts.iter().flat_map(|account| &account.problems) {
                if let Some(problem) = problem.get() {
                    *counts.entry(problem).or_default() += count.value();
                }
            }
            counts.into_iter().for_each(|(problem, count): (_, u64)| tell(upstream, problem, count));
        }
    }

    /// The caller's name as a label: none is the empty one.
    fn caller(&self, id: usize) -> &str {
        match id.checked_sub(1) {
            None => "",
            Some(at) => self.callers.get(at).map_or(OTHER, |name| name),
        }
    }
}

impl Accounts {
    pub(super) fn total(&self, which: fn(&UpstreamAccount) -> &Cell) -> u64 {
        self.0.iter().fold(0, |total, account| total.wrapping_add(which(account).value()))
    }

    pub(super) fn sum(&self, bounds: &'static Bounds, which: fn(&UpstreamAccount) -> &Histogram) -> Sum {
        Sum::of(bounds, self.0.iter().map(|account| which(account)))
    }

    /// Open connections: those that wait, and those in use. Read one after the other while both change.
    pub(crate) fn connections(&self) -> Connections {
        let idle = self.total(|account| &account.idle);
        Connections { idle, active: self.total(|account| &account.open).saturating_sub(idle) }
    }

    /// The kind of the last problem that was nobody's fault before sidekey, and when that was.
    pub(crate) fn last_failure(&self) -> Option<(&'static str, SystemTime)> {
        let latest = self.0.iter().max_by_key(|account| account.last_failure.value())?;
        let packed = latest.last_failure.value();
        let (problem, _) = latest.problems.get(usize::from(packed.to_le_bytes()[0]))?;
        Some((problem.get()?, at_unix_millis(packed >> 8)?))
    }

    /// When the upstream last answered 401 to this credential.
    pub(crate) fn last_rejection(&self, which: Which) -> Option<SystemTime> {
        at_unix_millis(self.0.iter().map(|account| account.rejections(which).last.value()).max()?)
    }

    /// How often the upstream answered 401 to this credential.
    pub(super) fn rejections(&self, which: Which) -> u64 {
        self.0.iter().map(|account| account.rejections(which).count.value()).sum()
    }

    /// How many requests were refused for this limit.
    pub(super) fn limited(&self, limit: LimitKind) -> u64 {
        self.0.iter().filter_map(|account| account.limited.get(limit as usize)).map(Cell::value).sum()
    }
}

/// Connections to an upstream.
pub(crate) struct Connections {
    pub(crate) idle: u64,
    pub(crate) active: u64,
}
