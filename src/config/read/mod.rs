//! A typed cursor over parsed TOML. A [`Table`] hands out what is asked for, notes every problem with its place in the
//! [`Reader`] and goes on, and says at the end which keys nobody asked for.

mod table;

use std::cell::RefCell;
use std::ops::Range;
use std::path::PathBuf;

use http::HeaderName;
use toml::de::DeTable;

pub(crate) use self::table::Table;
use super::error::{Fault, Position, Problem};
use crate::Secret;
use crate::secret::source::{Reference, Source, SourceError};
use crate::secret::{Fingerprint, Fingerprinter};

/// What all tables of one file share.
pub(crate) struct Reader<'a> {
    pub(crate) source: Source<'a>,
    findings: RefCell<Vec<Finding>>,
    warnings: RefCell<Vec<String>>,
    files: RefCell<Vec<PathBuf>>,
    owned: RefCell<Vec<HeaderName>>,
    /// Of the text, and of all that it refers to.
    whole: RefCell<Fingerprinter>,
    /// Of the part that is being read.
    part: RefCell<Fingerprinter>,
    /// What a section holds that is not there.
    nothing: DeTable<'static>,
}

/// A problem, not yet turned into line and column.
struct Finding {
    place: Option<Place>,
    fault: Fault,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A key is missing or unknown: next to a syntax error, that may be its effect.
    Absence,
    /// What a reference leads to cannot be used.
    Secret,
    /// Anything else.
    Other,
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
    pub(crate) fn new(source: Source<'a>, text: &str) -> Self {
        let (findings, warnings, files, owned) = Default::default();
        let part = Fingerprinter::new();
        let mut whole = part.clone();
        whole.add(text.as_bytes());
        let (whole, part) = (whole.into(), part.into());
        Self { source, findings, warnings, files, owned, whole, part, nothing: DeTable::new() }
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
        self.note(Some(place.clone()), fault.into(), Kind::Other);
    }

    /// Notes a problem of the file as a whole.
    pub(crate) fn refuse_file(&self, fault: impl Into<Fault>) {
        self.note(None, fault.into(), Kind::Absence);
    }

    fn note(&self, place: Option<Place>, fault: Fault, kind: Kind) {
        self.findings.borrow_mut().push(Finding { place, fault, kind });
    }

    pub(crate) fn warn(&self, warning: String) {
        let mut warnings = self.warnings.borrow_mut();
        if !warnings.contains(&warning) {
            warnings.push(warning);
        }
    }

    pub(crate) fn take_warnings(&self) -> Vec<String> {
        self.warnings.take()
    }

    /// The fields that schemes have claimed since this was last asked, with a secret that can be used or without.
    pub(crate) fn take_owned(&self) -> Vec<HeaderName> {
        self.owned.take()
    }

    /// Reads the secret at `reference`.
    fn secret(&self, reference: &Reference<'_>) -> Result<Secret, SourceError> {
        self.files.borrow_mut().extend(self.source.file_of(reference));
        let secret = self.source.secret(reference)?;
        self.add_to_fingerprints(secret.expose());
        Ok(secret)
    }

    /// Reads a file that holds no secret.
    pub(crate) fn file(&self, path: &str) -> Result<Vec<u8>, SourceError> {
        self.files.borrow_mut().push(self.source.locate(path));
        let bytes = self.source.file(path)?;
        self.add_to_fingerprints(&bytes);
        Ok(bytes)
    }

    fn add_to_fingerprints(&self, bytes: &[u8]) {
        self.whole.borrow_mut().add(bytes);
        self.part.borrow_mut().add(bytes);
    }

    /// Of everything that has been read until now.
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        self.whole.borrow().clone().finish()
    }

    /// What `read` makes, and the fingerprint of the secrets that it read for it.
    pub(crate) fn fingerprint_of<T>(&self, read: impl FnOnce() -> T) -> (T, Fingerprint) {
        self.part.replace(Fingerprinter::new());
        let read = read();
        (read, self.part.borrow().clone().finish())
    }

    /// What `read` makes; if nothing, and only for secrets that cannot be used, they are warned of and no problem.
    pub(crate) fn tolerate_secrets<T>(&self, read: impl FnOnce() -> Option<T>) -> Option<T> {
        let before = self.findings.borrow().len();
        let read = read();
        let (secrets, others): (Vec<_>, Vec<_>) =
            self.findings.borrow_mut().split_off(before).into_iter().partition(|found| found.kind == Kind::Secret);
        if others.is_empty() {
            for Finding { place, fault, .. } in secrets {
                let (key, told) = (place.map(|place| place.key).unwrap_or_default(), fault.message());
                self.warn(format!("`{key}`: {told}; its upstream is optional, and answers 503 as long as it has no key that can be used"));
            }
            return read;
        }
        self.findings.borrow_mut().extend(secrets.into_iter().chain(others));
        read
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
            if intact || !(finding.kind == Kind::Absence || on_broken_line) {
                let key = finding.place.map(|place| place.key).filter(|key| !key.is_empty());
                problems.push(Problem::new(position, key, finding.fault));
            }
        }
        problems
    }
}
