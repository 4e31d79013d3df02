//! HTTP/2 with a caller: `h2` speaks it, each stream is a request of its own, and a watch ends the connection when nobody
//! is there any more, or nobody in good faith. All streams of a connection are their worker's.

mod answer;
mod body;
mod near;
mod piece;
mod pings;
mod sending;
mod socket;
mod stream;
mod streams;
mod watch;

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use h2::Reason;
use h2::server::{Builder, Connection, Handshake};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::sleep_until;

pub(crate) use self::body::Http2Body;
use self::piece::Piece;
use self::pings::Pings;
use self::socket::{Http2Io, Http2Socket};
use self::streams::Streams;
use self::watch::{Watch, Watched};
use super::linger::linger;
use super::worker::Worker;
use crate::caller::Peer;
use crate::wire::MAX_HEADER_LIST;

/// As many requests at once as RFC 9113 6.5.2 would not have fewer.
const MAX_STREAMS: u32 = 100;
/// What a caller may send of one body, and of all, before anyone has read it: 16 bodies that stand still leave the others
/// their room.
const STREAM_WINDOW: u32 = 128 * 1024;
const CONNECTION_WINDOW: u32 = 16 * STREAM_WINDOW;
/// What `h2` holds of an answer, whatever windows the caller opens.
const MAX_SEND_BUFFER: usize = 64 * 1024;
/// Streams that the caller has reset before anyone has looked at them (CVE-2023-44487): more in one piece is no accident.
const MAX_RESET_UNSEEN: usize = 20;
/// Streams that were reset because the caller broke the rules: each costs it nothing, so it may not have many.
const MAX_RESET_FAULTY: usize = 100;

/// Serves `stream` until it ends. `read`: what has been read of it, the preface included, or nothing yet. Dropping the
/// future closes it, and cancels what was under way.
pub(super) async fn serve<S>(worker: Rc<Worker>, peer: Peer, stream: S, read: Vec<u8>)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let socket = Http2Socket::new(stream, read);
    let streams = Streams::new(Rc::clone(&worker), peer);
    speak(&worker, &streams, &socket).await;
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

fn builder() -> Builder {
    let mut http = Builder::new();
    http.max_concurrent_streams(MAX_STREAMS)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buffer_size(MAX_SEND_BUFFER)
        .max_header_list_size(MAX_HEADER_LIST)
        .max_pending_accept_reset_streams(MAX_RESET_UNSEEN)
        .max_local_error_reset_streams(Some(MAX_RESET_FAULTY))
        .enable_connect_protocol();
    http
}

/// Lets `h2` work on the socket until it is done, or there is a reason to stop it.
async fn speak<S>(worker: &Rc<Worker>, streams: &Rc<Streams>, socket: &Rc<RefCell<Http2Socket<S>>>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut speaker = Speaker::new(socket);
    let mut watch = Watch::new(worker, streams, socket);
    let mut alarm = pin!(sleep_until(watch.first_alarm().into()));
    loop {
        let parting = worker.parting();
        let next = poll_fn(|cx| {
            if speaker.poll(cx, streams).is_ready() {
                // How it ended, its streams have learnt already.
                return Poll::Ready(Watched::Close);
            }
            watch.poll(cx, alarm.as_mut(), speaker.pings())
        });
        tokio::select! {
            biased;
            watched = next => match watched {
                Watched::Part => speaker.part(),
                Watched::Expel => speaker.expel(),
                Watched::Close => return,
            },
            () = parting => {}
        }
    }
}

/// `h2` at work on one connection.
struct Speaker<S> {
    stage: Stage<S>,
    /// Whether the caller is to hear that there will be no further request.
    parts: bool,
}

enum Stage<S> {
    /// The caller has not sent its preface.
    Greeting(Handshake<Http2Io<S>, Piece>),
    Open(Connection<Http2Io<S>, Piece>, Pings),
}

impl<S> Speaker<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    fn new(socket: &Rc<RefCell<Http2Socket<S>>>) -> Self {
        Self { stage: Stage::Greeting(builder().handshake(Http2Io(Rc::clone(socket)))), parts: false }
    }

    /// Begins the requests that come. Ready when none will any more, and all have ended.
    fn poll(&mut self, cx: &mut Context<'_>, streams: &Rc<Streams>) -> Poll<()> {
        loop {
            match &mut self.stage {
                Stage::Greeting(handshake) => {
                    let Ok(mut connection) = ready!(Pin::new(handshake).poll(cx)) else { return Poll::Ready(()) };
                    if self.parts {
                        connection.graceful_shutdown();
                    }
                    let pings = Pings::new(connection.ping_pong());
                    self.stage = Stage::Open(connection, pings);
                }
                Stage::Open(connection, _) => match ready!(connection.poll_accept(cx)) {
                    Some(Ok((request, respond))) => streams.begin(request, respond),
                    Some(Err(_)) | None => return Poll::Ready(()),
                },
            }
        }
    }

    /// Tells the caller to go (RFC 9113 6.8): what is on its way to here is still served.
    fn part(&mut self) {
        self.parts = true;
        match &mut self.stage {
            Stage::Greeting(_) => {}
            Stage::Open(connection, _) => connection.graceful_shutdown(),
        }
    }

    /// Tells the caller that it asks too much. `h2` ends the connection with that.
    fn expel(&mut self) {
        if let Stage::Open(connection, _) = &mut self.stage {
            connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
        }
    }

    fn pings(&mut self) -> Option<&mut Pings> {
        match &mut self.stage {
            Stage::Greeting(_) => None,
            Stage::Open(_, pings) => Some(pings),
        }
    }
}
