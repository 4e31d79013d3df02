//! Stage 7, and 10: what may cross, both ways.

mod presence;

use std::rc::Rc;

use http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderName, HeaderValue, LOCATION, TE, TRANSFER_ENCODING,
};
use http::{Extensions, Method, Version};
use http_body::Body;

pub(crate) use self::presence::{Field, Presence};
use crate::alias;
use crate::caller::Caller;
use crate::fields::{Fields, ascii};
use crate::message::{Path, Request, RequestHead};
use crate::policy::{self, Grant};
use crate::route::Spoken;
use crate::scrub;
use crate::server::CallerBody;
use crate::tunnel::{connect, handshake};
use crate::upstream::{self, Exchange, RequestBody, Upstream};

/// A request that may cross, and has no credential yet. Always boxed, as every stage from here on hands it to the next.
pub(crate) struct Outgoing {
    pub(crate) head: RequestHead,
    pub(crate) body: RequestBody,
    pub(crate) exchange: Rc<Exchange>,
    /// Whether it asks for a WebSocket, said as [`Upstream::tunnels`] says it.
    pub(crate) wants_tunnel: bool,
}

/// Takes off what may not cross, the caller's token wherever it stands, and says where the request goes.
pub(crate) fn prepare(
    request: Request<CallerBody>,
    presence: Presence,
    grant: &mut Grant,
    caller: &Caller,
) -> Box<Outgoing> {
    let Request { mut head, body: incoming } = request;
    let is_empty = incoming.is_end_stream();
    let had_length = is_empty && presence.of_field(Field::ContentLength);
    let expects = !is_empty && presence.of_field(Field::Expect) && expects_continue(&head);
    let may_ask = presence.of_field(Field::Upgrade) && grant.target().upstream.passes_tunnels();
    let wants_tunnel = may_ask && handshake::is_asked_for(&head);
    let path = grant.take_path();
    readdress(&mut head, presence, &grant.target().upstream, path);
    caller.take_off_token(&mut head.fields);
    if is_empty {
        // RFC 9110 8.6: a method that gives a body a meaning says that it has none.
        if had_length || matches!(head.method, Method::POST | Method::PUT | Method::PATCH) {
            head.fields.put_number(&CONTENT_LENGTH, 0);
        }
        if wants_tunnel {
            match grant.target().upstream.tunnels() {
                upstream::Version::Http1 => handshake::put_on(&mut head.fields),
                upstream::Version::Http2 => connect::put_on(&mut head),
            }
        }
        let exchange = Exchange::new();
        return Box::new(Outgoing { head, body: RequestBody::Empty, exchange, wants_tunnel });
    }
    match incoming.size_hint().exact() {
        Some(length) => head.fields.put_number(&CONTENT_LENGTH, length),
        None => head.fields.put(&TRANSFER_ENCODING, &HeaderValue::from_static("chunked")),
    }
    let (body, exchange) = RequestBody::streamed(incoming, &grant.target().upstream, expects);
    Box::new(Outgoing { head, body, exchange, wants_tunnel: false })
}

/// Whether the caller holds its body back until it is asked for it (RFC 9110 10.1.1). Is it answered instead, its connection is
/// of no more use: nobody knows whether the body comes after all.
pub(crate) fn withholds_body(request: &Request<CallerBody>) -> bool {
    !request.body.is_end_stream() && expects_continue(&request.head)
}

/// Whether whoever sends a body with this header waits to be asked for it. HTTP/1.0 does not know that.
pub(crate) fn expects_continue(head: &RequestHead) -> bool {
    let expects = |value: &[u8]| value.eq_ignore_ascii_case(b"100-continue");
    head.version != Version::HTTP_10 && head.fields.get(&EXPECT).is_some_and(expects)
}

/// As [`prepare`], for a request of sidekey's own: it has no caller, and no body.
pub(crate) fn prepare_own(mut head: RequestHead, grant: &mut Grant) -> Box<Outgoing> {
    let (presence, path) = (Presence::of(&head.fields), grant.take_path());
    readdress(&mut head, presence, &grant.target().upstream, path);
    let (body, exchange) = (RequestBody::Empty, Exchange::new());
    Box::new(Outgoing { head, body, exchange, wants_tunnel: false })
}

/// Takes off a request's header what may not cross, its framing too, and puts on where it goes.
pub(crate) fn readdress(head: &mut RequestHead, presence: Presence, upstream: &Upstream, path: Path) {
    let wants_trailers = presence.of_field(Field::Te) && names_token(&head.fields, &TE, "trailers");
    remove(&mut head.fields, |name| may_not_cross(name, upstream.managed(), is_hop_or_origin));
    head.fields.put(&HOST, upstream.origin().host_header());
    if upstream.scrubs_body() {
        scrub::ask_for_identity(&mut head.fields);
    }
    if wants_trailers {
        head.fields.put(&TE, &HeaderValue::from_static("trailers"));
        head.fields.put(&CONNECTION, &HeaderValue::from_static("TE"));
    }
    (head.authority, head.path) = (None, path);
    head.version = Version::HTTP_11;
    // Nothing of the caller's stream goes with the request.
    head.extensions = Extensions::new();
}

/// Takes off the upstream's answer what was only for sidekey, and keeps its redirects on sidekey.
pub(crate) fn clean(fields: &mut Fields, upstream: &Upstream, spoken: &Spoken) {
    remove(fields, is_for_sidekey);
    let rewritten = fields.get(&LOCATION).and_then(|location| rewrite_location(location, upstream, spoken));
    if let Some(rewritten) = rewritten {
        fields.put(&LOCATION, &rewritten);
    }
}

/// Takes off a request's trailers what its header may not hold either.
pub(crate) fn clean_request_trailers(trailers: &mut Fields, managed: &[HeaderName]) {
    // A server that merges trailers into the header would take a method or path from these, past the rules.
    let drops = |name: &[u8]| is_hop_or_origin(name) || is_framing_or_routing(name);
    remove(trailers, |name| policy::names_another(name) || may_not_cross(name, managed, drops));
}

/// Takes off an answer's trailers what frames or routes a message (RFC 9110 6.5.1), and what only sidekey says.
pub(crate) fn clean_answer_trailers(trailers: &mut Fields) {
    remove(trailers, |name| is_for_sidekey(name) || is_framing_or_routing(name));
}

/// Whether a field is one of `managed`, which are folded, or one for which `drops` holds; or could be taken for one.
fn may_not_cross(name: &[u8], managed: &[HeaderName], drops: impl Fn(&[u8]) -> bool) -> bool {
    drops(name)
        || managed.iter().any(|managed| managed.as_str().as_bytes() == name)
        || alias::is_alias(name, managed, drops)
}

/// Removes the fields for which `drops` holds, and those that `Connection` names.
fn remove(fields: &mut Fields, drops: impl Fn(&[u8]) -> bool) {
    let mut options = Vec::new();
    for told in fields.get_all(&CONNECTION).filter(|told| !goes_anyway(told)) {
        options.extend(told.iter().map(u8::to_ascii_lowercase).chain([b',']));
    }
    let mut named: Vec<&[u8]> = named_fields(&options).collect();
    // There may be very many of them.
    named.sort_unstable();
    fields.retain(|line| !drops(line.name) && named.binary_search(&line.name).is_err());
}

/// Whether an option of `Connection` names what goes without being named: nearly always, it is the only one.
fn goes_anyway(option: &[u8]) -> bool {
    // As they are nearly always written, and then however else.
    matches!(option, b"keep-alive" | b"close")
        || option.eq_ignore_ascii_case(b"keep-alive")
        || option.eq_ignore_ascii_case(b"close")
}

/// The fields that the options of `Connection` name.
fn named_fields(options: &[u8]) -> impl Iterator<Item = &[u8]> {
    let names = options.split(|&b| b == b',').map(<[u8]>::trim_ascii);
    // What says how a body is coded concerns both ends, whoever says otherwise: without it, a compressed answer would pass
    // for one that can be scrubbed.
    names.filter(|name| !name.is_empty() && !goes_anyway(name) && *name != b"content-encoding")
}

/// What a caller's request may not carry to any upstream: hop-by-hop fields, framing, and what says where it was.
fn is_hop_or_origin(name: &[u8]) -> bool {
    match name.len() {
        9 => name == b"forwarded" || name == b"x-real-ip",
        // It is put on anew, and nothing else may be taken for it.
        12 => name == b"x-request-id",
        14 if name == b"content-length" => true,
        _ => is_hop_by_hop(name) || name.starts_with(b"x-forwarded-"),
    }
}

/// What of an upstream's answer is not for the caller. By `Proxy-Status`, which may be a trailer (RFC 9209 2), it tells
/// sidekey's answers from the upstream's.
fn is_for_sidekey(name: &[u8]) -> bool {
    is_hop_by_hop(name) || name == b"proxy-status"
}

/// RFC 9110 7.6.1, and those that are for a proxy alone. Sorted by length, which most fields differ in.
fn is_hop_by_hop(name: &[u8]) -> bool {
    match name.len() {
        2 => name == b"te",
        7 => name == b"upgrade",
        10 => name == b"connection" || name == b"keep-alive",
        14 => name == b"http2-settings",
        16 => name == b"proxy-connection",
        17 => name == b"transfer-encoding",
        18 => name == b"proxy-authenticate",
        19 => name == b"proxy-authorization",
        _ => false,
    }
}

/// What only a header may say.
fn is_framing_or_routing(name: &[u8]) -> bool {
    matches!(
        name,
        b"content-length"
            | b"host"
            | b"trailer"
            | b"authorization"
            | b"set-cookie"
            | b"content-encoding"
            | b"x-request-id"
    )
}

/// Whether a field that is a list has `token` in it.
pub(crate) fn names_token(fields: &Fields, name: &HeaderName, token: &str) -> bool {
    let mut items = fields.get_all(name).flat_map(|value| value.split(|&b| b == b','));
    items.any(|item| item.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}

/// A redirect to the upstream's own origin, in the form in which the caller named that upstream, so that following it
/// stays on sidekey. `None`: it leads elsewhere, and passes as it is.
fn rewrite_location(location: &[u8], upstream: &Upstream, spoken: &Spoken) -> Option<HeaderValue> {
    let text = ascii(location)?;
    let own_path = if text.starts_with('/') && !text.starts_with("//") {
        // A bare path is right as it is, unless the caller's paths begin with the upstream's name.
        spoken.prefixed.then_some(text)?
    } else {
        path_at_origin(text, upstream)?
    };
    let prefix = if spoken.prefixed { format!("/{}", upstream.name()) } else { String::new() };
    let authority = spoken.authority.as_ref().and_then(|authority| ascii(authority));
    let scheme = if spoken.tls { "https" } else { "http" };
    let origin = authority.map(|authority| format!("{scheme}://{authority}")).unwrap_or_default();
    if origin.is_empty() && prefix.is_empty() && own_path.starts_with("//") {
        // Alone, it would name another authority (RFC 3986 4.2).
        return None;
    }
    let slash = if own_path.starts_with('/') { "" } else { "/" };
    HeaderValue::try_from(format!("{origin}{prefix}{slash}{own_path}")).ok()
}

/// What follows the authority in a URL at the upstream's own origin: path, query and fragment, byte for byte.
fn path_at_origin<'a>(url: &'a str, upstream: &Upstream) -> Option<&'a str> {
    let origin = upstream.origin();
    let (tls, rest) = match url.split_once("//")? {
        ("", rest) => (origin.tls(), rest),
        (scheme, rest) if scheme.eq_ignore_ascii_case("https:") => (true, rest),
        (scheme, rest) if scheme.eq_ignore_ascii_case("http:") => (false, rest),
        _ => return None,
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(end)?;
    let same = !authority.contains('@') && origin.contains(tls, &authority.parse().ok()?);
    same.then_some(path)
}
