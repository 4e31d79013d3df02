//! Parses flags, loads the config, runs; the only file that prints or exits.

use std::error::Error;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

use anstream::{stderr, stdout};
use clap::{CommandFactory, Parser};
use sidekey::cli::{Cli, Command, ConfigFlag, check, demo, explain, health, live, run, token};
use sidekey::telemetry::PanicNotice;
use sidekey::{Config, InheritedSockets, hardening};

/// What `sysexits.h` calls a configuration error.
const BAD_CONFIG: u8 = 78;
/// What clap exits with, too.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    conceal_panics();
    let command = Cli::parse().command;
    let exposed = matches!(command, Command::Run { no_hardening: true, .. });
    let memory = (!exposed).then(hardening::close_memory);
    let outcome = match command {
        Command::Run { config, log_format, no_hardening: _ } => {
            // Before the config's commands, which would be given the sockets, too.
            let sockets = InheritedSockets::take().map_err(|error| Failure::running(run::RunError::from(error)));
            sockets.and_then(|sockets| run::run(load(&config)?, sockets, log_format, memory).map_err(Failure::running))
        }
        Command::Check { config, live: options } if options.live => {
            load(&config).and_then(|config| {
                match live::live(&config, &options, &mut stdout()).map_err(|error| Failure::of_live(&error))? {
                    live::Outcome::Good | live::Outcome::Warned => Ok(()),
                    live::Outcome::Failed => Err(Failure { text: String::new(), code: ExitCode::FAILURE }),
                }
            })
        }
        Command::Check { config, live: _ } => load(&config)
            .and_then(|config| check::check(&config, &mut stdout()).map_err(|error| Failure::of_check(&error))),
        Command::Explain { config, asked } => load(&config).and_then(|config| {
            match explain::explain(&config, &asked, &mut stdout()).map_err(|error| Failure::of_explain(&error))? {
                explain::Outlook::Sent | explain::Outlook::Answered => Ok(()),
                explain::Outlook::Refused => Err(Failure { text: String::new(), code: ExitCode::FAILURE }),
            }
        }),
        Command::Health { config, live } => {
            health::health(&config.path(), live, &mut stdout()).map_err(|error| Failure::of_health(&error))
        }
        Command::Token => token::token(&mut stdout()).map_err(Failure::running),
        Command::Demo(options) => demo::demo(options, &mut stdout()).map_err(Failure::running),
        Command::RunCommands => run::serve_commands().map_err(Failure::running),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "sidekey", &mut script);
            stdout().write_all(&script).map_err(Failure::running)
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { text, code }) => {
            if !text.is_empty() {
                // Nowhere is left to say that it cannot be said.
                let _ = writeln!(stderr(), "{text}");
            }
            code
        }
    }
}

/// From now on a panic, whichever thread's, says where it was and not what was in it.
fn conceal_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let notice = PanicNotice::of(panic);
        if !notice.log() {
            // Nowhere is left to say that it cannot be said.
            let _ = writeln!(stderr(), "{notice}");
        }
    }));
}

/// What is said, if it was not said already, and the exit code.
struct Failure {
    text: String,
    code: ExitCode,
}

impl Failure {
    fn running(error: impl Error) -> Self {
        Self { text: chain(&error), code: ExitCode::FAILURE }
    }

    fn of_check(error: &check::CheckError) -> Self {
        let code = match error {
            check::CheckError::Serve(_) => BAD_CONFIG.into(),
            check::CheckError::Write(_) => ExitCode::FAILURE,
        };
        Self { text: chain(error), code }
    }

    fn of_live(error: &live::LiveError) -> Self {
        let code = match error {
            live::LiveError::Unknown(_) => USAGE.into(),
            live::LiveError::Serve(_) => BAD_CONFIG.into(),
            live::LiveError::Write(_) => ExitCode::FAILURE,
        };
        Self { text: chain(error), code }
    }

    fn of_health(error: &health::HealthError) -> Self {
        let code = match error {
            health::HealthError::Config(_) => return Self { text: error.to_string(), code: BAD_CONFIG.into() },
            health::HealthError::NoAdmin
            | health::HealthError::AnyPort
            | health::HealthError::Connect(_)
            | health::HealthError::Http(_)
            | health::HealthError::Deadline
            | health::HealthError::Unwell(_) => ExitCode::FAILURE,
        };
        Self { text: chain(error), code }
    }

    fn of_explain(error: &explain::ExplainError) -> Self {
        let code = match error {
            explain::ExplainError::Request(_) | explain::ExplainError::Unknown { .. } => USAGE.into(),
            explain::ExplainError::Write(_) => ExitCode::FAILURE,
        };
        Self { text: chain(error), code }
    }
}

fn load(flag: &ConfigFlag) -> Result<Config, Failure> {
    Config::load(&flag.path()).map_err(|error| Failure { text: error.to_string(), code: BAD_CONFIG.into() })
}

/// An error and its causes, each on a line of its own.
fn chain(error: &dyn Error) -> String {
    let mut text = format!("error: {error}");
    let mut next = error.source();
    while let Some(cause) = next {
        // Writing to a string does not fail.
        let _ = write!(text, "\n  caused by: {cause}");
        next = cause.source();
    }
    text
}
