//! File descriptors: one for each caller's connection, and one for each of those to an upstream. What the system gives by
//! default, often 1,024, is for programs that `select(2)`; as many as it allows are taken instead.

/// What is open besides connections that are served: those that are turned away, listeners, look-ups, files that are read;
/// a runtime's own for each worker.
const OTHERS: u64 = 128;

/// Connections of callers, where the config does not say how many.
const MAX_CONNECTIONS: usize = 10_000;

/// How many connections of callers are served at once: as many as the config has `wanted`, or as the system has files for.
/// The process's soft limit is raised to its hard one.
pub(super) fn provide_for(wanted: Option<usize>) -> usize {
    let connections = wanted.unwrap_or(MAX_CONNECTIONS);
    // One to the upstream for each.
    let needed = (connections as u64).saturating_mul(2).saturating_add(OTHERS);
    let Some(limit) = raise_limit().filter(|limit| *limit < needed) else { return connections };
    let free = limit.saturating_sub(OTHERS.min(limit / 4));
    if wanted.is_some() {
        tracing::warn!(target: "server", limit, needed, "too few files may be open for `max_connections`");
    }
    // Whoever says how many may know that most of them will be idle.
    let possible = if wanted.is_some() { free } else { free / 2 };
    usize::try_from(possible).unwrap_or(usize::MAX).clamp(1, connections)
}

/// Raises the soft limit to the hard one, and says which is in force now. `None`: none is known.
#[cfg(target_os = "linux")]
fn raise_limit() -> Option<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => {
            tracing::info!(target: "process", limit = maximum, "file descriptors: as many as the system allows");
            maximum
        }
        Err(error) => {
            tracing::warn!(target: "process", limit = current, %error, "file descriptors: cannot have more");
            current
        }
    }
}

/// There is no way without unsafe code that is tried: the limit stays what it is.
#[cfg(not(target_os = "linux"))]
fn raise_limit() -> Option<u64> {
    None
}

/// Whether `error` says that this process (`EMFILE`), or the whole system (`ENFILE`), has no file descriptor left.
pub(crate) fn are_used_up(error: &std::io::Error) -> bool {
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    matches!(error.raw_os_error(), Some(ENFILE | EMFILE))
}
