//! No other program is started, and no other process looked into: whoever takes this one over gets no shell.

use std::env::consts::ARCH;

use seccompiler::{BpfProgram, Error, SeccompAction, SeccompFilter, TargetArch};

use super::{Measure, NotHeld};

/// What fails with EPERM from now on. The list is short, and no argument is looked at: so the kernel knows from the start
/// which calls always pass, and does not run the filter for them.
const FORBIDDEN: [i64; 5] =
    [libc::SYS_execve, libc::SYS_execveat, libc::SYS_ptrace, libc::SYS_process_vm_readv, libc::SYS_process_vm_writev];

/// The same calls by their x32 numbers, which pass for x86-64 where the kernel has that interface.
#[cfg(target_arch = "x86_64")]
const ALSO_FORBIDDEN: [i64; 5] = {
    const X32: i64 = 0x4000_0000;
    [X32 + 520, X32 + 545, X32 + 521, X32 + 539, X32 + 540]
};
#[cfg(not(target_arch = "x86_64"))]
const ALSO_FORBIDDEN: [i64; 0] = [];

/// A program that is started gains nothing by its set-user-ID bit.
pub(super) fn forbid_new_privileges() -> Measure {
    rustix::thread::set_no_new_privs(true).map_err(|error| std::io::Error::from(error).into())
}

pub(super) fn forbid() -> Measure {
    let architecture = TargetArch::try_from(ARCH).map_err(|_| NotHeld::Unsupported)?;
    let rules = FORBIDDEN.into_iter().chain(ALSO_FORBIDDEN).map(|call| (call, Vec::new())).collect();
    let refusal = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let filter: BpfProgram = SeccompFilter::new(rules, SeccompAction::Allow, refusal, architecture)
        .and_then(BpfProgram::try_from)
        .map_err(Error::from)?;
    Ok(seccompiler::apply_filter_all_threads(&filter)?)
}
