//! What is told of a panic: where, and never what. A payload may hold anything, as an error's text in it may.

use std::fmt;
use std::panic::PanicHookInfo;
use std::thread;

/// The place of a panic, to be shown.
pub struct PanicNotice {
    thread: String,
    place: String,
}

impl PanicNotice {
    /// For a panic of the thread that calls.
    pub fn of(panic: &PanicHookInfo<'_>) -> Self {
        let place = panic.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
        Self { thread: thread::current().name().unwrap_or("unnamed").to_owned(), place }
    }

    /// Logs it. `false`: there is no log.
    pub fn log(&self) -> bool {
        let Self { thread, place } = self;
        tracing::error!(target: "server", %thread, %place, "panicked: a defect, please report it");
        tracing::dispatcher::has_been_set()
    }
}

impl fmt::Display for PanicNotice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { thread, place } = self;
        write!(f, "error: thread `{thread}` panicked at {place}: a defect, please report it")
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{set_hook, take_hook};
    use std::sync::mpsc::channel;
    use std::thread;

    use super::PanicNotice;

    #[test]
    fn a_panic_is_told_by_its_thread_and_place_and_not_by_its_payload() {
        let (tell, told) = channel();
        let usual = take_hook();
        set_hook(Box::new(move |panic| match thread::current().name() {
            Some("holder") => tell.send(PanicNotice::of(panic).to_string()).unwrap(),
            // Other tests may fail meanwhile.
            _ => usual(panic),
        }));
        let holder = thread::Builder::new().name("holder".into());
        assert!(holder.spawn(|| panic!("hunter2")).unwrap().join().is_err());
        let told = told.recv().unwrap();
        assert!(told.contains("thread `holder` panicked at src/telemetry/panics.rs:"), "{told}");
        assert!(!told.contains("hunter2"), "{told}");
    }
}
