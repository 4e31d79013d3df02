//! Stage 10, after `headers`: whatever form of its credential an upstream echoes, no caller sees it.
//!
//! [`forms`] says what could be echoed, [`escape`] how it could be written, [`search`] finds it, and [`fields`] and
//! [`body`] put `[redacted:NAME]` in its place. Fields and trailers are always read, bodies with `scrub = "body"`.

mod body;
mod escape;
mod fields;
mod filter;
mod follow;
mod forms;
pub(crate) mod naive;
mod search;

pub(crate) use self::body::BodyScrubber;
pub(crate) use self::fields::{ScrubError, ask_for_identity, clean};
pub(crate) use self::forms::Forms;
pub(crate) use self::search::Scrubber;

#[cfg(test)]
mod tests;
