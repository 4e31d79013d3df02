//! What a caller is told when its request was on its way to the upstream, or there.

use http::StatusCode;

use super::Problem;
use crate::credential::PlaceError;
use crate::upstream::{CollectError, ConnectError, SendError};

pub(super) fn body(error: &CollectError) -> Problem {
    match error {
        CollectError::TooLarge => Problem {
            status: StatusCode::PAYLOAD_TOO_LARGE,
            slug: "body-too-large",
            title: "Body too large",
            detail: "The body is larger than what sidekey may hold to sign it (`max_signed_body`).",
            proxy_error: "http_request_error",
        },
        CollectError::Caller(_) => broken_body(),
        CollectError::Timeout => slow_body(),
        CollectError::OutOfMemory(_) => Problem {
            status: StatusCode::SERVICE_UNAVAILABLE,
            slug: "out-of-buffer",
            title: "Out of buffer",
            detail: "sidekey holds as many bodies in memory as it may (`max_buffered`).",
            proxy_error: "http_request_denied",
        },
    }
}

fn broken_body() -> Problem {
    Problem {
        status: StatusCode::BAD_REQUEST,
        slug: "malformed-request",
        title: "Malformed request",
        detail: "The body ended before its time, or is not framed as it should be.",
        proxy_error: "http_request_error",
    }
}

fn slow_body() -> Problem {
    Problem {
        status: StatusCode::REQUEST_TIMEOUT,
        slug: "body-timeout",
        title: "Request timeout",
        detail: "The body did not arrive in time.",
        proxy_error: "http_request_error",
    }
}

pub(super) fn place(error: PlaceError) -> Problem {
    match error {
        PlaceError::RepeatedField => Problem {
            status: StatusCode::BAD_REQUEST,
            slug: "malformed-request",
            title: "Malformed request",
            detail: "A header field that is to be signed occurs more than once.",
            proxy_error: "http_request_error",
        },
        PlaceError::NoSecret => Problem {
            status: StatusCode::SERVICE_UNAVAILABLE,
            slug: "credential-unusable",
            title: "Credential unusable",
            detail: "There is no usable credential for this upstream yet.",
            proxy_error: "proxy_configuration_error",
        },
        PlaceError::NotLegal => Problem {
            status: StatusCode::SERVICE_UNAVAILABLE,
            slug: "credential-unusable",
            title: "Credential unusable",
            detail: "The credential for this upstream could not be put on the request.",
            proxy_error: "proxy_configuration_error",
        },
    }
}

pub(super) fn send(error: &SendError) -> Problem {
    match error {
        SendError::Connect(error) => connect(error),
        SendError::Sign(error) => place(*error),
        SendError::LeftAlone(_) => Problem {
            status: StatusCode::SERVICE_UNAVAILABLE,
            slug: "upstream-unavailable",
            title: "Upstream unavailable",
            detail: "The upstream has failed too often, and is left alone for now.",
            proxy_error: "destination_unavailable",
        },
        SendError::CallerBody(_) => broken_body(),
        SendError::CallerTimeout => slow_body(),
        SendError::ResponseTimeout => {
            timeout("response-timeout", "The upstream did not answer in time.", "http_response_timeout")
        }
        SendError::UploadTimeout => {
            timeout("upload-timeout", "The upstream stopped taking the request.", "http_response_timeout")
        }
        SendError::Incomplete(_) | SendError::Terminated(_) => bad_gateway(
            "response-incomplete",
            "The upstream closed the connection before it had answered.",
            "http_response_incomplete",
        ),
        SendError::NoTunnels(_) => Problem {
            status: StatusCode::NOT_IMPLEMENTED,
            slug: "protocol-not-supported",
            title: "Protocol not supported",
            detail: "The upstream is spoken to in HTTP/2, and does not open WebSockets in it.",
            proxy_error: "http_upgrade_failed",
        },
        SendError::Malformed(_) | SendError::UnaskedUpgrade => {
            bad_gateway("response-malformed", "The upstream's answer is not well-formed HTTP.", "http_protocol_error")
        }
    }
}

fn connect(error: &ConnectError) -> Problem {
    match error {
        ConnectError::Lookup(_) => bad_gateway("dns-error", "The upstream's name does not resolve.", "dns_error"),
        ConnectError::LookupTimeout => {
            timeout("dns-timeout", "The upstream's name did not resolve in time.", "dns_timeout")
        }
        ConnectError::Prohibited(_) => bad_gateway(
            "address-prohibited",
            "The upstream's name leads to an address that is not dialled.",
            "destination_ip_prohibited",
        ),
        ConnectError::Loop => Problem {
            status: StatusCode::LOOP_DETECTED,
            slug: "proxy-loop",
            title: "Loop detected",
            detail: "The upstream's address is that of sidekey itself.",
            proxy_error: "proxy_loop_detected",
        },
        ConnectError::Unroutable(_) => {
            bad_gateway("unroutable", "The upstream's address cannot be reached.", "destination_ip_unroutable")
        }
        ConnectError::Refused(_) => {
            bad_gateway("connection-refused", "The upstream refused the connection.", "connection_refused")
        }
        ConnectError::NoDescriptor(_) => Problem {
            status: StatusCode::SERVICE_UNAVAILABLE,
            slug: "no-descriptor",
            title: "Too many connections",
            detail: "sidekey has no file descriptor left for a connection to the upstream.",
            proxy_error: "connection_limit_reached",
        },
        ConnectError::Terminated(_) => bad_gateway(
            "connection-terminated",
            "The connection to the upstream was lost while it was being made.",
            "connection_terminated",
        ),
        ConnectError::ConnectTimeout => {
            timeout("connection-timeout", "The upstream could not be connected to in time.", "connection_timeout")
        }
        ConnectError::TlsTimeout => {
            timeout("tls-timeout", "The upstream did not finish the TLS handshake in time.", "connection_timeout")
        }
        ConnectError::Certificate(_) => bad_gateway(
            "tls-certificate",
            "The upstream's certificate is not valid for its name.",
            "tls_certificate_error",
        ),
        ConnectError::TlsProtocol(_) => {
            bad_gateway("tls-protocol", "The TLS handshake with the upstream failed.", "tls_protocol_error")
        }
    }
}

fn bad_gateway(slug: &'static str, detail: &'static str, proxy_error: &'static str) -> Problem {
    Problem { status: StatusCode::BAD_GATEWAY, slug, title: "Bad gateway", detail, proxy_error }
}

fn timeout(slug: &'static str, detail: &'static str, proxy_error: &'static str) -> Problem {
    Problem { status: StatusCode::GATEWAY_TIMEOUT, slug, title: "Gateway timeout", detail, proxy_error }
}
