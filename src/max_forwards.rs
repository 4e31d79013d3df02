//! How far an OPTIONS request may go (RFC 9110 7.6.2): one that may go no further is answered here.

use http::header::{ALLOW, HeaderValue, MAX_FORWARDS};
use http::{Method, Request, Response};

use crate::headers::{Repeated, single};
use crate::{answer, error};

/// `Max-Forwards` is no number, or there is more than one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`Max-Forwards` must be one whole number")]
pub(crate) struct MaxForwardsError;

/// Counts the hop to the upstream. `Some`: there is none left for it. Other methods have no such limit; TRACE, which
/// has, goes nowhere anyway.
pub(crate) fn count_down<B>(request: &mut Request<B>) -> Result<Option<Response<()>>, MaxForwardsError> {
    if *request.method() != Method::OPTIONS {
        return Ok(None);
    }
    let written = single(request.headers(), &MAX_FORWARDS).map_err(|Repeated| MaxForwardsError)?;
    let Some(written) = written else { return Ok(None) };
    let Some(left) = number(written).ok_or(MaxForwardsError)?.checked_sub(1) else {
        let mut answer = answer::no_content();
        answer.headers_mut().insert(ALLOW, HeaderValue::from_static(error::METHODS));
        return Ok(Some(answer));
    };
    request.headers_mut().insert(MAX_FORWARDS, left.into());
    Ok(None)
}

/// As large a number as fits: a larger one is as good as that.
fn number(value: &HeaderValue) -> Option<u64> {
    let digits = value.to_str().ok().filter(|text| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()))?;
    Some(digits.parse().unwrap_or(u64::MAX))
}
