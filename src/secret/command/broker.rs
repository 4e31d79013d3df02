//! The process that runs commands for one that is hardened, and may not. It is started before, and is told then what it
//! may run: whoever takes the proxy over can have these commands run, whose secrets it has, and no other.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use zeroize::Zeroizing;

use super::{CommandError, child};
use crate::secret::source::MAX_READ;

/// The subcommand, which no user is told of.
pub(crate) const SUBCOMMAND: &str = "run-commands";
/// How much longer than a command an answer may take.
const SLACK: Duration = Duration::from_secs(5);
/// A list of commands is at most this long, in bytes.
const MAX_LIST: u32 = 16 * 1024 * 1024;

/// The hardened process's end.
pub(super) struct Broker {
    lines: Vec<Vec<String>>,
    /// `None`: it is gone, or there is nothing to run.
    connection: Option<UnixStream>,
}

impl Broker {
    /// Starts the process, unless there is nothing to run.
    pub(super) fn start(lines: Vec<Vec<String>>) -> io::Result<Self> {
        if lines.is_empty() {
            return Ok(Self { lines, connection: None });
        }
        let (mut ours, theirs) = UnixStream::pair()?;
        let mut command = Command::new(std::env::current_exe()?);
        // A group of its own: Ctrl-C is for the proxy, which may have to finish what has begun.
        command.arg(SUBCOMMAND).stdin(Stdio::from(OwnedFd::from(theirs))).stdout(Stdio::null()).process_group(0);
        // It ends when the connection does, and is not waited for.
        command.spawn()?;
        write_frame(&mut ours, serde_json::Value::from(lines.clone()).to_string().as_bytes())?;
        Ok(Self { lines, connection: Some(ours) })
    }

    pub(super) fn run(&mut self, line: &[String], limit: Duration) -> Result<Zeroizing<Vec<u8>>, CommandError> {
        let index = self.lines.iter().position(|known| known == line).ok_or(CommandError::Unknown)?;
        let connection = self.connection.as_mut().ok_or(CommandError::NoBroker)?;
        if let Ok(outcome) = ask(connection, index, limit) {
            return outcome;
        }
        // Whatever comes now would be taken for the answer to another question.
        let _ = connection.shutdown(Shutdown::Both);
        self.connection = None;
        Err(CommandError::NoBroker)
    }
}

/// A question is a command's place in the list and how long it may take; an answer is one byte of what became of it, one
/// number about that, and what was printed.
fn ask(
    connection: &mut UnixStream,
    index: usize,
    limit: Duration,
) -> io::Result<Result<Zeroizing<Vec<u8>>, CommandError>> {
    connection.set_read_timeout(Some(limit.saturating_add(SLACK)))?;
    connection.write_all(&u32::try_from(index).unwrap_or(u32::MAX).to_be_bytes())?;
    connection.write_all(&u32::try_from(limit.as_millis()).unwrap_or(u32::MAX).to_be_bytes())?;
    let [outcome] = read_array(connection)?;
    let detail = i32::from_be_bytes(read_array(connection)?);
    let output = read_frame(connection, u32::try_from(MAX_READ).unwrap_or(u32::MAX))?;
    match outcome {
        0 => Ok(Ok(output)),
        _ => of_outcome(outcome, detail).map(Err).ok_or_else(|| io::ErrorKind::InvalidData.into()),
    }
}

/// The other end: runs what it is asked to until nobody is left to ask.
///
/// # Errors
/// Standard input is no connection, or not one with a process of this kind.
pub(crate) fn serve() -> io::Result<()> {
    let _runtime = outlive_hang_up()?;
    answer(UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?))
}

/// Whoever asks all processes of this name for a reload (`pkill -HUP`) means the proxy, and would end this one. It is caught
/// rather than ignored: what is caught is as it was for a program that is started.
fn outlive_hang_up() -> io::Result<Runtime> {
    let runtime = Builder::new_current_thread().enable_io().build()?;
    // tokio never gives a signal back that it has once caught, whoever listens.
    runtime.block_on(async { signal(SignalKind::hangup()).map(drop) })?;
    Ok(runtime)
}

fn answer(mut connection: UnixStream) -> io::Result<()> {
    let list = read_frame(&mut connection, MAX_LIST)?;
    let lines: Vec<Vec<String>> = serde_json::from_slice(&list)?;
    loop {
        let index = match read_array(&mut connection) {
            Ok(index) => u32::from_be_bytes(index),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => return Err(error),
        };
        let limit = Duration::from_millis(u32::from_be_bytes(read_array(&mut connection)?).into());
        let line = usize::try_from(index).ok().and_then(|index| lines.get(index));
        let outcome = line.ok_or(CommandError::Unknown).and_then(|line| child::run(line, limit));
        let (outcome, detail, output) = match &outcome {
            Ok(output) => (0, 0, output.as_slice()),
            Err(error) => {
                let (outcome, detail) = to_outcome(*error);
                (outcome, detail, &[][..])
            }
        };
        connection.write_all(&[outcome])?;
        connection.write_all(&detail.to_be_bytes())?;
        write_frame(&mut connection, output)?;
    }
}

fn to_outcome(error: CommandError) -> (u8, i32) {
    match error {
        CommandError::NoProgram => (1, 0),
        CommandError::Denied => (2, 0),
        CommandError::NotStarted => (3, 0),
        CommandError::Failed(status) => (4, status),
        CommandError::Killed(signal) => (5, signal),
        CommandError::TimedOut => (6, 0),
        CommandError::Unknown => (7, 0),
        CommandError::NoBroker => (8, 0),
    }
}

fn of_outcome(outcome: u8, detail: i32) -> Option<CommandError> {
    match outcome {
        1 => Some(CommandError::NoProgram),
        2 => Some(CommandError::Denied),
        3 => Some(CommandError::NotStarted),
        4 => Some(CommandError::Failed(detail)),
        5 => Some(CommandError::Killed(detail)),
        6 => Some(CommandError::TimedOut),
        7 => Some(CommandError::Unknown),
        8 => Some(CommandError::NoBroker),
        _ => None,
    }
}

fn read_array<const LENGTH: usize>(from: &mut impl Read) -> io::Result<[u8; LENGTH]> {
    let mut bytes = [0; LENGTH];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn read_frame(from: &mut impl Read, longest: u32) -> io::Result<Zeroizing<Vec<u8>>> {
    let length = u32::from_be_bytes(read_array(from)?);
    if length > longest {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut bytes = Zeroizing::new(vec![0; usize::try_from(length).unwrap_or_default()]);
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn write_frame(to: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    let length = u32::try_from(bytes.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    to.write_all(&length.to_be_bytes())?;
    to.write_all(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::net::UnixStream;
    use std::thread;
    use std::time::Duration;

    use super::{Broker, CommandError, answer, of_outcome, to_outcome, write_frame};

    fn shell(script: &str) -> Vec<String> {
        ["sh", "-c", script].map(String::from).to_vec()
    }

    #[test]
    fn it_runs_what_it_was_told_of_at_first_and_nothing_else() {
        const LIMIT: Duration = Duration::from_secs(20);
        let lines = vec![shell("printf secret"), shell("exit 3"), shell("sleep 60")];
        let (ours, theirs) = UnixStream::pair().unwrap();
        let list = serde_json::Value::from(lines.clone()).to_string();
        write_frame(&mut &ours, list.as_bytes()).unwrap();
        let other_end = thread::spawn(|| answer(theirs));
        // As a proxy that was taken over would, it asks for what is not on the list.
        let longer = [lines, vec![shell("printf unlisted")]].concat();
        let mut broker = Broker { lines: longer, connection: Some(ours) };
        for _ in 0..2 {
            assert_eq!(broker.run(&shell("printf secret"), LIMIT).unwrap().as_slice(), b"secret");
            assert_eq!(broker.run(&shell("exit 3"), LIMIT).map(drop), Err(CommandError::Failed(3)));
            assert_eq!(broker.run(&shell("printf unlisted"), LIMIT).map(drop), Err(CommandError::Unknown));
            assert_eq!(broker.run(&shell("printf new"), LIMIT).map(drop), Err(CommandError::Unknown));
        }
        let short = Duration::from_millis(300);
        assert_eq!(broker.run(&shell("sleep 60"), short).map(drop), Err(CommandError::TimedOut));
        drop(broker);
        other_end.join().unwrap().unwrap();
    }

    #[test]
    fn one_that_is_gone_or_talks_nonsense_is_asked_no_more() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        // What became of it, a number, and a length that no secret has.
        theirs.write_all(&[0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]).unwrap();
        let line = shell("printf secret");
        let mut broker = Broker { lines: vec![line.clone()], connection: Some(ours) };
        for _ in 0..2 {
            assert_eq!(broker.run(&line, Duration::from_secs(1)).map(drop), Err(CommandError::NoBroker));
            assert!(broker.connection.is_none());
        }
    }

    #[test]
    fn what_became_of_a_command_is_told_as_it_was() {
        for error in [
            CommandError::NoProgram,
            CommandError::Denied,
            CommandError::NotStarted,
            CommandError::Failed(17),
            CommandError::Killed(9),
            CommandError::TimedOut,
            CommandError::Unknown,
            CommandError::NoBroker,
        ] {
            let (outcome, detail) = to_outcome(error);
            assert_eq!(of_outcome(outcome, detail), Some(error));
            assert_ne!(outcome, 0);
        }
        assert_eq!(of_outcome(0, 0), None);
        assert_eq!(of_outcome(255, 0), None);
    }
}
