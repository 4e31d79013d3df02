//! What the process gives up, so that a fault in it is worth less: its memory is closed to others from the start, and
//! once it has bound it can open only the files that it serves with, and start no program.
//!
//! A measure that this system lacks is left out and said to be so: it never stops the proxy from serving.

#[cfg(not(target_os = "linux"))]
mod elsewhere;
#[cfg(target_os = "linux")]
mod files;
#[cfg(target_os = "linux")]
mod memory;
mod places;
#[cfg(target_os = "linux")]
mod programs;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests;

use std::io;

#[cfg(not(target_os = "linux"))]
use self::elsewhere::{files, memory, programs};
pub(crate) use self::places::Places;

/// Why a measure does not hold.
#[derive(Debug, thiserror::Error)]
enum NotHeld {
    #[error("this system does not have it")]
    Unsupported,
    #[error("this system has only a part of it")]
    Partial,
    #[error("refused: {0}")]
    Refused(#[from] io::Error),
    #[cfg(target_os = "linux")]
    #[error("refused: {0}")]
    Ruleset(#[from] landlock::RulesetError),
    #[cfg(target_os = "linux")]
    #[error("refused: {0}")]
    Filter(#[from] seccompiler::Error),
}

type Measure = Result<(), NotHeld>;

/// Whether this process's memory is closed to others.
pub struct ClosedMemory {
    not_dumpable: Measure,
    no_core_files: Measure,
}

/// Closes memory and environment of this process to other processes of its user, and leaves no copy of it on disk.
pub fn close_memory() -> ClosedMemory {
    ClosedMemory { not_dumpable: memory::forbid_dumps(), no_core_files: memory::forbid_core_files() }
}

/// What became of every measure.
pub(crate) struct Hardening {
    memory: ClosedMemory,
    no_new_privs: Measure,
    landlock: Measure,
    seccomp: Measure,
}

impl Hardening {
    /// Gives up everything but `places`. It holds for this thread, and for those that it starts from now on: so it comes
    /// before any other.
    pub(crate) fn apply(memory: ClosedMemory, places: &Places) -> Self {
        Self {
            memory,
            no_new_privs: programs::forbid_new_privileges(),
            landlock: files::confine(places),
            seccomp: programs::forbid(),
        }
    }

    /// Says in one line whether each holds.
    pub(crate) fn log(&self) {
        let Self { memory: ClosedMemory { not_dumpable, no_core_files }, no_new_privs, landlock, seccomp } = self;
        let measures = [not_dumpable, no_core_files, no_new_privs, landlock, seccomp];
        let whole = measures.iter().all(|measure| measure.is_ok());
        let [not_dumpable, no_core_files, no_new_privs, landlock, seccomp] = measures.map(outcome);
        macro_rules! tell {
            ($level:ident, $message:literal) => {
                tracing::$level!(
                    target: "process", not_dumpable, no_core_files, no_new_privs, landlock, seccomp, $message
                )
            };
        }
        if whole {
            tell!(info, "hardened");
        } else {
            tell!(warn, "hardened, but not in full");
        }
    }
}

fn outcome(measure: &Measure) -> String {
    match measure {
        Ok(()) => "holds".to_owned(),
        Err(error) => format!("does not hold: {error}"),
    }
}
