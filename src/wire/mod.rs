//! Stage 1: is it HTTP, beyond doubt? The grammar of RFC 9112, read strictly. hyper parses messages; what is here decides
//! which bytes hyper may see, so that sidekey, hyper and the other side can never disagree about where a message ends.
//!
//! [`Screen`] stands between a socket and hyper. It holds back a header, or a line of a chunked body, until it is
//! complete and sound, and lets nothing after the first fault through, nor a request that came in one read with it.

#[allow(dead_code, reason = "until both halves of the path use it")]
pub(crate) mod body;
#[allow(dead_code, reason = "until both halves of the path use it")]
pub(crate) mod encode;
pub(crate) mod fields;
pub(crate) mod http2;
#[allow(dead_code, reason = "until both halves of the path use it")]
pub(crate) mod request;
#[allow(dead_code, reason = "until both halves of the path use it")]
pub(crate) mod response;
mod screen;
mod tcp;
mod tls;

pub(crate) use self::screen::{Framing, Screen};
pub(crate) use self::tcp::Tcp;
pub(crate) use self::tls::TlsStream;

/// A header block, or the trailers of a message, may not be larger.
pub(crate) const MAX_HEADER_BYTES: usize = 64 * 1024;
/// What h2 may hold of a header: more than sidekey lets pass, so that it is sidekey that answers what is too large.
pub(crate) const MAX_HEADER_LIST: u32 = 2 * MAX_HEADER_BYTES as u32;
/// What hyper may hold of one direction: twice the largest header that the screen lets through.
pub(crate) const MAX_BUFFER: usize = 2 * MAX_HEADER_BYTES;
/// Nor may a header have more fields: that of a request,
pub(crate) const MAX_REQUEST_FIELDS: usize = 128;
/// or that of a response, or of any message that hyper reads without being told to make room first.
pub(crate) const USUAL_FIELDS: usize = 100;

/// What is wrong with a message. The texts are public: they say which rule, never what was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("a line ends without CRLF, or holds a bare CR")]
    LineEnding,
    #[error("the request line is not `METHOD target HTTP/1.1`")]
    RequestLine,
    #[error("the HTTP version is neither 1.1 nor 1.0")]
    Version,
    #[error("the request target is neither a path nor an absolute http URL, or holds a character that a URL may not")]
    Target,
    #[error("the status line is not `HTTP/1.1 code reason`")]
    StatusLine,
    #[error("a header line is not `name: value`")]
    Field,
    #[error("a request must have exactly one Host")]
    Host,
    #[error("Content-Length is not one number")]
    ContentLength,
    #[error("Transfer-Encoding is not `chunked` alone, or the message is HTTP/1.0")]
    TransferEncoding,
    #[error("both Content-Length and Transfer-Encoding")]
    TwoFramings,
    #[error("a chunk of the body is malformed")]
    Chunk,
    #[error("more interim responses than sidekey waits through")]
    TooManyInterim,
    #[error("the header is larger than 64 KiB")]
    HeaderTooLarge,
    #[error("the header has more than 128 fields")]
    TooManyFields,
    /// Not a fault: hyper must make room before it can read this one.
    #[error("the header has more than 100 fields")]
    ManyFields,
    /// Not a fault: it must be read by other rules.
    #[error("the connection begins with the preface of HTTP/2")]
    Http2,
    #[error("`Host` is not what `:authority` says")]
    TwoAuthorities,
}
