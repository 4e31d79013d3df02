//! A typed cursor over parsed TOML. A [`Table`] hands out what is asked for, notes every problem with its place in the
//! [`Reader`] and goes on, and says at the end which keys nobody asked for.

mod table;

use std::cell::RefCell;
use std::ops::Range;
use std::path::PathBuf;

use toml::de::DeTable;

pub(crate) use self::table::Table;
use super::error::{Fault, Position, Problem};
use crate::secret::source::Source;

/// What all tables of one file share.
pub(crate) struct Reader<'a> {
    pub(crate) source: Source<'a>,
    findings: RefCell<Vec<Finding>>,
    warnings: RefCell<Vec<String>>,
    files: RefCell<Vec<PathBuf>>,
    /// What a section holds that is not there.
    nothing: DeTable<'static>,
}

/// A problem, not yet turned into line and column.
struct Finding {
    place: Option<Place>,
    fault: Fault,
    /// A key is missing or unknown: next to a syntax error, that may be its effect.
    by_absence: bool,
}

/// Where something stands in the file.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    span: Range<usize>,
    /// The full path of the key.
    key: String,
}

/// Something that was read, and where, so that a later check can point at it.
pub(crate) struct At<T> {
    pub(crate) value: T,
    pub(crate) place: Place,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(source: Source<'a>) -> Self {
        let (findings, warnings, files) = Default::default();
        Self { source, findings, warnings, files, nothing: DeTable::new() }
    }

    /// Reads the file's outermost table.
    pub(crate) fn root<T>(&'a self, entries: &'a DeTable<'a>, read: impl FnOnce(&mut Table<'a>) -> T) -> T {
        self.table(entries, Place { span: 0..0, key: String::new() }, read)
    }

    fn table<T>(&'a self, entries: &'a DeTable<'a>, place: Place, read: impl FnOnce(&mut Table<'a>) -> T) -> T {
        let mut table = Table::new(self, entries, place);
        let result = read(&mut table);
        table.finish();
        result
    }

    /// Notes a problem at `place`.
    pub(crate) fn refuse(&self, place: &Place, fault: impl Into<Fault>) {
        self.note(Some(place.clone()), fault.into(), false);
    }

    /// Notes a problem of the file as a whole.
    pub(crate) fn refuse_file(&self, fault: impl Into<Fault>) {
        self.note(None, fault.into(), true);
    }

    fn note(&self, place: Option<Place>, fault: Fault, by_absence: bool) {
        self.findings.borrow_mut().push(Finding { place, fault, by_absence });
    }

    fn warn(&self, warning: String) {
        let mut warnings = self.warnings.borrow_mut();
        if !warnings.contains(&warning) {
            warnings.push(warning);
        }
    }

    pub(crate) fn take_warnings(&self) -> Vec<String> {
        self.warnings.take()
    }

    /// Remembers that the config refers to the file at `path`.
    pub(crate) fn note_file(&self, path: &str) {
        self.files.borrow_mut().push(self.source.locate(path));
    }

    pub(crate) fn take_files(&self) -> Vec<PathBuf> {
        self.files.take()
    }

    /// All problems with their positions in `text`. After a syntax error, those that may be its effect are left out:
    /// a key that looks missing or unknown, and whatever stands on the same line.
    pub(crate) fn take_problems(&self, text: &str, syntax: Vec<Problem>) -> Vec<Problem> {
        let intact = syntax.is_empty();
        let broken: Vec<usize> = syntax.iter().filter_map(Problem::position).map(|position| position.line).collect();
        let mut problems = syntax;
        for finding in self.findings.take() {
            let position = finding.place.as_ref().map(|place| Position::of(place.span.start, text));
            let on_broken_line = position.is_some_and(|position| broken.contains(&position.line));
            if intact || !(finding.by_absence || on_broken_line) {
                let key = finding.place.map(|place| place.key).filter(|key| !key.is_empty());
                problems.push(Problem::new(position, key, finding.fault));
            }
        }
        problems
    }
}
