//! THE PATH. Every request takes it, one line a stage; the types see to it that no stage is left out, done twice, or
//! done out of order.

use std::rc::Rc;

use http::{Request, Response};
use hyper::body::Incoming;

use crate::answer::AnswerBody;
use crate::error::ProxyError;
use crate::server::Visit;
use crate::telemetry::access::AccessRecord;
use crate::{credential, headers, policy, upstream};

/// Answers a request. Never fails: what goes wrong is an answer, too.
///
/// Dropping the future cancels the request, at the upstream as well.
pub(crate) async fn handle(visit: Rc<Visit>, request: Request<Incoming>) -> Response<Box<AnswerBody>> {
    visit.begin(request.version());
    let mut record = AccessRecord::begin(&request);
    match forward(&visit, request, &mut record).await {
        Ok(answer) => {
            record.answered(answer.head.status);
            Response::from_parts(answer.head, AnswerBody::streamed(answer.body, record, visit))
        }
        Err(error) => {
            let (response, request_id) = error.to_response();
            record.refused(response.status(), &request_id, error.chain());
            response.map(|text| AnswerBody::own(text, record, visit))
        }
    }
}

async fn forward(
    visit: &Visit,
    request: Request<Incoming>,
    record: &mut AccessRecord,
) -> Result<upstream::Answer, ProxyError> {
    let target = visit.routes().find(visit.peer().listener, &request);
    let meant = target.as_ref().ok().map(|target| &*target.upstream);
    let caller = visit.callers().identify(visit.peer(), request.headers(), meant)?;
    record.asked_by(&caller);
    let target = target?;
    record.meant(&target.upstream);
    let grant = policy::decide(&caller, target, &request)?;
    record.would_refuse(grant.reported());
    let outgoing = headers::prepare(request, &grant);
    let authorized = credential::authorize(grant, outgoing).await?;
    let mut answer = upstream::send(authorized).await?;
    headers::clean(&mut answer.head.headers, &answer.upstream, &answer.spoken);
    Ok(answer)
}
