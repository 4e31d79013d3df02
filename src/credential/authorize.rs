//! Stage 8: places the credential, as the last thing that is done to a request.

use std::mem;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use http::header::{AUTHORIZATION, CONTENT_LENGTH, EXPECT, TRAILER, TRANSFER_ENCODING};

use super::{Credential, PlaceError, Which};
use crate::headers::Outgoing;
use crate::message::RequestHead;
use crate::policy::Grant;
use crate::route::{Spoken, Target};
use crate::scrub::{Forms, Scrubber};
use crate::upstream::{Choice, CollectError, Exchange, RequestBody, Upstream};

/// A request with its credential on, which is all that can be sent. Only its credential can be renewed.
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
    outgoing: Box<Outgoing>,
    /// The credential that is on it.
    choice: Choice,
    /// What of the credential is in this request alone, as often as it was placed: an earlier one may have been seen, too.
    fresh: Forms,
}

impl Authorized {
    /// Whom it is for.
    pub(crate) fn upstream(&self) -> &Rc<Upstream> {
        &self.target.upstream
    }

    /// How the caller named whom it is for.
    pub(crate) fn spoken(&self) -> &Spoken {
        &self.target.spoken
    }

    /// What its answer is cleaned with.
    pub(crate) fn scrubber(&self) -> Rc<Scrubber> {
        let scrubber = self.target.upstream.scrubber();
        if self.fresh.is_empty() { Rc::clone(scrubber) } else { Rc::new(scrubber.with(&self.fresh)) }
    }

    /// The account of its body.
    pub(crate) fn exchange(&self) -> &Rc<Exchange> {
        &self.outgoing.exchange
    }

    /// Whether it may be sent again after it may have been acted on, whatever the settings say: its method is idempotent
    /// (RFC 9110 9.2.2), nothing speaks against that, and its body can be repeated.
    pub(crate) fn can_be_repeated(&self) -> bool {
        self.can_be_replayed() && self.target.upstream.does_once_what_is_sent_twice(self.head())
    }

    /// Whether all of it can be sent again, if it may be.
    pub(crate) fn can_be_replayed(&self) -> bool {
        self.outgoing.body.can_be_repeated()
    }

    /// Whether all of it can be sent: again, or because nothing of it has been.
    pub(crate) fn is_here(&self) -> bool {
        self.can_be_replayed() || matches!(self.outgoing.body, RequestBody::Streamed(_))
    }

    /// Whether it asks for a WebSocket.
    pub(crate) fn wants_tunnel(&self) -> bool {
        self.outgoing.wants_tunnel
    }

    pub(crate) fn head(&self) -> &RequestHead {
        &self.outgoing.head
    }

    /// The credential that is on it.
    pub(crate) fn which(&self) -> Which {
        self.choice.which
    }

    /// Whether it finds out if that one is good again.
    pub(crate) fn is_trial(&self) -> bool {
        self.choice.is_trial
    }

    /// Takes the body out, to be sent; one that can be repeated is kept, too, if `keep`.
    pub(crate) fn take_body(&mut self, keep: bool) -> RequestBody {
        let body = &mut self.outgoing.body;
        if keep && body.can_be_repeated() { body.repeat() } else { mem::replace(body, RequestBody::Gone) }
    }

    /// Puts back the body of a request of which nothing was written.
    pub(crate) fn put_back(&mut self, body: RequestBody) {
        self.outgoing.body = body;
    }

    /// Makes it ready for a further attempt, with this credential.
    pub(crate) fn begin_again(&mut self, which: Which) -> Result<(), PlaceError> {
        self.outgoing.exchange.phases().retry();
        if which != self.choice.which {
            let before = self.target.upstream.credentials().at(self.choice.which);
            for name in before.map_or(&[][..], Credential::owned_headers) {
                self.outgoing.head.fields.remove(name);
            }
            self.outgoing.head.fields.remove(&AUTHORIZATION);
            self.choice = Choice { which, is_trial: false };
        }
        self.renew()
    }

    /// Places the credential afresh: what dates a request must not be older than the request.
    pub(crate) fn renew(&mut self) -> Result<(), PlaceError> {
        let Outgoing { head, body, .. } = &mut *self.outgoing;
        let credential = self.target.upstream.credentials().at(self.choice.which).ok_or(PlaceError::NoSecret)?;
        // Nothing else takes time that is worth telling, or asks for it.
        let began = credential.is_signature().then(Instant::now);
        credential.place(head, body.held(), SystemTime::now)?;
        let (fresh, account) = (credential.fresh_forms(head), self.target.upstream.account());
        account.placed.add(1);
        if let Some(began) = began {
            account.signing.observe(began.elapsed());
        }
        self.fresh.extend(fresh);
        Ok(())
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
pub(crate) async fn authorize(grant: Grant, outgoing: Box<Outgoing>) -> Result<Authorized, AuthorizeError> {
    let target = grant.into_target();
    let mut outgoing = outgoing;
    let upstream = &target.upstream;
    // Before a body is waited for that would go nowhere.
    upstream.credentials().first().ok_or(PlaceError::NoSecret)?;
    if let Some(limit) = upstream.credentials().sign_body() {
        Box::pin(hold_body(&mut outgoing, limit, upstream.timeouts().body)).await?;
    } else if let Some(limit) = upstream.replay_buffer() {
        outgoing.body = mem::replace(&mut outgoing.body, RequestBody::Gone).taped(limit);
    }
    let choice = upstream.choose_credential(outgoing.body.is_in_memory()).ok_or(PlaceError::NoSecret)?;
    let mut authorized = Authorized { target, outgoing, choice, fresh: Forms::none() };
    authorized.renew()?;
    Ok(authorized)
}

/// Reads the body into memory, and says its length instead of how it came.
async fn hold_body(outgoing: &mut Outgoing, limit: u64, idle: Duration) -> Result<(), CollectError> {
    let body = match mem::replace(&mut outgoing.body, RequestBody::Gone) {
        RequestBody::Streamed(body) => body,
        held @ (RequestBody::Empty | RequestBody::Whole(_) | RequestBody::Taped(_) | RequestBody::Gone) => {
            outgoing.body = held;
            return Ok(());
        }
    };
    let bytes = body.collect(limit, idle).await?;
    let fields = &mut outgoing.head.fields;
    for name in [TRANSFER_ENCODING, TRAILER, EXPECT] {
        fields.remove(&name);
    }
    fields.put_number(&CONTENT_LENGTH, bytes.len() as u64);
    outgoing.body = if bytes.is_empty() { RequestBody::Empty } else { RequestBody::whole(bytes, &outgoing.exchange) };
    Ok(())
}
