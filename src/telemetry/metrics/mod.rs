//! What is counted, and how it is told. A worker counts in cells of its own ([`accounts`]), found when a config is loaded
//! ([`registry`]); a scrape adds them up ([`ledger`]) and writes them ([`families`], [`exposition`]) with what all workers share ([`standing`]). Labels come from
//! the config, never from a request.

mod accounts;
mod cells;
mod exposition;
mod families;
mod handshakes;
mod ledger;
mod process;
mod registry;
mod standing;

pub(crate) use self::accounts::{Ended, Outcome, UpstreamAccount};
pub(crate) use self::exposition::Format;
pub(crate) use self::families::render;
pub(crate) use self::handshakes::Handshake;
pub(crate) use self::ledger::{Accounts, Ledger};
pub(crate) use self::process::ProcessFiles;
pub(crate) use self::registry::{CallerId, begin_worker, on_worker, upstream};
