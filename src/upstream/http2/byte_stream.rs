//! A stream that is bare of HTTP: the upstream's side of a WebSocket (RFC 8441 5). DATA carries its bytes, END_STREAM ends a
//! direction as FIN does, a reset all of it as RST does; and what was handed on makes room for as much again.

use std::io::{self, Error, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{AnswerStream, Stream, StreamError};

/// Dropping it resets the stream, unless both directions have ended.
pub(in crate::upstream) struct ByteStream {
    sending: SendStream<Bytes>,
    receiving: RecvStream,
    /// What came, and was not handed on.
    piece: Bytes,
    closed: bool,
    /// Its place on the connection, which it has until its end.
    _stream: Stream,
}

impl Stream {
    /// What it has become, if its answer was that it does; `answer` is what came in a body's place.
    pub(in crate::upstream) fn into_bytes(mut self, answer: AnswerStream) -> Option<ByteStream> {
        let (sending, receiving) = (self.sending.take()?, answer.into_stream());
        Some(ByteStream { sending, receiving, piece: Bytes::new(), closed: false, _stream: self })
    }
}

impl ByteStream {
    /// The next piece that came; an empty one: nothing more does.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        loop {
            let Some(piece) = ready!(self.receiving.poll_data(cx)) else {
                // RFC 9113 8.5: none but DATA may come.
                return match ready!(self.receiving.poll_trailers(cx)) {
                    Ok(None) => Poll::Ready(Ok(Bytes::new())),
                    Ok(Some(_)) => Poll::Ready(Err(failed(StreamError::Protocol(Reason::PROTOCOL_ERROR)))),
                    Err(error) => Poll::Ready(Err(failed(error.into()))),
                };
            };
            match piece {
                Ok(piece) if piece.is_empty() => {}
                Ok(piece) => return Poll::Ready(Ok(piece)),
                // RFC 9113 8.1: it has ended, and wants no more either; `h2` forgets the one for the other.
                Err(error) if error.is_remote() && error.is_reset() && error.reason() == Some(Reason::NO_ERROR) => {
                    return Poll::Ready(Ok(Bytes::new()));
                }
                Err(error) => return Poll::Ready(Err(failed(error.into()))),
            }
        }
    }

    /// How much of so many bytes there is room for.
    fn poll_room(&mut self, wanted: usize, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.sending.capacity() < wanted {
            self.sending.reserve_capacity(wanted);
        }
        while self.sending.capacity() == 0 {
            match ready!(self.sending.poll_capacity(cx)) {
                Some(Ok(_)) => {}
                Some(Err(error)) => return Poll::Ready(Err(failed(error.into()))),
                None => return Poll::Ready(Err(self.why_closed(cx))),
            }
        }
        Poll::Ready(Ok(self.sending.capacity().min(wanted)))
    }

    /// Why nothing more can be sent.
    fn why_closed(&mut self, cx: &mut Context<'_>) -> Error {
        match self.sending.poll_reset(cx) {
            Poll::Ready(Ok(reason)) => failed(StreamError::Reset(reason)),
            Poll::Ready(Err(error)) => failed(error.into()),
            Poll::Pending => ErrorKind::BrokenPipe.into(),
        }
    }
}

impl AsyncRead for ByteStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let stream = self.get_mut();
        if stream.piece.is_empty() {
            stream.piece = ready!(stream.poll_piece(cx))?;
        }
        let part = stream.piece.split_to(stream.piece.len().min(buffer.remaining()));
        buffer.put_slice(&part);
        // What has ended has no window any more, and needs none.
        let _ = stream.receiving.flow_control().release_capacity(part.len());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ByteStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let stream = self.get_mut();
        let room = ready!(stream.poll_room(bytes.len(), cx))?;
        let part = Bytes::copy_from_slice(bytes.get(..room).unwrap_or(bytes));
        stream.sending.send_data(part, false).map_err(|error| failed(error.into()))?;
        Poll::Ready(Ok(room))
    }

    /// What was written leaves with the connection's own task.
    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let stream = self.get_mut();
        if !std::mem::replace(&mut stream.closed, true) {
            stream.sending.reserve_capacity(0);
            // An upstream that has reset it need not be told.
            let _ = stream.sending.send_data(Bytes::new(), true);
        }
        Poll::Ready(Ok(()))
    }
}

fn failed(error: StreamError) -> Error {
    Error::other(error)
}
