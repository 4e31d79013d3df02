//! An outbound authenticating reverse proxy.
//!
//! **Your apps make the calls. sidekey holds the keys.** An app sends a plain request; sidekey recognises the upstream
//! that is meant, puts that vendor's credential on, and sends it over TLS. The app never holds a secret.
//!
//! # The request path
//!
//! `proxy` is the whole path on one page; each stage is a module, in the order in which a request meets them:
//!
//! | module | question | makes |
//! |---|---|---|
//! | `wire` | is it HTTP, beyond doubt? | the bytes that hyper may see |
//! | `browser` | does a web page ask? | `Page`, where one may |
//! | `route` | which upstream is meant? | `Target` |
//! | `caller` | who is asking? | `Caller` |
//! | `policy` | may they? | [`Grant`] |
//! | `limits` | is there room? | `Permit` |
//! | `headers` | what may cross? | `Outgoing` |
//! | `credential` | how does the credential go on? | [`Authorized`] |
//! | `upstream` | what does the vendor say? | `Answer` |
//! | `headers`, `scrub` | what of it may the caller see? | the answer |
//!
//! The types hold the order: a [`Grant`] has one maker and is used up by placing the credential, and nothing but what
//! is [`Authorized`] can be sent.

mod admin;
mod alias;
mod answer;
mod browser;
mod caller;
pub mod cli;
mod config;
mod correlation;
mod credential;
mod error;
#[doc(hidden)]
pub mod fuzzing;
pub mod hardening;
mod headers;
mod limits;
mod max_forwards;
mod policy;
mod proxy;
mod random;
mod retry_after;
mod route;
pub mod sandbox;
mod scrub;
mod secret;
mod server;
mod service_manager;
pub mod telemetry;
mod upstream;
mod wire;

pub use config::{Config, ConfigError, Position, Problem};
pub use credential::Authorized;
pub use policy::Grant;
pub use secret::Secret;
pub use server::{BoundAddress, Drained, InheritError, InheritedSockets, Reloads, ServeError, Server};
