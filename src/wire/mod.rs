//! Stage 1: is it HTTP, beyond doubt? The grammar of RFC 9112, read strictly, once, and by nobody else: what is read here
//! is what the path decides on, and every message is written anew from that. So there is no second reader who could find its
//! end in another place.
//!
//! [`request`] and [`response`] read heads, [`body`] takes bodies out of their framing, [`encode`] writes both, and an
//! [`Outbox`] holds what has not left; [`http2`] holds HTTP/2 to the same rules. Nothing after the first fault is read, nor a
//! request that came in one read with it.

pub(crate) mod body;
mod characters;
pub(crate) mod encode;
pub(crate) mod fields;
mod gather;
pub(crate) mod http2;
mod outbox;
pub(crate) mod request;
pub(crate) mod response;
mod tcp;
mod tls;

pub(crate) use self::outbox::Outbox;
pub(crate) use self::tcp::Tcp;
pub(crate) use self::tls::TlsStream;

/// A header block, or the trailers of a message, may not be larger.
pub(crate) const MAX_HEADER_BYTES: usize = 64 * 1024;
/// What h2 may hold of a header: more than sidekey lets pass, so that it is sidekey that answers what is too large.
pub(crate) const MAX_HEADER_LIST: u32 = 2 * MAX_HEADER_BYTES as u32;
/// Nor may it have more fields.
pub(crate) const MAX_FIELDS: usize = 128;

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
    /// Not a fault: it must be read by other rules.
    #[error("the connection begins with the preface of HTTP/2")]
    Http2,
    #[error("`Host` is not what `:authority` says")]
    TwoAuthorities,
    #[error("a `CONNECT` announces a body")]
    ConnectBody,
}
