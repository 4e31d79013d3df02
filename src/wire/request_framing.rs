//! The framing of requests, as the caller sends them.

use http::uri::{Scheme, Uri};

use super::fields::{Block, FramingFields, TARGET, class, is_token, split_line};
use super::{Framing, MAX_HEADER_BYTES, MAX_REQUEST_FIELDS, Malformed, USUAL_FIELDS};

/// A chunk's size line may not be longer. Extensions are checked, and go no further than hyper.
const MAX_CHUNK_LINE: usize = 4096;

/// What an HTTP/2 caller begins with (RFC 9113 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// hyper takes no longer one.
const MAX_TARGET: usize = u16::MAX as usize - 1;

/// Where in a caller's stream of requests the next byte stands.
pub(crate) struct RequestFraming {
    state: State,
    /// The length of the empty lines before the header that has not come whole.
    blank: usize,
    /// What is known of the header or trailers that have not come whole.
    block: Block,
    /// The header's request line, once it has come.
    version: Option<Version>,
    max_fields: usize,
    /// Whether no header was admitted yet: only then may the caller turn out to speak HTTP/2.
    is_first: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Header,
    /// After a request for a WebSocket: what comes next is a request only if that does not come about.
    Undecided,
    Body {
        remaining: u64,
    },
    ChunkSize,
    ChunkData {
        remaining: u64,
    },
    Trailers,
}

impl RequestFraming {
    pub(crate) fn new() -> Self {
        Self {
            state: State::Header,
            blank: 0,
            block: Block::new(USUAL_FIELDS),
            version: None,
            max_fields: USUAL_FIELDS,
            is_first: true,
        }
    }

    /// Lets headers have as many fields as a request may, from the one on that was held back for having many.
    pub(crate) fn make_room(&mut self) {
        self.max_fields = MAX_REQUEST_FIELDS;
        self.begin_block();
    }

    fn begin_block(&mut self) {
        self.blank = 0;
        self.block = Block::new(self.max_fields);
        self.version = None;
    }

    /// Whether the last admitted byte ended a request (or there was none yet).
    pub(crate) fn between_requests(&self) -> bool {
        matches!(self.state, State::Header | State::Undecided)
    }

    /// Whether what comes next waits for the answer to a request for a WebSocket.
    pub(crate) fn is_undecided(&self) -> bool {
        self.state == State::Undecided
    }

    /// No WebSocket has come about: what comes next is a request.
    pub(crate) fn stay(&mut self) {
        if self.is_undecided() {
            self.state = State::Header;
        }
    }

    /// Admits as much as one state can, and moves on. `None`: more bytes are needed.
    fn step(&mut self, bytes: &[u8]) -> Result<Option<usize>, Malformed> {
        match self.state {
            State::Header => self.header(bytes),
            State::Undecided => Ok(None),
            State::Body { remaining } => {
                let (length, remaining) = take(bytes, remaining);
                self.state = if remaining == 0 { State::Header } else { State::Body { remaining } };
                Ok((length > 0).then_some(length))
            }
            State::ChunkSize => self.chunk_line(bytes),
            State::ChunkData { remaining: 0 } => match bytes {
                [b'\r', b'\n', ..] => {
                    self.state = State::ChunkSize;
                    Ok(Some(2))
                }
                [] | [b'\r'] => Ok(None),
                _ => Err(Malformed::Chunk),
            },
            State::ChunkData { remaining } => {
                let (length, remaining) = take(bytes, remaining);
                self.state = State::ChunkData { remaining };
                Ok((length > 0).then_some(length))
            }
            State::Trailers => self.trailers(bytes),
        }
    }

    fn header(&mut self, bytes: &[u8]) -> Result<Option<usize>, Malformed> {
        let blank = blank_lines(bytes)?;
        if blank != self.blank {
            // What was looked at, in vain, began earlier.
            self.begin_block();
            self.blank = blank;
        }
        let bytes = bytes.get(blank..).unwrap_or_default();
        let version = match self.version {
            Some(version) => version,
            None => match self.block.line(bytes)? {
                Some(line) => match check_request_line(line) {
                    Ok(version) => *self.version.insert(version),
                    Err(Malformed::Version) if self.is_first && blank == 0 => return self.preface(bytes),
                    Err(fault) => return Err(fault),
                },
                None => return Ok(None),
            },
        };
        let Some(end) = self.block.fields(bytes)? else { return Ok(None) };
        self.state = after_header(version, self.block.framing)?;
        self.is_first = false;
        Ok(Some(blank + end))
    }

    /// The first line is of a version that is not spoken here, unless it begins the preface of HTTP/2.
    fn preface(&mut self, bytes: &[u8]) -> Result<Option<usize>, Malformed> {
        self.begin_block();
        match bytes {
            bytes if bytes.starts_with(PREFACE) => Err(Malformed::Http2),
            bytes if PREFACE.starts_with(bytes) => Ok(None),
            _ => Err(Malformed::Version),
        }
    }

    fn chunk_line(&mut self, bytes: &[u8]) -> Result<Option<usize>, Malformed> {
        let line = bytes.get(..bytes.len().min(MAX_CHUNK_LINE)).unwrap_or_default();
        let Some(end) = memchr::memchr(b'\n', line) else {
            return if bytes.len() >= MAX_CHUNK_LINE { Err(Malformed::Chunk) } else { Ok(None) };
        };
        let (line, _) = split_line(bytes).map_err(|_| Malformed::Chunk)?;
        self.state = match chunk_size(line).ok_or(Malformed::Chunk)? {
            0 => State::Trailers,
            size => State::ChunkData { remaining: size },
        };
        Ok(Some(end + 1))
    }

    fn trailers(&mut self, bytes: &[u8]) -> Result<Option<usize>, Malformed> {
        // No room can be made in the middle of a message.
        let end = self.block.fields(bytes).map_err(|fault| match fault {
            Malformed::ManyFields => Malformed::TooManyFields,
            fault => fault,
        })?;
        if end.is_some() {
            self.state = State::Header;
        }
        Ok(end)
    }
}

impl Framing for RequestFraming {
    fn admit(&mut self, bytes: &[u8]) -> (usize, Option<Malformed>) {
        let mut admitted = 0;
        // Where the first request begins of which nothing was admitted before.
        let mut begun = None;
        loop {
            let rest = bytes.get(admitted..).unwrap_or_default();
            if rest.is_empty() {
                return (admitted, None);
            }
            if begun.is_none() && self.state == State::Header {
                begun = Some(admitted);
            }
            match self.step(rest) {
                Ok(Some(length)) => {
                    admitted += length;
                    self.begin_block();
                }
                Ok(None) => return (admitted, None),
                Err(Malformed::ManyFields) => return (admitted, Some(Malformed::ManyFields)),
                // What came together stands or falls together: the fault may be a body that was taken for a request.
                Err(fault) => {
                    if begun.is_some() {
                        self.state = State::Header;
                    }
                    return (begun.unwrap_or(admitted), Some(fault));
                }
            }
        }
    }
}

/// How much of `bytes` belongs to the next `remaining` ones, and what then remains.
fn take(bytes: &[u8], remaining: u64) -> (usize, u64) {
    let length = usize::try_from(remaining).map_or(bytes.len(), |remaining| bytes.len().min(remaining));
    (length, remaining - length as u64)
}

/// The length of the empty lines before a request line, which are skipped (RFC 9112 2.2).
fn blank_lines(bytes: &[u8]) -> Result<usize, Malformed> {
    let mut length = 0;
    while bytes.get(length..).is_some_and(|rest| rest.starts_with(b"\r\n")) {
        length += 2;
    }
    if length > MAX_HEADER_BYTES { Err(Malformed::HeaderTooLarge) } else { Ok(length) }
}

/// Checks what a whole header says of itself, and finds what comes after it.
fn after_header(version: Version, framing: FramingFields) -> Result<State, Malformed> {
    // RFC 9112 3.2: one Host, no more and no less. HTTP/1.0 may do without.
    if framing.hosts > 1 || (framing.hosts == 0 && version == Version::Http11) {
        return Err(Malformed::Host);
    }
    if framing.chunked && version == Version::Http10 {
        return Err(Malformed::TransferEncoding);
    }
    Ok(match framing.content_length {
        _ if framing.chunked => State::ChunkSize,
        None | Some(0) if version == Version::Http11 && framing.asks_for_websocket() => State::Undecided,
        None | Some(0) => State::Header,
        Some(remaining) => State::Body { remaining },
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Version {
    Http10,
    Http11,
}

fn check_request_line(line: &[u8]) -> Result<Version, Malformed> {
    let first = memchr::memchr(b' ', line).ok_or(Malformed::RequestLine)?;
    let last = memchr::memrchr(b' ', line).ok_or(Malformed::RequestLine)?;
    let method = line.get(..first).unwrap_or_default();
    let target = line.get(first + 1..last).ok_or(Malformed::RequestLine)?;
    if !is_token(method) {
        return Err(Malformed::RequestLine);
    }
    let version = match line.get(last + 1..).unwrap_or_default() {
        b"HTTP/1.1" => Version::Http11,
        b"HTTP/1.0" => Version::Http10,
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor] if major.is_ascii_digit() && minor.is_ascii_digit() => {
            return Err(Malformed::Version);
        }
        _ => return Err(Malformed::RequestLine),
    };
    let legal = is_path(target) || (are_legal(target) && is_other_form(method, target));
    if legal { Ok(version) } else { Err(Malformed::Target) }
}

/// A path and perhaps a query, of what a URL may hold.
pub(super) fn is_path(target: &[u8]) -> bool {
    target.starts_with(b"/") && target.len() <= MAX_TARGET && are_legal(target) && !has_quote_in_query(target)
}

fn are_legal(target: &[u8]) -> bool {
    target.iter().all(|&b| class(b) & TARGET != 0)
}

/// hyper, too, takes a quotation mark in a path alone.
fn has_quote_in_query(target: &[u8]) -> bool {
    memchr::memchr(b'"', target).is_some() && target.iter().skip_while(|&&b| b != b'?').any(|&b| b == b'"')
}

/// An absolute http URL; or, for `CONNECT` alone, an authority, so that the request path can answer 405.
fn is_other_form(method: &[u8], target: &[u8]) -> bool {
    let Ok(uri) = Uri::try_from(target) else { return false };
    match uri.scheme() {
        Some(scheme) => *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS,
        None => method == b"CONNECT" && uri.authority().is_some(),
    }
}

/// A chunk's size line (RFC 9112 7.1): hexadecimal digits, then extensions.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let digits = line.iter().take_while(|b| b.is_ascii_hexdigit()).count();
    let (digits, extensions) = line.split_at_checked(digits)?;
    if digits.is_empty() || digits.len() > 15 || !are_chunk_extensions(extensions) {
        return None;
    }
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// `*( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] )` (RFC 9112 7.1.1).
fn are_chunk_extensions(mut rest: &[u8]) -> bool {
    let token = |bytes: &[u8]| bytes.iter().take_while(|&&b| is_token(&[b])).count();
    while !rest.is_empty() {
        let Some(after) = rest.trim_ascii_start().strip_prefix(b";") else { return false };
        let after = after.trim_ascii_start();
        let name = token(after);
        if name == 0 {
            return false;
        }
        rest = after.get(name..).unwrap_or_default();
        if let Some(value) = rest.trim_ascii_start().strip_prefix(b"=") {
            let value = value.trim_ascii_start();
            let length = if value.starts_with(b"\"") { quoted_string(value) } else { token(value) };
            if length == 0 {
                return false;
            }
            rest = value.get(length..).unwrap_or_default();
        }
    }
    true
}

/// The length of the quoted string that `bytes` begins with; 0 if it is none.
fn quoted_string(bytes: &[u8]) -> usize {
    let mut escaped = false;
    for (at, &b) in bytes.iter().enumerate().skip(1) {
        match b {
            _ if b != b'\t' && (b < b' ' || b == 0x7f) => return 0,
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    0
}

#[cfg(test)]
mod tests;
