//! Memory and environment hold the secrets: no other process of the same user reads them, and no crash writes them down.

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

use super::Measure;

/// `/proc/PID/environ`, `mem` and their like belong to root from now on, and nobody without its privileges can trace the
/// process (prctl(2), `PR_SET_DUMPABLE`). It writes no core either, nor has it piped to a program.
pub(super) fn forbid_dumps() -> Measure {
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(|error| std::io::Error::from(error).into())
}

/// A second lock: it stays if something makes the process dumpable again, and cannot be raised.
pub(super) fn forbid_core_files() -> Measure {
    let nothing = Rlimit { current: Some(0), maximum: Some(0) };
    setrlimit(Resource::Core, nothing).map_err(|error| std::io::Error::from(error).into())
}
