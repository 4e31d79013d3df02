//! A connection to an upstream that speaks HTTP/2, and the streams on it: one for each request. `h2` is
//! driven directly, as hyper's client hides what a proxy must know: which requests a GOAWAY left untouched, the peer's
//! limit of streams, interim responses, and how to stop an upload whose answer is over.

mod answer;
mod byte_stream;
mod exchange;
mod fault;
mod greeting;
mod pulse;
mod socket;
mod upload;

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::SendStream;
use h2::client::{Builder, SendRequest};
use tokio::task::JoinHandle;

pub(super) use self::answer::AnswerStream;
pub(super) use self::byte_stream::ByteStream;
pub(crate) use self::fault::StreamError;
use self::pulse::{Pulse, Watch};
use self::socket::Io;
use super::census::Counted;
use super::connect::{ConnectError, Dialer};
use super::lines::Room;
use super::origin::Target;
use super::socket::{Wire, is_quiet};
use super::unread::Share;
use crate::server;
use crate::wire::MAX_HEADER_BYTES;

/// What of a body `h2` may take beyond what it can write, whatever windows the upstream opens.
const MAX_SEND_BUFFER: usize = 64 * 1024;
/// So many streams that callers have left are remembered, for what the upstream had sent before it knew: `h2` takes what
/// comes for a forgotten one for a fault, and closes the connection after a thousand.
const MAX_RESET: usize = 1024;

/// An open connection, shared by the requests on it. Closed when it has left its pool and the last of them has ended.
pub(super) struct Line {
    /// Cloned for each request: one that has sent is not ready while its last request waits for room, which would look as
    /// if the connection were closed; and to ask it takes that request's waker from it.
    sender: RefCell<SendRequest<Bytes>>,
    wire: Rc<RefCell<Wire>>,
    pulse: Rc<Pulse>,
    target: Target,
    idle_since: Cell<Instant>,
    counted: Counted,
    room: Rc<Room>,
    share: Share,
    /// Drives it, and ends soon after it: what was sent last may still have to leave.
    driver: JoinHandle<()>,
}

impl Drop for Line {
    fn drop(&mut self) {
        // With the last handle, `h2` looks at the connection once more, and so does its watch.
        self.pulse.leave();
    }
}

/// The task that sends what is left of a request, which ends with it.
struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A request's place on a connection. Dropping it resets what is under way, and leaves the connection to the others.
pub(super) struct Stream {
    line: Rc<Line>,
    /// What of the request is still being sent when its answer has begun.
    upload: Option<Driver>,
    /// Its sending side, if it has become bytes and nothing but bytes.
    sending: Option<SendStream<Bytes>>,
}

impl Line {
    /// Speaks HTTP/2 over what was dialled, with as many streams and as much room for their answers as `share` says.
    pub(super) async fn over(
        wire: Wire,
        dialer: &Dialer,
        share: Share,
        room: &Rc<Room>,
    ) -> Result<Rc<Self>, ConnectError> {
        let pulse = Rc::new(Pulse::new());
        let wire = Rc::new(RefCell::new(wire));
        let mut builder = Builder::new();
        builder
            .enable_push(false)
            .initial_window_size(share.stream_window())
            .initial_connection_window_size(share.connection_window())
            .max_header_list_size(u32::try_from(MAX_HEADER_BYTES).unwrap_or(u32::MAX))
            .initial_max_send_streams(share.streams())
            .max_send_buffer_size(MAX_SEND_BUFFER)
            .max_concurrent_reset_streams(MAX_RESET);
        let (sender, mut connection) = builder
            .handshake(Io::new(&wire, &pulse))
            .await
            .map_err(|error| ConnectError::Terminated(std::io::Error::other(StreamError::from(error))))?;
        let mut watch = Watch::new(connection.ping_pong(), &pulse, dialer.timeouts());
        let ending = Rc::clone(&pulse);
        let driver = server::spawn(async move {
            // How it ends, the exchanges on it learn from their streams; an idle one that ends is only closed.
            std::future::poll_fn(|cx| match Pin::new(&mut connection).poll(cx) {
                Poll::Ready(_) => Poll::Ready(()),
                Poll::Pending => watch.poll(cx),
            })
            .await;
            ending.greeting().end();
        });
        Ok(Rc::new(Self {
            sender: RefCell::new(sender),
            wire,
            pulse,
            target: dialer.target().clone(),
            idle_since: Cell::new(Instant::now()),
            counted: Counted::new(dialer.account()),
            room: Rc::clone(room),
            share,
            driver,
        }))
    }

    /// A place for a request, whether or not there is room: whoever asks has looked.
    pub(super) fn begin(self: &Rc<Self>) -> Stream {
        match self.pulse.begin() {
            0 => self.counted.work(),
            _ => self.counted.share(),
        }
        Stream::new(self)
    }

    /// A place for the request for which it was made, or for that which `check --live` will send.
    pub(super) fn begin_first(self: &Rc<Self>) -> Stream {
        self.pulse.begin();
        Stream::new(self)
    }

    /// Whether no further request can go on it: it was lost, the upstream goes away, or its numbers are used up.
    pub(super) fn is_closed(&self) -> bool {
        let ready = self.sender.borrow_mut().poll_ready(&mut Context::from_waker(Waker::noop()));
        self.driver.is_finished() || !matches!(ready, Poll::Ready(Ok(())))
    }

    /// Whether the upstream opens WebSockets on it, as soon as that is known. On one that is lost: no.
    ///
    /// Dropping the future changes nothing.
    async fn opens_tunnels(&self) -> bool {
        self.pulse.greeting().wait().await;
        self.sender.borrow().is_extended_connect_protocol_enabled()
    }

    /// How many requests may be on it at once.
    pub(super) fn limit(&self) -> usize {
        self.sender.borrow().current_max_send_streams().min(self.share.streams())
    }

    pub(super) fn has_room(&self) -> bool {
        self.pulse.under_way() < self.limit()
    }

    pub(super) fn is_idle(&self) -> bool {
        self.pulse.under_way() == 0
    }

    /// Whether it has been without a request for so long.
    pub(super) fn is_idle_for(&self, limit: Duration) -> bool {
        self.is_idle() && self.idle_since.get().elapsed() >= limit
    }

    /// Whether the kernel knows of nothing that speaks against it. Only of an idle one does that say anything: on others
    /// there is always something on the way.
    pub(super) fn is_quiet(&self) -> bool {
        is_quiet(&self.wire.borrow())
    }

    /// It waits for its first request.
    pub(super) fn rest(&self) {
        self.idle_since.set(Instant::now());
        self.counted.rest();
    }
}

impl Stream {
    fn new(line: &Rc<Line>) -> Self {
        Self { line: Rc::clone(line), upload: None, sending: None }
    }

    /// Whether it carries no HTTP any more.
    pub(super) fn is_bare(&self) -> bool {
        self.sending.is_some()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let line = &self.line;
        if line.pulse.end() == 0 {
            line.rest();
        }
        line.room.tell_one();
    }
}
