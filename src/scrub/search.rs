//! Finds the forms of one upstream's credential in a text, however their bytes are escaped: leftmost, then longest.
//!
//! Every place passes the [`filter`] first; only from where two bytes in a row could begin a form is it
//! [followed](super::follow). Nothing is allocated unless one is found.

use std::rc::Rc;

use super::filter::{self, Filter};
use super::follow::{Case, Seen, follow};
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
            if forms & filter::bit(index) != 0 {
                let seen = follow(form, text, start, case);
                longest = Seen { end: longest.end.max(seen.end), open: longest.open || seen.open };
            }
        }
        longest
    }
}
