//! One run of a program: its standard output is the secret, and it has until a deadline, as has whatever it starts.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncReadExt;
use tokio::process::{Child, ChildStdout, Command};
use tokio::runtime::Builder;
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::CommandError;
use crate::secret::source::MAX_READ;

/// How long a program may take to end that was killed: all that it has left to do is the kernel's.
const END: Duration = Duration::from_secs(1);
/// What the service manager means for this process alone.
const NOT_INHERITED: [&str; 6] =
    ["NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"];

/// Runs the program of `line` with its arguments, without a shell. Not for a thread that is a runtime's.
///
/// More than a secret may have is cut off, and is more than a secret may have still.
pub(super) fn run(line: &[String], limit: Duration) -> Result<Zeroizing<Vec<u8>>, CommandError> {
    let runtime = Builder::new_current_thread().enable_all().build().map_err(|_| CommandError::NotStarted)?;
    runtime.block_on(run_within(line, limit))
}

async fn run_within(line: &[String], limit: Duration) -> Result<Zeroizing<Vec<u8>>, CommandError> {
    let mut child = start(line)?;
    let stdout = child.stdout.take().ok_or(CommandError::NotStarted)?;
    let finished = timeout(limit, async {
        match read(stdout).await? {
            Output::Whole(bytes) => Ok((bytes, Some(child.wait().await?))),
            Output::TooLong(bytes) => Ok::<_, io::Error>((bytes, None)),
        }
    });
    let finished = finished.await;
    match finished {
        Ok(Ok((bytes, Some(status)))) => of_status(status).map(|()| bytes),
        Ok(Ok((bytes, None))) => {
            kill(&mut child).await;
            Ok(bytes)
        }
        Ok(Err(_)) => {
            kill(&mut child).await;
            Err(CommandError::NotStarted)
        }
        Err(_) => {
            kill(&mut child).await;
            Err(CommandError::TimedOut)
        }
    }
}

fn start(line: &[String]) -> Result<Child, CommandError> {
    let (program, arguments) = line.split_first().ok_or(CommandError::NoProgram)?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    for name in NOT_INHERITED {
        command.env_remove(name);
    }
    // A group of its own, so that what it starts can be ended with it.
    let child = command.process_group(0).kill_on_drop(true).spawn();
    child.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => CommandError::NoProgram,
        io::ErrorKind::PermissionDenied => CommandError::Denied,
        _ => CommandError::NotStarted,
    })
}

enum Output {
    Whole(Zeroizing<Vec<u8>>),
    TooLong(Zeroizing<Vec<u8>>),
}

/// Reads into one buffer that never grows, as growing would leave a copy behind.
async fn read(mut stdout: ChildStdout) -> io::Result<Output> {
    let mut buffer = Zeroizing::new(vec![0; MAX_READ]);
    let mut filled = 0;
    while let Some(free) = buffer.get_mut(filled..).filter(|free| !free.is_empty()) {
        match stdout.read(free).await? {
            0 => {
                buffer.truncate(filled);
                return Ok(Output::Whole(buffer));
            }
            count => filled += count,
        }
    }
    Ok(Output::TooLong(buffer))
}

async fn kill(child: &mut Child) {
    // No id: it has ended, and its group's number may be another's.
    if let Some(group) = child.id().and_then(|id| Pid::from_raw(id.cast_signed())) {
        let _ = kill_process_group(group, Signal::KILL);
    }
    let _ = timeout(END, child.wait()).await;
}

fn of_status(status: ExitStatus) -> Result<(), CommandError> {
    match (status.code(), status.signal()) {
        (Some(0), _) => Ok(()),
        (Some(code), _) => Err(CommandError::Failed(code)),
        (None, signal) => Err(CommandError::Killed(signal.unwrap_or_default())),
    }
}
