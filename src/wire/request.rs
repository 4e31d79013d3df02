//! The framing of requests, as the caller sends them.

use http::uri::{Scheme, Uri};

use super::fields::{Block, FramingFields, TARGET, class, is_token, split_line};
use super::{Framing, MAX_HEADER_BYTES, MAX_REQUEST_FIELDS, Malformed, USUAL_FIELDS};

/// A chunk's size line may not be longer. Extensions are checked, and go no further than hyper.
const MAX_CHUNK_LINE: usize = 4096;

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
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Header,
    Body { remaining: u64 },
    ChunkSize,
    ChunkData { remaining: u64 },
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
        self.state == State::Header
    }

    /// Admits as much as one state can, and moves on. `None`: more bytes are needed.
    fn step(&mut self, bytes: &[u8]) -> Result<Option<usize>, Malformed> {
        match self.state {
            State::Header => {
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
                        Some(line) => *self.version.insert(check_request_line(line)?),
                        None => return Ok(None),
                    },
                };
                let Some(end) = self.block.fields(bytes)? else { return Ok(None) };
                self.state = after_header(version, self.block.framing)?;
                Ok(Some(blank + end))
            }
            State::Body { remaining } => {
                let (length, remaining) = take(bytes, remaining);
                self.state = if remaining == 0 { State::Header } else { State::Body { remaining } };
                Ok((length > 0).then_some(length))
            }
            State::ChunkSize => {
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
            State::Trailers => {
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
    let is_path = target.starts_with(b"/") && target.len() <= MAX_TARGET && !has_quote_in_query(target);
    let legal = target.iter().all(|&b| class(b) & TARGET != 0) && (is_path || is_other_form(method, target));
    if legal { Ok(version) } else { Err(Malformed::Target) }
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
mod tests {
    use super::{Framing, Malformed, RequestFraming};

    fn fault(request: &[u8]) -> Option<Malformed> {
        RequestFraming::new().admit(request).1
    }

    #[test]
    fn admits_whole_requests_only() {
        let mut framing = RequestFraming::new();
        let request =
            b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabcGET /b HTTP/1.1\r\nHost: h\r\n\r\nGET";
        assert_eq!(framing.admit(request), (request.len() - 3, None));
        assert!(framing.between_requests());
    }

    #[test]
    fn finds_the_same_end_however_the_bytes_are_cut() {
        let request = b"\r\nPOST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3;x=\"\\\"\";y\r\nabc\r\n0\r\nT: 1\r\n\r\n";
        for cut in 1..request.len() {
            let mut framing = RequestFraming::new();
            let (first, fault) = framing.admit(&request[..cut]);
            assert_eq!(fault, None, "cut at {cut}");
            assert_eq!(framing.admit(&request[first..]), (request.len() - first, None), "cut at {cut}");
            assert!(framing.between_requests());
        }
    }

    #[test]
    fn refuses_what_two_readers_could_frame_in_two_ways() {
        let with = |fields: &str| format!("POST / HTTP/1.1\r\nHost: h\r\n{fields}\r\n").into_bytes();
        for (request, expected) in [
            (with("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"), Malformed::TwoFramings),
            (with("Transfer-Encoding: chunked\r\nContent-Length: 1\r\n"), Malformed::TwoFramings),
            (with("Content-Length: 1\r\nContent-Length: 2\r\n"), Malformed::ContentLength),
            (with("Content-Length: 1, 1\r\n"), Malformed::ContentLength),
            (with("Content-Length: +1\r\n"), Malformed::ContentLength),
            (with("Content-Length: 99999999999999999999\r\n"), Malformed::ContentLength),
            (with("Content-Length: 9223372036854775808\r\n"), Malformed::ContentLength),
            (with("Transfer-Encoding: gzip, chunked\r\n"), Malformed::TransferEncoding),
            (with("Transfer-Encoding: identity\r\n"), Malformed::TransferEncoding),
            (with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), Malformed::TransferEncoding),
            (with("X: a\r\n b\r\n"), Malformed::Field),
            (with("X : a\r\n"), Malformed::Field),
            (with(": a\r\n"), Malformed::Field),
            (with("X: a\0b\r\n"), Malformed::Field),
            (with("X: a\rb\r\n"), Malformed::LineEnding),
            (with("X: a\n"), Malformed::LineEnding),
            (with("Host: h\r\n"), Malformed::Host),
            (b"GET / HTTP/1.1\r\n\r\n".to_vec(), Malformed::Host),
            (b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec(), Malformed::TransferEncoding),
        ] {
            assert_eq!(fault(&request), Some(expected), "{}", String::from_utf8_lossy(&request));
        }
    }

    #[test]
    fn finds_the_same_fault_however_the_bytes_are_cut() {
        for request in [&b"\r\n\n,x"[..], b"\r\n\r\nGET\n", b"\r\n\r\n\r\nGET / HTTP/1.1\r\nX\n"] {
            let whole = RequestFraming::new().admit(request);
            assert!(whole.1.is_some());
            for cut in 1..request.len() {
                let mut framing = RequestFraming::new();
                let first = framing.admit(&request[..cut]);
                let rest = if first.1.is_some() { first } else { framing.admit(&request[first.0..]) };
                assert_eq!(rest, whole, "cut at {cut}");
            }
        }
    }

    #[test]
    fn what_came_with_a_malformed_request_falls_with_it() {
        let good = b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc";
        for bad in [&b"abc\r\n\r\n"[..], b"GET / HTTP/1.1\r\n\r\n", b"\0\n"] {
            let together = [good, &good[..], bad].concat();
            let mut framing = RequestFraming::new();
            assert_eq!(framing.admit(&together).0, 0);
            assert!(framing.between_requests());
            // A request that was let through before the fault came has its answer.
            for cut in 1..=good.len() {
                let mut framing = RequestFraming::new();
                let (first, fault) = framing.admit(&together[..cut]);
                assert_eq!(fault, None);
                let (rest, fault) = framing.admit(&together[first..]);
                assert!(fault.is_some() && framing.between_requests());
                let its_end = if first == 0 { 0 } else { good.len() };
                assert_eq!(first + rest, its_end, "cut at {cut}");
            }
        }
    }

    #[test]
    fn a_chunk_that_is_malformed_takes_a_header_with_it_that_has_not_gone() {
        let header = b"POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n";
        let request = [header, &b"zz\r\n"[..]].concat();
        assert_eq!(RequestFraming::new().admit(&request), (0, Some(Malformed::Chunk)));
        let mut framing = RequestFraming::new();
        assert_eq!(framing.admit(header), (header.len(), None));
        assert_eq!(framing.admit(b"zz\r\n"), (0, Some(Malformed::Chunk)));
        assert!(!framing.between_requests());
    }

    #[test]
    fn refuses_targets_that_are_neither_a_path_nor_an_absolute_url() {
        for target in [
            "*",
            "example.com:443",
            "a/b",
            "?q",
            "ftp://h/",
            "/a b",
            "/a#b",
            "/\u{e9}",
            "",
            "/a\tb",
            "/?\"",
            "http:///x",
            "http://[::1/x",
            "http://a\"b/",
        ] {
            let request = format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n");
            assert!(matches!(fault(request.as_bytes()), Some(Malformed::Target | Malformed::RequestLine)), "{target}");
        }
        assert_eq!(fault(b"GET http://h/?a={b|c} HTTP/1.1\r\nHost: h\r\n\r\n"), None);
        assert_eq!(fault(b"GET / HTTP/2.0\r\nHost: h\r\n\r\n"), Some(Malformed::Version));
        assert_eq!(fault(b"GET /\r\n\r\n"), Some(Malformed::RequestLine));
    }

    #[test]
    fn every_target_that_is_admitted_can_be_read_by_hyper() {
        for byte in 0..=u8::MAX {
            for target in [[b'/', byte, b'x'].as_slice(), &[b'/', b'?', byte, b'x']] {
                let request = [b"GET ", target, b" HTTP/1.1\r\nHost: h\r\n\r\n"].concat();
                if fault(&request).is_none() {
                    let uri = http::Uri::try_from(target).expect("hyper reads it");
                    assert_eq!(uri.to_string().as_bytes(), target);
                }
            }
        }
    }

    #[test]
    fn refuses_chunks_that_are_not_exact() {
        let with = |body: &str| format!("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
        for body in
            ["3\nabc\r\n", "3\r\nabcd\r\n", " 3\r\n", "0x3\r\n", "3;\r\n", "3;a=\r\n", "3 a\r\n", "-1\r\n", "\r\n"]
        {
            assert_eq!(fault(with(body).as_bytes()), Some(Malformed::Chunk), "{body:?}");
        }
        assert_eq!(fault(with("fffffffffffffffff\r\n").as_bytes()), Some(Malformed::Chunk));
        assert_eq!(fault(with("0\r\nA b: 1\r\n\r\n").as_bytes()), Some(Malformed::Field));
    }

    #[test]
    fn bounds_the_header() {
        let long = format!("GET / HTTP/1.1\r\nHost: h\r\nX: {}\r\n\r\n", "x".repeat(70_000));
        assert_eq!(fault(long.as_bytes()), Some(Malformed::HeaderTooLarge));
        assert_eq!(fault(&vec![b'a'; 65_537]), Some(Malformed::HeaderTooLarge));
        let with = |count| format!("GET / HTTP/1.1\r\nHost: h\r\n{}\r\n", "X: y\r\n".repeat(count));
        assert_eq!(fault(with(99).as_bytes()), None);
        assert_eq!(fault(with(100).as_bytes()), Some(Malformed::ManyFields));
        let roomy_fault = |request: &str| {
            let mut framing = RequestFraming::new();
            framing.make_room();
            framing.admit(request.as_bytes()).1
        };
        assert_eq!(roomy_fault(&with(127)), None);
        assert_eq!(roomy_fault(&with(128)), Some(Malformed::TooManyFields));
    }
}
