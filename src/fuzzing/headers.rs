//! The header rules: whatever a caller's header holds, what leaves has one credential field, ours, and nothing that a
//! server could take for one; whatever an answer's holds, nothing in it was for sidekey alone.

use bytes::Bytes;
use http::header::{CONNECTION, HOST, TE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::path::{RequestPath, fields};
use crate::headers::{clean, clean_request_trailers};
use crate::message::RequestHead;

const CONFIG: &str = "
[listen.local]
address = '127.0.0.1:8080'
[upstream.basic]
url = 'https://basic.test'
auth.basic = { username = 'env:KEY', password = 'env:KEY' }
[upstream.bearer]
url = 'https://bearer.test'
auth.bearer = { token = 'env:KEY' }
[upstream.key]
url = 'https://key.test'
auth.api-key = { key = 'env:KEY', header = 'x-api_key', prefix = '' }
[upstream.hmac]
url = 'https://hmac.test'
auth.hmac = { username = 'env:KEY', secret = 'env:KEY' }
";

/// What sidekey alone says to an upstream.
struct Sidekeys {
    name: &'static str,
    /// The field that the credential goes in, and how its value begins.
    credential: &'static str,
    value: &'static str,
    /// Further fields that no caller has a say in.
    owned: &'static [&'static str],
}

const UPSTREAMS: [Sidekeys; 4] = [
    Sidekeys { name: "basic", credential: "authorization", value: "Basic cGxhbnRlZDpwbGFudGVk", owned: &[] },
    Sidekeys { name: "bearer", credential: "authorization", value: "Bearer planted", owned: &[] },
    Sidekeys { name: "key", credential: "x-api_key", value: "planted", owned: &[] },
    Sidekeys {
        name: "hmac",
        credential: "authorization",
        value: "hmac username=\"planted\"",
        owned: &["date", "x-date", "digest", "content-md5", "x-content-md5", "request-line"],
    },
];

const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "te",
    "upgrade",
    "keep-alive",
    "proxy-connection",
    "transfer-encoding",
    "proxy-authenticate",
    "proxy-authorization",
    "content-length",
];

thread_local! {
    static PATH: RequestPath = RequestPath::new(CONFIG, &[("env:KEY", b"planted")]);
}

/// Sends a header block to one of four upstreams, and takes it for an answer and for trailers, too.
#[expect(clippy::panic, reason = "a panic is how a fuzz target says that something is wrong")]
pub fn headers(data: &[u8]) {
    let Some((&first, block)) = data.split_first() else { return };
    let Some(upstream) = UPSTREAMS.get(usize::from(first) % UPSTREAMS.len()) else { return };
    let sent = fields(block);
    let path = format!("/{}/x", upstream.name).into();
    let mut head = RequestHead { fields: sent.clone(), ..RequestHead::new(Method::GET, path) };
    head.fields.put(&HOST, &HeaderValue::from_static("localhost"));
    PATH.with(|path| {
        let Ok(target) = path.find(&head) else { panic!("no upstream for {head:?}") };
        let Some(outgoing) = path.authorize(head, &Bytes::new()) else { panic!("no credential for {sent:?}") };
        let sent_map = sent.to_map();
        check_request(upstream, &sent_map, &outgoing.fields.to_map());
        let mut answer = sent.clone();
        clean(&mut answer, &target.upstream, &target.spoken);
        check_answer(&sent_map, &answer.to_map());
        let mut trailers = sent;
        clean_request_trailers(&mut trailers, target.upstream.managed());
        if let Some(name) = trailers.to_map().keys().find(|name| is_taken_for(name.as_str(), upstream)) {
            panic!("`{name}` crosses in trailers");
        }
    });
}

#[expect(clippy::panic, reason = "a panic is how a fuzz target says that something is wrong")]
fn check_request(upstream: &Sidekeys, sent: &HeaderMap, leaves: &HeaderMap) {
    let ours: Vec<_> = leaves.get_all(upstream.credential).iter().map(HeaderValue::as_bytes).collect();
    if ours.len() != 1 || !ours.iter().all(|ours| ours.starts_with(upstream.value.as_bytes())) {
        panic!("the credential is there {} times for {sent:?}", ours.len());
    }
    if leaves.get_all(HOST).iter().ne([&format!("{}.test", upstream.name)]) {
        panic!("`Host` is not the upstream's for {sent:?}");
    }
    let signs_date = upstream.owned.contains(&"date");
    let set = |name: &str| name == upstream.credential || name == "host" || (name == "date" && signs_date);
    let wants_trailers = leaves.get(TE).is_some_and(|te| te == "trailers");
    for name in leaves.keys().map(HeaderName::as_str).filter(|name| !set(name)) {
        let asks_for_trailers = wants_trailers && (name == "te" || name == "connection");
        if !asks_for_trailers && (is_taken_for(name, upstream) || is_named(sent, name)) {
            panic!("`{name}` crosses");
        }
    }
}

#[expect(clippy::panic, reason = "a panic is how a fuzz target says that something is wrong")]
fn check_answer(sent: &HeaderMap, answer: &HeaderMap) {
    for name in answer.keys().map(HeaderName::as_str) {
        let is_ours = name != "content-length" && (HOP_BY_HOP.contains(&name) || name == "proxy-status");
        if is_ours || is_named(sent, name) {
            panic!("`{name}` comes back");
        }
    }
}

/// Whether a lax server could take `name` for what sidekey alone says; written without regard to how sidekey finds out.
fn is_taken_for(name: &str, upstream: &Sidekeys) -> bool {
    let fold = |name: &str| {
        let words: Vec<_> = name.split(|c: char| !c.is_ascii_alphanumeric()).collect();
        words.join("-").trim_matches('-').to_owned()
    };
    let name = fold(name);
    let bare = name.strip_prefix("http-").unwrap_or(&name);
    let credentials = [fold(upstream.credential), "authorization".to_owned(), "proxy-authorization".to_owned()];
    let is_ours = |name: &str| credentials.iter().any(|ours| ours == name) || upstream.owned.contains(&name);
    let is_origin = |name: &str| name == "forwarded" || name == "x-real-ip" || name.starts_with("x-forwarded-");
    is_ours(bare)
        || bare.strip_prefix("x-").is_some_and(is_ours)
        || HOP_BY_HOP.contains(&bare)
        || is_origin(bare)
        || bare == "host"
}

/// Whether a `Connection` of the caller's names it.
fn is_named(sent: &HeaderMap, name: &str) -> bool {
    let names = sent.get_all(CONNECTION).iter().flat_map(|value| value.as_bytes().split(|&b| b == b','));
    let named = |item: &[u8]| item.trim_ascii().eq_ignore_ascii_case(name.as_bytes());
    let telling = name != "keep-alive" && name != "close";
    telling && names.into_iter().any(named)
}

#[cfg(test)]
mod tests {
    use super::headers;
    use crate::fuzzing::seeds;

    /// Each seed for each upstream, and with each of its bytes made another.
    #[test]
    fn the_headers_corpus_and_its_near_misses_pass() {
        for seed in seeds("headers", 8) {
            for upstream in 0..4 {
                let mut bytes = seed.clone();
                bytes[0] = upstream;
                headers(&bytes);
            }
            for at in 1..seed.len() {
                for other in *b"_-. :\nx" {
                    let mut bytes = seed.clone();
                    bytes[at] = other;
                    headers(&bytes);
                }
            }
        }
    }
}
