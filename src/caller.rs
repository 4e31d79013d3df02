//! Stage 1: who is asking?

/// The app that asks. Every caller that reaches a listener is served alike: what limits them is where the listener
/// binds, and a Unix socket's mode.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller {
    listener: usize,
}

/// Tells callers apart by the listener that they came in by.
pub(crate) fn identify(listener: usize) -> Caller {
    Caller { listener }
}

impl Caller {
    /// The index of the listener.
    pub(crate) fn listener(self) -> usize {
        self.listener
    }
}
