//! What the operator is told: one access record for each request, and events, written by a thread of their own.

pub(crate) mod access;
mod clock;
mod format;
mod panics;
mod sink;

use std::io::{self, IsTerminal};

use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::SubscriberInitExt;

pub use self::format::LogFormat;
pub use self::panics::PanicNotice;
use self::sink::LogSink;

/// The log, for as long as it is kept: dropped, even by a panic, it writes what is left.
pub struct Log(LogSink);

impl Drop for Log {
    fn drop(&mut self) {
        self.0.finish();
    }
}

/// Starts logging to standard error, in `format`, or in what suits where standard error leads.
pub fn start(format: Option<LogFormat>) -> Log {
    let stderr = io::stderr();
    let format = format.unwrap_or(if stderr.is_terminal() { LogFormat::Human } else { LogFormat::Json });
    let sink = LogSink::start(stderr, format.notice_of_loss());
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::INFO)
        .with_ansi(false)
        .event_format(format)
        .with_writer(sink.clone())
        .finish();
    // Only a second call fails, and then the first one's output stays.
    let _ = subscriber.try_init();
    Log(sink)
}

impl<'a> MakeWriter<'a> for LogSink {
    type Writer = sink::LineWriter<'a>;

    fn make_writer(&'a self) -> Self::Writer {
        self.line_writer()
    }
}
