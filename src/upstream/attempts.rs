//! Stage 9, as often as it takes: an authorised request goes to its upstream, and goes again where the settings allow it: with the other
//! credential when the vendor refuses this one, and after a while when the vendor failed. Nothing is sent while the breaker
//! is open.

use std::rc::Rc;
use std::time::Duration;

use http::StatusCode;
use tokio::time::{sleep, timeout};

use super::breaker::Health;
use super::connect::ConnectError;
use super::preference::{Judgement, Recourse};
use super::send::{Answer, SendError, send_once};
use super::{Upstream, retry};
use crate::config::Failure;
use crate::credential::{Authorized, Which};

/// How long the rest of an answer is waited for that nobody gets, so that its connection can be used again.
const DISCARD: Duration = Duration::from_millis(10);

/// Whether the upstream may be asked at all: for whoever would spend something on a request that goes nowhere.
pub(crate) fn check(upstream: &Upstream) -> Result<(), SendError> {
    Ok(upstream.shared().breaker().map_or(Ok(()), super::breaker::Breaker::check)?)
}

/// Sends the request, and waits for the header of the answer that the caller gets.
///
/// Dropping the future cancels the request, also between two attempts: nothing more is sent.
pub(crate) async fn send(mut authorized: Authorized) -> Result<Box<Answer>, SendError> {
    let upstream = Rc::clone(authorized.upstream());
    if upstream.replays() {
        // Boxed: most upstreams do not, and would move its state about.
        Box::pin(send_repeatedly(&mut authorized, &upstream)).await
    } else {
        attempt(&mut authorized, &upstream).await
    }
}

/// One attempt, if the breaker lets it through.
async fn attempt(authorized: &mut Authorized, upstream: &Upstream) -> Result<Box<Answer>, SendError> {
    let Some(breaker) = upstream.shared().breaker() else { return send_once(authorized).await };
    let permit = breaker.enter()?;
    let outcome = send_once(authorized).await;
    permit.settle(health(&outcome));
    outcome
}

/// A further attempt, which has its turn.
async fn attempt_again(
    authorized: &mut Authorized,
    upstream: &Upstream,
    which: Which,
) -> Result<Box<Answer>, SendError> {
    authorized.begin_again(which)?;
    attempt(authorized, upstream).await
}

/// Takes another turn from the upstream's rate. If there is none in time, the caller gets what there is.
async fn has_turn(upstream: &Upstream) -> bool {
    upstream.shared().limiter().take_again().await.is_ok()
}

async fn send_repeatedly(authorized: &mut Authorized, upstream: &Upstream) -> Result<Box<Answer>, SendError> {
    if let Some(budget) = upstream.shared().budget() {
        budget.pay_in();
    }
    let mut retries = 0;
    let mut changed = false;
    let mut outcome = attempt(authorized, upstream).await;
    loop {
        if !changed {
            outcome = try_other_credential(outcome, &mut changed, authorized, upstream).await;
        }
        let Some(wait) = wait_for_retry(&outcome, retries, authorized, upstream) else { return outcome };
        sleep(wait).await;
        // Only now, as it is used now. Meanwhile the breaker may have opened: the vendor's own answer says more.
        if !has_turn(upstream).await || check(upstream).is_err() {
            return outcome;
        }
        discard(outcome).await;
        retries += 1;
        outcome = attempt_again(authorized, upstream, authorized.which()).await;
    }
}

/// If the vendor refused the credential, the request goes once more with the other one, unless that is known to be no
/// better. That answer counts then, whatever it is.
async fn try_other_credential(
    outcome: Result<Box<Answer>, SendError>,
    changed: &mut bool,
    authorized: &mut Authorized,
    upstream: &Upstream,
) -> Result<Box<Answer>, SendError> {
    let Some(preference) = upstream.shared().preference() else { return outcome };
    let judgement = judge(&outcome, upstream);
    match judgement {
        Judgement::Accepted if authorized.is_trial() => preference.prefer(authorized.which()),
        Judgement::Accepted => preference.confirm(authorized.which()),
        Judgement::Refused if !authorized.can_be_replayed() => preference.strand(authorized.which()),
        Judgement::Refused | Judgement::Unknown => {}
    }
    if judgement != Judgement::Refused || !authorized.can_be_replayed() || check(upstream).is_err() {
        return outcome;
    }
    let Recourse::Try(tried) = preference.after_refusal(authorized.which()).await else { return outcome };
    if !has_turn(upstream).await {
        return outcome;
    }
    *changed = true;
    upstream.account().fallbacks.add(1);
    discard(outcome).await;
    let outcome = attempt_again(authorized, upstream, authorized.which().other()).await;
    tried.settle(judge(&outcome, upstream));
    outcome
}

/// How long to wait before the next attempt. `None`: there is none, and the outcome is what the caller gets.
fn wait_for_retry(
    outcome: &Result<Box<Answer>, SendError>,
    retries: u32,
    authorized: &Authorized,
    upstream: &Upstream,
) -> Option<Duration> {
    let settings = upstream.retry()?;
    let answer = outcome.as_ref().map(|answer| &answer.head);
    let failure = Failure::of(answer.map(|head| head.status))?;
    let may = retries + 1 < settings.attempts
        && settings.on.contains(&failure)
        && authorized.is_here()
        && (failure.is_before_sending() || retry::may_be_acted_on_twice(authorized.head(), upstream.never_retried()));
    if !may {
        return None;
    }
    let wait = retry::wait(retries + 1, answer.ok().map(|head| &head.fields), settings.max_wait)?;
    let is_paid = || upstream.shared().budget().is_none_or(super::budget::Budget::take);
    (check(upstream).is_ok() && is_paid()).then_some(wait)
}

/// Gives up an answer that nobody gets. Its connection is used again if there is little left of it.
async fn discard(outcome: Result<Box<Answer>, SendError>) {
    if let Ok(answer) = outcome {
        // Too late: its connection is closed.
        let _ = timeout(DISCARD, answer.body.discard()).await;
    }
}

/// What an exchange says of the credential.
fn judge(outcome: &Result<Box<Answer>, SendError>, upstream: &Upstream) -> Judgement {
    match outcome {
        Ok(answer) if upstream.fallback_on().contains(&answer.head.status) => Judgement::Refused,
        Ok(answer) => match answer.head.status {
            // Whoever says these may not have looked at it.
            StatusCode::FORBIDDEN
            | StatusCode::PROXY_AUTHENTICATION_REQUIRED
            | StatusCode::REQUEST_TIMEOUT
            | StatusCode::TOO_MANY_REQUESTS => Judgement::Unknown,
            status if status.is_server_error() => Judgement::Unknown,
            _ => Judgement::Accepted,
        },
        Err(_) => Judgement::Unknown,
    }
}

/// What an exchange says of the upstream.
fn health(outcome: &Result<Box<Answer>, SendError>) -> Health {
    match outcome {
        Ok(answer) => match answer.head.status {
            StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => Health::Failing,
            _ => Health::Well,
        },
        Err(SendError::Connect(error)) => match error {
            ConnectError::Lookup(_)
            | ConnectError::LookupTimeout
            | ConnectError::Unroutable(_)
            | ConnectError::Refused(_)
            | ConnectError::Terminated(_)
            | ConnectError::ConnectTimeout
            | ConnectError::Certificate(_)
            | ConnectError::TlsProtocol(_)
            | ConnectError::TlsTimeout => Health::Failing,
            // It was not asked, and not for its own sake.
            ConnectError::Prohibited(_) | ConnectError::Loop | ConnectError::NoDescriptor(_) => Health::Unknown,
        },
        Err(
            SendError::ResponseTimeout
            | SendError::UploadTimeout
            | SendError::Incomplete(_)
            | SendError::Terminated(_)
            | SendError::Malformed(_)
            | SendError::UnaskedUpgrade,
        ) => Health::Failing,
        Err(
            SendError::LeftAlone(_)
            | SendError::Sign(_)
            | SendError::CallerBody(_)
            | SendError::CallerTimeout
            | SendError::NoTunnels(_),
        ) => Health::Unknown,
    }
}
