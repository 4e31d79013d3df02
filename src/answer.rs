//! The answer's body on its way to the caller, whoever answered. With its end, the request has ended.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;

use crate::error::PROXY_STATUS;
use crate::server::Visit;
use crate::telemetry::access::AccessRecord;
use crate::upstream::{self, BrokenAnswer, StreamedBody};

/// What a request comes to, if nothing goes wrong.
pub(crate) enum Reply {
    Upstream(Box<upstream::Answer>),
    /// sidekey's own, and no error.
    Own(Response<()>),
}

/// An answer of sidekey's own that is no error, and holds nothing.
pub(crate) fn no_content() -> Response<()> {
    let mut answer = Response::new(());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    // RFC 9209 2: with no parameters, no error.
    answer.headers_mut().insert(PROXY_STATUS, HeaderValue::from_static("sidekey"));
    answer
}

/// The body of an answer, with the record of its request. Dropping it ends both.
pub(crate) struct AnswerBody {
    source: Source,
    /// `None`: a tunnel has it.
    record: Option<AccessRecord>,
    visit: Rc<Visit>,
    /// Why it cannot go on, told one poll late.
    broken: Option<BrokenAnswer>,
}

enum Source {
    /// sidekey's own text.
    Own(Full<Bytes>),
    /// What the upstream sends.
    Streamed(StreamedBody),
}

impl AnswerBody {
    pub(crate) fn own(text: Bytes, record: AccessRecord, visit: Rc<Visit>) -> Box<Self> {
        Self::new(Source::Own(Full::new(text)), Some(record), visit)
    }

    pub(crate) fn streamed(body: StreamedBody, record: AccessRecord, visit: Rc<Visit>) -> Box<Self> {
        Self::new(Source::Streamed(body), Some(record), visit)
    }

    /// Nothing, as a tunnel follows.
    pub(crate) fn none(visit: Rc<Visit>) -> Box<Self> {
        Self::new(Source::Own(Full::default()), None, visit)
    }

    /// Says nothing where sidekey would say something itself: whoever asked with `HEAD` takes a body for a fault.
    pub(crate) fn leave_out_own(&mut self) {
        match &mut self.source {
            Source::Own(text) => *text = Full::default(),
            Source::Streamed(_) => {}
        }
        self.note_end();
    }

    /// Boxed: it is handed on more often than it is long.
    fn new(source: Source, record: Option<AccessRecord>, visit: Rc<Visit>) -> Box<Self> {
        visit.begin_answer();
        let mut body = Box::new(Self { source, record, visit, broken: None });
        body.note_end();
        body
    }

    fn wait(&self) {
        match &self.source {
            Source::Streamed(body) => self.visit.wait_for_upstream(body.idle_limit()),
            Source::Own(_) => {}
        }
    }

    /// With the last byte of an announced length it is whole: in HTTP/2 its end may come later, and to HTTP/1.1 nobody waits for it.
    fn note_end(&mut self) {
        if self.is_end_stream() || self.size_hint().exact() == Some(0) {
            self.finish();
        }
    }

    fn finish(&mut self) {
        if let Some(record) = &mut self.record {
            record.finish();
        }
    }

    fn break_off(&mut self, broken: &BrokenAnswer) {
        if let Some(record) = &mut self.record {
            record.broke_off(broken);
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = BrokenAnswer;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        if let Some(broken) = self.broken.take() {
            return Poll::Ready(Some(Err(broken)));
        }
        let polled = match &mut self.source {
            Source::Own(text) => Pin::new(text).poll_frame(cx).map_err(|never| match never {}),
            Source::Streamed(body) => Pin::new(body).poll_frame(cx),
        };
        match &polled {
            Poll::Pending => self.wait(),
            Poll::Ready(None) => self.finish(),
            Poll::Ready(Some(Ok(frame))) => {
                self.visit.stop_waiting();
                if let Some(record) = &mut self.record {
                    record.received(frame.data_ref().map_or(0, Bytes::len));
                }
                self.note_end();
            }
            Poll::Ready(Some(Err(broken))) => {
                self.visit.break_answer();
                self.break_off(broken);
            }
        }
        if let Poll::Ready(Some(Err(broken))) = polled {
            // What has not been written when a body fails is dropped: let the header be written, at least, so that nobody
            // takes the cut for a connection that was closed before the request.
            self.broken = Some(broken);
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Own(text) => text.is_end_stream(),
            Source::Streamed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Own(text) => text.size_hint(),
            Source::Streamed(body) => body.size_hint(),
        }
    }
}

impl Drop for AnswerBody {
    fn drop(&mut self) {
        if let (Source::Streamed(body), Some(record)) = (&self.source, &mut self.record) {
            record.scrubbed(body.scrubbed());
        }
        if self.visit.waits_in_vain() {
            self.break_off(&BrokenAnswer::Stalled);
        } else if self.visit.is_overdue() {
            self.break_off(&BrokenAnswer::Overdue);
        }
        let now = self.visit.end();
        if let Some(record) = &mut self.record {
            record.end_at(now);
        }
    }
}
