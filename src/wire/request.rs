//! Requests, as the caller sends them: each head is read once, strictly, and what is said of its body with it.

mod line;

use bytes::BytesMut;
use http::{Method, Uri, Version};

use self::line::RequestLine;
pub(super) use self::line::is_path;
use super::body::Decoder;
use super::fields::{Block, FramingFields};
use super::{MAX_HEADER_BYTES, Malformed};
use crate::message::{Path, RequestHead};

/// What an HTTP/2 caller begins with (RFC 9113 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Reads the heads of a caller's requests.
pub(crate) struct RequestReader {
    /// The length of the empty lines before the head that has not come whole.
    blank: usize,
    /// What is known of that head.
    block: Block,
    /// Its request line, once that has come.
    line: Option<RequestLine>,
    /// Whether no head was read yet: only then may the caller turn out to speak HTTP/2.
    is_first: bool,
}

/// A head, and what it says of what comes after it.
pub(crate) struct FramedRequest {
    pub(crate) head: RequestHead,
    pub(crate) body: Decoder,
    /// Whether another request may follow (RFC 9112 9.3).
    pub(crate) keeps_alive: bool,
    /// Whether it asks for a WebSocket: what comes next is a request only if that does not come about.
    pub(crate) asks_for_websocket: bool,
}

impl RequestReader {
    pub(crate) fn new() -> Self {
        Self { blank: 0, block: Block::new(), line: None, is_first: true }
    }

    /// Takes a head off the front of `bytes`, with the empty lines before it. `None`: more is needed, with what was looked at
    /// in vain still before it. The preface of HTTP/2 stays where it is.
    pub(crate) fn read(&mut self, bytes: &mut BytesMut) -> Result<Option<FramedRequest>, Malformed> {
        let Some((line, end)) = self.check(bytes)? else { return Ok(None) };
        drop(bytes.split_to(self.blank));
        let head = self.head(line, bytes.split_to(end))?;
        self.begin(0);
        self.is_first = false;
        Ok(Some(head))
    }

    fn begin(&mut self, blank: usize) {
        *self = Self { blank, is_first: self.is_first, ..Self::new() };
    }

    /// Looks at what has come. `Some`: a whole head, which is so long after the empty lines before it.
    fn check(&mut self, bytes: &[u8]) -> Result<Option<(RequestLine, usize)>, Malformed> {
        let blank = blank_lines(bytes)?;
        if blank != self.blank {
            // What was looked at, in vain, began earlier.
            self.begin(blank);
        }
        let bytes = bytes.get(blank..).unwrap_or_default();
        let line = match self.line {
            Some(line) => line,
            None => match self.block.line(bytes)? {
                Some(line) => match RequestLine::read(line) {
                    Ok(line) => *self.line.insert(line),
                    Err(Malformed::Version) if self.is_first && blank == 0 => return self.preface(bytes),
                    Err(fault) => return Err(fault),
                },
                None => return Ok(None),
            },
        };
        let Some(end) = self.block.fields(bytes)? else { return Ok(None) };
        check_fields(line, &self.block.framing)?;
        Ok(Some((line, end)))
    }

    /// The first line is of a version that is not spoken here, unless it begins the preface of HTTP/2.
    fn preface(&mut self, bytes: &[u8]) -> Result<Option<(RequestLine, usize)>, Malformed> {
        self.begin(0);
        match bytes {
            bytes if bytes.starts_with(PREFACE) => Err(Malformed::Http2),
            bytes if PREFACE.starts_with(bytes) => Ok(None),
            _ => Err(Malformed::Version),
        }
    }

    /// The head whose text is `text`.
    fn head(&mut self, line: RequestLine, text: BytesMut) -> Result<FramedRequest, Malformed> {
        let fields = self.block.take(text);
        let framing = &self.block.framing;
        let method = fields.text().get(..line.method).unwrap_or_default();
        let method = Method::from_bytes(method).map_err(|_| Malformed::RequestLine)?;
        let target = fields.text().slice(line.method + 1..line.target);
        let (authority, path) = if target.starts_with(b"/") {
            (None, Path::new(target))
        } else {
            let uri = Uri::from_maybe_shared(target).map_err(|_| Malformed::Target)?;
            (uri.authority().cloned(), uri.path_and_query().map(Path::from).unwrap_or_default())
        };
        let version = if line.is_http10 { Version::HTTP_10 } else { Version::HTTP_11 };
        Ok(FramedRequest {
            head: RequestHead { authority, version, fields, ..RequestHead::new(method, path) },
            body: body_of(framing),
            keeps_alive: framing.keeps_alive(line.is_http10),
            asks_for_websocket: asks_for_websocket(line, framing),
        })
    }
}

/// The head of a request that is all of `bytes`, or all of whose body is yet to come.
pub(crate) fn alone(bytes: &[u8]) -> Option<FramedRequest> {
    let mut bytes = BytesMut::from(bytes);
    RequestReader::new().read(&mut bytes).ok().flatten().filter(|_| bytes.is_empty())
}

/// What is wrong with the requests that `bytes` hold, the last of which may not be whole.
pub(crate) fn fault(bytes: &[u8]) -> Option<Malformed> {
    fault_in(Decoder::empty(), bytes, true)
}

/// The same of what came behind a head, its body first. What came together stands or falls together: the fault may be
/// a body that was taken for a request.
pub(crate) fn fault_behind(body: Decoder, bytes: &[u8]) -> Option<Malformed> {
    fault_in(body, bytes, false)
}

fn fault_in(mut body: Decoder, mut bytes: &[u8], mut is_first: bool) -> Option<Malformed> {
    loop {
        match body.skip(bytes) {
            Ok(Some(length)) => bytes = bytes.get(length..).unwrap_or_default(),
            Ok(None) => return None,
            Err(fault) => return Some(fault),
        }
        let mut reader = RequestReader { is_first, ..RequestReader::new() };
        match reader.check(bytes) {
            Ok(Some((line, _))) if asks_for_websocket(line, &reader.block.framing) => return None,
            Ok(Some((_, end))) => bytes = bytes.get(reader.blank + end..).unwrap_or_default(),
            Ok(None) => return None,
            Err(fault) => return Some(fault),
        }
        (body, is_first) = (body_of(&reader.block.framing), false);
    }
}

fn body_of(framing: &FramingFields) -> Decoder {
    if framing.chunked { Decoder::chunked() } else { Decoder::length(framing.content_length.unwrap_or(0)) }
}

fn asks_for_websocket(line: RequestLine, framing: &FramingFields) -> bool {
    let is_empty = !framing.chunked && framing.content_length.unwrap_or(0) == 0;
    is_empty && !line.is_http10 && framing.asks_for_websocket()
}

/// The length of the empty lines before a request line, which are skipped (RFC 9112 2.2).
fn blank_lines(bytes: &[u8]) -> Result<usize, Malformed> {
    let mut length = 0;
    while bytes.get(length..).is_some_and(|rest| rest.starts_with(b"\r\n")) {
        length += 2;
    }
    if length > MAX_HEADER_BYTES { Err(Malformed::HeaderTooLarge) } else { Ok(length) }
}

/// Checks what a whole header says of itself.
fn check_fields(line: RequestLine, framing: &FramingFields) -> Result<(), Malformed> {
    // RFC 9112 3.2: one Host, no more and no less. HTTP/1.0 may do without.
    if framing.hosts > 1 || (framing.hosts == 0 && !line.is_http10) {
        return Err(Malformed::Host);
    }
    if framing.chunked && line.is_http10 {
        return Err(Malformed::TransferEncoding);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
