//! Reads config and secrets again, on a thread of its own, and has the workers adopt what has changed. They are read by
//! content, as often as the config says: a link that Kubernetes swaps cannot be missed. Whatever is wrong changes nothing.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, SystemTime};

use tokio::sync::oneshot;

use super::ServeError;
use super::blueprint::Blueprint;
use super::dealer::Announcer;
use super::state::State;
use crate::config::{Config, ConfigError, Listener};
use crate::credential::Which;
use crate::secret::command;
use crate::telemetry;

/// What has changed must stay as it is for so long: a file that is still being written is not taken for whole.
const SETTLE: Duration = Duration::from_millis(25);
/// So often it is looked whether it has settled, before the next interval has its turn.
const LOOKS: usize = 40;

/// A way to ask for a reload at once.
#[derive(Clone)]
pub struct Reloads(Sender<oneshot::Sender<()>>);

/// Where that is asked.
pub(super) struct Requests(Receiver<oneshot::Sender<()>>);

pub(super) fn requests() -> (Reloads, Requests) {
    let (sender, receiver) = channel();
    (Reloads(sender), Requests(receiver))
}

impl Reloads {
    /// Reads everything again, and waits until what has changed is in force, or the log says why it is not.
    ///
    /// Dropping the future does not undo it.
    pub async fn reload(&self) {
        let (done, finished) = oneshot::channel();
        // A server that has ended reloads nothing.
        if self.0.send(done).is_ok() {
            let _ = finished.await;
        }
    }
}

/// What the reading thread works with.
pub(super) struct Reloader {
    pub(super) path: PathBuf,
    pub(super) state: Arc<State>,
    pub(super) workers: Announcer,
}

impl Reloader {
    /// Reads until every [`Reloads`] is gone.
    pub(super) fn run(self, requests: &Requests) {
        loop {
            let asked = match self.interval() {
                Some(interval) => requests.0.recv_timeout(interval),
                None => requests.0.recv().map_err(RecvTimeoutError::from),
            };
            match asked {
                Ok(done) => {
                    self.reload();
                    // Whoever asked may have gone.
                    let _ = done.send(());
                }
                Err(RecvTimeoutError::Timeout) => self.reload(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn interval(&self) -> Option<Duration> {
        let interval = self.state.in_force().config.reload.interval;
        (!interval.is_zero()).then_some(interval)
    }

    fn reload(&self) {
        command::forget_overdue();
        let current = self.state.in_force();
        let read = match self.read(&current) {
            Read::Same => {
                if self.state.confirm() {
                    tracing::info!(target: "reload", "the files say again what is in force");
                }
                return;
            }
            Read::Other(config) => *config,
            Read::Wrong(reason) => return self.keep(&reason),
        };
        let warnings = read.warnings.clone();
        match follow(read, &current) {
            Ok(blueprint) => self.adopt(&current, blueprint, &warnings),
            Err(reason) => self.keep(&reason),
        }
    }

    fn read(&self, current: &Blueprint) -> Read {
        settled(|| Read::of(Config::load_again(&self.path), current), pause)
    }

    fn adopt(&self, current: &Blueprint, blueprint: Blueprint, warnings: &[String]) {
        let rotated = rotated(current, &blueprint);
        let blueprint = Arc::new(blueprint);
        self.workers.announce(&blueprint);
        telemetry::apply(&blueprint.config.log);
        self.state.adopt(blueprint);
        let generation = self.state.reload().generation;
        tracing::info!(target: "reload", generation, rotated, "in force: what the files say now");
        for warning in warnings {
            tracing::warn!(target: "config", "{warning}");
        }
    }

    fn keep(&self, reason: &str) {
        if self.state.keep(reason) {
            tracing::warn!(target: "reload", reason, "not reloaded: the last good config and secrets stay in force");
        }
    }
}

/// Reads until two readings in a row come to the same. What does not settle is not taken for whole, though it may look it.
fn settled(mut read: impl FnMut() -> Read, pause: impl Fn()) -> Read {
    let mut last = read();
    for _ in 0..LOOKS {
        if matches!(last, Read::Same) {
            return last;
        }
        pause();
        let next = read();
        if next.is_as(&last) {
            return next;
        }
        last = next;
    }
    match last {
        Read::Other(_) => Read::Wrong("the files change all the time".to_owned()),
        Read::Same | Read::Wrong(_) => last,
    }
}

#[expect(clippy::disallowed_methods, reason = "this thread serves nobody who would have to wait")]
fn pause() {
    thread::sleep(SETTLE);
}

/// What a reading comes to.
enum Read {
    /// What is in force.
    Same,
    Other(Box<Config>),
    /// Nothing that could come into force.
    Wrong(String),
}

impl Read {
    fn of(read: Result<Config, ConfigError>, current: &Blueprint) -> Self {
        match read {
            Ok(config) if config.fingerprint == current.config.fingerprint => Self::Same,
            Ok(config) => Self::Other(Box::new(config)),
            Err(error) => Self::Wrong(in_one_line(&error)),
        }
    }

    fn is_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Same, Self::Same) => true,
            (Self::Other(this), Self::Other(other)) => this.fingerprint == other.fingerprint,
            (Self::Wrong(this), Self::Wrong(other)) => this == other,
            (Self::Same | Self::Other(_) | Self::Wrong(_), _) => false,
        }
    }
}

/// Every problem, with its place and without its hint.
fn in_one_line(error: &ConfigError) -> String {
    let told = error.problems().iter().map(|problem| {
        let place = problem.position().map_or(String::new(), |position| format!(":{position}"));
        let key = problem.key().map_or(String::new(), |key| format!("`{key}`: "));
        format!("{}{place}: {key}{}", error.path().display(), problem.message())
    });
    told.collect::<Vec<_>>().join("; ")
}

/// What comes after `current`, or why it cannot.
fn follow(mut config: Config, current: &Blueprint) -> Result<Blueprint, String> {
    let bound = &current.config;
    let order = |listener: &Listener| bound.listeners.iter().position(|known| known.name == listener.name);
    config.listeners.sort_by_key(order);
    if let Some(key) = fixed_at_start(bound, &config) {
        return Err(format!("`{key}` has changed, which needs a restart"));
    }
    // They are in one order now, and the same.
    config.listeners.iter_mut().zip(&bound.listeners).for_each(|(listener, bound)| listener.open = bound.open);
    if let Some(open) = config.open_to_anyone() {
        return Err(ServeError::Open(open.name.clone()).to_string());
    }
    if let Some(lost) = lost_certificate(bound, &config) {
        return Err(lost);
    }
    if config.callers.is_empty() && !bound.callers.is_empty() {
        return Err("every `[caller.NAME]` is gone, so that anyone would be served, which needs a restart".to_owned());
    }
    if let Some(lost) = lost_secret(bound, &config) {
        return Err(lost);
    }
    Blueprint::new(config, Some(current)).map_err(|error| error.to_string())
}

/// What the process has bound, or given up, and cannot change while it runs.
fn fixed_at_start(bound: &Config, read: &Config) -> Option<&'static str> {
    let place = |listener: &Listener| {
        let tls = (listener.tls.is_some(), listener.asks_certificates());
        (listener.name.clone(), listener.address.clone(), tls)
    };
    let places = |config: &Config| -> Vec<_> { config.listeners.iter().map(place).collect() };
    if places(bound) != places(read) {
        Some("listen")
    } else if bound.server.workers != read.server.workers {
        Some("server.workers")
    } else if bound.server.max_connections != read.server.max_connections {
        Some("server.max_connections")
    } else if bound.admin != read.admin {
        Some("admin")
    } else if bound.server.lookup != read.server.lookup {
        Some("server.nameservers` or `hosts_file")
    } else {
        None
    }
}

/// A listener's certificate that nobody would take, after one that is good: why not.
fn lost_certificate(bound: &Config, read: &Config) -> Option<String> {
    let now = SystemTime::now();
    let fault = |listener: &Listener| listener.tls.as_ref().and_then(|tls| tls.validity.fault_at(now));
    let lost = |(bound, read): (&Listener, &Listener)| {
        let fault = fault(read).filter(|_| fault(bound).is_none())?;
        Some(format!("`listen.{}.tls.cert`: {fault}", read.name))
    };
    bound.listeners.iter().zip(&read.listeners).find_map(lost)
}

/// A secret of an optional upstream that could be used, and cannot any more: what its warning says.
fn lost_secret(bound: &Config, read: &Config) -> Option<String> {
    read.upstreams.iter().find_map(|upstream| {
        let known = bound.upstreams.iter().find(|known| known.name == upstream.name)?;
        let lost = |which: &Which| known.credentials.at(*which).is_some() && upstream.credentials.at(*which).is_none();
        let which = [Which::Main, Which::Fallback].into_iter().find(lost)?;
        let key = format!("`upstream.{}.{}.", upstream.name, which.key());
        // Without a warning, the config itself has it no more.
        read.warnings.iter().find(|warning| warning.starts_with(&key)).cloned()
    })
}

/// The upstreams whose secrets are other ones now. `None`: there is none.
fn rotated(current: &Blueprint, next: &Blueprint) -> Option<String> {
    let known = |name: &str| current.config.upstreams.iter().find(|upstream| *upstream.name == *name);
    let changed = |upstream: &&crate::config::Upstream| {
        known(&upstream.name).is_some_and(|known| {
            (known.secrets, known.fallback_secrets) != (upstream.secrets, upstream.fallback_secrets)
        })
    };
    let names: Vec<&str> = next.config.upstreams.iter().filter(changed).map(|upstream| &*upstream.name).collect();
    (!names.is_empty()).then(|| names.join(", "))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{LOOKS, Read, settled};
    use crate::config::file::parse_with;
    use crate::secret::source::Source;

    fn reading(number: usize) -> Read {
        let text = format!(
            "[server]\ndrain = \"{number}s\"\n[upstream.x]\nurl = 'https://x.test'\nauth.bearer.token = 'env:A'\n"
        );
        let config = parse_with(Path::new("x.toml"), &text, Source::Given(&[("env:A", b"alpha")]));
        Read::Other(Box::new(config.unwrap_or_else(|error| panic!("{error}"))))
    }

    #[test]
    fn what_stays_as_it_is_has_settled_and_what_never_does_comes_into_force_never() {
        let mut readings = [reading(1), reading(2), reading(2), reading(3)].into_iter();
        assert!(settled(|| readings.next().unwrap(), || ()).is_as(&reading(2)));
        let mut readings = [reading(1), Read::Same].into_iter();
        assert!(matches!(settled(|| readings.next().unwrap(), || ()), Read::Same));
        let mut readings = (1..).map(reading);
        assert!(matches!(settled(|| readings.next().unwrap(), || ()), Read::Wrong(_)));
        assert!(readings.next().unwrap().is_as(&reading(LOOKS + 2)));
    }
}
