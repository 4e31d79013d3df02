//! What is to leave over TLS: records are made in the worker's room for them and sent by one call. What the socket does
//! not take is kept.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use rustls::client::ClientConnectionData;
use rustls::unbuffered::{EncodeError, EncodeTlsData, EncryptError, WriteTraffic};
use tokio::io::AsyncWrite;

use crate::wire::gather::write_as_one;

/// As much data goes into one record.
const RECORD: usize = 16 * 1024;
/// As much data is taken at once.
const AT_ONCE: usize = 4 * RECORD;
/// What records take besides their data, an update of keys among them: far more than enough.
const OVERHEAD: usize = 4096;

thread_local! {
    /// Where records are made. A worker writes on one socket at a time.
    static RECORDS: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// What was made and has not left.
#[derive(Default)]
pub(super) struct Outgoing {
    unsent: BytesMut,
}

/// Records that hold the first `taken` bytes of what was to be written.
pub(super) struct Sealed {
    taken: usize,
    room: Vec<u8>,
    length: usize,
}

impl Outgoing {
    /// Puts a record of the session's own behind what is there.
    pub(super) fn encode(&mut self, record: &mut EncodeTlsData<'_, ClientConnectionData>) {
        // Without room, it says how much it needs.
        if let Err(EncodeError::InsufficientSize(needed)) = record.encode(&mut []) {
            let start = self.unsent.len();
            self.unsent.resize(start + needed.required_size, 0);
            let _ = record.encode(self.unsent.get_mut(start..).unwrap_or_default());
        }
    }

    /// Sends what is there.
    pub(super) fn poll_send<S: AsyncWrite + Unpin>(
        &mut self,
        socket: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !self.unsent.is_empty() {
            let sent = ready!(Pin::new(&mut *socket).poll_write(cx, &self.unsent))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.unsent.advance(sent);
            if self.unsent.is_empty() {
                self.unsent = BytesMut::new();
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Sends `sealed` after what is there, and keeps what the socket does not take. So many bytes were written.
    pub(super) fn send<S: AsyncWrite + Unpin>(
        &mut self,
        socket: &mut S,
        cx: &mut Context<'_>,
        sealed: Sealed,
    ) -> io::Result<usize> {
        let Sealed { taken, room, length } = sealed;
        let records = room.get(..length).unwrap_or_default();
        let at_once = self.unsent.is_empty() && length > 0;
        let sent = match at_once.then(|| Pin::new(socket).poll_write(cx, records)) {
            Some(Poll::Ready(sent)) => sent?,
            Some(Poll::Pending) | None => 0,
        };
        self.unsent.extend_from_slice(records.get(sent..).unwrap_or_default());
        RECORDS.set(room);
        Ok(taken)
    }

    /// Puts `sealed` behind what is there.
    pub(super) fn keep(&mut self, sealed: Sealed) {
        self.unsent.extend_from_slice(sealed.room.get(..sealed.length).unwrap_or_default());
        RECORDS.set(sealed.room);
    }
}

/// Makes records of `slices`, as far as there is room. What is short shares one.
pub(super) fn seal(mut traffic: WriteTraffic<'_, ClientConnectionData>, slices: &[IoSlice<'_>]) -> io::Result<Sealed> {
    let mut sealed = Sealed::new();
    if let Some(made) = write_as_one(slices, |data| sealed.add(&mut traffic, data)) {
        made?;
        return Ok(sealed);
    }
    for slice in slices {
        // Nothing goes before what there was no room for.
        if !sealed.add(&mut traffic, slice)? {
            break;
        }
    }
    Ok(sealed)
}

/// Makes the record that says that nothing more is sent.
pub(super) fn seal_end(mut traffic: WriteTraffic<'_, ClientConnectionData>) -> io::Result<Sealed> {
    let mut sealed = Sealed::new();
    sealed.length = traffic.queue_close_notify(&mut sealed.room).map_err(io::Error::other)?;
    Ok(sealed)
}

impl Sealed {
    fn new() -> Self {
        let mut room = RECORDS.take();
        room.resize(AT_ONCE + OVERHEAD, 0);
        Self { taken: 0, room, length: 0 }
    }

    /// Adds what there is room for. `true`: that is all of it.
    fn add(&mut self, traffic: &mut WriteTraffic<'_, ClientConnectionData>, data: &[u8]) -> io::Result<bool> {
        let fits = data.get(..AT_ONCE - self.taken).unwrap_or(data);
        match traffic.encrypt(fits, self.room.get_mut(self.length..).unwrap_or_default()) {
            Ok(length) => {
                self.taken += fits.len();
                self.length += length;
                Ok(fits.len() == data.len())
            }
            // So many pieces that what each takes besides its data has filled the room: the rest comes again.
            Err(EncryptError::InsufficientSize(_)) if self.taken > 0 => Ok(false),
            Err(error) => Err(io::Error::other(error)),
        }
    }
}
