//! Callers' tokens: whoever is known has brought the whole token, in a place where one may stand.

use std::rc::Rc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::path::{fields, parse};
use crate::caller::{Callers, Peer};
use crate::upstream::Upstream;

/// What the one caller has to bring.
const TOKEN: &str = "0123456789abcdef";

const CONFIG: &str = "\
[caller.shop]
token = 'env:TOKEN'
upstreams = ['bearer']
[upstream.bearer]
url = 'https://a.test'
auth.bearer.token = 'env:KEY'
[upstream.basic]
url = 'https://b.test'
auth.basic = { username = 'env:KEY', password = 'env:KEY' }
[upstream.key]
url = 'https://c.test'
auth.api-key = { key = 'env:KEY', header = 'x-api-key' }
[upstream.hmac]
url = 'https://d.test'
auth.hmac = { username = 'env:KEY', secret = 'env:KEY' }
";

thread_local! {
    static KNOWN: (Callers, Vec<Rc<Upstream>>) = {
        let config = parse(CONFIG, &[("env:TOKEN", TOKEN.as_bytes()), ("env:KEY", b"planted secret")]);
        (Callers::offline(&config), Upstream::offline(&config))
    };
}

/// Takes header lines, and asks for the caller before each upstream, and before none.
#[expect(clippy::panic, reason = "a panic is how a fuzz target says that something is wrong")]
pub fn tokens(data: &[u8]) {
    let fields = fields(data);
    let peer = Peer { listener: 0, process: None, certificate: None };
    KNOWN.with(|(callers, upstreams)| {
        for meant in upstreams.iter().map(|upstream| Some(&**upstream)).chain([None]) {
            if callers.identify(&peer, &fields, meant).is_ok() && !fields.iter().any(|line| brings_token(line.value)) {
                panic!("known without the token: {fields:?}");
            }
        }
    });
}

/// Whether the whole token stands in a value, as it is or in base64, between signs that are not part of one.
fn brings_token(value: &[u8]) -> bool {
    let decoded = value.split(|b| *b == b' ').filter_map(|word| STANDARD.decode(word).ok());
    let words = |text: &[u8]| text.split(|b| b" :\"".contains(b)).any(|word| word.trim_ascii() == TOKEN.as_bytes());
    words(value) || decoded.into_iter().any(|text| words(&text))
}

#[cfg(test)]
mod tests {
    use super::tokens;
    use crate::fuzzing::seeds;

    #[test]
    fn the_tokens_corpus_makes_nobody_known_without_one() {
        for seed in seeds("tokens", 8) {
            tokens(&seed);
        }
    }
}
