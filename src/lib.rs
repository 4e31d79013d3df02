//! An outbound authenticating reverse proxy.
//!
//! **Your apps make the calls. sidekey holds the keys.** An app sends a plain request; sidekey recognises the upstream
//! that is meant, puts that vendor's credential on, and sends it over TLS. The app never holds a secret.
//!
//! # The request path
//!
//! `proxy` is the whole path on one page; each stage is a module, in the order in which a request meets them:
//!
//! | stage | module | question | makes |
//! |---|---|---|---|
//! | 1 | `wire` | is it HTTP, beyond doubt? | a head, and where its body ends |
//! | 2 | `browser` | does a web page ask? | `Page`, where one may |
//! | 3 | `route` | which upstream is meant? | `Target` |
//! | 4 | `caller` | who is asking? | `Caller` |
//! | 5 | `policy` | may they? | [`Grant`] |
//! | 6 | `limits` | is there room? | `Permit` |
//! | 7 | `headers` | what may cross? | `Outgoing` |
//! | 8 | `credential` | how does the credential go on? | [`Authorized`] |
//! | 9 | `upstream` | what does the vendor say? | `Answer` |
//! | 10 | `headers`, `scrub` | what of it may the caller see? | the answer |
//! | | `tunnel` | has it become a WebSocket? | bytes, both ways |
//!
//! The types hold the order: a [`Grant`] has one maker and is used up by placing the credential, and nothing but what
//! is [`Authorized`] can be sent.
//!
//! What goes along it is a `message`: a head, whose `fields` stand as they were read, and a body.
//!
//! Around the path: `config` says what is to be done and `secret` reads the keys; `server` binds, accepts, reloads and drains;
//! `telemetry` and `admin` tell how it goes.

mod admin;
mod alias;
mod answer;
mod browser;
mod byte_set;
mod caller;
mod certificate;
pub mod cli;
mod config;
mod correlation;
mod credential;
mod error;
mod fields;
#[doc(hidden)]
pub mod fuzzing;
pub mod hardening;
mod headers;
mod limits;
mod max_forwards;
mod message;
mod octets;
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
mod tunnel;
mod upstream;
mod wire;

pub use config::{Config, ConfigError, Position, Problem};
pub use credential::Authorized;
pub use policy::Grant;
pub use secret::Secret;
pub use server::{BoundAddress, Drained, InheritError, InheritedSockets, Reloads, ServeError, Server};
