//! One character as URLs, JSON and HTML escape it. What is no escape is what it is.

/// So many digits of a numeric entity are read: Unicode needs no more, and what is held back stays bounded.
pub(super) const MAX_DIGITS: usize = 7;

/// Bytes that begin an escape of more than one byte.
pub(super) const INTRODUCERS: &[u8] = b"%\\&";
/// What may come after one of them.
pub(super) const SECONDS: &[u8] = b"0123456789abcdefABCDEFu/\"\\#qlg";

const ENTITIES: [(&[u8], u8); 5] =
    [(b"amp;", b'&'), (b"quot;", b'"'), (b"lt;", b'<'), (b"gt;", b'>'), (b"apos;", b'\'')];

/// What stands at the beginning of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Read<T> {
    Something(T),
    Nothing,
    /// The text ends before that is known.
    Cut,
}

/// What an escape stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Escaped {
    /// As a byte. A character up to U+00FF is one, too, to whoever reads header fields as Latin-1.
    pub(super) byte: Option<u8>,
    /// As a character beyond ASCII, which is UTF-8 in a secret.
    pub(super) character: Option<char>,
    pub(super) length: usize,
}

impl Escaped {
    const fn byte(byte: u8, length: usize) -> Self {
        Self { byte: Some(byte), character: None, length }
    }

    fn character(code: u32, length: usize) -> Read<Self> {
        let Some(character) = char::from_u32(code) else { return Read::Nothing };
        let byte = u8::try_from(code).ok();
        Read::Something(Self { byte, character: Some(character).filter(|character| !character.is_ascii()), length })
    }
}

/// Reads the escape that `text` begins with.
pub(super) fn read(text: &[u8]) -> Read<Escaped> {
    match text {
        [b'+', ..] => Read::Something(Escaped::byte(b' ', 1)),
        [b'%', rest @ ..] => match hex(rest, 2) {
            Read::Something(code) => {
                u8::try_from(code).map_or(Read::Nothing, |byte| Read::Something(Escaped::byte(byte, 3)))
            }
            Read::Nothing => Read::Nothing,
            Read::Cut => Read::Cut,
        },
        [b'\\', rest @ ..] => read_json(rest),
        [b'&', b'#', rest @ ..] => read_number(rest),
        [b'&', rest @ ..] => read_name(rest),
        _ => Read::Nothing,
    }
}

/// RFC 8259 7, as far as a secret may hold the character.
fn read_json(rest: &[u8]) -> Read<Escaped> {
    match rest {
        [] => Read::Cut,
        [byte @ (b'/' | b'"' | b'\\'), ..] => Read::Something(Escaped::byte(*byte, 2)),
        [b'u', digits @ ..] => match hex(digits, 4) {
            Read::Something(high @ 0xd800..0xdc00) => read_low(high, digits.get(4..).unwrap_or_default()),
            Read::Something(code) => Escaped::character(code, 6),
            Read::Nothing => Read::Nothing,
            Read::Cut => Read::Cut,
        },
        _ => Read::Nothing,
    }
}

/// The second half of a surrogate pair.
fn read_low(high: u32, rest: &[u8]) -> Read<Escaped> {
    match rest {
        [b'\\', b'u', digits @ ..] => match hex(digits, 4) {
            Read::Something(low @ 0xdc00..0xe000) => {
                Escaped::character(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00), 12)
            }
            Read::Something(_) | Read::Nothing => Read::Nothing,
            Read::Cut => Read::Cut,
        },
        [] | [b'\\'] => Read::Cut,
        _ => Read::Nothing,
    }
}

/// `&#NN;` or `&#xNN;`, after the `#`.
fn read_number(rest: &[u8]) -> Read<Escaped> {
    let (radix, opening, digits) = match rest {
        [b'x' | b'X', digits @ ..] => (16, 3, digits),
        _ => (10, 2, rest),
    };
    let mut code = 0;
    for (count, &byte) in digits.iter().enumerate() {
        match char::from(byte).to_digit(radix) {
            Some(digit) if count < MAX_DIGITS => code = code * radix + digit,
            None if byte == b';' && count > 0 => return Escaped::character(code, opening + count + 1),
            Some(_) | None => return Read::Nothing,
        }
    }
    Read::Cut
}

/// `&amp;` and its like, after the `&`.
fn read_name(rest: &[u8]) -> Read<Escaped> {
    let named = ENTITIES.iter().find(|(name, _)| rest.starts_with(name));
    match named {
        Some((name, byte)) => Read::Something(Escaped::byte(*byte, 1 + name.len())),
        None if ENTITIES.iter().any(|(name, _)| name.starts_with(rest)) => Read::Cut,
        None => Read::Nothing,
    }
}

/// Exactly `count` digits.
fn hex(text: &[u8], count: usize) -> Read<u32> {
    let digits = text.get(..count).unwrap_or(text);
    let mut code = 0;
    for &byte in digits {
        match char::from(byte).to_digit(16) {
            Some(digit) => code = code * 16 + digit,
            None => return Read::Nothing,
        }
    }
    if digits.len() == count { Read::Something(code) } else { Read::Cut }
}
