//! `sidekey check --live`: looks at every upstream at once, through the very stages and connections of the request
//! path, and says what became of each step. `look` finds out, `report` keeps it, `show` and `json` say it.

mod answer;
mod certificate;
mod clock;
mod json;
mod look;
mod plain;
mod report;
mod show;

use std::io::{self, Write};
use std::rc::Rc;
use std::time::Duration;

use futures_util::stream::{FuturesOrdered, StreamExt};

use self::report::{Level, Report};
use crate::ServeError;
use crate::config::{self, Config, units};
use crate::server::with_upstreams;
use crate::upstream::Upstream;

/// How far `check` goes.
#[derive(Clone, Debug, clap::Args)]
pub struct Live {
    /// Ask the vendors, too: name, connection, certificate, credential, quota, clock
    #[arg(long)]
    pub live: bool,
    /// With --live: for programs, as one JSON object
    #[arg(long, requires = "live")]
    pub json: bool,
    /// With --live: give up after so long, such as `10s`
    #[arg(long, requires = "live", value_name = "DURATION", default_value = "30s", value_parser = timeout)]
    pub timeout: Duration,
    /// With --live: look at these upstreams alone
    #[arg(requires = "live", value_name = "UPSTREAM")]
    pub upstreams: Vec<String>,
}

fn timeout(text: &str) -> Result<Duration, String> {
    let duration = units::duration(text).filter(|duration| !duration.is_zero());
    duration.ok_or_else(|| format!("expected {}", units::DURATION))
}

/// How an upstream, or all of them, came off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// Nothing is wrong.
    Good,
    /// A request would come through, but there is something to know.
    Warned,
    /// A request would not come through, or not be accepted.
    Failed,
}

/// Why nothing was looked at, or nothing can be said of it.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// The config has none of this name.
    #[error("there is no upstream `{0}` in the config")]
    Unknown(String),
    /// What only serving would have found.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// The result cannot be written.
    #[error("cannot write the result")]
    Write(#[from] io::Error),
}

/// Looks at the upstreams of `config`, and says on `out` what it found. Styles are written as escapes: `out` strips them
/// where they are not wanted.
///
/// # Errors
/// An upstream that is not in the config, what only serving would have found, or nothing can be written.
pub fn live(config: &Config, options: &Live, out: &mut impl Write) -> Result<Outcome, LiveError> {
    let known = |name: &str| config.upstreams.iter().any(|upstream| *upstream.name == *name);
    if let Some(unknown) = options.upstreams.iter().find(|name| !known(name)) {
        return Err(LiveError::Unknown(unknown.clone()));
    }
    let is_meant = |upstream: &config::Upstream| {
        options.upstreams.is_empty() || options.upstreams.iter().any(|name| *upstream.name == **name)
    };
    with_upstreams(config, async |upstreams: Vec<Rc<Upstream>>| {
        let pairs = upstreams.iter().zip(&config.upstreams).filter(|(_, upstream)| is_meant(upstream));
        let looks: FuturesOrdered<_> =
            pairs.map(|(upstream, config)| look::look(upstream, config, options.timeout)).collect();
        say(looks, config, options, out).await.map_err(LiveError::from)
    })?
}

/// Says it upstream by upstream, as soon as it is known; a JSON object is whole at the end.
async fn say<'a>(
    mut looks: FuturesOrdered<impl Future<Output = Report<'a>>>,
    config: &Config,
    options: &Live,
    out: &mut impl Write,
) -> io::Result<Outcome> {
    let mut reports = Vec::with_capacity(looks.len());
    while let Some(report) = looks.next().await {
        if !options.json {
            show::block(out, &report)?;
        }
        reports.push(report);
    }
    let outcome = reports.iter().map(Report::outcome).max().unwrap_or(Outcome::Good);
    if options.json {
        json::write(out, outcome, &reports, config.warnings())?;
    } else {
        show::ending(out, &reports, config.warnings())?;
    }
    Ok(outcome)
}

impl From<Level> for Outcome {
    fn from(level: Level) -> Self {
        match level {
            Level::Note => Self::Good,
            Level::Warning => Self::Warned,
            Level::Failure => Self::Failed,
        }
    }
}
