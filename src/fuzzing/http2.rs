//! HTTP/2 requests: what is let through could have come by HTTP/1.1, and would have meant the same upstream and path.

use http::header::{CONNECTION, COOKIE, HOST, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderValue, Request, Uri, Version};

use super::path::{RequestPath, fields};
use crate::message::RequestHead;
use crate::wire::{encode, http2 as wire, request};

const CONFIG: &str = "
[listen.local]
address = '127.0.0.1:8080'
[upstream.one]
url = 'https://one.test'
hosts = ['alias.test', '192.0.2.1']
auth.bearer = { token = 'env:KEY' }
";

thread_local! {
    static PATH: RequestPath = RequestPath::new(CONFIG, &[("env:KEY", b"planted")]);
}

/// Reads a target, a line end and header lines.
#[expect(clippy::panic, reason = "a panic is how a fuzz target says that something is wrong")]
pub fn http2(data: &[u8]) {
    let Some(request) = let_through(data) else { return };
    let authority = request.authority.as_ref().map(|authority| authority.as_str().as_bytes());
    let host = request.fields.get(&HOST);
    if authority.zip(host).is_some_and(|(authority, host)| !authority.eq_ignore_ascii_case(host)) {
        panic!("there are two authorities: {request:?}");
    }
    if request.fields.get_all(&COOKIE).count() > 1 {
        panic!("crumbs are left: {request:?}");
    }
    let Some(same) = in_http1(&request) else { panic!("there is no way to say it in HTTP/1.1: {request:?}") };
    let found = |request: &RequestHead| {
        let found = PATH.with(|path| path.find(request)).ok()?;
        Some((found.upstream.name().to_owned(), found.path.to_string()))
    };
    if found(&request) != found(&same) {
        panic!("it means {:?} in HTTP/2, and {:?} in HTTP/1.1: {request:?}", found(&request), found(&same));
    }
}

/// The request, if it passes. What `h2` refuses by itself, or has a bound for, does not come.
fn let_through(data: &[u8]) -> Option<RequestHead> {
    let end = data.iter().position(|&b| b == b'\n').filter(|_| data.len() < 32 * 1024)?;
    let (target, block) = data.split_at_checked(end)?;
    let mut fields = fields(block);
    for name in [CONNECTION, TRANSFER_ENCODING, UPGRADE] {
        fields.remove(&name);
    }
    let mut request = Request::new(());
    *request.uri_mut() = Uri::try_from(target).ok()?;
    let head = RequestHead::from(request.into_parts().0);
    let mut head = RequestHead { version: Version::HTTP_2, fields, ..head };
    wire::check(&mut head).ok()?;
    Some(head)
}

/// The same request, with its authority in `Host`. `None`: it would not be read.
fn in_http1(request: &RequestHead) -> Option<RequestHead> {
    let mut head = request.clone();
    if let Some(authority) = &request.authority {
        head.fields.put(&HOST, &HeaderValue::from_str(authority.as_str()).ok()?);
    }
    let mut bytes = Vec::new();
    encode::request_head(&head, &mut bytes);
    Some(request::alone(&bytes)?.head)
}

#[cfg(test)]
mod tests {
    use super::{http2, let_through};
    use crate::fuzzing::seeds;

    /// Each seed, and with each of its bytes made another, or left out.
    #[test]
    fn the_http2_corpus_and_its_near_misses_mean_in_http1_what_they_mean() {
        let mut passed = 0;
        for seed in seeds("http2", 8) {
            http2(&seed);
            passed += usize::from(let_through(&seed).is_some());
            for at in 0..seed.len() {
                for other in *b"/?:.@[]%\\ \n#" {
                    let mut bytes = seed.clone();
                    bytes[at] = other;
                    http2(&bytes);
                }
                let mut bytes = seed.clone();
                bytes.remove(at);
                http2(&bytes);
            }
        }
        assert!(passed >= 8, "{passed}");
    }
}
