//! `retry`: what may be sent again, and after how long.

use std::time::{Duration, SystemTime};

use http::{HeaderName, Method, StatusCode};

use super::connect::ConnectError;
use super::send::SendError;
use crate::config::Failure;
use crate::fields::Fields;
use crate::message::RequestHead;
use crate::policy::rules::{Rules, Verdict};
use crate::policy::{self, PlainPath};
use crate::{random, retry_after};

/// The longest wait before the first retry; before each further one, it is twice as long.
const BASE: Duration = Duration::from_millis(100);

/// By which a caller says that the vendor knows a repetition for what it is (draft-ietf-httpapi-idempotency-key-header).
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

impl Failure {
    /// The failure that a request met. `None`: none, or one that another attempt would meet, too.
    pub(super) fn of(outcome: Result<StatusCode, &SendError>) -> Option<Self> {
        match outcome {
            Ok(StatusCode::BAD_GATEWAY) => Some(Self::BadGateway),
            Ok(StatusCode::SERVICE_UNAVAILABLE) => Some(Self::Unavailable),
            Ok(StatusCode::GATEWAY_TIMEOUT) => Some(Self::GatewayTimeout),
            Ok(StatusCode::TOO_MANY_REQUESTS) => Some(Self::TooManyRequests),
            Ok(_) => None,
            Err(SendError::Connect(error)) => match error {
                ConnectError::Lookup(_)
                | ConnectError::LookupTimeout
                | ConnectError::Unroutable(_)
                | ConnectError::Refused(_)
                | ConnectError::Terminated(_)
                | ConnectError::ConnectTimeout
                | ConnectError::NoDescriptor(_)
                | ConnectError::TlsTimeout => Some(Self::Connect),
                ConnectError::Prohibited(_)
                | ConnectError::Loop
                | ConnectError::Certificate(_)
                | ConnectError::TlsProtocol(_) => None,
            },
            Err(SendError::Incomplete(_) | SendError::Terminated(_)) => Some(Self::Reset),
            Err(
                SendError::LeftAlone(_)
                | SendError::Sign(_)
                | SendError::CallerBody(_)
                | SendError::CallerTimeout
                | SendError::ResponseTimeout
                | SendError::UploadTimeout
                | SendError::Malformed(_)
                | SendError::UnaskedUpgrade
                | SendError::NoTunnels(_),
            ) => None,
        }
    }

    /// Whether nothing of the request can have been acted on.
    pub(super) fn is_before_sending(self) -> bool {
        match self {
            Self::Connect => true,
            Self::Reset | Self::BadGateway | Self::Unavailable | Self::GatewayTimeout | Self::TooManyRequests => false,
        }
    }
}

/// Whether a request may be sent again although it may have been acted on: doing it twice is doing it once, or the caller
/// says that the vendor sees to that; and it is none of `never`. Fails closed: neither is what could be read as another
/// request than it says.
pub(super) fn may_be_acted_on_twice(head: &RequestHead, never: &Rules) -> bool {
    let may = is_idempotent(&head.method)
        || (matches!(head.method, Method::POST | Method::PATCH)
            && head.fields.get(&IDEMPOTENCY_KEY).is_some_and(|key| !key.is_empty()));
    let is_never = || match PlainPath::read(head.path.path()) {
        Ok(path) => matches!(never.judge(&head.method, &path), Verdict::DeniedBy(_)),
        Err(_) => true,
    };
    // A WebSocket that was agreed to may have begun: so its method says nothing.
    let speaks_against = |name: &[u8]| name == b"upgrade" || policy::names_another(name);
    // Every name and the whole path are looked at last, and only where that decides.
    may && !head.fields.names().any(speaks_against) && !(never.are_in_force() && is_never())
}

/// RFC 9110 9.2.2, without TRACE, which is never sent.
pub(super) fn is_idempotent(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE)
}

/// How long to wait before a retry, which is the `retry`-th from 1. `answer`: what the upstream said, if it said
/// something. `None`: it asks for more than `max`.
pub(super) fn wait(retry: u32, answer: Option<&Fields>, max: Duration) -> Option<Duration> {
    if let Some(asked) = answer.and_then(|fields| retry_after::read(fields, SystemTime::now())) {
        return (asked <= max).then_some(asked);
    }
    let ceiling = BASE.saturating_mul(1 << retry.saturating_sub(1).min(16)).min(max);
    Some(ceiling.mul_f64(random::fraction()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::Request;

    use super::{may_be_acted_on_twice, wait};
    use crate::config::preset;
    use crate::fields::tests::fields;
    use crate::policy::rules::Rules;

    fn may(method: &str, path: &str, fields: &[(&str, &str)], never: &Rules) -> bool {
        let request = fields.iter().fold(Request::builder().method(method).uri(path), |r, (n, v)| r.header(*n, *v));
        may_be_acted_on_twice(&request.body(()).unwrap().into_parts().0.into(), never)
    }

    #[test]
    fn a_method_that_is_not_idempotent_needs_the_callers_word() {
        for method in ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"] {
            assert!(may(method, "/x", &[], Rules::none()), "{method}");
        }
        for method in ["POST", "PATCH"] {
            assert!(!may(method, "/x", &[], Rules::none()), "{method}");
            assert!(!may(method, "/x", &[("idempotency-key", "")], Rules::none()), "{method}");
            assert!(may(method, "/x", &[("idempotency-key", "8e03978e")], Rules::none()), "{method}");
        }
        for method in ["get", "LOCK", "REPORT"] {
            assert!(!may(method, "/x", &[("idempotency-key", "8e03978e")], Rules::none()), "{method}");
        }
        assert!(!may("GET", "/x", &[("x-http-method-override", "POST")], Rules::none()));
    }

    #[test]
    fn nobodys_word_counts_for_what_a_preset_never_retries() {
        let never = preset::find("imagior").unwrap().never_retried();
        let key = [("idempotency-key", "8e03978e")];
        for path in ["/image/generate", "/image/generate/", "/Image/Generate", "/image/%67enerate", "/image//generate"]
        {
            assert!(!may("POST", path, &key, &never), "{path}");
        }
        assert!(may("POST", "/template", &key, &never));
        let never = preset::find("messagemedia").unwrap().never_retried();
        assert!(!may("GET", "/v1/lookups/phone/61491570156", &[], &never));
        assert!(may("GET", "/v1/messages/1", &[], &never));
    }

    #[test]
    fn waits_grow_with_each_retry_and_never_beyond_the_longest() {
        let (max, ms) = (Duration::from_secs(1), Duration::from_millis);
        for (retry, most) in [(1, 100), (2, 200), (3, 400), (4, 800), (5, 1000), (9, 1000), (u32::MAX, 1000)] {
            let waits: Vec<_> = (0..200).map(|_| wait(retry, None, max).unwrap()).collect();
            assert!(waits.iter().all(|wait| *wait <= ms(most)), "{retry}");
            assert!(waits.iter().any(|wait| *wait > ms(most) / 2) && waits.iter().any(|wait| *wait < ms(most) / 2));
        }
        assert_eq!(wait(1, Some(&fields(&[("retry-after", "1")])), max), Some(max));
        assert_eq!(wait(1, Some(&fields(&[("retry-after", "2")])), max), None);
    }
}
