//! HTTP/2 with a caller: hyper speaks it, each stream is a request of its own, and a watch ends the connection when nobody
//! is there any more, or nobody in good faith. All streams of a connection are their worker's.

mod body;
mod near;
mod socket;
mod stream;
mod streams;

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use http::header::CONNECTION;
use http::{Method, Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http2::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Sleep, sleep_until};

use self::body::Http2Body;
use self::socket::{Http2Io, Http2Socket};
use self::streams::{Spawner, Streams};
use super::alarm::poll_due;
use super::body::CallerBody;
use super::linger::linger;
use super::worker::Worker;
use crate::caller::Peer;
use crate::message;
use crate::proxy;
use crate::wire::MAX_HEADER_LIST;

/// As many requests at once as RFC 9113 6.5.2 would not have fewer.
const MAX_STREAMS: u32 = 100;
/// What a caller may send of one body, and of all, before anyone has read it: 16 bodies that stand still leave the others
/// their room.
const STREAM_WINDOW: u32 = 128 * 1024;
const CONNECTION_WINDOW: u32 = 16 * STREAM_WINDOW;
/// What h2 holds of an answer beyond the piece that it has.
const MAX_SEND_BUFFER: usize = 64 * 1024;
/// Streams that the caller has reset before anyone has looked at them (CVE-2023-44487): more in one piece is no accident.
const MAX_RESET_UNSEEN: usize = 20;
/// Streams that were reset because the caller broke the rules: each costs it nothing, so it may not have many.
const MAX_RESET_FAULTY: usize = 100;
/// The caller may cancel so many requests more than it lets come to their end: all at once, twice. Whoever cancels always
/// makes work that nobody waits for, here and at the upstream.
const MAX_CANCELLED: usize = 2 * MAX_STREAMS as usize;
/// How often a caller is asked whether it is there, and how long it has to say so: a connection of which the other end has
/// vanished would be kept for as long as one stream waits.
const PING: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a caller that has been told to go has for a request that was on its way.
const PARTING: Duration = Duration::from_secs(1);

/// Serves `stream` until it ends. `read`: what has been read of it, the preface included, or nothing yet. Dropping the
/// future closes it, and cancels what was under way.
pub(super) async fn serve<S>(worker: Rc<Worker>, peer: Peer, stream: S, read: Vec<u8>)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let socket = Http2Socket::new(stream, read);
    let streams = Streams::new(Rc::clone(&worker), peer);
    serve_http(&worker, &streams, &socket).await;
    // Each notices that its connection is gone.
    poll_fn(|cx| {
        streams.note_waker(cx);
        if streams.are_over() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    if let Some(socket) = Rc::into_inner(socket) {
        linger(socket.into_inner().into_stream()).await;
    }
}

fn builder(streams: &Rc<Streams>) -> Builder<Spawner> {
    let mut http = Builder::new(Spawner(Rc::clone(streams)));
    http.timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(MAX_SEND_BUFFER)
        .max_header_list_size(MAX_HEADER_LIST)
        .max_pending_accept_reset_streams(MAX_RESET_UNSEEN)
        .max_local_error_reset_streams(MAX_RESET_FAULTY)
        .enable_connect_protocol()
        .keep_alive_interval(PING)
        .keep_alive_timeout(PING_TIMEOUT);
    http
}

/// Lets hyper work on the socket until it is done, or there is a reason to stop it.
async fn serve_http<S>(worker: &Rc<Worker>, streams: &Rc<Streams>, socket: &Rc<RefCell<Http2Socket<S>>>)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let service = service_fn(|request| answer(streams, request));
    let io = TokioIo::new(Http2Io(Rc::clone(socket)));
    let mut http = pin!(builder(streams).serve_connection(io, service));
    let mut watch = Watch::new(worker, streams, socket);
    let mut alarm = pin!(sleep_until(watch.first_alarm().into()));
    loop {
        let parting = worker.parting();
        tokio::select! {
            biased;
            // How it ends, its streams have learnt already.
            _ = http.as_mut() => return,
            watched = poll_fn(|cx| watch.poll(cx, alarm.as_mut())) => match watched {
                Watched::Part => http.as_mut().graceful_shutdown(),
                Watched::Close => return,
            },
            () = parting => {}
        }
    }
}

/// The answer to one request. hyper spawns the future at once.
fn answer(
    streams: &Rc<Streams>,
    mut request: Request<Incoming>,
) -> impl Future<Output = Result<Response<Http2Body>, Infallible>> + 'static {
    let stream = streams.begin();
    let wants_body = *request.method() != Method::HEAD;
    if *request.method() == Method::CONNECT {
        stream.may_switch(hyper::upgrade::on(&mut request));
    }
    async move {
        let (head, body) = request.into_parts();
        let request = message::Request { head: head.into(), body: CallerBody::Http2(body) };
        let mut response = proxy::handle(Rc::clone(stream.visit()), request).await;
        if !wants_body {
            // RFC 9110 9.3.2: in HTTP/1.1 hyper sees to that, here it sends what it is given.
            response.body.leave_out_own();
        }
        // RFC 9113 8.2.2. What it would say of the connection, GOAWAY says.
        response.head.fields.remove(&CONNECTION);
        Ok(response.map(|body| Http2Body::new(body, stream)).into())
    }
}

/// Why a connection's watch ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Watched {
    /// No further request: it has been idle for long, or callers should go elsewhere.
    Part,
    /// The caller is gone, or might as well be.
    Close,
}

/// Watches over one connection while hyper works on it.
struct Watch<'a, S> {
    worker: &'a Worker,
    streams: &'a Streams,
    socket: &'a RefCell<Http2Socket<S>>,
    began: Instant,
    /// It came when callers were told to go already: it is served once, as one that speaks HTTP/1.1 is.
    came_late: bool,
    /// When the caller was told that there will be no further request.
    told: Option<Instant>,
}

impl<'a, S> Watch<'a, S> {
    fn new(worker: &'a Worker, streams: &'a Streams, socket: &'a RefCell<Http2Socket<S>>) -> Self {
        Self { worker, streams, socket, began: Instant::now(), came_late: worker.leaving(), told: None }
    }

    fn first_alarm(&self) -> Instant {
        self.began + self.worker.limits().header_timeout
    }

    /// Ready when something has to be done about the connection.
    fn poll(&mut self, cx: &mut Context<'_>, alarm: Pin<&mut Sleep>) -> Poll<Watched> {
        self.streams.note_waker(cx);
        if let Some(watched) = self.look() {
            return Poll::Ready(watched);
        }
        poll_due(alarm, cx, || self.deadline()).map(|watched| self.note(watched))
    }

    fn look(&mut self) -> Option<Watched> {
        if self.streams.cancelled() > MAX_CANCELLED {
            tracing::debug!(target: "server", "a caller cancels one request after the other: its connection is closed");
            return Some(Watched::Close);
        }
        let must_go = self.worker.leaving() && (!self.came_late || self.streams.have_begun());
        let parts = self.told.is_none() && (self.worker.draining() || must_go);
        parts.then(|| self.note(Watched::Part))
    }

    fn note(&mut self, watched: Watched) -> Watched {
        if watched == Watched::Part {
            self.told = Some(Instant::now());
        }
        watched
    }

    /// What is waited for, and until when.
    fn deadline(&self) -> Option<(Instant, Watched)> {
        let limits = self.worker.limits();
        let socket = self.socket.borrow();
        let stuck = [socket.blocked_since(), self.streams.stuck_since()].into_iter().flatten().min();
        let stuck = stuck.map(|since| (since + limits.write_timeout, Watched::Close));
        let idle =
            self.streams.idle_since().filter(|_| socket.blocked_since().is_none()).map(|since| match self.told {
                Some(told) => (since.max(told) + PARTING, Watched::Close),
                None => (since + limits.keep_alive, Watched::Part),
            });
        let silent = (!socket.has_begun()).then(|| (self.began + limits.header_timeout, Watched::Close));
        [stuck, idle, silent].into_iter().flatten().min_by_key(|(deadline, _)| *deadline)
    }
}
