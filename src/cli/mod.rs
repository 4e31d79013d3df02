//! The command line: what may be written, and one file for each command. Nothing here prints or exits.

pub mod check;
pub mod demo;
pub mod explain;
pub mod health;
pub mod live;
pub mod run;
pub mod token;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::telemetry::LogFormat;

/// Your apps make the calls. sidekey holds the keys.
#[derive(Parser)]
#[command(name = "sidekey", version, about, propagate_version = true, arg_required_else_help = true)]
#[command(after_help = "Exit codes: 0 done, 1 failed while running, 2 usage, 78 bad config")]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What sidekey can do.
#[derive(Subcommand)]
pub enum Command {
    /// Serve until SIGTERM or SIGINT, then finish what has begun
    Run {
        /// Which config.
        #[command(flatten)]
        config: ConfigFlag,
        /// How log lines look [default: human on a terminal, else json]
        #[arg(long, value_name = "FORMAT")]
        log_format: Option<LogFormat>,
        /// Let debuggers in: keep the memory readable, the file system open, and leave core files
        #[arg(long)]
        no_hardening: bool,
    },
    /// Ask a running proxy whether it is ready; exit code 0 if it is, 1 if not. Needs `[admin]`, and no secret
    Health {
        /// Which config.
        #[command(flatten)]
        config: ConfigFlag,
        /// Ask only whether it is alive: it is while it drains, too
        #[arg(long)]
        live: bool,
    },
    /// Say everything that is wrong with a config; with --live, what the vendors make of it. The exit code is then 1 if
    /// an upstream fails
    Check {
        /// Which config.
        #[command(flatten)]
        config: ConfigFlag,
        /// How far.
        #[command(flatten)]
        live: live::Live,
    },
    /// Say what would become of a request: which upstream, which rule, which headers cross. Nothing is sent; the exit
    /// code is 1 if it would be refused
    Explain {
        /// Which config.
        #[command(flatten)]
        config: ConfigFlag,
        /// Which request.
        #[command(flatten)]
        asked: explain::Question,
    },
    /// Print a new token for a caller
    Token,
    /// Show sidekey at work, before stand-ins of five vendors
    Demo(demo::Demo),
    /// Run the commands of a config for `run`, which starts this before it is hardened
    #[command(name = crate::secret::command::broker::SUBCOMMAND, hide = true)]
    RunCommands,
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// `--config`, and where a config is looked for without it.
#[derive(Args)]
pub struct ConfigFlag {
    /// The config file [default: ./sidekey.toml, else /etc/sidekey/sidekey.toml]
    #[arg(long, short, value_name = "FILE", env = "SIDEKEY_CONFIG", hide_env_values = true)]
    config: Option<PathBuf>,
}

impl ConfigFlag {
    /// The file that is meant. The second place answers for both, where there is neither.
    pub fn path(&self) -> PathBuf {
        let here = PathBuf::from("sidekey.toml");
        match &self.config {
            Some(path) => path.clone(),
            None if here.exists() => here,
            None => PathBuf::from("/etc/sidekey/sidekey.toml"),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Cli;

    #[test]
    fn the_command_line_contradicts_itself_nowhere() {
        Cli::command().debug_assert();
    }
}
