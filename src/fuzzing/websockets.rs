//! Handshakes: whatever the request path takes for one, the reader has taken for one, too. Else what comes after it would
//! have been read as a request, and then be part of a tunnel.

use crate::tunnel::handshake;
use crate::wire;

/// Reads the header lines of a GET, after its `Host`.
#[expect(clippy::panic, reason = "a panic is how a fuzz target says that something is wrong")]
pub fn websockets(data: &[u8]) {
    let wire = [b"GET /x HTTP/1.1\r\nHost: one.test\r\n", data, b"\r\n\r\n"].concat();
    let is_one_header = wire.windows(4).position(|window| window == b"\r\n\r\n") == Some(wire.len() - 4);
    let Some(read) = wire::request::alone(&wire).filter(|_| is_one_header) else { return };
    // One with a body is none, whatever its header says.
    if read.body.is_end() && handshake::is_asked_for(&read.head) && !read.asks_for_websocket {
        panic!("what follows a handshake would be read: {:?}", String::from_utf8_lossy(data));
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::{handshake, websockets};
    use crate::fuzzing::path::fields;
    use crate::fuzzing::seeds;
    use crate::message::{Path, RequestHead};

    fn head(block: &[u8]) -> RequestHead {
        RequestHead { fields: fields(block), ..RequestHead::new(Method::GET, Path::default()) }
    }

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
