//! File descriptors: one for each caller's connection, and one for each of those to an upstream. What the system gives by
//! default, often 1,024, is for programs that `select(2)`; as many as it allows are taken instead.

/// Raises the soft limit to the hard one, and logs what there is.
#[cfg(target_os = "linux")]
pub(crate) fn raise_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => tracing::info!(target: "process", limit = maximum, "file descriptors: as many as the system allows"),
        Err(error) => tracing::warn!(target: "process", limit = current, %error, "file descriptors: cannot have more"),
    }
}

/// There is no way without unsafe code that is tried: the limit stays what it is.
#[cfg(not(target_os = "linux"))]
pub(crate) fn raise_limit() {}

/// Whether `error` says that this process (`EMFILE`), or the whole system (`ENFILE`), has no file descriptor left.
pub(crate) fn are_used_up(error: &std::io::Error) -> bool {
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    matches!(error.raw_os_error(), Some(ENFILE | EMFILE))
}
