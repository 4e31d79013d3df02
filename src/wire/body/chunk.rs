//! The line before a chunk's data (RFC 9112 7.1).

use crate::wire::characters::is_token;

/// A chunk's size line (RFC 9112 7.1): hexadecimal digits, then extensions.
pub(super) fn chunk_size(line: &[u8]) -> Option<u64> {
    let digits = line.iter().take_while(|b| b.is_ascii_hexdigit()).count();
    let (digits, extensions) = line.split_at_checked(digits)?;
    if digits.is_empty() || digits.len() > 15 || !are_chunk_extensions(extensions) {
        return None;
    }
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// `*( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] )` (RFC 9112 7.1.1).
fn are_chunk_extensions(mut rest: &[u8]) -> bool {
    let token = |bytes: &[u8]| bytes.iter().take_while(|&&b| is_token(&[b])).count();
    while !rest.is_empty() {
        let Some(after) = rest.trim_ascii_start().strip_prefix(b";") else { return false };
        let after = after.trim_ascii_start();
        let name = token(after);
        if name == 0 {
            return false;
        }
        rest = after.get(name..).unwrap_or_default();
        if let Some(value) = rest.trim_ascii_start().strip_prefix(b"=") {
            let value = value.trim_ascii_start();
            let length = if value.starts_with(b"\"") { quoted_string(value) } else { token(value) };
            if length == 0 {
                return false;
            }
            rest = value.get(length..).unwrap_or_default();
        }
    }
    true
}

/// The length of the quoted string that `bytes` begins with; 0 if it is none.
fn quoted_string(bytes: &[u8]) -> usize {
    let mut escaped = false;
    for (at, &b) in bytes.iter().enumerate().skip(1) {
        match b {
            _ if b != b'\t' && (b < b' ' || b == 0x7f) => return 0,
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    0
}
