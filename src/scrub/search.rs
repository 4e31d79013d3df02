//! Finds the forms of one upstream's credential in a text, however their bytes are escaped: leftmost, then longest.
//!
//! Every place passes the [`filter`] first; only from where two bytes in a row could begin a form is it
//! [followed](super::follow). Nothing is allocated unless one is found.

use std::rc::Rc;

use smallvec::SmallVec;

use super::filter::{self, Filter};
use super::follow::{Case, Trail, follow};
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
    /// How far the forms could be followed that may begin there.
    pub(super) begun: Trails,
}

/// How far forms have been followed from one place, each by its number.
pub(super) type Trails = SmallVec<[(usize, Trail); 2]>;

enum Found {
    Nothing,
    Form {
        start: usize,
        end: usize,
    },
    /// One may begin here: the text ends before that is known.
    Open {
        start: usize,
        begun: Trails,
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
    pub(crate) fn finds_in(&self, text: &[u8]) -> bool {
        text.len() >= self.shortest && !matches!(self.find(text, 0, Trails::new(), true, Case::Exact), Found::Nothing)
    }

    /// Whether a field's name does.
    pub(super) fn finds_in_name(&self, name: &[u8]) -> bool {
        name.len() >= self.shortest && !matches!(self.find(name, 0, Trails::new(), true, Case::Folded), Found::Nothing)
    }

    /// Replaces the forms in `text`, which is all there is.
    pub(super) fn scrub(&self, text: &[u8]) -> Scrubbed {
        self.go_on(text, Trails::new(), true)
    }

    /// Replaces the forms in `text`, of which a part was `begun` with; `is_whole`: nothing comes after it.
    pub(super) fn go_on(&self, text: &[u8], mut begun: Trails, is_whole: bool) -> Scrubbed {
        let mut replaced: Option<Vec<u8>> = None;
        let (mut from, mut found) = (0, 0);
        let settled = loop {
            match self.find(text, from, std::mem::take(&mut begun), is_whole, Case::Exact) {
                Found::Nothing => break text.len(),
                Found::Open { start, begun: open } => {
                    begun = open;
                    break start;
                }
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
        Scrubbed { replaced, settled, found, begun }
    }

    /// The first form from `from` on, where some may have been `begun` with.
    fn find(&self, text: &[u8], from: usize, begun: Trails, is_whole: bool, case: Case) -> Found {
        let filter = match case {
            Case::Exact => &self.exact,
            Case::Folded => &self.folded,
        };
        let mut from = from;
        let begin = |(start, forms): (usize, u16)| {
            let rest = text.get(start..).unwrap_or_default();
            let forms = (0..self.forms.len()).filter(|form| forms & filter::bit(*form) != 0);
            (start, self.follow(forms.map(|form| (form, Trail::begin())), rest, case))
        };
        let mut next = if begun.is_empty() {
            filter.next(text, from).map(begin)
        } else {
            Some((from, self.follow(begun.into_iter(), text.get(from..).unwrap_or_default(), case)))
        };
        while let Some((start, trails)) = next {
            if !is_whole && trails.iter().any(|(_, trail)| trail.is_open()) {
                return Found::Open { start, begun: trails };
            }
            if let Some(end) = trails.iter().filter_map(|(_, trail)| trail.end).max() {
                return Found::Form { start, end: start + end };
            }
            from = start + 1;
            next = filter.next(text, from).map(begin);
        }
        match text.last() {
            Some(&last) if !is_whole && from < text.len() && filter.may_begin(last) => {
                Found::Open { start: text.len() - 1, begun: Trails::new() }
            }
            _ => Found::Nothing,
        }
    }

    /// Those of `trails` that lead on in `text`.
    fn follow(&self, trails: impl Iterator<Item = (usize, Trail)>, text: &[u8], case: Case) -> Trails {
        let forms =
            trails.filter_map(|(index, trail)| Some((index, follow(self.forms.get(index)?, text, trail, case))));
        forms.filter(|(_, trail)| trail.leads_on()).collect()
    }
}
