//! HTTP/1.1 with a caller: one request after the other, each answered before anything is made of the next. A watch ends the
//! connection when the caller is gone, or waits too long.

mod answer;
mod ending;
mod head;
mod watch;

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::time::{Sleep, sleep_until};

use self::answer::{Answer, Unsent};
use self::ending::{Ending, end};
use self::head::Terms;
use self::watch::{Phase, Watch, Watched};
use super::body::CallerBody;
use super::socket::CallerSocket;
use super::stream::Stream;
use super::visit::Visit;
use super::worker::Worker;
use crate::answer::AnswerBody;
use crate::caller::Peer;
use crate::error::ProxyError;
use crate::message::{Request, RequestHead, Response};
use crate::wire::body::Decoder;
use crate::wire::request::FramedRequest;
use crate::{headers, proxy};

/// Serves `stream` until it ends. `Some`: it begins with the preface of HTTP/2, and what has been read of it comes back.
/// Dropping the future closes it, and cancels what was under way.
pub(super) async fn serve(worker: Rc<Worker>, peer: Peer, stream: Stream) -> Option<(Stream, Vec<u8>)> {
    let socket = Rc::new(RefCell::new(CallerSocket::new(stream)));
    let registration = worker.register(&socket);
    let visit = Visit::new(worker, peer);
    let ending = loop {
        // It begins at rest: many may connect at once that ask for nothing yet.
        if !rest(&visit, &socket).await {
            break Ending::Close;
        }
        let awake = visit.worker().wakeful().enter(&socket);
        // In a box, so that a connection at rest does not hold the room for it.
        let ending = Box::pin(serve_awake(&visit, &socket)).await;
        drop(awake);
        match ending {
            Ending::Rest => {}
            ending => break ending,
        }
    };
    drop(registration);
    // A request's body that somebody still holds has no socket from now on.
    let socket = Rc::into_inner(socket)?.into_inner();
    if let Ending::SpeakHttp2 = ending {
        let (stream, read) = socket.into_parts();
        return Some((stream, read.into()));
    }
    end(ending, socket, visit.worker()).await;
    None
}

/// Waits for the caller's next request with nothing but the socket. `false`: there will be none.
async fn rest(visit: &Visit, socket: &RefCell<CallerSocket>) -> bool {
    let mut watch = Watch::new(visit, socket);
    let mut alarm = pin!(sleep_until(watch.first_alarm().into()));
    poll_fn(|cx| {
        if let Poll::Ready(begun) = socket.borrow_mut().poll_begun(cx) {
            return Poll::Ready(begun.is_ok());
        }
        // The server drains, or it has been idle for too long.
        watch.poll(cx, Phase::Rests, alarm.as_mut()).map(|_| false)
    })
    .await
}

async fn serve_awake(visit: &Rc<Visit>, socket: &Rc<RefCell<CallerSocket>>) -> Ending {
    let watch = Watch::new(visit, socket);
    let alarm = pin!(sleep_until(watch.first_alarm().into()));
    let mut connection = Connection { visit, socket, watch, alarm };
    loop {
        if let Err(ending) = connection.serve_one().await {
            return ending;
        }
    }
}

/// A connection that is awake.
struct Connection<'a> {
    visit: &'a Rc<Visit>,
    socket: &'a Rc<RefCell<CallerSocket>>,
    watch: Watch<'a>,
    alarm: Pin<&'a mut Sleep>,
}

impl Connection<'_> {
    async fn serve_one(&mut self) -> Result<(), Ending> {
        let socket = self.socket;
        let next = self.watched(Phase::Waits, |cx| socket.borrow_mut().poll_head(cx)).await?;
        let request = next.map_err(Ending::of_no_request)?;
        let terms = Terms::new(&request);
        let FramedRequest { head, body, .. } = request;
        let body = self.body(&head, body);
        let response = {
            let mut work = pin!(proxy::handle(Rc::clone(self.visit), Request { head, body }));
            let work = |cx: &mut Context<'_>| {
                let polled = work.as_mut().poll(cx);
                if polled.is_pending() {
                    // What was not taken at once of the caller being asked for its body. That it is gone is seen elsewhere.
                    let _ = socket.borrow_mut().poll_send(cx);
                }
                polled
            };
            self.watched(Phase::Works, work).await?
        };
        self.answer(terms, response).await
    }

    fn body(&self, head: &RequestHead, body: Decoder) -> CallerBody {
        if body.is_end() {
            return CallerBody::Empty;
        }
        let expects = headers::expects_continue(head);
        CallerBody::Http1(CallerSocket::begin_body(self.socket, body, expects))
    }

    async fn answer(&mut self, terms: Terms, response: Response<Box<AnswerBody>>) -> Result<(), Ending> {
        let (visit, socket) = (self.visit, self.socket);
        let mut answer = Answer::new(terms, response, visit.worker().draining());
        let sent = self.watched(Phase::Works, |cx| answer.poll_send(cx, socket)).await?;
        if let Err(Unsent) = sent {
            // HTTP/1.0 reads until the end, whatever ends it.
            let is_told = !visit.answer_is_broken() || visit.takes_interim();
            return Err(if is_told { Ending::Close } else { Ending::Reset });
        }
        if let Some(tunnel) = visit.take_tunnel() {
            return Err(Ending::Switch(tunnel));
        }
        let follows =
            !answer.is_last() && self.watched(Phase::Works, |cx| socket.borrow_mut().poll_settled(cx)).await?;
        if follows { Ok(()) } else { Err(Ending::of_last(&mut socket.borrow_mut())) }
    }

    /// Does `work` until it is done, or there is a reason to stop it.
    async fn watched<T>(
        &mut self,
        phase: Phase,
        mut work: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Result<T, Ending> {
        poll_fn(|cx| {
            loop {
                if let Poll::Ready(done) = work(cx) {
                    return Poll::Ready(Ok(done));
                }
                return Poll::Ready(Err(match ready!(self.watch.poll(cx, phase, self.alarm.as_mut())) {
                    // A part of an answer may have left, which must not look whole.
                    Watched::Gone if phase == Phase::Works => Ending::Reset,
                    Watched::Gone | Watched::Idle => Ending::Close,
                    Watched::SlowHeader => Ending::Refuse(ProxyError::HeaderTimeout),
                    Watched::Stalled => Ending::Reset,
                    Watched::Quiet => Ending::Rest,
                    Watched::Overdue => {
                        // The work is looked at again, and answers.
                        self.visit.time_out();
                        continue;
                    }
                }));
            }
        })
        .await
    }
}
