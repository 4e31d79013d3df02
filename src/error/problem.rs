//! What a caller is told, error by error: fixed texts, none of which depends on the request.

mod upstream;

use bytes::Bytes;
use http::StatusCode;

use super::ProxyError;
use crate::browser::BrowserError;
use crate::caller::UnknownCaller;
use crate::credential::AuthorizeError;
use crate::limits::{LimitsError, Refusal, Whose};
use crate::policy::PolicyError;
use crate::route::RouteError;
use crate::scrub::ScrubError;
use crate::tunnel::extended::ExtendedError;
use crate::upstream::SendError;
use crate::wire::Malformed;

/// What the caller is told (RFC 9457, RFC 9209): fixed texts, none of which depends on the request.
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    /// The last part of `type`, under which `docs/errors.md` explains it.
    pub(crate) slug: &'static str,
    title: &'static str,
    pub(super) detail: &'static str,
    /// RFC 9209 2.3.
    pub(super) proxy_error: &'static str,
}

/// Said to what is never read.
const TOO_MANY_CONNECTIONS: &str = "too-many-connections";

impl Problem {
    /// Whether it is in doubt where the caller's next request would begin.
    pub(super) fn ends_connection(&self) -> bool {
        matches!(
            self.status,
            StatusCode::BAD_REQUEST
                | StatusCode::REQUEST_TIMEOUT
                | StatusCode::PAYLOAD_TOO_LARGE
                | StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
                | StatusCode::HTTP_VERSION_NOT_SUPPORTED
        ) || self.slug == TOO_MANY_CONNECTIONS
    }

    pub(super) fn body(&self, request_id: &str) -> Bytes {
        let Self { status, slug, title, detail, .. } = self;
        let status = status.as_u16();
        format!(
            "{{\"type\":\"urn:sidekey:problem:{slug}\",\"title\":\"{title}\",\"status\":{status},\
             \"detail\":\"{detail}\",\"request_id\":\"{request_id}\"}}\n"
        )
        .into()
    }
}

impl ProxyError {
    /// What a caller is told.
    pub(crate) fn problem(&self) -> Problem {
        match self {
            Self::Malformed(error) => malformed(*error),
            Self::HeaderTimeout => Problem {
                status: StatusCode::REQUEST_TIMEOUT,
                slug: "header-timeout",
                title: "Request timeout",
                detail: "The request's header did not arrive in time.",
                proxy_error: "http_request_error",
            },
            Self::TooManyConnections => Problem {
                status: StatusCode::SERVICE_UNAVAILABLE,
                slug: TOO_MANY_CONNECTIONS,
                title: "Too many connections",
                detail: "sidekey has as many connections as it may (`max_connections`).",
                proxy_error: "http_request_denied",
            },
            Self::RequestTimeout => Problem {
                status: StatusCode::GATEWAY_TIMEOUT,
                slug: "request-timeout",
                title: "Gateway timeout",
                detail: "The request took longer than it may as a whole.",
                proxy_error: "http_response_timeout",
            },
            Self::Browser(error) => browser(*error),
            Self::Route(error) => route(*error),
            Self::Caller(UnknownCaller) => unknown_caller(),
            Self::Policy(error) => policy(error),
            Self::Limits(error) => limits(*error),
            Self::MaxForwards(_) => Problem {
                status: StatusCode::BAD_REQUEST,
                slug: "malformed-request",
                title: "Malformed request",
                detail: "Max-Forwards must be one whole number.",
                proxy_error: "http_request_error",
            },
            Self::Authorize(AuthorizeError::Body(error)) => upstream::body(error),
            Self::Authorize(AuthorizeError::Place(error)) | Self::Send(SendError::Sign(error)) => {
                upstream::place(*error)
            }
            Self::Send(error) => upstream::send(error),
            Self::Extended(error) => extended(*error),
            Self::Scrub(error) => scrub(*error),
        }
    }
}

fn malformed(error: Malformed) -> Problem {
    let (status, slug, title) = match error {
        Malformed::HeaderTooLarge | Malformed::TooManyFields => {
            (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "header-too-large", "Request header too large")
        }
        Malformed::Version | Malformed::Http2 => {
            (StatusCode::HTTP_VERSION_NOT_SUPPORTED, "version-not-supported", "HTTP version not supported")
        }
        Malformed::LineEnding
        | Malformed::RequestLine
        | Malformed::Target
        | Malformed::StatusLine
        | Malformed::Field
        | Malformed::Host
        | Malformed::ContentLength
        | Malformed::TransferEncoding
        | Malformed::TwoFramings
        | Malformed::Chunk
        | Malformed::TwoAuthorities
        | Malformed::ConnectBody
        | Malformed::TooManyInterim => (StatusCode::BAD_REQUEST, "malformed-request", "Malformed request"),
    };
    let detail = match error {
        Malformed::LineEnding => "A line ends without CRLF, or holds a bare CR.",
        Malformed::RequestLine => "The request line is not of the form `METHOD target HTTP/1.1`.",
        Malformed::Version | Malformed::Http2 => "sidekey speaks HTTP/2, HTTP/1.1 and HTTP/1.0.",
        Malformed::Target => "The request target must be a path or an absolute http URL, without illegal characters.",
        Malformed::Field => "A header line is not of the form `name: value`.",
        Malformed::Host => "A request must have exactly one Host.",
        Malformed::TwoAuthorities => "Host must be what `:authority` says.",
        Malformed::ConnectBody => "A CONNECT request has no body.",
        Malformed::ContentLength => "Content-Length must be one number.",
        Malformed::TransferEncoding => "Transfer-Encoding must be `chunked` alone, in HTTP/1.1.",
        Malformed::TwoFramings => "A request may have Content-Length or Transfer-Encoding, not both.",
        Malformed::Chunk => "A chunk of the body is malformed.",
        Malformed::HeaderTooLarge => "The header is larger than 64 KiB.",
        Malformed::TooManyFields => "The header has more than 128 fields.",
        Malformed::StatusLine | Malformed::TooManyInterim => "The message is malformed.",
    };
    Problem { status, slug, title, detail, proxy_error: "http_request_error" }
}

fn method_not_allowed() -> Problem {
    Problem {
        status: StatusCode::METHOD_NOT_ALLOWED,
        slug: "method-not-allowed",
        title: "Method not allowed",
        detail: "CONNECT and TRACE are not forwarded.",
        proxy_error: "http_request_denied",
    }
}

fn unknown_caller() -> Problem {
    Problem {
        status: StatusCode::PROXY_AUTHENTICATION_REQUIRED,
        slug: "unknown-caller",
        title: "Unknown caller",
        detail: "A token is needed: in Proxy-Authorization, or where the upstream's own key would be.",
        proxy_error: "http_request_denied",
    }
}

fn policy(error: &PolicyError) -> Problem {
    let forbidden = |slug, detail| Problem {
        status: StatusCode::FORBIDDEN,
        slug,
        title: "Forbidden",
        detail,
        proxy_error: "http_request_denied",
    };
    let ambiguous = |detail| Problem {
        status: StatusCode::BAD_REQUEST,
        slug: "ambiguous-request",
        title: "Ambiguous request",
        detail,
        proxy_error: "http_request_error",
    };
    match error {
        PolicyError::Trace => method_not_allowed(),
        PolicyError::NotForCaller => forbidden("not-for-caller", "This caller may not use this upstream."),
        PolicyError::NotAllowed | PolicyError::Denied(_) => {
            forbidden("not-allowed", "The rules for this upstream do not allow this method and path.")
        }
        PolicyError::Path(_) => ambiguous(
            "Where rules apply, a path must have one reading: no `.`, `..` or empty segment, `;`, backslash, \
             doubtful percent-encoding.",
        ),
        PolicyError::Override(_) => {
            ambiguous("Where rules apply, no field may name another method or path than the request line.")
        }
    }
}

fn browser(error: BrowserError) -> Problem {
    match error {
        BrowserError::Origin | BrowserError::Site | BrowserError::Preflight => Problem {
            status: StatusCode::FORBIDDEN,
            slug: "web-page",
            title: "Web pages may not use this",
            detail: "The request comes from a web page. Only pages of an origin in `browser.allow_origins` may ask.",
            proxy_error: "http_request_denied",
        },
    }
}

fn route(error: RouteError) -> Problem {
    let unknown_host = Problem {
        status: StatusCode::MISDIRECTED_REQUEST,
        slug: "unknown-host",
        title: "Unknown host",
        detail: "The Host of the request means no upstream, nor this listener.",
        proxy_error: "destination_not_found",
    };
    match error {
        RouteError::Tunnel => method_not_allowed(),
        RouteError::UnknownHost => unknown_host,
        RouteError::AmbiguousHost => Problem {
            slug: "ambiguous-host",
            title: "Ambiguous host",
            detail: "More than one upstream has this host: use an upstream's name, as in `NAME.localhost` or `/NAME/…`.",
            ..unknown_host
        },
        RouteError::UnknownName => Problem {
            status: StatusCode::NOT_FOUND,
            slug: "unknown-upstream",
            title: "Unknown upstream",
            detail: "No upstream has this name. The first segment of the path, or NAME in `NAME.localhost`, names one.",
            proxy_error: "destination_not_found",
        },
        RouteError::BadAuthority => Problem {
            status: StatusCode::BAD_REQUEST,
            slug: "malformed-request",
            title: "Malformed request",
            detail: "The authority of the request is not of the form `host` or `host:port`.",
            proxy_error: "http_request_error",
        },
    }
}

fn limits(error: LimitsError) -> Problem {
    let too_many = |slug, detail| Problem {
        status: StatusCode::TOO_MANY_REQUESTS,
        slug,
        title: "Too many requests",
        detail,
        proxy_error: "http_request_denied",
    };
    match error {
        LimitsError::Rate { whose: Whose::Caller, .. } => {
            too_many("rate-limited", "This caller asks more often than it may. The upstream was not asked.")
        }
        LimitsError::Rate { whose: Whose::Upstream, .. } => {
            too_many("rate-limited", "This upstream is asked more often than it may be. It was not asked.")
        }
        LimitsError::Concurrency { whose: Whose::Caller } => too_many(
            "too-many-requests",
            "This caller has as many requests under way as it may. The upstream was not asked.",
        ),
        LimitsError::Concurrency { whose: Whose::Upstream } => {
            too_many("too-many-requests", "This upstream has as many requests under way as it may. It was not asked.")
        }
        LimitsError::Vendor { with: Refusal::TooManyRequests, .. } => too_many(
            "vendor-limited",
            "The vendor asked, with a 429, to be left alone for now. It was not asked again.",
        ),
        LimitsError::Vendor { with: Refusal::Unavailable, .. } => Problem {
            status: StatusCode::SERVICE_UNAVAILABLE,
            slug: "vendor-unavailable",
            title: "Vendor unavailable",
            detail: "The vendor asked, with a 503, to be left alone for now. It was not asked again.",
            proxy_error: "destination_unavailable",
        },
    }
}

fn extended(error: ExtendedError) -> Problem {
    match error {
        ExtendedError::Protocol => Problem {
            status: StatusCode::NOT_IMPLEMENTED,
            slug: "protocol-not-supported",
            title: "Protocol not supported",
            detail: "Of all that an extended CONNECT may ask for, sidekey passes `websocket`.",
            proxy_error: "http_request_denied",
        },
        ExtendedError::Ordinary | ExtendedError::Key => Problem {
            status: StatusCode::BAD_GATEWAY,
            slug: "upgrade-failed",
            title: "Bad gateway",
            detail: "The upstream did not open the WebSocket, and did not say so either.",
            proxy_error: "http_upgrade_failed",
        },
    }
}

fn scrub(error: ScrubError) -> Problem {
    Problem {
        status: StatusCode::BAD_GATEWAY,
        slug: "response-not-scrubbable",
        title: "Bad gateway",
        detail: match error {
            ScrubError::ContentCoding => {
                "The upstream's answer is compressed, so that no credential could be seen in it."
            }
            ScrubError::Partial => {
                "The upstream's answer is a part of something, which could begin within a credential."
            }
        },
        proxy_error: "http_response_content_coding",
    }
}
