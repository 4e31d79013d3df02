//! A body ends where its framing says, and nowhere else.

use bytes::BytesMut;

use super::{Decoder, Malformed, Piece};

/// Reads what comes in `pieces`: the data, the trailers' number if the end has come, and what is left.
fn read(mut body: Decoder, pieces: &[&[u8]]) -> Result<(Vec<u8>, Option<usize>, usize), Malformed> {
    let (mut bytes, mut data, mut ended) = (BytesMut::new(), Vec::new(), None);
    for piece in pieces {
        bytes.extend_from_slice(piece);
        while ended.is_none() {
            match body.read(&mut bytes)? {
                Piece::More => break,
                Piece::Data(more) => data.extend_from_slice(&more),
                Piece::Trailers(trailers) => ended = Some(trailers.len()),
                Piece::End => ended = Some(0),
            }
        }
    }
    assert_eq!(body.is_end(), ended.is_some());
    Ok((data, ended, bytes.len()))
}

#[test]
fn a_length_is_kept_to_and_what_follows_is_left() {
    assert_eq!(read(Decoder::length(3), &[b"abcd"]), Ok((b"abc".to_vec(), Some(0), 1)));
    assert_eq!(read(Decoder::length(3), &[b"a", b"b"]), Ok((b"ab".to_vec(), None, 0)));
    assert_eq!(read(Decoder::length(0), &[b"x"]), Ok((vec![], Some(0), 1)));
    let mut body = Decoder::length(3);
    assert_eq!(body.remaining(), Some(3));
    assert!(!body.close(), "it was cut");
}

#[test]
fn what_goes_on_until_the_close_ends_with_it() {
    let mut body = Decoder::until_close();
    let mut bytes = BytesMut::from(&b"abc"[..]);
    assert!(matches!(body.read(&mut bytes), Ok(Piece::Data(data)) if data == "abc"));
    assert!(matches!(body.read(&mut bytes), Ok(Piece::More)) && !body.is_end());
    assert!(body.close() && body.is_end());
}

#[test]
fn chunks_are_read_the_same_however_they_are_cut() {
    let chunks = b"3;x=\"\\\"\";y\r\nabc\r\n01\r\nd\r\n0\r\nA: 1\r\nB: 2\r\n\r\nmore";
    let whole = Ok((b"abcd".to_vec(), Some(2), 4));
    assert_eq!(read(Decoder::chunked(), &[chunks]), whole);
    for cut in 1..chunks.len() {
        assert_eq!(read(Decoder::chunked(), &[&chunks[..cut], &chunks[cut..]]), whole, "cut at {cut}");
    }
    for end in [&b"0\r\n\r\n"[..], b"00;a\r\n\r\n"] {
        for cut in 0..end.len() {
            assert_eq!(read(Decoder::chunked(), &[&end[..cut], &end[cut..]]), Ok((vec![], Some(0), 0)), "cut at {cut}");
        }
    }
    assert!(!Decoder::chunked().close());
}

#[test]
fn a_chunk_that_is_not_exact_is_a_fault() {
    for chunk in ["3\nabc\r\n", "3\r\nabcd\r\n", " 3\r\n", "0x3\r\n", "3;\r\n", "3 \r\n", "-1\r\n", "\r\n", "0\r\n\n"] {
        let fault = read(Decoder::chunked(), &[chunk.as_bytes()]).unwrap_err();
        assert!(matches!(fault, Malformed::Chunk | Malformed::LineEnding | Malformed::Field), "{chunk:?}: {fault:?}");
    }
    assert_eq!(read(Decoder::chunked(), &[&[b'1'; 5000]]), Err(Malformed::Chunk));
}

#[test]
fn an_old_server_may_pad_a_chunks_size() {
    for chunks in ["3  \r\nabc\r\n0 \r\n\r\n", "3 ;a \r\nabc\r\n0\r\n\r\n"] {
        assert_eq!(read(Decoder::chunked().lenient(), &[chunks.as_bytes()]), Ok((b"abc".to_vec(), Some(0), 0)));
        assert_eq!(read(Decoder::chunked(), &[chunks.as_bytes()]), Err(Malformed::Chunk));
    }
}
