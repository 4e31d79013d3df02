//! Which bytes may stand in a name, and which in a target.

/// May stand in a field's name (a token, RFC 9110 5.6.2).
pub(super) const NAME: u8 = 1;
/// May stand in a request target. What RFC 3986 allows in a path and query, and `"`, `{`, `|`, `}`, which common clients
/// send as they are. No `#`: a fragment is never sent.
pub(super) const TARGET: u8 = 2;

/// What a byte may be part of.
#[expect(clippy::indexing_slicing, reason = "a byte is less than 256")]
pub(super) fn class(byte: u8) -> u8 {
    CLASSES[byte as usize]
}

const CLASSES: [u8; 256] = classes();

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler: an index out of bounds would not build")]
const fn classes() -> [u8; 256] {
    let names = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let targets = b"!$%&'()*+,-./0123456789:;=?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[]_abcdefghijklmnopqrstuvwxyz~\"{|}";
    let mut classes = [0; 256];
    let mut i = 0;
    while i < names.len() {
        classes[names[i] as usize] |= NAME;
        i += 1;
    }
    let mut i = 0;
    while i < targets.len() {
        classes[targets[i] as usize] |= TARGET;
        i += 1;
    }
    classes
}

/// RFC 9110 5.6.2.
pub(super) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|&b| class(b) & NAME != 0)
}
