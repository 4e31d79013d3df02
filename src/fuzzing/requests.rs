//! The request screen: a stream of requests is read alike however its bytes arrive.

use crate::wire::Framing;
use crate::wire::request_framing::RequestFraming;

/// Reads a stream of requests, whole and cut in two at each of its bytes (as far as there are few). The same fault must
/// be found, however the bytes arrive; without one, the same must be let through. With one, a cut may let through more:
/// what had gone before the fault came.
#[expect(clippy::panic, reason = "a panic is how a fuzz target says that something is wrong")]
pub fn requests(data: &[u8]) {
    let whole = RequestFraming::new().admit(data);
    for cut in 0..data.len().min(512) {
        let mut framing = RequestFraming::new();
        let first = framing.admit(data.get(..cut).unwrap_or_default());
        let rest = framing.admit(data.get(first.0..).unwrap_or_default());
        let in_pieces = if first.1.is_some() { first } else { (first.0 + rest.0, rest.1) };
        let fits = if whole.1.is_some() { in_pieces.0 >= whole.0 } else { in_pieces.0 == whole.0 };
        if in_pieces.1 != whole.1 || !fits {
            panic!("cut at {cut}, {in_pieces:?} is let through instead of {whole:?}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::requests;
    use crate::fuzzing::seeds;

    #[test]
    fn the_requests_corpus_is_read_alike_however_it_is_cut() {
        for seed in seeds("requests", 8) {
            requests(&seed);
        }
    }
}
