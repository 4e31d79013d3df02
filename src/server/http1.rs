//! HTTP/1.1 with a caller: hyper speaks it, and a watch ends the connection when the caller is gone, or waits too long.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::time::{Sleep, sleep_until};

use super::linger::linger;
use super::near::Near;
use super::refusal;
use super::socket::{CallerIo, CallerSocket, Stream};
use super::visit::{Stage, Visit};
use super::worker::Worker;
use crate::caller::Peer;
use crate::error::ProxyError;
use crate::proxy;
use crate::tunnel::Tunnel;
use crate::wire::{MAX_BUFFER, MAX_REQUEST_FIELDS, Malformed};

/// A caller that has closed its side may be gone, or may be reading still: it is asked after so long.
const PROBE_INTERVAL: Duration = Duration::from_millis(500);
/// What it is asked with. One that reads on must skip it (RFC 9110 15.2); the kernel of one that is gone refuses it.
const PROBE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Why a watch ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Watched {
    /// The server drains: no further request.
    Drain,
    /// The caller is gone, or might as well be.
    Gone,
    /// It has not asked for anything for a long time.
    Idle,
    /// It began a header, and did not end it.
    SlowHeader,
    /// The upstream stopped in the middle of its body, or the whole request took too long.
    Stalled,
    /// The whole request took too long, and nothing of its answer has gone.
    Overdue,
    /// Nothing has moved for a while: all that is waited for is the next request.
    Quiet,
}

/// Serves `stream` until it ends. `Some`: it begins with the preface of HTTP/2, and what has been read of it comes back.
/// Dropping the future closes it, and cancels what was under way.
pub(super) async fn serve(worker: Rc<Worker>, peer: Peer, stream: Stream) -> Option<(Stream, Vec<u8>)> {
    let socket = Rc::new(RefCell::new(CallerSocket::new(stream)));
    let registration = worker.register(&socket);
    let visit = Visit::new(worker, peer);
    let mut http = Builder::new();
    http.half_close(true).max_buf_size(MAX_BUFFER);
    let ending = loop {
        // It begins at rest: many may connect at once that ask for nothing yet.
        if !rest(&visit, &socket).await {
            break Ending::Close;
        }
        let awake = visit.worker().wakeful().enter(&socket);
        // In a box, so that a connection at rest does not hold the room for it.
        let ending = Box::pin(serve_http(&http, &visit, &socket)).await;
        drop(awake);
        match ending {
            Ending::MakeRoom => {
                socket.borrow_mut().make_room();
                http.max_headers(MAX_REQUEST_FIELDS);
            }
            Ending::Rest => {}
            ending => break ending,
        }
    };
    drop(registration);
    let socket = Rc::into_inner(socket)?.into_inner();
    if let Ending::SpeakHttp2 = ending {
        return Some(socket.into_unread());
    }
    end(ending, socket, visit.worker()).await;
    None
}

/// Lets hyper work on the socket until it is done, or there is a reason to stop it.
async fn serve_http(http: &Builder, visit: &Rc<Visit>, socket: &Rc<RefCell<CallerSocket>>) -> Ending {
    let service = service_fn(|request| {
        let visit = Rc::clone(visit);
        async move { Ok::<_, Infallible>(proxy::handle(visit, request).await) }
    });
    let mut http = pin!(http.serve_connection(TokioIo::new(CallerIo(Rc::clone(socket))), service));
    let mut watch = Watch::new(visit, socket);
    let mut alarm = pin!(sleep_until(watch.first_alarm().into()));
    loop {
        tokio::select! {
            biased;
            outcome = http.as_mut() => return Ending::of(outcome, visit, socket),
            watched = poll_fn(|cx| watch.poll(cx, alarm.as_mut())) => match watched {
                Watched::Drain => http.as_mut().graceful_shutdown(),
                Watched::Gone | Watched::Idle => return Ending::Close,
                Watched::SlowHeader => return Ending::Refuse(ProxyError::HeaderTimeout),
                Watched::Stalled => return Ending::Reset,
                Watched::Quiet => return Ending::Rest,
                // hyper looks at the work on it whenever it is looked at itself.
                Watched::Overdue => visit.time_out(),
            },
        }
    }
}

/// What is left to do when hyper is done.
enum Ending {
    Close,
    /// Make it a failure that nobody can take for the message's end.
    Reset,
    /// Say what was wrong.
    Refuse(ProxyError),
    /// Begin anew with room for a header of more fields than hyper takes without being told. Few have so many.
    MakeRoom,
    /// Begin anew when the caller sends something.
    Rest,
    /// Leave it to the other protocol.
    SpeakHttp2,
    /// The caller has not sent all of it: give it time to read the answer.
    Linger,
    /// The last answer was a 101: what follows is another protocol.
    Switch(Box<Tunnel>),
}

impl Ending {
    fn of(outcome: hyper::Result<()>, visit: &Visit, socket: &RefCell<CallerSocket>) -> Self {
        let mut socket = socket.borrow_mut();
        let between_requests = socket.between_requests();
        // Where not all of the 101 has gone out, the tunnel ends here.
        if let Some(tunnel) = visit.take_tunnel()
            && outcome.is_ok()
        {
            return Self::Switch(tunnel);
        }
        match (outcome, socket.fault()) {
            // HTTP/1.0 reads until the end, whatever ends it.
            (Err(_), _) if visit.answer_is_broken() && !visit.takes_interim() => Self::Reset,
            (Err(_), _) => Self::Close,
            (Ok(()), Some(Malformed::ManyFields)) if between_requests && socket.fault_reached() => Self::MakeRoom,
            (Ok(()), Some(Malformed::Http2)) if between_requests && socket.fault_reached() => Self::SpeakHttp2,
            (Ok(()), Some(fault)) if between_requests && socket.fault_reached() => {
                Self::Refuse(ProxyError::Malformed(fault))
            }
            // hyper stopped before the fault, and said so: nothing may follow its last answer.
            (Ok(()), Some(_)) => Self::Linger,
            (Ok(()), None) if between_requests || socket.caller_closed() => Self::Close,
            (Ok(()), None) => Self::Linger,
        }
    }
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
        watch.poll(cx, alarm.as_mut()).map(|_| false)
    })
    .await
}

async fn end(ending: Ending, mut socket: CallerSocket, worker: &Worker) {
    match ending {
        // After these it is not over; HTTP/2 is spoken elsewhere.
        Ending::MakeRoom | Ending::Rest | Ending::SpeakHttp2 | Ending::Close => socket.say_goodbye(),
        Ending::Reset => socket.reset_on_close(),
        Ending::Refuse(error) => {
            // Smaller than any socket's buffer, which is empty or has a caller behind it that does not read.
            let _ = socket.try_write(&refusal::render(&error));
            linger(socket.into_stream()).await;
        }
        Ending::Linger => linger(socket.into_stream()).await,
        Ending::Switch(tunnel) => {
            let mut near = Near(socket);
            // Boxed: every connection would have room for it.
            let run = tunnel.run(&mut near, worker.limits().write_timeout, worker.curfew().rings());
            if Box::pin(run).await {
                near.0.reset_on_close();
            }
        }
    }
}

/// Watches over one connection while hyper works on it.
struct Watch<'a> {
    visit: &'a Visit,
    socket: &'a RefCell<CallerSocket>,
    told_to_drain: bool,
    /// When to ask next whether a caller that closed its side is still there, and how often that was done.
    probe_at: Option<Instant>,
    probes: u32,
}

impl<'a> Watch<'a> {
    fn new(visit: &'a Visit, socket: &'a RefCell<CallerSocket>) -> Self {
        Self { visit, socket, told_to_drain: false, probe_at: None, probes: 0 }
    }

    fn first_alarm(&self) -> Instant {
        self.visit.idle_since() + self.visit.worker().limits().keep_alive
    }

    /// Ready when something has to be done about the connection.
    ///
    /// The one alarm is moved only when it would ring too late; when it rings too early, it is set anew. So a request
    /// that is served in time costs no timer.
    fn poll(&mut self, cx: &mut Context<'_>, mut alarm: Pin<&mut Sleep>) -> Poll<Watched> {
        if let Some(watched) = self.look(cx) {
            return Poll::Ready(watched);
        }
        while let Some((deadline, watched)) = self.deadline() {
            if alarm.deadline().into_std() > deadline {
                alarm.as_mut().reset(deadline.into());
            }
            if alarm.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            let now = Instant::now();
            if now < deadline {
                alarm.as_mut().reset(deadline.into());
            } else if self.probe_at != Some(deadline) || self.probe(now).is_err() {
                return Poll::Ready(watched);
            }
        }
        Poll::Pending
    }

    fn look(&mut self, cx: &mut Context<'_>) -> Option<Watched> {
        let mut socket = self.socket.borrow_mut();
        socket.note_waker(cx);
        // hyper would say `close` in a 101, and would not wait until one that it has begun to write has gone out.
        let may_switch = self.visit.stage() == Stage::Asked && socket.asks_for_tunnel();
        let draining = self.visit.worker().draining() && !self.told_to_drain;
        let draining = draining && !may_switch && !self.visit.will_be_tunnel();
        // What has been sent has begun: it is read first, though hyper has not seen it yet.
        if draining && (self.visit.stage() != Stage::Idle || !socket.has_begun()) {
            self.told_to_drain = true;
            return Some(Watched::Drain);
        }
        // hyper does not look at the socket between the end of a request and that of its answer.
        if self.visit.stage() != Stage::Idle && socket.between_requests() && socket.poll_gone(cx).is_ready() {
            return Some(Watched::Gone);
        }
        if self.visit.stage() == Stage::Idle && socket.is_quiet() {
            return Some(Watched::Quiet);
        }
        // Nothing tells of a caller that is gone but a look at the socket's error, now and then.
        let may_be_gone = match self.visit.stage() {
            Stage::Idle => false,
            Stage::Asked => socket.caller_closed() || socket.is_unread(),
            Stage::Answered => socket.is_unread(),
        };
        if may_be_gone != self.probe_at.is_some() {
            self.probe_at = may_be_gone.then(|| Instant::now() + PROBE_INTERVAL);
            self.probes = 0;
        }
        None
    }

    /// What is waited for, and until when.
    fn deadline(&self) -> Option<(Instant, Watched)> {
        let limits = self.visit.worker().limits();
        let socket = self.socket.borrow();
        let blocked = socket.blocked_since().map(|since| (since + limits.write_timeout, Watched::Gone));
        let waiting = match self.visit.stage() {
            // The end of the last answer is still going out.
            Stage::Idle if blocked.is_some() => None,
            Stage::Idle => Some(match socket.header_since() {
                Some(since) => (since + limits.header_timeout, Watched::SlowHeader),
                None => {
                    let since = socket.unblocked_at().max(Some(self.visit.idle_since()));
                    (since.unwrap_or_else(Instant::now) + limits.keep_alive, Watched::Idle)
                }
            }),
            Stage::Asked => self.visit.due().map(|at| (at, Watched::Overdue)),
            Stage::Answered => {
                let deadlines = [self.visit.waiting_until(), self.visit.due()];
                deadlines.into_iter().flatten().min().map(|at| (at, Watched::Stalled))
            }
        };
        let probe = self.probe_at.map(|at| (at, Watched::Gone));
        [waiting, probe, blocked].into_iter().flatten().min_by_key(|(deadline, _)| *deadline)
    }

    /// Asks whether anyone is still there. An error: no.
    fn probe(&mut self, now: Instant) -> std::io::Result<()> {
        let mut socket = self.socket.borrow_mut();
        socket.take_error()?;
        self.probe_at = Some(now + PROBE_INTERVAL);
        self.probes += 1;
        // Less and less often, and never between the bytes of an answer.
        let may_ask = self.visit.stage() == Stage::Asked && socket.caller_closed() && socket.blocked_since().is_none();
        if may_ask && self.probes.is_power_of_two() && self.visit.takes_interim() {
            socket.try_write(PROBE)?;
        }
        Ok(())
    }
}
