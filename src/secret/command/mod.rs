//! `command:[…]`: a secret that a program prints. What it printed is kept until its time to live is over, whatever is read
//! how often meanwhile; the program is run by this process, or, once it is hardened, by its [`broker`].

pub(crate) mod broker;
mod child;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use self::broker::Broker;
use crate::Secret;

/// How long a secret counts that a program has printed.
pub(crate) const TTL: Duration = Duration::from_secs(5 * 60);
/// How long a program may take.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(10);
/// A program that failed is not run again before so long: whoever it asks may be asked too often already.
const RETRY: Duration = Duration::from_secs(30);

/// What to run, and how often. The arguments may hold anything, and are never shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Invocation {
    /// The program, and its arguments.
    words: Vec<String>,
    pub(crate) ttl: Duration,
    pub(crate) timeout: Duration,
}

impl Invocation {
    /// `None`: there is no program, or a word that no program could be given.
    pub(crate) fn new(words: Vec<String>) -> Option<Self> {
        let named = words.first().is_some_and(|program| !program.is_empty() && !program.contains(char::is_control));
        let legal = named && !words.iter().any(|word| word.contains('\0'));
        legal.then_some(Self { words, ttl: TTL, timeout: TIMEOUT })
    }

    pub(crate) fn program(&self) -> &str {
        self.words.first().map(String::as_str).unwrap_or_default()
    }

    /// As it would be written.
    pub(super) fn written(&self) -> String {
        format!("command:{}", serde_json::Value::from(self.words.clone()))
    }

    /// What is started: a program with a `/` in its name is a path, and relative to the config's `folder`, as a file's is.
    fn command_line(&self, folder: &Path) -> Vec<String> {
        let mut words = self.words.clone();
        if let Some(program) = words.first_mut().filter(|program| program.contains('/')) {
            // Both parts are text: so is the whole, unless the folder's name is none.
            *program = folder.join(&*program).to_string_lossy().into_owned();
        }
        words
    }
}

/// Why a program gave no secret. What it wrote to standard error may hold one, and is never read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CommandError {
    #[error("cannot be started: there is no such program")]
    NoProgram,
    #[error("cannot be started: permission denied")]
    Denied,
    #[error("cannot be started")]
    NotStarted,
    #[error("ended with exit status {0}")]
    Failed(i32),
    #[error("was ended by signal {0}")]
    Killed(i32),
    #[error("took longer than its `timeout`")]
    TimedOut,
    #[error("was not in the config at start: a further command needs a restart")]
    Unknown,
    #[error("cannot be run any more: the process that runs commands is gone, which needs a restart")]
    NoBroker,
}

/// The commands of this process.
static COMMANDS: Mutex<Commands> = Mutex::new(Commands::new());
/// Whether what they have printed is to be forgotten. Who says so cannot wait for one that is being run.
static FORGET: AtomicBool = AtomicBool::new(false);

/// What `invocation` prints, or printed less than its time to live ago.
pub(super) fn read(invocation: &Invocation, folder: &Path) -> Result<Zeroizing<Vec<u8>>, CommandError> {
    let line = invocation.command_line(folder);
    let mut commands = COMMANDS.lock().unwrap_or_else(PoisonError::into_inner);
    if FORGET.swap(false, Ordering::Relaxed) {
        commands.known.values_mut().for_each(|known| known.last = None);
    }
    commands.read(&line, invocation.ttl, invocation.timeout, Instant::now())
}

/// Forgets what programs have printed: the next reading runs each of them.
pub(crate) fn run_again() {
    FORGET.store(true, Ordering::Relaxed);
}

/// Wipes what programs have printed and what does not count any more: a program that the config has no more is not run
/// again, and no other output would ever take its place.
pub(crate) fn forget_overdue() {
    COMMANDS.lock().unwrap_or_else(PoisonError::into_inner).forget_overdue(Instant::now());
}

/// From now on this process starts no program itself: those that it has started until now, and no others, are run by a
/// process of their own. It returns how many there are; without any, there is no such process.
///
/// # Errors
/// The process cannot be started.
pub(crate) fn hand_over() -> io::Result<usize> {
    let mut commands = COMMANDS.lock().unwrap_or_else(PoisonError::into_inner);
    let lines: Vec<_> = commands.known.keys().cloned().collect();
    let count = lines.len();
    commands.runner = Runner::Broker(Broker::start(lines)?);
    Ok(count)
}

/// Every command that was ever asked for, and who runs them.
struct Commands {
    known: BTreeMap<Vec<String>, Known>,
    runner: Runner,
}

struct Known {
    last: Option<Run>,
}

/// What came of running a command. Another run's takes its place, and it is wiped.
struct Run {
    outcome: Result<Secret, CommandError>,
    at: Instant,
    /// As the config had it then.
    ttl: Duration,
}

enum Runner {
    /// This process.
    Own,
    Broker(Broker),
}

impl Commands {
    const fn new() -> Self {
        Self { known: BTreeMap::new(), runner: Runner::Own }
    }

    fn read(
        &mut self,
        line: &[String],
        ttl: Duration,
        timeout: Duration,
        now: Instant,
    ) -> Result<Zeroizing<Vec<u8>>, CommandError> {
        let known = self.known.entry(line.to_vec()).or_insert(Known { last: None });
        if let Some(run) = known.last.take().filter(|run| run.counts(ttl, now)) {
            return known.last.insert(run).copy();
        }
        let outcome = match &mut self.runner {
            Runner::Own => child::run(line, timeout),
            Runner::Broker(broker) => broker.run(line, timeout),
        };
        let outcome = outcome.map(|mut output| Secret::new(std::mem::take(&mut *output)));
        known.last.insert(Run { outcome, at: now, ttl }).copy()
    }

    fn forget_overdue(&mut self, now: Instant) {
        for known in self.known.values_mut() {
            known.last.take_if(|run| !run.counts(run.ttl, now));
        }
    }
}

impl Run {
    fn counts(&self, ttl: Duration, now: Instant) -> bool {
        let lifetime = if self.outcome.is_ok() { ttl } else { ttl.min(RETRY) };
        now.saturating_duration_since(self.at) < lifetime
    }

    fn copy(&self) -> Result<Zeroizing<Vec<u8>>, CommandError> {
        self.outcome.as_ref().map(|secret| Zeroizing::new(secret.expose().to_vec())).map_err(|error| *error)
    }
}

#[cfg(test)]
mod tests;
