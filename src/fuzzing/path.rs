//! The request path without its sockets, and what is put into it, for the targets that look at what comes out.

use std::path::Path;

use bytes::Bytes;
use futures_util::FutureExt;
use http::header::CONTENT_LENGTH;
use http::{HeaderName, HeaderValue};

use crate::Config;
use crate::caller::Caller;
use crate::config::file::parse_with;
use crate::credential;
use crate::credential::Authorized;
use crate::fields::Fields;
use crate::headers::{self, Outgoing, Presence};
use crate::message::RequestHead;
use crate::policy::{self, Grant};
use crate::route::{RouteError, Routes, Target};
use crate::secret::source::Source;
use crate::upstream::{Exchange, RequestBody, Upstream};

/// Upstreams of one config, and the way to them.
pub(super) struct RequestPath(Routes);

impl RequestPath {
    pub(super) fn new(config: &str, secrets: &[(&str, &[u8])]) -> Self {
        let config = parse(config, secrets);
        Self(Routes::new(&config, Upstream::offline(&config)))
    }

    pub(super) fn find(&self, head: &RequestHead) -> Result<Target, RouteError> {
        self.0.find(0, head)
    }

    fn decide(&self, head: &RequestHead) -> Option<Grant> {
        policy::decide(&Caller::Anyone, self.find(head).ok()?, head).ok()
    }

    /// The request's head as it would be sent with `body`. `None`: it is refused.
    pub(super) fn authorize(&self, mut head: RequestHead, body: &Bytes) -> Option<RequestHead> {
        let mut grant = self.decide(&head)?;
        let presence = Presence::of(&head.fields);
        let path = grant.take_path();
        headers::readdress(&mut head, presence, &grant.target().upstream, path);
        let exchange = Exchange::new();
        let whole = if body.is_empty() {
            RequestBody::Empty
        } else {
            head.fields.put_number(&CONTENT_LENGTH, body.len() as u64);
            RequestBody::whole(body.clone(), &exchange)
        };
        let outgoing = Box::new(Outgoing { head, body: whole, exchange, wants_tunnel: false });
        let authorized: Authorized = credential::authorize(grant, outgoing).now_or_never()?.ok()?;
        Some(authorized.head().clone())
    }
}

/// A target's own config, with these secrets.
#[expect(clippy::panic, reason = "the targets' own configs are right")]
pub(super) fn parse(config: &str, secrets: &[(&str, &[u8])]) -> Config {
    match parse_with(Path::new("fuzz.toml"), config, Source::Given(secrets)) {
        Ok(config) => config,
        Err(error) => panic!("{error}"),
    }
}

/// The fields of `block`, one a line; what is no field is left out.
pub(super) fn fields(block: &[u8]) -> Fields {
    let mut fields = Fields::default();
    for line in block.split(|&b| b == b'\n').take(64) {
        let Some(colon) = line.iter().position(|&b| b == b':') else { continue };
        let (name, value) = line.split_at_checked(colon).unwrap_or_default();
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            fields.append(&name, &value);
        }
    }
    fields
}
