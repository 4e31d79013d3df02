//! Follows one form through a text from where it could begin, whatever its bytes are written as.

use smallvec::{SmallVec, smallvec};

use super::escape::{self, Escaped, INTRODUCERS, Read};
use super::forms::Form;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Case {
    Exact,
    Folded,
}

/// How far a form could be followed.
#[derive(Clone, Copy)]
pub(super) struct Seen {
    /// Where it ends, if it is all there.
    pub(super) end: Option<usize>,
    /// Whether the text ended where it could go on.
    pub(super) open: bool,
}

/// One way of reading the text: so far, with so many bytes of the form that its last character has answered already.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Way {
    at: usize,
    ahead: usize,
}

/// All ways of reading a text. There is one, but for a secret with `%`, `\` or `&` in it.
type Ways = SmallVec<[Way; 4]>;

/// Follows `form` through `text` from `start`. Time is in proportion to the form's length, with one way to read it.
pub(super) fn follow(form: &Form, text: &[u8], start: usize, case: Case) -> Seen {
    let plain = plain_length(&form.bytes, text.get(start..).unwrap_or_default(), case);
    let mut ways: Ways = smallvec![Way { at: start + plain, ahead: 0 }];
    let mut open = false;
    for index in plain..form.bytes.len() {
        let rest = form.bytes.get(index..).unwrap_or_default();
        ways = step(rest, text, &ways, case, &mut open);
        if ways.is_empty() {
            return Seen { end: None, open };
        }
    }
    let mut end = furthest(&ways);
    if form.is_padded {
        // RFC 4648 4: no more than two.
        for _ in 0..2 {
            ways = step(b"=", text, &ways, case, &mut open);
            end = end.max(furthest(&ways));
        }
    }
    Seen { end, open }
}

/// How many bytes of the form stand in the text as they are, beyond doubt: the usual way to find that it is not there.
fn plain_length(form: &[u8], text: &[u8], case: Case) -> usize {
    let same = |(form, text): (&u8, &u8)| equals(*form, *text, case) && !INTRODUCERS.contains(text);
    form.iter().zip(text).take_while(|pair| same(*pair)).count()
}

fn furthest(ways: &Ways) -> Option<usize> {
    ways.iter().map(|way| way.at).max()
}

/// Takes every way over the first byte of `form`.
fn step(form: &[u8], text: &[u8], ways: &Ways, case: Case, open: &mut bool) -> Ways {
    let mut next = Ways::new();
    let mut take = |way: Way| {
        // Two ways that meet go on as one: their number stays below that of the places.
        if !next.contains(&way) {
            next.push(way);
        }
    };
    let Some(&wanted) = form.first() else { return next };
    for way in ways {
        if let Some(ahead) = way.ahead.checked_sub(1) {
            take(Way { at: way.at, ahead });
            continue;
        }
        let rest = text.get(way.at..).unwrap_or_default();
        let Some(&there) = rest.first() else {
            *open = true;
            continue;
        };
        if equals(wanted, there, case) {
            take(Way { at: way.at + 1, ahead: 0 });
        }
        match escape::read(rest) {
            Read::Nothing => {}
            Read::Cut => *open = true,
            Read::Something(Escaped { byte, character, length }) => {
                if byte.is_some_and(|byte| equals(wanted, byte, case)) {
                    take(Way { at: way.at + length, ahead: 0 });
                }
                if let Some(character) = character
                    && form.starts_with(character.encode_utf8(&mut [0; 4]).as_bytes())
                {
                    take(Way { at: way.at + length, ahead: character.len_utf8() - 1 });
                }
            }
        }
    }
    next
}

fn equals(one: u8, other: u8, case: Case) -> bool {
    match case {
        Case::Exact => one == other,
        Case::Folded => one.eq_ignore_ascii_case(&other),
    }
}
