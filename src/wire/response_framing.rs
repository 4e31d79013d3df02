//! The framing of responses, as the upstream sends them. Only the header is screened: once it is sound, hyper knows
//! where the body ends, and sidekey frames it anew.

use super::fields::Block;
use super::{Framing, Malformed, USUAL_FIELDS};

/// So many interim responses are waited through for one request.
pub(crate) const MAX_INTERIM: usize = 16;

/// Where in an upstream's answer the next byte stands.
pub(crate) struct ResponseFraming {
    in_header: bool,
    /// It has switched to another protocol: nothing after that is HTTP.
    switched: bool,
    interim: usize,
    /// What is known of the header that has not come whole.
    block: Block,
    /// Its status line, once that has come.
    status: Option<Status>,
}

impl ResponseFraming {
    pub(crate) fn new() -> Self {
        Self { in_header: false, switched: false, interim: 0, block: Block::new(USUAL_FIELDS), status: None }
    }

    /// A request is about to leave: the next bytes are a header.
    pub(crate) fn expect_header(&mut self) {
        *self = Self { in_header: true, ..Self::new() };
    }

    fn step(&mut self, bytes: &[u8]) -> Result<Option<usize>, Malformed> {
        let status = match self.status {
            Some(status) => status,
            None => match self.block.line(bytes)? {
                Some(line) => *self.status.insert(status_line(line).ok_or(Malformed::StatusLine)?),
                None => return Ok(None),
            },
        };
        let Some(end) = self.block.fields(bytes)? else { return Ok(None) };
        if self.block.framing.chunked && status.http10 {
            return Err(Malformed::TransferEncoding);
        }
        if status.interim {
            self.interim += 1;
            if self.interim > MAX_INTERIM {
                return Err(Malformed::TooManyInterim);
            }
        }
        let Status { interim: in_header, switched, .. } = status;
        *self = Self { in_header, switched, interim: self.interim, ..Self::new() };
        Ok(Some(end))
    }
}

impl Framing for ResponseFraming {
    fn admit(&mut self, bytes: &[u8]) -> (usize, Option<Malformed>) {
        let mut admitted = 0;
        while self.in_header {
            match self.step(bytes.get(admitted..).unwrap_or_default()) {
                Ok(Some(length)) => admitted += length,
                Ok(None) => return (admitted, None),
                Err(fault) => return (admitted, Some(fault)),
            }
        }
        if self.switched { (admitted, None) } else { (bytes.len(), None) }
    }
}

/// What a status line says about what comes after it.
#[derive(Clone, Copy)]
struct Status {
    http10: bool,
    /// Another header will follow: any 1xx but 101.
    interim: bool,
    switched: bool,
}

/// `HTTP/1.x CODE [reason]`. The space after the code may be missing where there is no reason, as several servers have
/// it.
fn status_line(line: &[u8]) -> Option<Status> {
    let rest = line.strip_prefix(b"HTTP/1.")?;
    let (&version, rest) = rest.split_first()?;
    let (code, reason) = rest.strip_prefix(b" ")?.split_at_checked(3)?;
    let legal = matches!(version, b'0' | b'1')
        && code.iter().all(u8::is_ascii_digit)
        && matches!(code.first(), Some(b'1'..=b'9'))
        && (reason.is_empty() || reason.starts_with(b" "))
        && reason.iter().all(|&b| b == b'\t' || (b >= b' ' && b != 0x7f));
    let switched = code == b"101";
    legal.then_some(Status { http10: version == b'0', interim: code.starts_with(b"1") && !switched, switched })
}

#[cfg(test)]
mod tests {
    use super::{Framing, MAX_INTERIM, Malformed, ResponseFraming};

    fn admit(bytes: &[u8]) -> (usize, Option<Malformed>) {
        let mut framing = ResponseFraming::new();
        framing.expect_header();
        framing.admit(bytes)
    }

    #[test]
    fn admits_the_body_only_after_a_sound_header() {
        for response in [
            &b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokmore"[..],
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204\r\n\r\n",
            b"HTTP/1.0 200 OK\r\n\r\nuntil close\n",
        ] {
            assert_eq!(admit(response), (response.len(), None));
        }
        let held = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n";
        assert_eq!(admit(held), (0, None));
    }

    #[test]
    fn refuses_headers_that_two_readers_could_frame_in_two_ways() {
        for (response, expected) in [
            (
                &b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n"[..],
                Malformed::TwoFramings,
            ),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", Malformed::TransferEncoding),
            (b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", Malformed::TransferEncoding),
            (b"HTTP/1.1 200 OK\nContent-Length: 2\r\n\r\n", Malformed::LineEnding),
            (b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n", Malformed::Field),
            (b"HTTP/1.1 20 OK\r\n\r\n", Malformed::StatusLine),
            (b"HTTP/2 200 OK\r\n\r\n", Malformed::StatusLine),
            (b"ICY 200 OK\r\n\r\n", Malformed::StatusLine),
        ] {
            assert_eq!(admit(response), (0, Some(expected)), "{}", String::from_utf8_lossy(response));
        }
    }

    #[test]
    fn keeps_what_comes_after_a_switch_to_another_protocol() {
        let switch = b"HTTP/1.1 101 Switching Protocols\r\n\r\n";
        let with_more = [&switch[..], b"\x81\x02hi"].concat();
        let mut framing = ResponseFraming::new();
        framing.expect_header();
        assert_eq!(framing.admit(&with_more), (switch.len(), None));
        assert_eq!(framing.admit(b"HTTP/1.1 200 OK\r\n\r\n"), (0, None));
        framing.expect_header();
        assert_eq!(framing.admit(b"HTTP/1.1 204\r\n\r\n").0, 16);
    }

    #[test]
    fn bounds_interim_responses() {
        let flood = b"HTTP/1.1 103 Early Hints\r\n\r\n".repeat(MAX_INTERIM + 1);
        assert_eq!(admit(&flood).1, Some(Malformed::TooManyInterim));
    }
}
