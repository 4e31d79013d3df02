//! Stage 5: places the credential, as the last thing that is done to a request.

use std::time::SystemTime;

use http::header::{CONTENT_LENGTH, EXPECT, TRAILER, TRANSFER_ENCODING};

use super::PlaceError;
use crate::headers::Outgoing;
use crate::policy::Grant;
use crate::route::Target;
use crate::upstream::{CollectError, Exchange, RequestBody};

/// A request with its credential on, which is all that can be sent. Nothing can change it any more.
///
/// It is made of a `Grant` alone:
///
/// ```compile_fail,E0451
/// fn forge(authorized: sidekey::Authorized) -> sidekey::Authorized {
///     sidekey::Authorized { ..authorized }
/// }
/// ```
///
/// and is sent once:
///
/// ```compile_fail,E0599
/// fn twice(authorized: sidekey::Authorized) -> (sidekey::Authorized, sidekey::Authorized) {
///     (authorized.clone(), authorized)
/// }
/// ```
///
/// where once is fine:
///
/// ```
/// fn once(authorized: sidekey::Authorized) -> sidekey::Authorized {
///     authorized
/// }
/// ```
pub struct Authorized {
    target: Target,
    outgoing: Outgoing,
}

impl Authorized {
    pub(crate) fn into_parts(self) -> (Target, Outgoing) {
        (self.target, self.outgoing)
    }
}

/// Why a credential could not be placed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AuthorizeError {
    #[error(transparent)]
    Body(#[from] CollectError),
    #[error(transparent)]
    Place(#[from] PlaceError),
}

/// Uses the grant up. A body that is signed is read first, as far as the scheme's limit allows.
///
/// Dropping the future drops the request.
pub(crate) async fn authorize(grant: Grant, mut outgoing: Outgoing) -> Result<Authorized, AuthorizeError> {
    let target = grant.into_target();
    let credential = target.upstream.credential();
    if let Some(limit) = credential.signs_body() {
        Box::pin(hold_body(&mut outgoing, limit, &target)).await?;
    }
    let Outgoing { head, body, .. } = &mut outgoing;
    credential.place(head, body.held(), SystemTime::now())?;
    Ok(Authorized { target, outgoing })
}

/// Reads the body into memory, and says its length instead of how it came.
async fn hold_body(outgoing: &mut Outgoing, limit: u64, target: &Target) -> Result<(), CollectError> {
    let body = std::mem::replace(&mut outgoing.body, RequestBody::Empty);
    let RequestBody::Streamed(body) = body else {
        return Ok(());
    };
    let bytes = body.collect(limit, target.upstream.timeouts().idle).await?;
    let headers = &mut outgoing.head.headers;
    for name in [TRANSFER_ENCODING, TRAILER, EXPECT] {
        headers.remove(name);
    }
    headers.insert(CONTENT_LENGTH, bytes.len().into());
    outgoing.exchange = Exchange::begun(bytes.len() as u64);
    outgoing.wants_body = None;
    outgoing.body = if bytes.is_empty() { RequestBody::Empty } else { RequestBody::Whole(bytes) };
    Ok(())
}
