//! Responses, as the upstream sends them: each head is read once, strictly, and how its body is framed with it.

use bytes::BytesMut;
use http::{StatusCode, Version};
use hyper::ext::ReasonPhrase;

use super::Malformed;
use super::body::Decoder;
use super::fields::Block;
use crate::message::ResponseHead;

/// So many interim responses are waited through for one request.
pub(crate) const MAX_INTERIM: usize = 16;

/// Reads the heads that answer one request: interim ones, and the last.
pub(crate) struct ResponseReader {
    interim: usize,
    /// What is known of the head that has not come whole.
    block: Block,
    /// Its status line, once that has come.
    line: Option<StatusLine>,
}

/// A head, and what it says of what comes after it.
pub(crate) struct FramedResponse {
    pub(crate) head: ResponseHead,
    pub(crate) body: Decoder,
    /// Whether another request may follow it.
    pub(crate) keeps_alive: bool,
}

#[derive(Clone, Copy)]
struct StatusLine {
    is_http10: bool,
    status: StatusCode,
    /// Where the reason phrase begins, counted from the line's beginning, and where it ends.
    reason: (usize, usize),
}

impl ResponseReader {
    pub(crate) fn new() -> Self {
        Self { interim: 0, block: Block::new(), line: None }
    }

    /// Takes a head off the front of `bytes`, the answer to a HEAD if `to_head`. `None`: more is needed, with what was looked at
    /// in vain still before it. An interim one has no body, nor has a 101: what comes after that is no HTTP.
    pub(crate) fn read(&mut self, bytes: &mut BytesMut, to_head: bool) -> Result<Option<FramedResponse>, Malformed> {
        let line = match self.line {
            Some(line) => line,
            None => match self.block.line(bytes)? {
                Some(line) => *self.line.insert(status_line(line).ok_or(Malformed::StatusLine)?),
                None => return Ok(None),
            },
        };
        let Some(end) = self.block.fields(bytes)? else { return Ok(None) };
        if self.block.framing.chunked && line.is_http10 {
            return Err(Malformed::TransferEncoding);
        }
        if line.is_interim() {
            self.interim += 1;
            if self.interim > MAX_INTERIM {
                return Err(Malformed::TooManyInterim);
            }
        }
        let head = self.head(line, bytes.split_to(end), to_head)?;
        *self = Self { interim: self.interim, ..Self::new() };
        Ok(Some(head))
    }

    fn head(&mut self, line: StatusLine, text: BytesMut, to_head: bool) -> Result<FramedResponse, Malformed> {
        let fields = self.block.take(text);
        let version = if line.is_http10 { Version::HTTP_10 } else { Version::HTTP_11 };
        let reason = fields.text().get(line.reason.0..line.reason.1).unwrap_or_default();
        let is_usual = line.status.canonical_reason().is_some_and(|usual| usual.as_bytes() == reason);
        let reason = if is_usual { None } else { Some(ReasonPhrase::try_from(reason)) };
        let reason = reason.transpose().map_err(|_| Malformed::StatusLine)?;
        let body = self.body(line, to_head);
        let is_framed = body.remaining().is_some() || self.block.framing.chunked;
        let keeps_alive = is_framed && self.block.framing.keeps_alive(line.is_http10);
        Ok(FramedResponse { head: ResponseHead { status: line.status, version, fields, reason }, body, keeps_alive })
    }

    /// RFC 9112 6.3.
    fn body(&self, line: StatusLine, to_head: bool) -> Decoder {
        let is_empty = to_head
            || line.status.is_informational()
            || matches!(line.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        match self.block.framing.content_length {
            _ if is_empty => Decoder::empty(),
            _ if self.block.framing.chunked => Decoder::chunked().lenient(),
            Some(length) => Decoder::length(length),
            None => Decoder::until_close(),
        }
    }
}

impl StatusLine {
    /// Whether another head follows.
    fn is_interim(self) -> bool {
        self.status.is_informational() && self.status != StatusCode::SWITCHING_PROTOCOLS
    }
}

/// `HTTP/1.x CODE [reason]`. The space after the code may be missing where there is no reason, as several servers have
/// it.
fn status_line(line: &[u8]) -> Option<StatusLine> {
    let rest = line.strip_prefix(b"HTTP/1.")?;
    let (&version, rest) = rest.split_first()?;
    let (code, after) = rest.strip_prefix(b" ")?.split_at_checked(3)?;
    let reason = after.strip_prefix(b" ").unwrap_or(after);
    let legal = matches!(version, b'0' | b'1')
        && (after.is_empty() || after.starts_with(b" "))
        && reason.iter().all(|&b| b == b'\t' || (b >= b' ' && b != 0x7f));
    let status = StatusCode::from_bytes(code).ok()?;
    legal.then_some(StatusLine { is_http10: version == b'0', status, reason: (line.len() - reason.len(), line.len()) })
}

#[cfg(test)]
mod tests;
