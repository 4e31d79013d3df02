//! What the config says of the log, as every thread sees it: set at the start and by a reload, read on the path.

use std::cell::Cell;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tracing::subscriber::Interest;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::Context;

use super::LogFormat;
use crate::config;

/// The levels that the config knows, from the one that says least.
const LEVELS: [Level; 4] = [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG];

/// An index into [`LEVELS`].
static LEVEL: AtomicU8 = AtomicU8::new(2);
static HUMAN: AtomicU8 = AtomicU8::new(0);
/// Of so many of 2^64 ordinary requests a line is written; `u64::MAX`: of all.
static SHARE: AtomicU64 = AtomicU64::new(u64::MAX);
static SLOW_MICROS: AtomicU64 = AtomicU64::new(u64::MAX);

thread_local! {
    /// A line is due when this overflows: the first one is.
    static OWED: Cell<u64> = const { Cell::new(u64::MAX) };
}

/// What is in force from now on, for lines of every thread. The format may be one that a flag chose.
pub(super) fn set(log: &config::Log, format: LogFormat) {
    let level = LEVELS.iter().position(|level| *level == log.level).unwrap_or_default();
    LEVEL.store(u8::try_from(level).unwrap_or_default(), Relaxed);
    HUMAN.store((format == LogFormat::Human).into(), Relaxed);
    SHARE.store(share(log.sample_success), Relaxed);
    SLOW_MICROS.store(u64::try_from(log.slow.as_micros()).unwrap_or(u64::MAX), Relaxed);
    // What is below the level costs an event one look, which is remembered.
    tracing::callsite::rebuild_interest_cache();
}

/// The part of 2^64 that `fraction` is; one that does not fit is cut to what does.
fn share(fraction: f64) -> u64 {
    (fraction * 2f64.powi(64)) as u64
}

pub(super) fn format() -> LogFormat {
    if HUMAN.load(Relaxed) == 0 { LogFormat::Json } else { LogFormat::Human }
}

fn level() -> Level {
    LEVELS.get(usize::from(LEVEL.load(Relaxed))).copied().unwrap_or(Level::INFO)
}

/// Whether lines of `wanted` are written.
pub(super) fn writes(wanted: Level) -> bool {
    wanted <= level()
}

/// Whether a request that took so long is one to tell of, however well it went.
pub(super) fn is_slow(time: Duration) -> bool {
    time.as_micros() >= SLOW_MICROS.load(Relaxed).into()
}

/// Whether it is an ordinary request's turn. Counted, not drawn, nor told by an id: a caller cannot choose never to be
/// written of.
pub(super) fn is_due() -> bool {
    match SHARE.load(Relaxed) {
        u64::MAX => true,
        share => OWED.with(|owed| {
            let (next, due) = owed.get().overflowing_add(share);
            owed.set(next);
            due
        }),
    }
}

/// Lets through what the level in force does. Of what dependencies say below `info` nothing: whether it holds a secret was
/// never looked at.
pub(super) struct Threshold;

impl Threshold {
    fn lets_through(metadata: &Metadata<'_>) -> bool {
        let is_of = |name| metadata.module_path().is_some_and(|path| path.starts_with(name));
        let own = is_of(env!("CARGO_PKG_NAME"));
        // h2 warns of frames that a peer sends: a line for each, as many as the peer likes.
        writes(*metadata.level()) && (own || (*metadata.level() <= Level::INFO && !is_of("h2")))
    }
}

impl<S: Subscriber> Layer<S> for Threshold {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if Self::lets_through(metadata) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        Self::lets_through(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::from_level(level()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    use std::time::Duration;

    use tracing::{Event, Level, Subscriber};
    use tracing_subscriber::layer::{Context, SubscriberExt};
    use tracing_subscriber::{Layer, registry};

    use super::{Threshold, set, share};
    use crate::config;
    use crate::telemetry::LogFormat;

    /// Counts what is written.
    struct Count(&'static AtomicUsize);

    impl<S: Subscriber> Layer<S> for Count {
        fn on_event(&self, _: &Event<'_>, _: Context<'_, S>) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    #[test]
    fn a_new_level_is_in_force_at_once() {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let log = |level| config::Log { level, format: None, sample_success: 1.0, slow: Duration::from_secs(1) };
        tracing::subscriber::with_default(registry().with(Count(&COUNT)).with(Threshold), || {
            for (level, written) in
                [(Level::INFO, 3), (Level::ERROR, 1), (Level::DEBUG, 4), (Level::WARN, 2), (Level::INFO, 3)]
            {
                set(&log(level), LogFormat::Json);
                COUNT.store(0, Relaxed);
                tracing::error!("e");
                tracing::warn!("w");
                tracing::info!("i");
                tracing::debug!("d");
                assert_eq!(COUNT.load(Relaxed), written, "{level}");
            }
        });
    }

    #[test]
    fn a_share_is_the_part_of_all_numbers() {
        for (fraction, expected) in [(0.0, 0), (0.5, 1 << 63), (0.25, 1 << 62), (1.0, u64::MAX)] {
            assert_eq!(share(fraction), expected, "{fraction}");
        }
        assert!(share(1e-12) > 0);
    }
}
