//! Requests over HTTP/1.1: a stream of them is read alike however its bytes arrive, and a head that is written anew says the
//! same.

use bytes::BytesMut;
use http::Method;

use crate::fields::Fields;
use crate::message::RequestHead;
use crate::wire::body::Piece;
use crate::wire::request::{RequestReader, fault_behind};
use crate::wire::{Malformed, encode};

/// What was read: each request's head, as it is shown, and its body; and the fault after them.
type Told = (Vec<(String, Vec<u8>)>, Option<Malformed>);

/// Reads a stream of requests, whole and cut in two at each of its bytes (as far as there are few). The same fault must
/// be found, however the bytes arrive; without one, the same must be read. With one, a cut may let more through: what had
/// gone before the fault came.
#[expect(clippy::panic, reason = "a panic is how a fuzz target says that something is wrong")]
pub fn requests(data: &[u8]) {
    let whole = read([data, &[]]);
    for cut in 0..data.len().min(512) {
        let (first, rest) = data.split_at(cut);
        let in_pieces = read([first, rest]);
        let fits = if whole.1.is_some() { begins_with(&in_pieces.0, &whole.0) } else { in_pieces.0 == whole.0 };
        if in_pieces.1 != whole.1 || !fits {
            panic!("cut at {cut}, {in_pieces:?} is read instead of {whole:?}");
        }
    }
}

/// Whether all that is in `whole` was read, be it that of the last one's body there is more.
fn begins_with(pieces: &[(String, Vec<u8>)], whole: &[(String, Vec<u8>)]) -> bool {
    whole
        .iter()
        .enumerate()
        .all(|(at, (head, body))| pieces.get(at).is_some_and(|piece| piece.0 == *head && piece.1.starts_with(body)))
}

/// Reads as a connection does.
fn read(pieces: [&[u8]; 2]) -> Told {
    let (mut reader, mut bytes, mut told) = (RequestReader::new(), BytesMut::new(), Vec::new());
    for piece in pieces {
        bytes.extend_from_slice(piece);
        if let Err(fault) = read_what_there_is(&mut reader, &mut bytes, &mut told) {
            return (told.into_iter().map(|(head, body, _)| (head, body)).collect(), Some(fault));
        }
    }
    (told.into_iter().map(|(head, body, _)| (head, body)).collect(), None)
}

type Begun = (String, Vec<u8>, crate::wire::body::Decoder);

fn read_what_there_is(
    reader: &mut RequestReader,
    bytes: &mut BytesMut,
    told: &mut Vec<Begun>,
) -> Result<(), Malformed> {
    loop {
        while let Some((_, data, body)) = told.last_mut().filter(|(_, _, body)| !body.is_end()) {
            match body.read(bytes)? {
                Piece::Data(piece) => data.extend_from_slice(&piece),
                Piece::Trailers(_) | Piece::End => {}
                Piece::More => return Ok(()),
            }
        }
        let Some(framed) = reader.read(bytes)? else { return Ok(()) };
        if let Some(fault) = fault_behind(framed.body.clone(), bytes) {
            return Err(fault);
        }
        say_again(&framed.head);
        told.push((format!("{:?}", framed.head), Vec::new(), framed.body));
    }
}

#[expect(clippy::panic, reason = "a panic is how a fuzz target says that something is wrong")]
fn say_again(head: &RequestHead) {
    if head.method == Method::CONNECT {
        return;
    }
    let mut out = Vec::new();
    encode::request_head(head, &mut out);
    let mut bytes = BytesMut::from(&*out);
    let same = RequestReader::new().read(&mut bytes);
    let lines =
        |fields: &Fields| -> Vec<_> { fields.iter().map(|line| (line.name.to_vec(), line.value.to_vec())).collect() };
    let told = |head: &RequestHead| (head.method.clone(), target(head), lines(&head.fields));
    // Without a Host, as HTTP/1.0 may be, it is none of HTTP/1.1; nor is it HTTP/1.0 any more.
    let lacks_host = !head.fields.has(&http::header::HOST);
    match same {
        Ok(Some(same)) if bytes.is_empty() && told(&same.head) == told(head) => {}
        Err(Malformed::Host) if lacks_host => {}
        Ok(_) | Err(_) => panic!("{:?} is not what {head:?} says", String::from_utf8_lossy(&out)),
    }
}

/// As it is written: a query without a path is the root's.
fn target(head: &RequestHead) -> String {
    let target = head.path.as_str();
    format!("/{}", target.strip_prefix('/').unwrap_or(target))
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
