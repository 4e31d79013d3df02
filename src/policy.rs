//! Stage 5: may they? A [`Grant`] is made here and nowhere else.

mod path;
pub(crate) mod rules;

use std::mem;

use http::{HeaderName, Method};

use self::path::AmbiguousPath;
pub(crate) use self::path::PlainPath;
use self::rules::{Rules, Verdict};
use crate::alias;
use crate::caller::Caller;
use crate::fields::Fields;
use crate::message::{Path, RequestHead};
use crate::route::Target;

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PolicyError {
    #[error("TRACE would show the credential to the caller")]
    Trace,
    #[error("`upstreams` of this caller does not name the upstream")]
    NotForCaller,
    #[error("no rule of `allow` matches")]
    NotAllowed,
    #[error("`deny` has the rule `{0}`")]
    Denied(Box<str>),
    #[error(transparent)]
    Path(#[from] AmbiguousPath),
    #[error("`{0}` could make another request of this one")]
    Override(Box<str>),
}

/// What becomes of a request that a rule refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Enforce,
    /// It passes, and the log says what would have become of it.
    Report,
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
    reported: Option<PolicyError>,
}

/// Fields by which a request is, to some servers, one for another method or path than it says.
static OVERRIDES: [HeaderName; 8] = [
    HeaderName::from_static("x-http-method-override"),
    HeaderName::from_static("x-http-method"),
    HeaderName::from_static("x-method-override"),
    HeaderName::from_static("x-original-url"),
    HeaderName::from_static("x-rewrite-url"),
    HeaderName::from_static("x-original-uri"),
    HeaderName::from_static("x-override-url"),
    HeaderName::from_static("x-http-path-override"),
];
const SHORTEST_OVERRIDE: usize = "x-http-method".len();

/// Decides. Fails closed: what is not granted goes nowhere.
pub(crate) fn decide(caller: &Caller, target: Target, head: &RequestHead) -> Result<Grant, PolicyError> {
    // Methods are case-sensitive, and there are servers that do not know; TRACK is what some of them call it.
    if ["TRACE", "TRACK"].iter().any(|name| head.method.as_str().eq_ignore_ascii_case(name)) {
        return Err(PolicyError::Trace);
    }
    let upstream = &target.upstream;
    let callers_rules = caller.rules_for(upstream.name()).ok_or(PolicyError::NotForCaller)?;
    let judged = Sought { method: &head.method, fields: &head.fields, path: &target.path }
        .judge([upstream.rules(), callers_rules]);
    match (judged.map(drop), upstream.mode()) {
        (Ok(()), _) => Ok(Grant { target, reported: None }),
        (Err(error), Mode::Enforce) => Err(error),
        (Err(error), Mode::Report) => Ok(Grant { target, reported: Some(error) }),
    }
}

/// What rules look at.
pub(crate) struct Sought<'a> {
    pub(crate) method: &'a Method,
    pub(crate) fields: &'a Fields,
    /// As it goes upstream.
    pub(crate) path: &'a Path,
}

impl Sought<'_> {
    /// Judges by all of `rules`: the upstream's, and the caller's within it. Where none is in force, nothing is looked
    /// at.
    pub(crate) fn judge<'r>(&self, rules: [&'r Rules; 2]) -> Result<[Verdict<'r>; 2], PolicyError> {
        if !rules.iter().any(|rules| rules.are_in_force()) {
            return Ok([Verdict::Unruled; 2]);
        }
        if let Some(name) = self.fields.names().find(|name| names_another(name)) {
            return Err(PolicyError::Override(String::from_utf8_lossy(name).into()));
        }
        let path = PlainPath::read(self.path.path())?;
        let verdicts = rules.map(|rules| rules.judge(self.method, &path));
        for verdict in verdicts {
            match verdict {
                Verdict::Unruled | Verdict::AllowedBy(_) => {}
                Verdict::DeniedBy(rule) => return Err(PolicyError::Denied(rule.to_string().into())),
                Verdict::NotAllowed => return Err(PolicyError::NotAllowed),
            }
        }
        Ok(verdicts)
    }
}

/// Whether some server takes the method or path from this field.
pub(crate) fn names_another(name: &[u8]) -> bool {
    // Most names need no look at each: all of them begin with `x-`, which may have `http-` before it, or what is no letter,
    // and none is longer than what is taken for it.
    let begins_one = |first: &u8| matches!(first, b'x' | b'h') || !first.is_ascii_alphanumeric();
    name.len() >= SHORTEST_OVERRIDE && name.first().is_some_and(begins_one) && is_override(name)
}

fn is_override(name: &[u8]) -> bool {
    let is_one = || OVERRIDES.iter().any(|one| one.as_str().as_bytes() == name);
    !alias::stands_alone(name) && (is_one() || alias::is_alias(name, &OVERRIDES, |_| false))
}

impl Grant {
    /// What was granted.
    pub(crate) fn target(&self) -> &Target {
        &self.target
    }

    /// Takes out what was asked for, to be put on the request: nobody asks what it was after that.
    pub(crate) fn take_path(&mut self) -> Path {
        mem::take(&mut self.target.path)
    }

    /// Why it would have been refused, were the rules in force.
    pub(crate) fn reported(&self) -> Option<&PolicyError> {
        self.reported.as_ref()
    }

    /// Ends the grant: what was granted is being done.
    pub(crate) fn into_target(self) -> Target {
        self.target
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::{OVERRIDES, SHORTEST_OVERRIDE, names_another};

    #[test]
    fn each_override_is_one_and_so_is_what_is_taken_for_it() {
        assert_eq!(OVERRIDES.iter().map(|name| name.as_str().len()).min(), Some(SHORTEST_OVERRIDE));
        for name in &OVERRIDES {
            let with = |between: &str| HeaderName::from_bytes(name.as_str().replace('-', between).as_bytes()).unwrap();
            let before = |prefix| HeaderName::try_from(format!("{prefix}{name}")).unwrap();
            let before = ["http-", "http_", "x-", "http-x-", "_", "-", "~.", "HTTP_X_"].map(before);
            for taken in [name.clone(), with("_"), with(".")].into_iter().chain(before) {
                assert!(names_another(taken.as_str().as_bytes()), "{taken}");
            }
        }
        for name in ["x-original-uris", "original-url", "x-http", "http-x-original", "accept"] {
            assert!(!names_another(name.as_bytes()), "{name}");
        }
    }
}
