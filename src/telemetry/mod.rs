//! What the operator is told: one access record for each request, and events, written by a thread of their own.

pub(crate) mod access;
pub(crate) mod clock;
mod format;
pub(crate) mod metrics;
mod panics;
mod settings;
mod sink;

use std::io::{self, IsTerminal};
use std::sync::OnceLock;

use tracing::Level;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

pub(crate) use self::clock::Moment;
pub use self::format::LogFormat;
pub use self::panics::PanicNotice;
use self::sink::LogSink;
use crate::config;

/// What the command line says of the format, whatever a config does.
static CHOSEN: OnceLock<LogFormat> = OnceLock::new();

/// Where lines go that are no events: where events go, too.
static SINK: OnceLock<LogSink> = OnceLock::new();

/// The log, for as long as it is kept: dropped, even by a panic, it writes what is left.
pub(crate) struct Log(LogSink);

impl Drop for Log {
    fn drop(&mut self) {
        self.0.finish();
    }
}

/// Starts logging to standard error, as `settings` have it; a `format` goes before the one that they name.
pub(crate) fn start(format: Option<LogFormat>, settings: &config::Log) -> Log {
    let stderr = io::stderr();
    if let Some(format) = format {
        // Only a second call finds one.
        let _ = CHOSEN.set(format);
    }
    format::choose_colour(&stderr);
    let sink = LogSink::start(stderr, format::notice_of_loss);
    apply(settings);
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(Level::TRACE)
        .with_ansi(false)
        .event_format(format::Line)
        .with_writer(sink.clone())
        .finish()
        .with(settings::Threshold);
    // Only a second call fails, and then the first one's output stays.
    if subscriber.try_init().is_ok() {
        let _ = SINK.set(sink.clone());
    }
    Log(sink)
}

/// Goes on as `settings` have it, those of the config that is in force from now on: on every thread, from the next line on.
/// Where neither they nor the command line name a format, it is the one that suits where standard error leads.
pub(crate) fn apply(settings: &config::Log) {
    let suited = || if io::stderr().is_terminal() { LogFormat::Human } else { LogFormat::Json };
    settings::set(settings, CHOSEN.get().copied().or(settings.format).unwrap_or_else(suited));
}

/// Writes a line that is no event, if there is a log.
fn tell(level: Level, told: &impl format::Told) {
    if let Some(sink) = SINK.get() {
        format::tell(level, told, |line| sink.push(line.as_bytes()));
    }
}

impl<'a> MakeWriter<'a> for LogSink {
    type Writer = sink::LineWriter<'a>;

    fn make_writer(&'a self) -> Self::Writer {
        self.line_writer()
    }
}
