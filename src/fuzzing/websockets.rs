//! Handshakes: whatever the request path takes for one, the screen has taken for one, too. Else what comes after it would
//! have been let through as a request, and then be part of a tunnel.

use http::{Request, request};

use super::path::fields;
use crate::tunnel::handshake;
use crate::wire::Framing;
use crate::wire::request_framing::RequestFraming;

/// Reads the header lines of a GET, after its `Host`.
#[expect(clippy::panic, reason = "a panic is how a fuzz target says that something is wrong")]
pub fn websockets(data: &[u8]) {
    let wire = [b"GET /x HTTP/1.1\r\nHost: one.test\r\n", data, b"\r\n\r\n"].concat();
    let is_one_header = wire.windows(4).position(|window| window == b"\r\n\r\n") == Some(wire.len() - 4);
    let mut framing = RequestFraming::new();
    if !is_one_header || framing.admit(&wire) != (wire.len(), None) {
        return;
    }
    // One with a body is none, whatever its header says.
    let is_over = framing.between_requests();
    if is_over && handshake::is_asked_for(&head(data)) && !framing.is_undecided() {
        panic!("the screen lets through what follows a handshake: {:?}", String::from_utf8_lossy(data));
    }
}

fn head(block: &[u8]) -> request::Parts {
    let (mut head, ()) = Request::new(()).into_parts();
    head.headers = fields(block);
    head
}

#[cfg(test)]
mod tests {
    use super::{handshake, head, websockets};
    use crate::fuzzing::seeds;

    /// Each seed, and with each of its bytes made another, doubled, or left out.
    #[test]
    fn the_websockets_corpus_and_its_near_misses_are_kept_back() {
        let mut handshakes = 0;
        for seed in seeds("websockets", 8) {
            websockets(&seed);
            handshakes += usize::from(handshake::is_asked_for(&head(&seed)));
            for at in 0..seed.len() {
                for other in *b"\t :,;=\x0c\xa0Uu" {
                    let mut bytes = seed.clone();
                    bytes[at] = other;
                    websockets(&bytes);
                    bytes.insert(at, seed[at]);
                    websockets(&bytes);
                }
                let mut bytes = seed.clone();
                bytes.remove(at);
                websockets(&bytes);
            }
        }
        assert!(handshakes >= 3, "{handshakes}");
    }
}
