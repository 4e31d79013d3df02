//! A TLS connection to an upstream. What comes is read by one call into the worker's spare room, deciphered there, and
//! copied once from what rustls hands out into what the reader asks for; a connection on which nothing waits holds nothing.
//!
//! rustls speaks TLS: the handshake, keys, records, alerts, tickets. Here, bytes are moved between it, the socket and the
//! path.

mod incoming;
mod outgoing;
#[cfg(test)]
mod tests;

use std::future::poll_fn;
use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::pki_types::ServerName;
use rustls::unbuffered::{ConnectionState, WriteTraffic};
use rustls::{ClientConfig, CommonState};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use self::incoming::Incoming;
use self::outgoing::Outgoing;
use super::Tcp;

/// The socket, and TLS on it.
pub(crate) struct TlsStream<S = Tcp> {
    socket: S,
    session: UnbufferedClientConnection,
    incoming: Incoming,
    /// Deciphered, and not asked for yet.
    plaintext: BytesMut,
    outgoing: Outgoing,
    /// Why nothing more is read.
    end: Option<End>,
    /// Nothing more is written, and the other side is told.
    is_shut: bool,
}

enum End {
    /// The other side has said that it sends no more.
    Told,
    /// It has not: what was read may be a part of what it sent.
    Untold,
    /// Said once more to whoever asks, to read or to write.
    Failed(rustls::Error),
}

/// What the session has done with what has come.
enum Step<T> {
    /// Something, perhaps handed out a record. It is to be asked again.
    Forward,
    /// It needs more to go on with the handshake, or has ended.
    Blocked,
    /// It needs more, and has let something be written.
    Idle(T),
}

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream<S> {
    /// Makes TLS of `socket`, to `name`. Errors of TLS are `InvalidData`, with a [`rustls::Error`] inside.
    ///
    /// Dropping the future closes the socket.
    pub(crate) async fn connect(config: Arc<ClientConfig>, name: ServerName<'static>, socket: S) -> io::Result<Self> {
        let mut stream = Self {
            socket,
            session: UnbufferedClientConnection::new(config, name).map_err(invalid)?,
            incoming: Incoming::default(),
            plaintext: BytesMut::new(),
            outgoing: Outgoing::default(),
            end: None,
            is_shut: false,
        };
        poll_fn(|cx| stream.poll_handshake(cx)).await?;
        Ok(stream)
    }

    /// The socket, and what was agreed on.
    pub(crate) fn get_ref(&self) -> (&S, &CommonState) {
        (&self.socket, &self.session)
    }

    /// Whether everything that was read from the socket has been asked for, and it was not the end.
    pub(crate) fn is_drained(&self) -> bool {
        self.incoming.is_empty() && self.plaintext.is_empty() && self.end.is_none()
    }

    fn deliver(&mut self, buffer: &mut ReadBuf<'_>) {
        if self.plaintext.is_empty() {
            return;
        }
        let fits = self.plaintext.len().min(buffer.remaining());
        buffer.put_slice(self.plaintext.get(..fits).unwrap_or_default());
        self.plaintext.advance(fits);
        if self.plaintext.is_empty() {
            self.plaintext = BytesMut::new();
        }
    }

    fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            // Data that comes with the end of the handshake is kept.
            match self.step(&mut ReadBuf::new(&mut []), |_| ()) {
                Ok(Step::Forward) => {}
                Ok(Step::Blocked | Step::Idle(())) => {
                    ready!(self.outgoing.poll_send(&mut self.socket, cx))?;
                    ready!(Pin::new(&mut self.socket).poll_flush(cx))?;
                    if !self.session.is_handshaking() {
                        return Poll::Ready(Ok(()));
                    }
                    if ready!(self.incoming.poll_fill(&mut self.socket, cx))? == 0 {
                        return Poll::Ready(Err(io::Error::new(ErrorKind::UnexpectedEof, "tls handshake eof")));
                    }
                }
                Err(error) => {
                    self.fail(error.clone(), cx);
                    return Poll::Ready(Err(invalid(error)));
                }
            }
        }
    }

    /// Lets the session look at what has come, up to the next record with data. Of that, what does not fit into `buffer`
    /// is kept.
    fn step<T>(
        &mut self,
        buffer: &mut ReadBuf<'_>,
        idle: impl FnOnce(WriteTraffic<'_, ClientConnectionData>) -> T,
    ) -> Result<Step<T>, rustls::Error> {
        let status = self.session.process_tls_records(self.incoming.held());
        let mut discard = status.discard;
        let step = match status.state? {
            ConnectionState::ReadTraffic(mut traffic) => {
                while let Some(record) = traffic.next_record() {
                    let record = record?;
                    discard += record.discard;
                    let fits = record.payload.len().min(buffer.remaining());
                    buffer.put_slice(record.payload.get(..fits).unwrap_or_default());
                    self.plaintext.extend_from_slice(record.payload.get(fits..).unwrap_or_default());
                }
                Step::Forward
            }
            ConnectionState::EncodeTlsData(mut record) => {
                self.outgoing.encode(&mut record);
                Step::Forward
            }
            ConnectionState::TransmitTlsData(records) => {
                // They leave in their order, before whatever else is written.
                records.done();
                Step::Forward
            }
            ConnectionState::PeerClosed => {
                self.end = Some(End::Told);
                // Whatever comes after it means nothing (RFC 8446 6.1).
                discard = usize::MAX;
                Step::Forward
            }
            ConnectionState::BlockedHandshake | ConnectionState::Closed => Step::Blocked,
            ConnectionState::WriteTraffic(traffic) => Step::Idle(idle(traffic)),
            _ => return Err(rustls::Error::General("the session is in a state that clients do not know".into())),
        };
        self.incoming.discard(discard);
        if matches!(step, Step::Blocked | Step::Idle(_)) {
            self.incoming.exhaust();
        }
        Ok(step)
    }

    /// Nothing more is read or written. The other side is told why, if it takes that at once.
    fn fail(&mut self, error: rustls::Error, cx: &mut Context<'_>) {
        self.end = Some(End::Failed(error));
        while self.session.wants_write() && self.step(&mut ReadBuf::new(&mut []), |_| ()).is_ok() {}
        self.incoming.discard(usize::MAX);
        let _ = self.outgoing.poll_send(&mut self.socket, cx);
    }

    /// Has the session write, once it lets. `None`: it never will.
    fn when_idle<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut write: impl FnMut(WriteTraffic<'_, ClientConnectionData>) -> T,
    ) -> io::Result<Option<T>> {
        loop {
            if let Some(End::Failed(error)) = &self.end {
                return Err(invalid(error.clone()));
            }
            // What is read meanwhile is kept: no more than has come, as nothing is read from the socket.
            match self.step(&mut ReadBuf::new(&mut []), &mut write) {
                Ok(Step::Forward) => {}
                Ok(Step::Blocked) => return Ok(None),
                Ok(Step::Idle(written)) => return Ok(Some(written)),
                Err(error) => self.fail(error, cx),
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for TlsStream<S> {
    /// Hands out as many records as have come and fit.
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if buffer.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        this.deliver(buffer);
        loop {
            while this.end.is_none()
                && this.incoming.is_fresh()
                && (buffer.filled().len() == before || this.incoming.next_fits(buffer.remaining()))
            {
                if let Err(error) = this.step(buffer, |_| ()) {
                    this.fail(error, cx);
                }
            }
            if buffer.filled().len() > before {
                return Poll::Ready(Ok(()));
            }
            match &this.end {
                None => {}
                Some(End::Told) => return Poll::Ready(Ok(())),
                Some(End::Untold) => return Poll::Ready(Err(io::Error::new(ErrorKind::UnexpectedEof, Untold))),
                Some(End::Failed(error)) => return Poll::Ready(Err(invalid(error.clone()))),
            }
            if ready!(this.incoming.poll_fill(&mut this.socket, cx))? == 0 {
                this.end = Some(End::Untold);
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TlsStream<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    /// What the socket does not take at once goes before what is written next.
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.outgoing.poll_send(&mut this.socket, cx))?;
        if this.is_shut {
            return Poll::Ready(Err(ErrorKind::BrokenPipe.into()));
        }
        let Some(sealed) = this.when_idle(cx, |traffic| outgoing::seal(traffic, slices))? else {
            return Poll::Ready(Err(ErrorKind::BrokenPipe.into()));
        };
        Poll::Ready(this.outgoing.send(&mut this.socket, cx, sealed?))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.outgoing.poll_send(&mut this.socket, cx))?;
        Pin::new(&mut this.socket).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !std::mem::replace(&mut this.is_shut, true)
            && let Ok(Some(told)) = this.when_idle(cx, outgoing::seal_end)
        {
            this.outgoing.keep(told?);
        }
        ready!(this.outgoing.poll_send(&mut this.socket, cx))?;
        match ready!(Pin::new(&mut this.socket).poll_shutdown(cx)) {
            // It is as shut as can be.
            Err(error) if error.kind() == ErrorKind::NotConnected => Poll::Ready(Ok(())),
            result => Poll::Ready(result),
        }
    }
}

/// The other side may have been cut off: who reads cannot tell.
#[derive(Debug, thiserror::Error)]
#[error("the connection ended without TLS's `close_notify`")]
struct Untold;

fn invalid(error: rustls::Error) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, error)
}
