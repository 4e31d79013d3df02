//! The same as [`search`](super::search), told the other way round: it writes down every spelling of a form and looks
//! for it, in a whole text. Slow and plain: tests and fuzzing hold the scrubber to it.

use std::collections::BTreeSet;

use super::escape::MAX_DIGITS;
use super::forms::{Form, Forms};

/// `text` with `marker` in place of what is the leftmost and longest spelling of any of `forms`, and how many there were.
pub(crate) fn scrub(forms: &Forms, marker: &[u8], text: &[u8]) -> (Vec<u8>, u64) {
    let (mut clean, mut found, mut rest) = (Vec::new(), 0, text);
    while let Some((&byte, after)) = rest.split_first() {
        match forms.iter().filter_map(|form| longest(form, rest)).max() {
            Some(length) => {
                clean.extend_from_slice(marker);
                found += 1;
                rest = rest.get(length..).unwrap_or_default();
            }
            None => {
                clean.push(byte);
                rest = after;
            }
        }
    }
    (clean, found)
}

/// The length of the longest spelling of `form` with which `text` begins.
fn longest(form: &Form, text: &[u8]) -> Option<usize> {
    let mut ends = BTreeSet::from([0]);
    for chunk in form.bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            ends = after_character(character, text, &ends);
            // Most texts begin like no form: then there is nothing more to spell.
            if ends.is_empty() {
                return None;
            }
        }
        chunk.invalid().iter().for_each(|byte| ends = after_any(&spellings_of_byte(*byte), text, &ends));
    }
    let mut end = ends.last().copied();
    if form.is_padded {
        for _ in 0..2 {
            ends = after_any(&spellings_of_byte(b'='), text, &ends);
            end = end.max(ends.last().copied());
        }
    }
    end
}

fn after_character(character: char, text: &[u8], ends: &BTreeSet<usize>) -> BTreeSet<usize> {
    let mut bytewise = ends.clone();
    for byte in character.encode_utf8(&mut [0; 4]).bytes() {
        bytewise = after_any(&spellings_of_byte(byte), text, &bytewise);
    }
    if !character.is_ascii() {
        bytewise.extend(after_any(&spellings_of_character(character), text, ends));
    }
    bytewise
}

/// Where a text can have been read to, with one of `spellings` after one of `ends`.
fn after_any(spellings: &[Spelling], text: &[u8], ends: &BTreeSet<usize>) -> BTreeSet<usize> {
    let after = |end: usize| {
        let rest = text.get(end..).unwrap_or_default();
        spellings.iter().filter(|spelling| spelling.begins(rest)).map(move |spelling| end + spelling.text.len())
    };
    ends.iter().flat_map(|end| after(*end)).collect()
}

struct Spelling {
    text: Vec<u8>,
    any_case: bool,
}

impl Spelling {
    fn begins(&self, text: &[u8]) -> bool {
        let there = text.get(..self.text.len());
        there.is_some_and(|there| *there == *self.text || (self.any_case && there.eq_ignore_ascii_case(&self.text)))
    }

    fn exactly(text: &[u8]) -> Self {
        Self { text: text.to_vec(), any_case: false }
    }

    fn in_any_case(text: String) -> Self {
        Self { text: text.into_bytes(), any_case: true }
    }
}

fn spellings_of_byte(byte: u8) -> Vec<Spelling> {
    let mut spellings = vec![Spelling::exactly(&[byte])];
    spellings.push(Spelling::in_any_case(format!("%{byte:02x}")));
    spellings.extend(spellings_of_character(char::from(byte)));
    let named: &[&[u8]] = match byte {
        b' ' => &[b"+"],
        b'"' => &[b"\\\"", b"&quot;"],
        b'\\' => &[b"\\\\"],
        b'/' => &[b"\\/"],
        b'&' => &[b"&amp;"],
        b'<' => &[b"&lt;"],
        b'>' => &[b"&gt;"],
        b'\'' => &[b"&apos;"],
        _ => &[],
    };
    spellings.extend(named.iter().map(|text| Spelling::exactly(text)));
    spellings
}

/// As JSON and HTML number it.
fn spellings_of_character(character: char) -> Vec<Spelling> {
    let code = u32::from(character);
    // The `u` is always a small one.
    let units: Vec<String> = character.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("{unit:04x}")).collect();
    let mut spellings =
        every_case(&units).into_iter().map(|text| Spelling::exactly(text.as_bytes())).collect::<Vec<_>>();
    for width in 1..=MAX_DIGITS {
        let (decimal, hex) = (format!("{code:0width$}"), format!("{code:0width$x}"));
        if decimal.len() == width {
            spellings.push(Spelling::exactly(format!("&#{decimal};").as_bytes()));
        }
        if hex.len() == width {
            spellings.push(Spelling::in_any_case(format!("&#x{hex};")));
        }
    }
    spellings
}

/// `\uXXXX` of each unit, with its digits in every mixture of cases.
fn every_case(units: &[String]) -> Vec<String> {
    let mut texts = vec![String::new()];
    for unit in units {
        texts.iter_mut().for_each(|text| text.push_str("\\u"));
        for digit in unit.chars() {
            let cases = BTreeSet::from([digit, digit.to_ascii_uppercase()]);
            texts = texts.iter().flat_map(|text| cases.iter().map(move |case| format!("{text}{case}"))).collect();
        }
    }
    texts
}
