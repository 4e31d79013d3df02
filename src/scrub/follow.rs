//! Follows one form through a text from where it could begin, whatever its bytes are written as.

use smallvec::{SmallVec, smallvec};

use super::escape::{self, Escaped, INTRODUCERS, Read};
use super::forms::Form;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Case {
    Exact,
    Folded,
}

/// How far a form has been followed. Places are counted from where it would begin.
#[derive(Clone)]
pub(super) struct Trail {
    /// Where it ends, if it is all there.
    pub(super) end: Option<usize>,
    /// Where it goes on once more of the text has come: so many bytes of the form were answered, and how. In order.
    waiting: SmallVec<[(usize, Way); 1]>,
}

impl Trail {
    pub(super) fn begin() -> Self {
        Self { end: None, waiting: smallvec![(0, Way { at: 0, ahead: 0 })] }
    }

    /// Whether the text ended where it could go on.
    pub(super) fn is_open(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Whether the form is there, or could be.
    pub(super) fn leads_on(&self) -> bool {
        self.end.is_some() || self.is_open()
    }
}

/// One way of reading the text: so far, with so many bytes of the form that its last character has answered already.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Way {
    at: usize,
    ahead: usize,
}

/// All ways of reading a text. There is one, but for a secret with `%`, `\` or `&` in it.
type Ways = SmallVec<[Way; 4]>;

/// Follows `form` through `text`, from where `trail` has come to with less of it. Time is in proportion to the way that is
/// new, with one way to read the text.
pub(super) fn follow(form: &Form, text: &[u8], trail: Trail, case: Case) -> Trail {
    let Trail { mut end, mut waiting } = trail;
    if let [(index, way)] = waiting.as_mut_slice()
        && way.ahead == 0
    {
        let (rest, there) = (form.bytes.get(*index..), text.get(way.at..));
        let plain = plain_length(rest.unwrap_or_default(), there.unwrap_or_default(), case);
        *index += plain;
        way.at += plain;
    }
    // RFC 4648 4: no more than two.
    let longest = form.bytes.len() + if form.is_padded { 2 } else { 0 };
    let mut begun = waiting.into_iter().peekable();
    let mut waiting = SmallVec::new();
    let mut ways = Ways::new();
    let Some(&(mut index, _)) = begun.peek() else { return Trail { end, waiting } };
    loop {
        while let Some((_, way)) = begun.next_if(|(at, _)| *at == index) {
            add(&mut ways, way);
        }
        if index >= form.bytes.len() {
            end = end.max(furthest(&ways));
        }
        if index == longest || (ways.is_empty() && begun.peek().is_none()) {
            return Trail { end, waiting };
        }
        let rest = form.bytes.get(index..).filter(|rest| !rest.is_empty()).unwrap_or(b"=");
        ways = step(rest, text, &ways, case, |way| waiting.push((index, way)));
        index += 1;
    }
}

/// Two ways that meet go on as one: their number stays below that of the places.
fn add(ways: &mut Ways, way: Way) {
    if !ways.contains(&way) {
        ways.push(way);
    }
}

/// How many bytes of the form stand in the text as they are, beyond doubt: the usual way to find that it is not there.
fn plain_length(form: &[u8], text: &[u8], case: Case) -> usize {
    let same = |(form, text): (&u8, &u8)| equals(*form, *text, case) && !INTRODUCERS.contains(text);
    form.iter().zip(text).take_while(|pair| same(*pair)).count()
}

fn furthest(ways: &Ways) -> Option<usize> {
    ways.iter().map(|way| way.at).max()
}

/// Takes every way over the first byte of `form`; `wait` gets those that could go on, if there were more of the text.
fn step(form: &[u8], text: &[u8], ways: &Ways, case: Case, mut wait: impl FnMut(Way)) -> Ways {
    let mut next = Ways::new();
    let Some(&wanted) = form.first() else { return next };
    for way in ways {
        if let Some(ahead) = way.ahead.checked_sub(1) {
            add(&mut next, Way { at: way.at, ahead });
            continue;
        }
        let rest = text.get(way.at..).unwrap_or_default();
        let Some(&there) = rest.first() else {
            wait(*way);
            continue;
        };
        if equals(wanted, there, case) {
            add(&mut next, Way { at: way.at + 1, ahead: 0 });
        }
        match escape::read(rest) {
            Read::Nothing => {}
            Read::Cut => wait(*way),
            Read::Something(Escaped { byte, character, length }) => {
                if byte.is_some_and(|byte| equals(wanted, byte, case)) {
                    add(&mut next, Way { at: way.at + length, ahead: 0 });
                }
                if let Some(character) = character
                    && form.starts_with(character.encode_utf8(&mut [0; 4]).as_bytes())
                {
                    add(&mut next, Way { at: way.at + length, ahead: character.len_utf8() - 1 });
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
