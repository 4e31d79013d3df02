//! An upstream's body on its way to the caller, and the connection that it comes from.

use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

use super::Upstream;
use super::connection::{Connection, Fault, Received};
use super::tunnel::{Far, Line};
use crate::limits::Permit;
use crate::scrub::{BodyScrubber, Scrubber};
use crate::{fields, headers};

/// So much of an answer that nobody gets is read.
const MAX_DISCARDED: u64 = 64 * 1024;

/// The upstream's body did not reach its end: the caller's message is cut, too.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BrokenAnswer {
    #[error("the upstream's body broke off")]
    BrokenOff(#[source] Fault),
    #[error("the upstream stopped in the middle of its body")]
    Stalled,
    #[error("the request took longer than `timeouts.request`")]
    Overdue,
    #[error("the upstream's side of the tunnel broke off")]
    Tunnel(#[source] std::io::Error),
    #[error("the upstream stopped taking what came through the tunnel")]
    TunnelStuck,
}

/// A body that passes through. When it has ended, its connection goes back to the pool; dropped before, it is closed, or
/// of HTTP/2 its stream alone.
pub(crate) struct StreamedBody {
    incoming: Received,
    lease: Option<Lease>,
    idle_limit: Duration,
    scrubber: Rc<Scrubber>,
    scrubbing: Option<Box<Scrubbing>>,
    /// How often the credential was found in what is not the body.
    found: u64,
    had_trailers: bool,
    /// Its place among the requests under way, which it has until its end.
    permit: Option<Permit>,
    /// Whether there is no body, but a tunnel: the connection is never used again.
    switched: bool,
}

/// What a body that is cleaned as it passes has beyond one that is not.
struct Scrubbing {
    body: BodyScrubber,
    /// To be sent after what was held back.
    trailers: Option<HeaderMap>,
}

/// A connection that is out of its pool.
pub(super) struct Lease {
    upstream: Rc<Upstream>,
    connection: Connection,
    /// Whether the answer came before the whole request had left.
    early: bool,
}

impl Lease {
    /// To be made when the answer's header has come.
    pub(super) fn new(upstream: Rc<Upstream>, mut connection: Connection) -> Self {
        let early = match &mut connection {
            Connection::Http1(connection) => connection.send_beside(),
            // What is left of a stream is no other's beginning.
            Connection::Http2(_) => false,
        };
        Self { upstream, connection, early }
    }

    /// The exchange has ended as it should. One whose answer came before the request was sent leaves doubt about
    /// where the next request would begin: its connection is closed.
    fn give_back(self) {
        match self.connection {
            Connection::Http1(connection) if !self.early => self.upstream.connections.pool.put(connection),
            // Of HTTP/2, the place on it was all that was taken.
            Connection::Http1(_) | Connection::Http2(_) => {}
        }
    }
}

impl StreamedBody {
    pub(super) fn new(incoming: Received, lease: Lease, scrubber: Rc<Scrubber>) -> Self {
        let idle_limit = lease.upstream.timeouts().idle;
        let mut body = Self {
            incoming,
            lease: Some(lease),
            idle_limit,
            scrubber,
            scrubbing: None,
            found: 0,
            had_trailers: false,
            permit: None,
            switched: false,
        };
        body.note_end();
        body
    }

    /// What an answer has in a body's place when the upstream has switched to another protocol.
    pub(super) fn switched(incoming: Received, lease: Lease, scrubber: Rc<Scrubber>) -> Self {
        let lease = Lease { early: true, ..lease };
        let idle_limit = lease.upstream.timeouts().idle;
        let (scrubbing, lease) = (None, Some(lease));
        Self {
            incoming,
            lease,
            idle_limit,
            scrubber,
            scrubbing,
            found: 0,
            had_trailers: false,
            permit: None,
            switched: true,
        }
    }

    pub(crate) fn is_switched(&self) -> bool {
        self.switched
    }

    /// The upstream's side of the tunnel, if there is one.
    pub(crate) fn into_far(self) -> Option<Far> {
        let Lease { upstream, connection, .. } = self.lease.filter(|_| self.switched)?;
        let line = match (connection, self.incoming) {
            (Connection::Http1(connection), _) => Line::Http1(connection),
            (Connection::Http2(stream), Received::Http2(answer)) => Line::Http2(Box::new(stream.into_bytes(answer)?)),
            (Connection::Http2(_), Received::Http1(_)) => return None,
        };
        Some(Far::new(upstream, line, self.permit))
    }

    /// From now on the request is under way as long as this is.
    pub(crate) fn hold(&mut self, permit: Permit) {
        self.permit = Some(permit);
    }

    /// How long the upstream may pause between two pieces.
    pub(crate) fn idle_limit(&self) -> Duration {
        self.idle_limit
    }

    pub(crate) fn scrubber(&self) -> &Rc<Scrubber> {
        &self.scrubber
    }

    /// From now on the body is cleaned, too: its length is not known any more.
    pub(crate) fn scrub(&mut self) {
        let body = BodyScrubber::new(Rc::clone(&self.scrubber));
        self.scrubbing = Some(Box::new(Scrubbing { body, trailers: None }));
    }

    pub(crate) fn note_scrubbed(&mut self, found: u64) {
        self.found += found;
    }

    /// How often the credential was found in the answer.
    pub(crate) fn scrubbed(&self) -> u64 {
        self.found + self.scrubbing.as_ref().map_or(0, |scrubbing| scrubbing.body.found())
    }

    /// Reads what is left of it, so that its connection can be used again; unless that is much.
    ///
    /// Dropping the future closes the connection.
    pub(super) async fn discard(mut self) {
        let mut room = MAX_DISCARDED;
        while self.incoming.size_hint().lower() <= room {
            match poll_fn(|cx| self.poll_upstream(cx)).await {
                Some(Ok(frame)) => room = room.saturating_sub(frame.data_ref().map_or(1, Bytes::len) as u64),
                Some(Err(_)) | None => return,
            }
            if room == 0 {
                return;
            }
        }
    }

    /// Nothing comes after trailers, and nobody asks for it: that would be noticed by no one.
    fn has_ended(&self) -> bool {
        self.had_trailers || self.incoming.is_end_stream()
    }

    fn note_end(&mut self) {
        if self.has_ended()
            && let Some(lease) = self.lease.take()
        {
            lease.give_back();
        }
    }
}

impl StreamedBody {
    /// The next of the upstream's frames, without the credential in its trailers.
    fn poll_upstream(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BrokenAnswer>>> {
        let polled = match &mut self.lease {
            Some(lease) => lease.connection.poll_answer(&mut self.incoming, cx),
            None => Pin::new(&mut self.incoming).poll_frame(cx),
        };
        match ready!(polled) {
            Some(Ok(mut frame)) => {
                if let Some(trailers) = frame.trailers_mut() {
                    self.found += fields::change(trailers, |trailers| {
                        headers::clean_answer_trailers(trailers);
                        self.scrubber.clean_fields(trailers)
                    });
                    self.had_trailers = true;
                }
                self.note_end();
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(error)) => {
                self.lease = None;
                Poll::Ready(Some(Err(BrokenAnswer::BrokenOff(error))))
            }
            None => {
                if let Some(lease) = self.lease.take() {
                    lease.give_back();
                }
                Poll::Ready(None)
            }
        }
    }
}

impl Body for StreamedBody {
    type Data = Bytes;
    type Error = BrokenAnswer;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let Some(mut scrubbing) = self.scrubbing.take() else { return self.poll_upstream(cx) };
        let polled = scrubbing.poll(&mut self, cx);
        self.scrubbing = Some(scrubbing);
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.has_ended() && self.scrubbing.as_ref().is_none_or(|scrubbing| scrubbing.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        if self.scrubbing.is_some() { SizeHint::default() } else { self.incoming.size_hint() }
    }
}

impl Scrubbing {
    /// The next frame that can go on. A piece of which all is held back makes none: the next is asked for, so that the
    /// upstream is read no faster than the caller reads.
    ///
    /// What is held back when the upstream breaks off is dropped: the caller's message is cut anyway.
    fn poll(
        &mut self,
        upstream: &mut StreamedBody,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenAnswer>>> {
        if let Some(trailers) = self.trailers.take() {
            return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
        }
        loop {
            let clean = match ready!(upstream.poll_upstream(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(piece) => self.body.push(piece, upstream.has_ended()),
                    Err(other) => {
                        self.trailers = other.into_trailers().ok();
                        self.body.finish()
                    }
                },
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None if self.body.holds_back() => self.body.finish(),
                None => return Poll::Ready(None),
            };
            if !clean.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(clean))));
            }
            if let Some(trailers) = self.trailers.take() {
                return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
            }
        }
    }

    fn is_empty(&self) -> bool {
        !self.body.holds_back() && self.trailers.is_none()
    }
}
