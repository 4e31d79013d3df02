//! The pieces of one write, put together where they are few bytes.

use std::cell::Cell;
use std::io::IoSlice;

/// Pieces that are together no longer than this are copied into one: the copy costs less than a vectored call, or a record each.
const SHORT: usize = 4096;

thread_local! {
    /// Room for them: a worker writes on one socket at a time. Holds nothing but zeros.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Writes `slices` as one piece. `None`: they are too long for that, or there are none.
pub(super) fn write_as_one<T>(slices: &[IoSlice<'_>], write: impl FnOnce(&[u8]) -> T) -> Option<T> {
    match slices {
        [] => return None,
        [slice] => return Some(write(slice)),
        several if several.iter().map(|slice| slice.len()).sum::<usize>() > SHORT => return None,
        _ => {}
    }
    let mut room = SPARE.take();
    room.clear();
    // At once: what a room grows out of is not wiped.
    room.reserve(SHORT);
    slices.iter().for_each(|slice| room.extend_from_slice(slice));
    let written = write(&room);
    // A credential may be among it.
    room.fill(0);
    SPARE.set(room);
    Some(written)
}

#[cfg(test)]
mod tests {
    use std::io::IoSlice;

    use super::{SHORT, SPARE, write_as_one};

    #[test]
    fn short_pieces_are_one_and_nothing_of_them_stays() {
        let slices = [&b"authorization: "[..], b"", b"Bearer s3cr3t"].map(IoSlice::new);
        assert_eq!(write_as_one(&slices, <[u8]>::to_vec).unwrap(), b"authorization: Bearer s3cr3t");
        assert_eq!(SPARE.take(), [0; 28]);
    }

    #[test]
    fn only_one_piece_may_be_long() {
        let long = [b'x'; SHORT];
        assert_eq!(write_as_one(&[IoSlice::new(&long), IoSlice::new(b"")], <[u8]>::len), Some(SHORT));
        assert_eq!(write_as_one(&[IoSlice::new(&long), IoSlice::new(b"y")], <[u8]>::len), None);
        assert_eq!(write_as_one(&[IoSlice::new(&[b'x'; SHORT + 1])], <[u8]>::len), Some(SHORT + 1));
    }
}
