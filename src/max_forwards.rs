//! How far an OPTIONS request may go (RFC 9110 7.6.2): one that may go no further is answered here.

use http::header::{ALLOW, HeaderValue, MAX_FORWARDS};
use http::{Method, Response};

use crate::fields::{Repeated, ascii};
use crate::message::RequestHead;
use crate::{answer, error};

/// `Max-Forwards` is no number, or there is more than one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`Max-Forwards` must be one whole number")]
pub(crate) struct MaxForwardsError;

/// Counts the hop to the upstream. `Some`: there is none left for it. Other methods have no such limit; TRACE, which
/// has, goes nowhere anyway.
pub(crate) fn count_down(head: &mut RequestHead) -> Result<Option<Response<()>>, MaxForwardsError> {
    if head.method != Method::OPTIONS {
        return Ok(None);
    }
    let written = head.fields.single(&MAX_FORWARDS).map_err(|Repeated| MaxForwardsError)?;
    let Some(written) = written else { return Ok(None) };
    let Some(left) = number(written).ok_or(MaxForwardsError)?.checked_sub(1) else {
        let mut answer = answer::no_content();
        answer.headers_mut().insert(ALLOW, HeaderValue::from_static(error::METHODS));
        return Ok(Some(answer));
    };
    head.fields.put_number(&MAX_FORWARDS, left);
    Ok(None)
}

/// As large a number as fits: a larger one is as good as that.
fn number(value: &[u8]) -> Option<u64> {
    let digits = ascii(value).filter(|text| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()))?;
    Some(digits.parse().unwrap_or(u64::MAX))
}
