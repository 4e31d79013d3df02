//! THE PATH. Every request takes it, one line a stage; the types see to it that no stage is left out, done twice, or
//! done out of order.

use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;

use bytes::Bytes;
use http::header::{CONNECTION, HeaderValue};

use crate::answer::{AnswerBody, Reply};
use crate::browser::Page;
use crate::error::{self, ProxyError};
use crate::headers::Presence;
use crate::message::{Request, Response};
use crate::server::{CallerBody, Snapshot, Visit};
use crate::telemetry::access::AccessRecord;
use crate::tunnel::extended::{Extended, ExtendedError};
use crate::tunnel::{Tunnel, handshake};
use crate::wire::{self, Malformed};
use crate::{browser, credential, headers, limits, max_forwards, policy, scrub, upstream};

/// Answers a request. Never fails: what goes wrong is an answer, too.
///
/// Dropping the future cancels the request, at the upstream as well.
pub(crate) async fn handle(visit: Rc<Visit>, mut request: Request<CallerBody>) -> Response<Box<AnswerBody>> {
    visit.begin(request.head.version);
    let snapshot = visit.snapshot();
    let sound = wire::http2::check(&mut request.head).map(|()| Extended::read(&mut request.head));
    let presence = Presence::of(&request.head.fields);
    let mut record = match sound {
        Ok(_) => AccessRecord::begin(&request.head, presence, &snapshot.callers),
        Err(_) => AccessRecord::malformed(),
    };
    let is_grpc = error::is_grpc(&request.head);
    let withholds_body = headers::withholds_body(&request);
    let mut page = None;
    let outcome = {
        let mut work = pin!(forward(&visit, &snapshot, sound, request, presence, &mut record, &mut page));
        poll_fn(|cx| visit.poll_in_time(work.as_mut(), cx)).await
    };
    let is_last = visit.is_last() || (withholds_body && !record.has_asked_for_body());
    let mut response = match outcome {
        Ok(Reply::Upstream(mut answer)) => {
            record.answered(&mut answer.head);
            if answer.body.is_switched() {
                return switch(*answer, record, visit);
            }
            let upstream::Answer { head, body, .. } = *answer;
            Response { head, body: AnswerBody::streamed(body, record, visit) }
        }
        Ok(Reply::Own(mut answer)) => {
            record.answered_itself(&mut answer);
            Response::from(answer).map(|()| AnswerBody::own(Bytes::new(), record, visit))
        }
        Err(error) => {
            record.refused(&error);
            let id = record.request_id();
            let response = if is_grpc { error.to_grpc(id) } else { error.to_response(id) };
            Response::from(response).map(|text| AnswerBody::own(text, record, visit))
        }
    };
    if is_last {
        response.head.fields.put(&CONNECTION, &HeaderValue::from_static("close"));
    }
    if let Some(page) = page {
        page.let_read(&mut response.head.fields);
    }
    response
}

async fn forward(
    visit: &Visit,
    snapshot: &Snapshot,
    sound: Result<Result<Option<Extended>, ExtendedError>, Malformed>,
    mut request: Request<CallerBody>,
    presence: Presence,
    record: &mut AccessRecord,
    page: &mut Option<Page>,
) -> Result<Reply, ProxyError> {
    let extended = sound??;
    visit.find_room()?;
    *page = snapshot.guard.admit(&mut request.head.fields, presence)?;
    if let Some(answer) = browser::preflight(page.as_ref(), &request.head)? {
        return Ok(Reply::Own(answer));
    }
    let target = snapshot.routes.find(visit.peer().listener, &request.head);
    let meant = target.as_ref().ok().map(|target| &*target.upstream);
    let caller = snapshot.callers.identify(visit.peer(), &request.head.fields, meant)?;
    record.asked_by(&caller);
    let target = target?;
    record.meant(&target.upstream);
    visit.finish_within(target.upstream.timeouts().request);
    if let Some(answer) = max_forwards::count_down(&mut request.head)? {
        return Ok(Reply::Own(answer));
    }
    let mut grant = policy::decide(&caller, target, &request.head)?;
    record.would_refuse(grant.reported());
    upstream::check(&grant.target().upstream)?;
    let permit = record.queue(limits::admit(&caller, &grant)).await?;
    let mut outgoing = headers::prepare(request, presence, &mut grant, &caller);
    record.leaves(&mut outgoing);
    let authorized = credential::authorize(grant, outgoing).await?;
    let mut answer = upstream::send(authorized).await?;
    answer.body.hold(permit);
    clean(&mut answer, page.is_some(), extended.as_ref())?;
    Ok(Reply::Upstream(answer))
}

/// The answer after which the connection, or the stream, is a tunnel. Whatever else is put on an answer, this one says nothing of: it is no
/// answer to a page, and the connection's last in any case.
fn switch(answer: upstream::Answer, mut record: AccessRecord, visit: Rc<Visit>) -> Response<Box<AnswerBody>> {
    record.scrubbed(answer.body.scrubbed());
    if let Some(far) = answer.body.into_far() {
        visit.become_tunnel(Tunnel::new(far, record));
    }
    Response { head: answer.head, body: AnswerBody::none(visit) }
}

/// What of an answer may cross. Scrubbing comes last, as what the others leave is what the caller sees.
fn clean(answer: &mut upstream::Answer, for_page: bool, extended: Option<&Extended>) -> Result<(), ProxyError> {
    headers::clean(&mut answer.head.fields, &answer.upstream, &answer.spoken);
    if let Some(extended) = extended {
        extended.finish(&mut answer.head, answer.body.is_switched())?;
    } else if answer.body.is_switched() {
        handshake::put_on(&mut answer.head.fields);
    }
    if for_page {
        browser::forget_vendors_cors(&mut answer.head.fields);
    }
    scrub::clean(answer)?;
    Ok(())
}
