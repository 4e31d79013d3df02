//! How a stream fails. Only what kind of fault it is goes on to the log: with a GOAWAY come bytes of the upstream's
//! choice, which `h2` would print, and which could be the credential.

use std::io;

use h2::Reason;

use crate::wire::Malformed;

/// Why a stream gave no answer, or not the whole of it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StreamError {
    /// RFC 9113 8.7: nothing was done with it.
    #[error("the upstream refused the stream, and has not looked at the request")]
    Refused,
    /// RFC 9113 6.8: the stream is above the last one that the upstream says it has looked at, or was never sent.
    #[error("the upstream closes the connection ({0}), and has not looked at the request")]
    GoingAway(Reason),
    /// RFC 9113 7: it wants this request in HTTP/1.1, and has done nothing with it.
    #[error("the upstream wants the request in HTTP/1.1")]
    Http1Required,
    #[error("the upstream reset the stream: {0}")]
    Reset(Reason),
    #[error("the connection was lost")]
    Lost(#[source] io::Error),
    #[error("the upstream breaks the rules of HTTP/2: {0}")]
    Protocol(Reason),
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error("the request cannot be said in HTTP/2")]
    NotSayable,
    /// RFC 8441 3: it has not said that it knows what would be asked of it.
    #[error("its SETTINGS do not allow an extended `CONNECT`")]
    NoTunnels,
    /// sidekey has reset the stream itself: all that it resets and goes on reading.
    #[error("the caller's body broke off behind the beginning of the answer")]
    CallerBody,
}

impl StreamError {
    /// Whether the upstream has certainly not looked at the request.
    pub(in crate::upstream) fn is_unprocessed(&self) -> bool {
        match self {
            Self::Refused | Self::GoingAway(_) | Self::Http1Required => true,
            Self::Reset(_)
            | Self::Lost(_)
            | Self::Protocol(_)
            | Self::Malformed(_)
            | Self::NotSayable
            | Self::NoTunnels
            | Self::CallerBody => false,
        }
    }

    /// Whether the upstream broke the rules, rather than off.
    pub(in crate::upstream) fn is_malformed(&self) -> bool {
        match self {
            Self::Protocol(_) | Self::Malformed(_) | Self::NotSayable => true,
            Self::Refused
            | Self::GoingAway(_)
            | Self::Http1Required
            | Self::Reset(_)
            | Self::Lost(_)
            | Self::NoTunnels
            | Self::CallerBody => false,
        }
    }
}

impl From<h2::Error> for StreamError {
    /// `h2` gives a GOAWAY's error to the streams above its last one alone: to those below, it is a lost connection if it
    /// ends before they do.
    fn from(error: h2::Error) -> Self {
        match error.reason() {
            Some(Reason::HTTP_1_1_REQUIRED) if error.is_remote() => Self::Http1Required,
            Some(Reason::REFUSED_STREAM) if error.is_reset() && error.is_remote() => Self::Refused,
            Some(reason) if error.is_go_away() && error.is_remote() => Self::GoingAway(reason),
            Some(reason) if error.is_remote() => Self::Reset(reason),
            Some(_) if error.is_reset() && !error.is_library() => Self::CallerBody,
            Some(reason) => Self::Protocol(reason),
            None => error.into_io().map_or(Self::NotSayable, Self::Lost),
        }
    }
}
