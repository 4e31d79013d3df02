//! Reading field lines eight bytes at a time against reading them byte by byte.

use proptest::prelude::proptest;
use proptest::sample::select;

use super::{Malformed, NAME, class, field_line};

/// What [`field_line`] does, as plainly as it can be said.
fn read(bytes: &[u8]) -> Result<(&[u8], &[u8], usize), Malformed> {
    let name_end = bytes.iter().position(|&b| class(b) & NAME == 0).ok_or(Malformed::Field)?;
    let (name, rest) = bytes.split_at(name_end);
    let rest = rest.strip_prefix(b":").ok_or(Malformed::Field)?;
    let value_end = rest.iter().position(|&b| b == b'\r').ok_or(Malformed::LineEnding)?;
    let (value, end) = rest.split_at(value_end);
    let is_legal = value.iter().all(|&b| b == b'\t' || (b >= b' ' && b != 0x7f));
    if name.is_empty() || !is_legal {
        return Err(if value.contains(&b'\n') { Malformed::LineEnding } else { Malformed::Field });
    }
    match end {
        [b'\r', b'\n', ..] => Ok((name, value, name.len() + 1 + value.len() + 2)),
        _ => Err(Malformed::LineEnding),
    }
}

#[test]
fn one_odd_byte_is_seen_wherever_it_stands() {
    let line = b"x-quite-a-long-name: and a value of some words\r\nhost: more\r\n";
    assert_eq!(field_line(line).unwrap().2, 48);
    for begin in 0..8 {
        for at in begin..line.len() {
            for byte in 0..=u8::MAX {
                let mut odd = line[begin..].to_vec();
                odd[at - begin] = byte;
                assert_eq!(field_line(&odd), read(&odd), "{:?}", String::from_utf8_lossy(&odd));
                assert_eq!(field_line(&odd[..at - begin]), read(&odd[..at - begin]), "{at}");
            }
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_as_they_would_be_one_by_one(bytes: Vec<u8>) {
        assert_eq!(field_line(&bytes), read(&bytes));
    }

    #[test]
    fn any_lines_are_read_as_they_would_be_one_by_one(
        bytes in proptest::collection::vec(select(&b"aZ-: \t\r\n\x7f\x00\x80\xff\""[..]), 0..40),
    ) {
        assert_eq!(field_line(&bytes), read(&bytes));
        let line = [&b"name:"[..], &bytes].concat();
        assert_eq!(field_line(&line), read(&line));
    }
}
