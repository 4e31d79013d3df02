//! A stream that is read message by message, strictly: what is not exactly HTTP/1.1 fails the test.

use std::io::{ErrorKind, Read, Write};
use std::sync::{Arc, Mutex};

use super::message::Fields;

/// What a stream of either side is.
pub(crate) trait Stream: Read + Write + Send {}

impl<S: Read + Write + Send> Stream for S {}

/// Why nothing more can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// The other side closed, in the middle of a message or between two.
    Closed,
    /// It was reset.
    Reset,
    /// Nothing came for a long time.
    Silent,
}

/// Every byte that came on one connection, up to a bound that only bulk transfers reach.
pub(crate) type Record = Arc<Mutex<Vec<u8>>>;

const MAX_RECORD: usize = 8 * 1024 * 1024;

/// A stream, what was read of it and not yet used, and the record of everything read.
pub(crate) struct Wire {
    stream: Box<dyn Stream>,
    waiting: Vec<u8>,
    record: Record,
}

impl Wire {
    pub(super) fn new(stream: impl Stream + 'static, record: Record) -> Self {
        Self { stream: Box::new(stream), waiting: Vec::new(), record }
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes)?;
        self.stream.flush()
    }

    /// Reads at least one byte more.
    fn fill(&mut self) -> Result<(), Broken> {
        let mut space = [0; 16 * 1024];
        match self.stream.read(&mut space) {
            Ok(0) => Err(Broken::Closed),
            Ok(length) => {
                let mut record = self.record.lock().unwrap();
                let room = MAX_RECORD.saturating_sub(record.len()).min(length);
                record.extend_from_slice(&space[..room]);
                self.waiting.extend_from_slice(&space[..length]);
                Ok(())
            }
            Err(error) => match error.kind() {
                ErrorKind::Interrupted => Ok(()),
                ErrorKind::UnexpectedEof => Err(Broken::Closed),
                ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => Err(Broken::Reset),
                ErrorKind::WouldBlock | ErrorKind::TimedOut => Err(Broken::Silent),
                kind => panic!("reading failed: {kind}"),
            },
        }
    }

    /// A line without its CRLF.
    pub(super) fn line(&mut self) -> Result<String, Broken> {
        let end = loop {
            if let Some(end) = memchr::memchr(b'\n', &self.waiting) {
                break end;
            }
            self.fill()?;
        };
        let line: Vec<u8> = self.waiting.drain(..=end).collect();
        let line = line.strip_suffix(b"\r\n").expect("a line ends with CRLF");
        Ok(line.iter().map(|&byte| char::from(byte)).collect())
    }

    pub(super) fn exactly(&mut self, length: usize) -> Result<Vec<u8>, Broken> {
        while self.waiting.len() < length {
            self.fill()?;
        }
        Ok(self.waiting.drain(..length).collect())
    }

    /// Whatever comes next, at least one byte.
    pub(super) fn some(&mut self) -> Result<Vec<u8>, Broken> {
        if self.waiting.is_empty() {
            self.fill()?;
        }
        Ok(std::mem::take(&mut self.waiting))
    }

    /// So many bytes are here already.
    pub(super) fn ready(&self) -> usize {
        self.waiting.len()
    }

    /// Everything until the end, and how it ended.
    pub(super) fn rest(&mut self) -> (Vec<u8>, Broken) {
        loop {
            if let Err(broken) = self.fill() {
                return (std::mem::take(&mut self.waiting), broken);
            }
        }
    }

    pub(super) fn fields(&mut self) -> Result<Fields, Broken> {
        let mut fields = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Ok(Fields(fields));
            }
            let (name, value) = line.split_once(": ").or(line.split_once(':')).expect("a field has a colon");
            assert!(!name.is_empty() && !name.contains([' ', '\t']), "a field's name is a token: {name:?}");
            fields.push((name.to_ascii_lowercase(), value.to_owned()));
        }
    }

    pub(super) fn chunked(&mut self, body: &mut Vec<u8>) -> Result<Fields, Broken> {
        loop {
            let line = self.line()?;
            let size = usize::from_str_radix(&line, 16).expect("a chunk's size alone, without extensions");
            if size == 0 {
                return self.fields();
            }
            let mut left = size;
            while left > 0 {
                let piece = self.some()?;
                let used = piece.len().min(left);
                body.extend_from_slice(&piece[..used]);
                self.waiting.extend_from_slice(&piece[used..]);
                left -= used;
            }
            assert_eq!(self.exactly(2)?, b"\r\n", "a chunk ends with CRLF");
        }
    }
}
