//! The scrubber: a text is scrubbed whole, cut in two at each of its bytes, and byte by byte.

use std::rc::Rc;

use bytes::Bytes;

use crate::scrub::{BodyScrubber, Forms, Scrubber, naive};

const NAME: &str = "x";
const MARKER: &[u8] = b"[redacted:x]";
/// A cut is made at each byte.
const MAX_SECRET: usize = 32;
const MAX_TEXT: usize = 256;

/// Takes `USER:PASSWORD`, a line feed, and a text: however that comes, what is left of it is what the naive scrubber
/// leaves.
#[expect(clippy::panic, reason = "a panic is how a fuzz target says that something is wrong")]
pub fn scrubber(data: &[u8]) {
    let mut lines = data.splitn(2, |&byte| byte == b'\n');
    let (Some(pair), Some(text)) = (lines.next(), lines.next()) else { return };
    let mut parts = pair.splitn(2, |&byte| byte == b':');
    let (Some(username), Some(password)) = (parts.next(), parts.next()) else { return };
    if username.is_empty() || password.is_empty() || pair.len() > MAX_SECRET || text.len() > MAX_TEXT {
        return;
    }
    let forms = Forms::none().username(username).secret(password).pair(pair).value(pair);
    let scrubber = Rc::new(Scrubber::new(NAME, &forms));
    let naive = naive::scrub(&forms, MARKER, text);
    let scrubbed = |pieces: &mut dyn Iterator<Item = &[u8]>| {
        let mut body = BodyScrubber::new(Rc::clone(&scrubber));
        let mut clean = Vec::new();
        for piece in pieces {
            clean.extend_from_slice(&body.push(Bytes::copy_from_slice(piece), false));
        }
        clean.extend_from_slice(&body.finish());
        (clean, body.found())
    };
    if scrubbed(&mut text.chunks(1)) != naive {
        panic!("byte by byte, something else is left than {naive:?}");
    }
    for cut in 0..=text.len() {
        let (before, after) = text.split_at_checked(cut).unwrap_or_default();
        if scrubbed(&mut [before, after].into_iter()) != naive {
            panic!("cut at {cut}, something else is left than {naive:?}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::scrubber;
    use crate::fuzzing::seeds;

    #[test]
    fn the_scrubber_corpus_is_scrubbed_alike_however_it_is_cut() {
        for seed in seeds("scrubber", 8) {
            scrubber(&seed);
        }
    }
}
