//! Responses over HTTP/1.1: an answer is read alike however its bytes arrive, and ends in the same place.

use bytes::BytesMut;

use crate::wire::Malformed;
use crate::wire::body::{Decoder, Piece};
use crate::wire::response::ResponseReader;

/// What was read: each head, as it is shown; the body, whether it has ended, what is left, and the fault.
type Told = (Vec<String>, Vec<u8>, bool, Vec<u8>, Option<Malformed>);

/// Reads an answer, whole and cut in two at each of its bytes (as far as there are few). If the first byte is odd, it answers
/// a HEAD.
#[expect(clippy::panic, reason = "a panic is how a fuzz target says that something is wrong")]
pub fn responses(data: &[u8]) {
    let Some((first, data)) = data.split_first() else { return };
    let to_head = first % 2 == 1;
    let whole = read([data, &[]], to_head);
    for cut in 0..data.len().min(512) {
        let (first, rest) = data.split_at(cut);
        let in_pieces = read([first, rest], to_head);
        if in_pieces != whole {
            panic!("cut at {cut}, {in_pieces:?} is read instead of {whole:?}");
        }
    }
}

fn read(pieces: [&[u8]; 2], to_head: bool) -> Told {
    let (mut reader, mut bytes, mut body) = (ResponseReader::new(), BytesMut::new(), None);
    let (mut heads, mut data) = (Vec::new(), Vec::new());
    let mut fault = None;
    for piece in pieces {
        bytes.extend_from_slice(piece);
        let mut next = || read_what_there_is(&mut reader, &mut body, &mut bytes, to_head, &mut heads, &mut data);
        if fault.is_none() {
            fault = next().err();
        }
    }
    let ended = body.is_some_and(|body| body.is_end());
    // What is left of what is wrong depends on when that was seen.
    let left = if fault.is_some() { Vec::new() } else { bytes.to_vec() };
    (heads, data, ended, left, fault)
}

fn read_what_there_is(
    reader: &mut ResponseReader,
    body: &mut Option<Decoder>,
    bytes: &mut BytesMut,
    to_head: bool,
    heads: &mut Vec<String>,
    data: &mut Vec<u8>,
) -> Result<(), Malformed> {
    loop {
        if let Some(body) = body {
            match body.read(bytes)? {
                Piece::Data(piece) => data.extend_from_slice(&piece),
                Piece::More | Piece::Trailers(_) | Piece::End => return Ok(()),
            }
            continue;
        }
        let Some(framed) = reader.read(bytes, to_head)? else { return Ok(()) };
        let is_interim = framed.head.status.is_informational() && framed.head.status.as_u16() != 101;
        heads.push(format!("{:?} {:?} {}", framed.head, framed.body.remaining(), framed.keeps_alive));
        *body = (!is_interim).then_some(framed.body);
    }
}

#[cfg(test)]
mod tests {
    use super::responses;
    use crate::fuzzing::seeds;

    #[test]
    fn the_responses_corpus_is_read_alike_however_it_is_cut() {
        for seed in seeds("responses", 8) {
            responses(&seed);
        }
    }
}
