//! What the operator and the operator's machines ask: `/livez`, `/readyz`, `/metrics`, `/status`. It only tells, and
//! nothing of what it tells is secret; no request is proxied here, and no web page gets an answer.

mod accept;
mod refusal;
mod status;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, HOST, HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use http_body_util::Full;

use self::refusal::Refusal;
use crate::browser::Guard;
use crate::config::{self, ListenAddress};
use crate::fields::Fields;
use crate::headers::Presence;
use crate::route;
use crate::server::{Pulses, State};
use crate::telemetry::metrics::{self, ProcessFiles};
use crate::upstream::Host;

const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
const INDEX: &str = "\
/livez    whether the process lives: 200, or 503 if a worker is stuck
/readyz   whether requests are to be sent here: 200, or 503 with the reason
/metrics  for Prometheus: text, or OpenMetrics for who accepts it
/status   upstreams, config and secrets, as JSON
";

/// Answers the operator.
pub(crate) struct Admin {
    /// The hosts under which it is known. Any other is refused: the name of a web page that has its name mean this address.
    names: Box<[Box<str>]>,
    /// Whether an address will do, too, whichever it is: no page can have one mean another.
    any_address: bool,
    guard: Guard,
    state: Arc<State>,
    pulses: Pulses,
    files: ProcessFiles,
}

/// An answer that is none of a refusal.
struct Page {
    status: StatusCode,
    content_type: &'static str,
    text: String,
}

impl Admin {
    pub(crate) fn new(config: &config::Admin, state: Arc<State>, pulses: Pulses, files: ProcessFiles) -> Self {
        let mut names: Vec<Box<str>> = ["localhost", "127.0.0.1", "[::1]"].map(Box::from).into();
        if let ListenAddress::Tcp(address) = &config.address
            && !address.ip().to_canonical().is_unspecified()
        {
            names.push(Host::Address(address.ip()).to_string().into());
        }
        names.extend(config.names.iter().cloned());
        // Not even those whose pages may use the proxy.
        let guard = Guard::new(&config::Browser { allow_origins: Vec::new() });
        Self { names: names.into(), any_address: config.dangerously_open, guard, state, pulses, files }
    }

    /// Answers a request, whatever its body.
    pub(crate) fn answer<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        let mut response = match self.page(request) {
            Ok(Page { status, content_type, text }) => {
                let mut response = Response::new(Full::new(text.into()));
                *response.status_mut() = status;
                response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
                response
            }
            Err(refusal) => refusal.to_response().map(Full::new),
        };
        for (name, value) in [
            (CACHE_CONTROL, "no-store"),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (CROSS_ORIGIN_RESOURCE_POLICY, "same-origin"),
        ] {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response
    }

    fn page<B>(&self, request: &Request<B>) -> Result<Page, Refusal> {
        let mut fields = Fields::from(request.headers());
        let presence = Presence::of(&fields);
        self.guard.admit(&mut fields, presence).map_err(|_| Refusal::WebPage)?;
        if !self.is_meant(request) {
            return Err(Refusal::UnknownHost);
        }
        let page: fn(&Self, &HeaderMap) -> Page = match request.uri().path() {
            "/" => |_, _| Page::ok(TEXT, INDEX.to_owned()),
            "/livez" => |admin, _| admin.liveness(),
            "/readyz" => |admin, _| admin.readiness(),
            "/metrics" => Self::metrics,
            "/status" => |admin, _| Page::ok(JSON, status::render(&admin.state, &admin.pulses, admin.files.began())),
            _ => return Err(Refusal::NotFound),
        };
        match *request.method() {
            Method::GET | Method::HEAD => Ok(page(self, request.headers())),
            _ => Err(Refusal::Method),
        }
    }

    /// Whether the request is for this listener, by every name that it gives. HTTP/1.0 alone may give none.
    fn is_meant<B>(&self, request: &Request<B>) -> bool {
        let in_target = request.uri().authority().map(|authority| Some(authority.as_str()));
        let in_fields = request.headers().get_all(HOST).iter().map(|host| host.to_str().ok());
        let mut given = in_target.into_iter().chain(in_fields).peekable();
        if given.peek().is_none() {
            return request.version() == Version::HTTP_10;
        }
        given.all(|authority| {
            let host = authority.and_then(|authority| route::host_of(authority).ok());
            host.is_some_and(|host| {
                let is_address = || self.any_address && matches!(Host::parse(&host), Some(Host::Address(_)));
                self.names.iter().any(|name| **name == *host) || is_address()
            })
        })
    }

    fn metrics(&self, asked: &HeaderMap) -> Page {
        let format = accept::format(asked.get_all(ACCEPT));
        Page::ok(format.content_type(), metrics::render(format, &self.state, &self.pulses, &self.files))
    }

    fn liveness(&self) -> Page {
        let stuck: Vec<String> = self.pulses.stuck().map(|worker| worker.to_string()).collect();
        if stuck.is_empty() {
            return Page::ok(TEXT, "alive\n".to_owned());
        }
        let text = format!("stuck: worker {}\n", stuck.join(", "));
        Page { status: StatusCode::SERVICE_UNAVAILABLE, content_type: TEXT, text }
    }

    fn readiness(&self) -> Page {
        if self.state.is_draining() {
            let text = "draining: begun requests are finished, and no more are taken\n".to_owned();
            return Page { status: StatusCode::SERVICE_UNAVAILABLE, content_type: TEXT, text };
        }
        let told = match self.state.reload().stale {
            None => "ready\n",
            Some(_) => "ready, with what was read before: config or secrets cannot be used as they are now\n",
        };
        Page::ok(TEXT, told.to_owned())
    }
}

impl Page {
    fn ok(content_type: &'static str, text: String) -> Self {
        Self { status: StatusCode::OK, content_type, text }
    }
}
