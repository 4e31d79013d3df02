//! Stage 3: may they? A [`Grant`] is made here and nowhere else.

use http::Request;

use crate::caller::Caller;
use crate::route::Target;

/// Why a request is refused, whoever asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PolicyError {
    #[error("TRACE would show the credential to the caller")]
    Trace,
}

/// The decision that this caller may make this request to this upstream. It is used up by placing the credential.
///
/// Only this crate's policy makes one:
///
/// ```compile_fail,E0451
/// fn forge(grant: sidekey::Grant) -> sidekey::Grant {
///     sidekey::Grant { ..grant }
/// }
/// ```
///
/// and it cannot be used twice:
///
/// ```compile_fail,E0599
/// fn twice(grant: sidekey::Grant) -> (sidekey::Grant, sidekey::Grant) {
///     (grant.clone(), grant)
/// }
/// ```
///
/// where one use is fine:
///
/// ```
/// fn once(grant: sidekey::Grant) -> sidekey::Grant {
///     grant
/// }
/// ```
pub struct Grant {
    target: Target,
}

/// Decides. Fails closed: what is not granted goes nowhere.
pub(crate) fn decide<B>(_caller: Caller, target: Target, request: &Request<B>) -> Result<Grant, PolicyError> {
    // Methods are case-sensitive, and there are servers that do not know; TRACK is what some of them call it.
    if ["TRACE", "TRACK"].iter().any(|name| request.method().as_str().eq_ignore_ascii_case(name)) {
        return Err(PolicyError::Trace);
    }
    Ok(Grant { target })
}

impl Grant {
    /// What was granted.
    pub(crate) fn target(&self) -> &Target {
        &self.target
    }

    /// Ends the grant: what was granted is being done.
    pub(crate) fn into_target(self) -> Target {
        self.target
    }
}
