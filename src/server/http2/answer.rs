//! An answer as an HTTP/2 stream sends it: its head, each piece of its body as the caller's windows let it through, and its end
//! with the last of them.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::Reason;
use http::Response;
use http::header::{CONNECTION, CONTENT_LENGTH, DATE};
use http_body::{Body, Frame};

use super::sending::{Gone, Sending};
use crate::answer::AnswerBody;
use crate::fields::Fields;
use crate::message;
use crate::server::date;

/// An answer whose head has been sent.
pub(super) struct Answer {
    body: Box<AnswerBody>,
    sending: Sending,
    /// What the caller's windows have no room for yet.
    piece: Bytes,
}

/// Makes an answer one of HTTP/2. `is_head`: what it was asked by has no body, whoever answers (RFC 9110 9.3.2).
pub(super) fn prepare(
    mut answer: message::Response<Box<AnswerBody>>,
    is_head: bool,
) -> (Response<()>, Box<AnswerBody>) {
    if is_head {
        answer.body.leave_out_own();
    }
    frame(&mut answer.head.fields, &answer.body);
    ((&answer.head).into(), answer.body)
}

fn frame(fields: &mut Fields, body: &AnswerBody) {
    // RFC 9113 8.2.2. What it would say of the connection, GOAWAY says.
    fields.remove(&CONNECTION);
    if !fields.has(&DATE) {
        date::tell(|date| fields.put(&DATE, date));
    }
    if !body.is_end_stream()
        && let Some(length) = body.size_hint().exact()
        && !fields.has(&CONTENT_LENGTH)
    {
        fields.put_number(&CONTENT_LENGTH, length);
    }
}

impl Answer {
    pub(super) fn new(body: Box<AnswerBody>, sending: Sending) -> Self {
        Self { body, sending, piece: Bytes::new() }
    }

    /// Sends the body. Ready with its end, or when it has broken off and the stream is reset.
    pub(super) fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        loop {
            while !self.piece.is_empty() {
                let room = ready!(self.sending.poll_room(self.piece.len(), cx))?;
                let part = self.piece.split_to(room);
                let ends = self.piece.is_empty() && self.body.is_end_stream();
                self.sending.send(part, ends)?;
                if ends {
                    return Poll::Ready(Ok(()));
                }
            }
            let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) else {
                return self.sending.poll_gone(cx).map(Err);
            };
            match frame.map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(piece))) => self.piece = piece,
                Some(Ok(Err(other))) => {
                    let trailers = other.into_trailers().unwrap_or_default();
                    return Poll::Ready(self.sending.send_trailers(trailers));
                }
                // Why is in the log: a reset that an upstream sent is not the caller's.
                Some(Err(_)) => {
                    self.sending.reset(Reason::INTERNAL_ERROR);
                    return Poll::Ready(Ok(()));
                }
                None => return Poll::Ready(self.sending.send(Bytes::new(), true)),
            }
        }
    }
}
