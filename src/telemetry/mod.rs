//! What the operator is told: one access record for each request, and events, written by a thread of their own.

pub(crate) mod access;
mod clock;
mod format;
mod sink;

use std::io::{self, IsTerminal};

use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::SubscriberInitExt;

pub use self::format::LogFormat;
pub use self::sink::LogSink;

/// Starts logging to standard error, in `format`, or in what suits where standard error leads. Before the process
/// ends, [`LogSink::finish`] writes what is left.
pub fn start(format: Option<LogFormat>) -> LogSink {
    let stderr = io::stderr();
    let format = format.unwrap_or(if stderr.is_terminal() { LogFormat::Human } else { LogFormat::Json });
    start_to(stderr, format)
}

/// Starts logging to `output`.
pub fn start_to(output: impl io::Write + Send + 'static, format: LogFormat) -> LogSink {
    let sink = LogSink::start(output, format.notice_of_loss());
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::INFO)
        .with_ansi(false)
        .event_format(format)
        .with_writer(sink.clone())
        .finish();
    // Only a second call fails, and then the first one's output stays.
    let _ = subscriber.try_init();
    std::panic::set_hook(Box::new(|panic| {
        // Where, and not what: a payload may hold anything.
        let place = panic.location().map(|place| format!("{}:{}", place.file(), place.line())).unwrap_or_default();
        tracing::error!(target: "server", place, "panicked: a defect, please report it");
    }));
    sink
}

impl<'a> MakeWriter<'a> for LogSink {
    type Writer = sink::LineWriter<'a>;

    fn make_writer(&'a self) -> Self::Writer {
        self.line_writer()
    }
}
