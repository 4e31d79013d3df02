//! HMAC's canonical text: what is signed is what the Hub's gateway rebuilds from the request as it leaves, or nothing is.

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderValue, Method, Request, Uri};

use super::path::{RequestPath, fields};
use crate::message::RequestHead;
use crate::sandbox::kong;

const CONFIG: &str = "
[listen.local]
address = '127.0.0.1:8080'
[upstream.default]
url = 'https://default.test'
auth.hmac = { username = 'env:KEY', secret = 'env:SECRET' }
[upstream.sdk]
url = 'https://sdk.test'
auth.hmac = { username = 'env:KEY', secret = 'env:SECRET', algorithm = 'hmac-sha1', headers = ['date', 'x-Content-MD5', 'request-line'] }
[upstream.target]
url = 'https://target.test:8443'
auth.hmac = { username = 'env:KEY', secret = 'env:SECRET', algorithm = 'hmac-sha384', headers = ['host', 'X-Date', 'Digest', '@request-target'] }
[upstream.fields]
url = 'https://fields.test'
auth.hmac = { username = 'env:KEY', secret = 'env:SECRET', algorithm = 'hmac-sha512', headers = ['Account', 'Date', 'X-Other', 'request-line', 'Content-MD5', 'content-type'] }
";
const UPSTREAMS: [&str; 4] = ["default", "sdk", "target", "fields"];
const SECRETS: [(&str, &[u8]); 2] = [("env:KEY", b"planted"), ("env:SECRET", b"planted secret")];

thread_local! {
    static PATH: RequestPath = RequestPath::new(CONFIG, &SECRETS);
}

/// Signs a request, made of a byte that picks the upstream, a line `METHOD target`, fields, an empty line and a body; and
/// has the stand-in's gateway verify it.
#[expect(clippy::panic, reason = "a panic is how a fuzz target says that something is wrong")]
pub fn canonical(data: &[u8]) {
    if verifies(data) == Some(false) {
        panic!("what was signed is not what is sent");
    }
}

/// `None`: there is no such request, or it stays here, as it is `TRACE` or has a signed field twice.
fn verifies(data: &[u8]) -> Option<bool> {
    let (&first, rest) = data.split_first()?;
    let upstream = UPSTREAMS.get(usize::from(first) % UPSTREAMS.len())?;
    let (header, body) = split_at(rest, b"\n\n");
    let (line, block) = split_at(header, b"\n");
    let (method, target) = split_at(line, b" ");
    let target = [b"/", upstream.as_bytes(), target].concat();
    let mut request = Request::new(());
    (*request.method_mut(), *request.uri_mut()) = (Method::from_bytes(method).ok()?, Uri::try_from(target).ok()?);
    let head = RequestHead::from(request.into_parts().0);
    let mut head = RequestHead { fields: fields(block), ..head };
    head.fields.put(&HOST, &HeaderValue::from_static("localhost"));
    let body = Bytes::copy_from_slice(body);
    let sent = PATH.with(|path| path.authorize(head, &body))?;
    let mut request = Request::new(());
    (*request.method_mut(), *request.headers_mut()) = (sent.method.clone(), sent.fields.to_map());
    *request.uri_mut() = Uri::try_from(sent.path.as_str()).ok()?;
    let (head, ()) = request.into_parts();
    let [(_, key), (_, secret)] = SECRETS;
    Some(kong::is_signed(head, body, key, secret))
}

/// What is before the first `separator`, and what is after it.
fn split_at<'a>(bytes: &'a [u8], separator: &[u8]) -> (&'a [u8], &'a [u8]) {
    match memchr::memmem::find(bytes, separator) {
        Some(at) => (bytes.get(..at).unwrap_or_default(), bytes.get(at + separator.len()..).unwrap_or_default()),
        None => (bytes, &[]),
    }
}

#[cfg(test)]
mod tests {
    use super::{canonical, verifies};
    use crate::fuzzing::seeds;

    /// Each seed for each upstream, and with each of its bytes made another.
    #[test]
    fn the_canonical_corpus_and_its_near_misses_verify() {
        let signed = seeds("canonical", 8).iter().filter(|seed| verifies(seed) == Some(true)).count();
        assert!(signed >= 8, "only {signed} are requests that can be signed");
        for seed in seeds("canonical", 8) {
            for upstream in 0..4 {
                let mut bytes = seed.clone();
                bytes[0] = upstream;
                canonical(&bytes);
            }
            for at in 1..seed.len() {
                for other in *b" \n:/?,\"" {
                    let mut bytes = seed.clone();
                    bytes[at] = other;
                    canonical(&bytes);
                }
            }
        }
    }
}
