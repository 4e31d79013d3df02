//! Lines, field lines and the fields that frame a message: what requests and responses share.

use super::{MAX_HEADER_BYTES, MAX_HEADER_FIELDS, Malformed};

/// Looks for the end of a block of lines: the length up to and with its empty line, or `None` where there is more to
/// come. `scanned` is where an earlier look at the same bytes stopped, and is moved on.
pub(super) fn block_end(bytes: &[u8], scanned: &mut usize) -> Result<Option<usize>, Malformed> {
    while let Some(length) = bytes.get(*scanned..).and_then(|rest| memchr::memchr(b'\n', rest)) {
        let line_start = *scanned;
        let line_end = line_start + length + 1;
        if line_end > MAX_HEADER_BYTES {
            return Err(Malformed::HeaderTooLarge);
        }
        match bytes.get(line_start..line_end) {
            Some(b"\r\n") => return Ok(Some(line_end)),
            Some([.., b'\r', b'\n']) => *scanned = line_end,
            _ => return Err(Malformed::LineEnding),
        }
    }
    if bytes.len() > MAX_HEADER_BYTES { Err(Malformed::HeaderTooLarge) } else { Ok(None) }
}

/// Splits the first line off `block`, without its CRLF.
pub(super) fn split_line(block: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let end = memchr::memchr(b'\n', block).ok_or(Malformed::LineEnding)?;
    let (line, rest) = block.split_at_checked(end + 1).ok_or(Malformed::LineEnding)?;
    let line = line.strip_suffix(b"\r\n").ok_or(Malformed::LineEnding)?;
    if memchr::memchr(b'\r', line).is_some() {
        return Err(Malformed::LineEnding);
    }
    Ok((line, rest))
}

/// How a message says that its body is framed.
#[derive(Default)]
pub(super) struct FramingFields {
    pub(super) content_length: Option<u64>,
    pub(super) chunked: bool,
    pub(super) hosts: usize,
}

/// Checks every field line up to the empty line that ends `block`, and collects what frames the message.
pub(super) fn check_fields(mut block: &[u8]) -> Result<FramingFields, Malformed> {
    let mut framing = FramingFields::default();
    let mut count = 0;
    loop {
        let (line, rest) = split_line(block)?;
        if line.is_empty() {
            break;
        }
        count += 1;
        if count > MAX_HEADER_FIELDS {
            return Err(Malformed::TooManyFields);
        }
        framing.note(line)?;
        block = rest;
    }
    if framing.chunked && framing.content_length.is_some() {
        return Err(Malformed::TwoFramings);
    }
    Ok(framing)
}

impl FramingFields {
    /// Checks one line. A line that begins with white space is obs-fold (RFC 9112 5.2): its name is no token.
    fn note(&mut self, line: &[u8]) -> Result<(), Malformed> {
        let colon = memchr::memchr(b':', line).ok_or(Malformed::Field)?;
        let (name, value) = line.split_at_checked(colon).ok_or(Malformed::Field)?;
        let value = value.get(1..).ok_or(Malformed::Field)?;
        if !is_token(name) || !is_field_value(value) {
            return Err(Malformed::Field);
        }
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => self.hosts += 1,
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                // Even two that agree: an origin may read the first, the last, or their list (RFC 9110 8.6).
                if self.content_length.is_some() {
                    return Err(Malformed::ContentLength);
                }
                self.content_length = Some(decimal(value.trim_ascii()).ok_or(Malformed::ContentLength)?);
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                if self.chunked || !value.trim_ascii().eq_ignore_ascii_case(b"chunked") {
                    return Err(Malformed::TransferEncoding);
                }
                self.chunked = true;
            }
            _ => {}
        }
        Ok(())
    }
}

/// RFC 9110 5.6.2.
pub(super) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|&b| TOKEN.get(usize::from(b)).is_some_and(|&legal| legal))
}

/// RFC 9110 5.5, as one pass without a branch.
fn is_field_value(bytes: &[u8]) -> bool {
    !bytes.iter().fold(false, |illegal, &b| illegal | ((b < b' ') & (b != b'\t')) | (b == 0x7f))
}

/// Digits alone, as RFC 9110 8.6 has it: no sign, no blanks, no list.
fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 19 {
        return None;
    }
    digits.iter().try_fold(0u64, |sum, &b| b.is_ascii_digit().then(|| sum * 10 + u64::from(b - b'0')))
}

const TOKEN: [bool; 256] = table(b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");

/// A table of the bytes that are in `legal`.
#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler: an index out of bounds would not build")]
pub(super) const fn table(legal: &[u8]) -> [bool; 256] {
    let mut table = [false; 256];
    let mut i = 0;
    while i < legal.len() {
        table[legal[i] as usize] = true;
        i += 1;
    }
    table
}
