//! Finds the forms of one upstream's credential in a text, however their bytes are escaped: leftmost, then longest.
//!
//! A text costs two table look-ups a byte, whatever the number of forms; only where two bytes in a row could begin one
//! is it followed. Nothing is allocated unless a form is found, or is escaped in a way that can be read in two.

use std::rc::Rc;

use smallvec::{SmallVec, smallvec};

use super::escape::{self, Escaped, INTRODUCERS, Read, SECONDS};
use super::forms::{Form, Forms};

/// What one upstream's answers are cleaned with.
pub(crate) struct Scrubber {
    marker: Box<str>,
    forms: Vec<Rc<Form>>,
    shortest: usize,
    exact: Filter,
    /// For field names, whose case says nothing.
    folded: Filter,
}

/// A text without its secrets.
pub(super) struct Scrubbed {
    /// `None`: nothing was found, and the text is right as it is, as far as it is settled.
    pub(super) replaced: Option<Vec<u8>>,
    /// So many bytes of the text are dealt with; the rest may be the beginning of a form.
    pub(super) settled: usize,
    pub(super) found: u64,
}

enum Found {
    Nothing,
    Form {
        start: usize,
        end: usize,
    },
    /// One may begin here: the text ends before that is known.
    Open {
        start: usize,
    },
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Case {
    Exact,
    Folded,
}

impl Scrubber {
    pub(crate) fn new(upstream: &str, forms: &Forms) -> Self {
        let marker = format!("[redacted:{upstream}]").into();
        let (exact, folded) = (Filter::new(), Filter::new());
        let mut scrubber = Self { marker, forms: Vec::new(), shortest: usize::MAX, exact, folded };
        scrubber.add(forms);
        scrubber
    }

    /// One that knows `fresh` as well: what was made for this very request.
    pub(crate) fn with(&self, fresh: &Forms) -> Self {
        let mut scrubber = Self {
            marker: self.marker.clone(),
            forms: self.forms.clone(),
            shortest: self.shortest,
            exact: self.exact.clone(),
            folded: self.folded.clone(),
        };
        scrubber.add(fresh);
        scrubber
    }

    fn add(&mut self, forms: &Forms) {
        for form in forms.iter() {
            self.exact.add(self.forms.len(), &form.bytes, Case::Exact);
            self.folded.add(self.forms.len(), &form.bytes, Case::Folded);
            self.shortest = self.shortest.min(form.bytes.len());
            self.forms.push(Rc::new(form.replica()));
        }
    }

    /// Whether a whole text, such as a field's value, holds a form.
    pub(super) fn finds_in(&self, text: &[u8]) -> bool {
        text.len() >= self.shortest && !matches!(self.find(text, 0, true, Case::Exact), Found::Nothing)
    }

    /// Whether a field's name does.
    pub(super) fn finds_in_name(&self, name: &[u8]) -> bool {
        name.len() >= self.shortest && !matches!(self.find(name, 0, true, Case::Folded), Found::Nothing)
    }

    /// Replaces the forms in `text`; `is_whole`: nothing comes after it.
    pub(super) fn scrub(&self, text: &[u8], is_whole: bool) -> Scrubbed {
        let mut replaced: Option<Vec<u8>> = None;
        let (mut from, mut found) = (0, 0);
        let settled = loop {
            match self.find(text, from, is_whole, Case::Exact) {
                Found::Nothing => break text.len(),
                Found::Open { start } => break start,
                Found::Form { start, end } => {
                    let clean = replaced.get_or_insert_default();
                    clean.extend_from_slice(text.get(from..start).unwrap_or_default());
                    clean.extend_from_slice(self.marker.as_bytes());
                    from = end;
                    found += 1;
                }
            }
        };
        if let Some(clean) = &mut replaced {
            clean.extend_from_slice(text.get(from..settled).unwrap_or_default());
        }
        Scrubbed { replaced, settled, found }
    }

    fn find(&self, text: &[u8], from: usize, is_whole: bool, case: Case) -> Found {
        let filter = match case {
            Case::Exact => &self.exact,
            Case::Folded => &self.folded,
        };
        let mut from = from;
        while let Some((start, forms)) = filter.next(text, from) {
            match self.longest(text, start, forms, case) {
                Seen { open: true, .. } if !is_whole => return Found::Open { start },
                Seen { end: Some(end), .. } => return Found::Form { start, end },
                Seen { end: None, .. } => from = start + 1,
            }
        }
        match text.last() {
            Some(&last) if !is_whole && from < text.len() && filter.may_begin(last) => {
                Found::Open { start: text.len() - 1 }
            }
            _ => Found::Nothing,
        }
    }

    /// The longest of `forms` that begins at `start`.
    fn longest(&self, text: &[u8], start: usize, forms: u16, case: Case) -> Seen {
        let mut longest = Seen { end: None, open: false };
        for (index, form) in self.forms.iter().enumerate() {
            if forms & bit(index) != 0 {
                let seen = follow(form, text, start, case);
                longest = Seen { end: longest.end.max(seen.end), open: longest.open || seen.open };
            }
        }
        longest
    }
}

/// Tells at two bytes of a text which forms could begin with them.
#[derive(Clone)]
struct Filter {
    begins: [u16; 256],
    follows: [u16; 256],
}

/// Stands for every form: what an escape is of is not in its first byte.
const ESCAPE: u16 = 1 << 15;

/// Forms beyond the number of bits share theirs.
fn bit(form: usize) -> u16 {
    1 << (form % 15)
}

impl Filter {
    fn new() -> Self {
        let mut filter = Self { begins: [0; 256], follows: [0; 256] };
        INTRODUCERS.iter().for_each(|&byte| mark(&mut filter.begins, byte, ESCAPE));
        SECONDS.iter().for_each(|&byte| mark(&mut filter.follows, byte, ESCAPE));
        filter
    }

    fn add(&mut self, index: usize, form: &[u8], case: Case) {
        let bit = bit(index);
        for (table, byte) in [&mut self.begins, &mut self.follows].into_iter().zip(form) {
            mark(table, *byte, bit);
            if case == Case::Folded {
                mark(table, byte.to_ascii_lowercase(), bit);
                mark(table, byte.to_ascii_uppercase(), bit);
            }
            if *byte == b' ' {
                mark(table, b'+', bit);
            }
        }
        INTRODUCERS.iter().for_each(|&byte| mark(&mut self.follows, byte, bit));
    }

    fn may_begin(&self, byte: u8) -> bool {
        look_up(&self.begins, byte) != 0
    }

    /// The next place, from `from` on, at which a form could begin, and which.
    fn next(&self, text: &[u8], from: usize) -> Option<(usize, u16)> {
        let mut from = from;
        loop {
            let rest = text.get(from..)?;
            let mut pairs = rest.iter().zip(rest.get(1..)?);
            let at = pairs.position(|(&one, &two)| look_up(&self.begins, one) & look_up(&self.follows, two) != 0)?;
            let (&one, &two) = (rest.get(at)?, rest.get(at + 1)?);
            let forms = look_up(&self.begins, one) & look_up(&self.follows, two);
            let forms = if forms & ESCAPE == 0 { forms } else { forms | self.escaped(rest.get(at..)?) };
            if forms & !ESCAPE != 0 {
                return Some((from + at, forms));
            }
            from += at + 1;
        }
    }

    /// The forms that could begin with the escape that `text` begins with.
    fn escaped(&self, text: &[u8]) -> u16 {
        match escape::read(text) {
            Read::Nothing => 0,
            Read::Cut => u16::MAX,
            Read::Something(Escaped { byte, character, .. }) => {
                let byte = byte.map_or(0, |byte| look_up(&self.begins, byte));
                let character = character.map_or(0, |character| look_up(&self.begins, first_byte(character)));
                byte | character
            }
        }
    }
}

fn mark(table: &mut [u16; 256], byte: u8, bits: u16) {
    if let Some(entry) = table.get_mut(usize::from(byte)) {
        *entry |= bits;
    }
}

fn look_up(table: &[u16; 256], byte: u8) -> u16 {
    table.get(usize::from(byte)).copied().unwrap_or_default()
}

fn first_byte(character: char) -> u8 {
    character.encode_utf8(&mut [0; 4]).bytes().next().unwrap_or_default()
}

/// How far a form could be followed.
#[derive(Clone, Copy)]
struct Seen {
    /// Where it ends, if it is all there.
    end: Option<usize>,
    /// Whether the text ended where it could go on.
    open: bool,
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
fn follow(form: &Form, text: &[u8], start: usize, case: Case) -> Seen {
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
