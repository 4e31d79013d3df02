//! Stage 7, and 10: what may cross, both ways.

mod presence;

use std::rc::Rc;

use http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderName, HeaderValue, LOCATION, TE, TRANSFER_ENCODING,
};
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, Request, Uri, Version, request};
use http_body::Body;
use smallvec::SmallVec;

pub(crate) use self::presence::{Field, Presence};
use crate::alias;
use crate::caller::Caller;
use crate::policy::{self, Grant};
use crate::route::Spoken;
use crate::scrub;
use crate::server::CallerBody;
use crate::tunnel::{connect, handshake};
use crate::upstream::{self, Exchange, RequestBody, Upstream};

/// A request that may cross, and has no credential yet. Always boxed, as every stage from here on hands it to the next.
pub(crate) struct Outgoing {
    pub(crate) head: request::Parts,
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
    let (mut head, incoming) = request.into_parts();
    let is_empty = incoming.is_end_stream();
    let had_length = is_empty && presence.of_field(Field::ContentLength);
    let expects = !is_empty && presence.of_field(Field::Expect);
    let may_ask = presence.of_field(Field::Upgrade) && grant.target().upstream.passes_tunnels();
    let wants_tunnel = may_ask && handshake::is_asked_for(&head);
    let path = grant.take_path();
    readdress(&mut head, presence, &grant.target().upstream, path);
    caller.take_off_token(&mut head.headers);
    if is_empty {
        // RFC 9110 8.6: a method that gives a body a meaning says that it has none.
        if had_length || matches!(head.method, Method::POST | Method::PUT | Method::PATCH) {
            head.headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        if wants_tunnel {
            match grant.target().upstream.tunnels() {
                upstream::Version::Http1 => handshake::put_on(&mut head.headers),
                upstream::Version::Http2 => connect::put_on(&mut head),
            }
        }
        let exchange = Exchange::new();
        return Box::new(Outgoing { head, body: RequestBody::Empty, exchange, wants_tunnel });
    }
    match incoming.size_hint().exact() {
        Some(length) => head.headers.insert(CONTENT_LENGTH, length.into()),
        None => head.headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked")),
    };
    let (body, exchange) = RequestBody::streamed(incoming, &grant.target().upstream, expects);
    Box::new(Outgoing { head, body, exchange, wants_tunnel: false })
}

/// Whether the caller holds its body back until it is asked for it (RFC 9110 10.1.1). Is it answered instead, its connection is
/// of no more use: nobody knows whether the body comes after all.
pub(crate) fn withholds_body(request: &Request<CallerBody>) -> bool {
    !request.body().is_end_stream() && expects_continue(request.version(), request.headers())
}

/// Whether whoever sends a body with this header waits to be asked for it. HTTP/1.0 does not know that.
pub(crate) fn expects_continue(version: Version, headers: &HeaderMap) -> bool {
    let expects = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"100-continue");
    version == Version::HTTP_11 && headers.get(EXPECT).is_some_and(expects)
}

/// As [`prepare`], for a request of sidekey's own: it has no caller, and no body.
pub(crate) fn prepare_own(request: Request<()>, grant: &mut Grant) -> Box<Outgoing> {
    let (mut head, ()) = request.into_parts();
    let (presence, path) = (Presence::of(&head.headers), grant.take_path());
    readdress(&mut head, presence, &grant.target().upstream, path);
    let (body, exchange) = (RequestBody::Empty, Exchange::new());
    Box::new(Outgoing { head, body, exchange, wants_tunnel: false })
}

/// Takes off a request's header what may not cross, its framing too, and puts on where it goes.
pub(crate) fn readdress(head: &mut request::Parts, presence: Presence, upstream: &Upstream, path: PathAndQuery) {
    let wants_trailers = presence.of_field(Field::Te) && names_token(&head.headers, &TE, "trailers");
    remove(&mut head.headers, |name| may_not_cross(name, upstream.managed(), is_hop_or_origin));
    head.headers.insert(HOST, upstream.origin().host_header().clone());
    if upstream.scrubs_body() {
        scrub::ask_for_identity(&mut head.headers);
    }
    if wants_trailers {
        head.headers.insert(TE, HeaderValue::from_static("trailers"));
        head.headers.insert(CONNECTION, HeaderValue::from_static("TE"));
    }
    head.uri = Uri::from(path);
    head.version = Version::HTTP_11;
    // hyper's own handles: nothing of the caller's connection goes with the request.
    head.extensions = http::Extensions::new();
}

/// A field is there more than once, where readers would differ in which they take.
pub(crate) struct Repeated;

/// The one value of `name`, if it is there at all.
pub(crate) fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a HeaderValue>, Repeated> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (first, None) => Ok(first),
        (_, Some(_)) => Err(Repeated),
    }
}

/// Removes every name of which a field is one for which `drops` holds, and says how many names those were.
pub(crate) fn remove_if(headers: &mut HeaderMap, drops: impl Fn(&HeaderName, &HeaderValue) -> bool) -> usize {
    let doomed = headers.iter().filter(|(name, value)| drops(name, value)).map(|(name, _)| name.clone());
    let doomed: SmallVec<[HeaderName; 8]> = doomed.collect();
    doomed.into_iter().filter(|name| headers.remove(name).is_some()).count()
}

/// Takes off the upstream's answer what was only for sidekey, and keeps its redirects on sidekey.
pub(crate) fn clean(headers: &mut HeaderMap, upstream: &Upstream, spoken: &Spoken) {
    remove(headers, |name| is_for_sidekey(name.as_str()));
    if let Some(location) = headers.get(LOCATION)
        && let Some(rewritten) = rewrite_location(location, upstream, spoken)
    {
        headers.insert(LOCATION, rewritten);
    }
}

/// Takes off a request's trailers what its header may not hold either.
pub(crate) fn clean_request_trailers(trailers: &mut HeaderMap, managed: &[HeaderName]) {
    // A server that merges trailers into the header would take a method or path from these, past the rules.
    let drops = |name: &str| is_hop_or_origin(name) || is_framing_or_routing(name);
    remove(trailers, |name| policy::names_another(name) || may_not_cross(name, managed, drops));
}

/// Takes off an answer's trailers what frames or routes a message (RFC 9110 6.5.1), and what only sidekey says.
pub(crate) fn clean_answer_trailers(trailers: &mut HeaderMap) {
    remove(trailers, |name| is_for_sidekey(name.as_str()) || is_framing_or_routing(name.as_str()));
}

/// Whether a field is one of `managed`, which are folded, or one for which `drops` holds; or could be taken for one.
fn may_not_cross(name: &HeaderName, managed: &[HeaderName], drops: impl Fn(&str) -> bool) -> bool {
    let text = name.as_str();
    drops(text) || managed.contains(name) || alias::is_alias(text, managed, drops)
}

/// Removes the fields for which `drops` holds, and with `Connection` those that it names.
fn remove(headers: &mut HeaderMap, drops: impl Fn(&HeaderName) -> bool) {
    let mut doomed: SmallVec<[HeaderName; 8]> = SmallVec::new();
    for (name, value) in headers.iter().filter(|(name, _)| drops(name)) {
        if *name == CONNECTION && !goes_anyway(value.as_bytes()) {
            doomed.extend(named_fields(value));
        }
        doomed.push(name.clone());
    }
    for name in &doomed {
        headers.remove(name);
    }
}

/// Whether an option of `Connection` names what goes without being named: nearly always, it is the only one.
fn goes_anyway(option: &[u8]) -> bool {
    // As they are nearly always written, and then however else.
    matches!(option, b"keep-alive" | b"close")
        || option.eq_ignore_ascii_case(b"keep-alive")
        || option.eq_ignore_ascii_case(b"close")
}

/// The fields that a `Connection` field names.
fn named_fields(connection: &HeaderValue) -> impl Iterator<Item = HeaderName> {
    let names = connection.as_bytes().split(|&b| b == b',').map(<[u8]>::trim_ascii);
    // What says how a body is coded concerns both ends, whoever says otherwise: without it, a compressed answer would pass
    // for one that can be scrubbed.
    let telling = names.filter(|name| !goes_anyway(name) && !name.eq_ignore_ascii_case(b"content-encoding"));
    telling.filter_map(|name| HeaderName::from_bytes(name).ok())
}

/// What a caller's request may not carry to any upstream: hop-by-hop fields, framing, and what says where it was.
fn is_hop_or_origin(name: &str) -> bool {
    match name.len() {
        9 => name == "forwarded" || name == "x-real-ip",
        // It is put on anew, and nothing else may be taken for it.
        12 => name == "x-request-id",
        14 if name == "content-length" => true,
        _ => is_hop_by_hop(name) || name.starts_with("x-forwarded-"),
    }
}

/// What of an upstream's answer is not for the caller. By `Proxy-Status`, which may be a trailer (RFC 9209 2), it tells
/// sidekey's answers from the upstream's.
fn is_for_sidekey(name: &str) -> bool {
    is_hop_by_hop(name) || name == "proxy-status"
}

/// RFC 9110 7.6.1, and those that are for a proxy alone. Sorted by length, which most fields differ in.
fn is_hop_by_hop(name: &str) -> bool {
    match name.len() {
        2 => name == "te",
        7 => name == "upgrade",
        10 => name == "connection" || name == "keep-alive",
        14 => name == "http2-settings",
        16 => name == "proxy-connection",
        17 => name == "transfer-encoding",
        18 => name == "proxy-authenticate",
        19 => name == "proxy-authorization",
        _ => false,
    }
}

/// What only a header may say.
fn is_framing_or_routing(name: &str) -> bool {
    matches!(
        name,
        "content-length" | "host" | "trailer" | "authorization" | "set-cookie" | "content-encoding" | "x-request-id"
    )
}

/// Whether a field that is a list has `token` in it.
pub(crate) fn names_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .flat_map(|value| value.as_bytes().split(|&b| b == b','))
        .any(|item| item.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}

/// A redirect to the upstream's own origin, in the form in which the caller named that upstream, so that following it
/// stays on sidekey. `None`: it leads elsewhere, and passes as it is.
fn rewrite_location(location: &HeaderValue, upstream: &Upstream, spoken: &Spoken) -> Option<HeaderValue> {
    let text = location.to_str().ok()?;
    let own_path = if text.starts_with('/') && !text.starts_with("//") {
        // A bare path is right as it is, unless the caller's paths begin with the upstream's name.
        spoken.prefixed.then_some(text)?
    } else {
        path_at_origin(text, upstream)?
    };
    let prefix = if spoken.prefixed { format!("/{}", upstream.name()) } else { String::new() };
    let authority = spoken.authority.as_ref().and_then(|authority| authority.to_str().ok());
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
