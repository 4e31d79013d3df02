//! One table of the file, and what can be asked of it.

use std::fmt::Write as _;
use std::ops::RangeInclusive;
use std::time::Duration;

use http::HeaderName;
use toml::de::{DeArray, DeTable, DeValue};

use super::{At, Kind, Place, Reader};
use crate::Secret;
use crate::config::error::{Fault, list};
use crate::config::units;
use crate::secret::command::Invocation;
use crate::secret::source::{FORMS, NotReference, Reference};

/// A table of the file. Whoever reads one asks for all its keys before leaving early: what was not asked for by then
/// is reported as unknown.
pub(crate) struct Table<'a> {
    reader: &'a Reader<'a>,
    entries: &'a DeTable<'a>,
    pub(crate) place: Place,
    asked: Vec<&'static str>,
    any_key: bool,
}

impl<'a> Table<'a> {
    pub(super) fn new(reader: &'a Reader<'a>, entries: &'a DeTable<'a>, place: Place) -> Self {
        Self { reader, entries, place, asked: Vec::new(), any_key: false }
    }

    pub(crate) fn reader(&self) -> &'a Reader<'a> {
        self.reader
    }

    pub(crate) fn refuse(&self, place: &Place, fault: impl Into<Fault>) {
        self.reader.refuse(place, fault);
    }

    /// Notes that what a reference leads to cannot be used.
    pub(crate) fn refuse_secret(&self, place: &Place, fault: impl Into<Fault>) {
        self.reader.note(Some(place.clone()), fault.into(), Kind::Secret);
    }

    /// Says what is allowed in this table, but should not stay so.
    pub(crate) fn warn(&self, warning: &str) {
        self.reader.warn(format!("`{}`: {warning}", self.place.key));
    }

    /// Notes that a key is not one that can be here.
    pub(crate) fn refuse_key(&self, place: &Place, fault: Fault) {
        self.reader.note(Some(place.clone()), fault, Kind::Absence);
    }

    /// Notes that `key` is not there, and what it would be.
    pub(crate) fn refuse_missing(&self, key: &str, expected: &str) {
        let place = Place { span: self.place.span.clone(), key: self.key_path(key) };
        self.reader.note(Some(place), Fault::new(format!("missing: expected {expected}")), Kind::Absence);
    }

    /// Notes that something in this table is not there.
    pub(crate) fn refuse_absence(&self, fault: Fault) {
        self.reader.note(Some(self.place.clone()), fault, Kind::Absence);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// The value of `key`, which is from now on known here.
    fn ask(&mut self, key: &'static str) -> Option<At<&'a DeValue<'a>>> {
        self.asked.push(key);
        let value = self.entries.get(key)?;
        Some(At { place: Place { span: value.span(), key: self.key_path(key) }, value: value.get_ref() })
    }

    /// The value of `key` as `convert` takes it. `None`: there is none, or it is none of what was `expected`.
    fn typed<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        convert: impl FnOnce(&'a DeValue<'a>) -> Option<T>,
    ) -> Option<At<T>> {
        let At { value, place } = self.ask(key)?;
        match convert(value) {
            Some(value) => Some(At { value, place }),
            None => {
                self.refuse(&place, unexpected(expected, value));
                None
            }
        }
    }

    /// A text.
    pub(crate) fn text(&mut self, key: &'static str, expected: &str) -> Option<At<&'a str>> {
        self.typed(key, expected, DeValue::as_str)
    }

    /// A text that `parse` understands.
    pub(crate) fn parsed<T, F: Into<Fault>>(
        &mut self,
        key: &'static str,
        expected: &str,
        parse: impl FnOnce(&'a str) -> Result<T, F>,
    ) -> Option<At<T>> {
        let At { value, place } = self.text(key, expected)?;
        parse(value).map_err(|fault| self.refuse(&place, fault)).ok().map(|value| At { value, place })
    }

    /// A duration of more than nothing.
    pub(crate) fn duration(&mut self, key: &'static str) -> Option<Duration> {
        let duration = self.written_duration(key)?;
        if duration.value.is_zero() {
            self.refuse(&duration.place, "expected a duration of more than zero");
        }
        Some(duration.value)
    }

    /// A duration, perhaps of nothing.
    pub(crate) fn duration_or_zero(&mut self, key: &'static str) -> Option<Duration> {
        self.written_duration(key).map(|duration| duration.value)
    }

    fn written_duration(&mut self, key: &'static str) -> Option<At<Duration>> {
        self.typed(key, units::DURATION, |value| units::duration(value.as_str()?))
    }

    /// A size of more than nothing, in bytes.
    pub(crate) fn size(&mut self, key: &'static str) -> Option<u64> {
        let size = self.typed(key, units::SIZE, |value| units::size(value.as_str()?))?;
        if size.value == 0 {
            self.refuse(&size.place, "expected a size of more than zero");
        }
        Some(size.value)
    }

    /// A percentage of more than nothing.
    pub(crate) fn percentage(&mut self, key: &'static str) -> Option<u32> {
        let percentage = self.typed(key, units::PERCENTAGE, |value| units::percentage(value.as_str()?))?;
        Some(percentage.value)
    }

    /// A whole number within `range`.
    pub(crate) fn integer(&mut self, key: &'static str, range: RangeInclusive<usize>) -> Option<usize> {
        let expected = format!("a whole number from {} to {}", range.start(), range.end());
        let At { value: integer, place } = self.typed(key, &expected, DeValue::as_integer)?;
        let number = usize::from_str_radix(integer.as_str(), integer.radix()).ok();
        let number = number.filter(|number| range.contains(number));
        if number.is_none() {
            self.refuse(&place, Fault::new(format!("expected {expected}")));
        }
        number
    }

    /// A part of a whole, from 0 to 1.
    pub(crate) fn fraction(&mut self, key: &'static str) -> Option<f64> {
        let parse = |value: &DeValue<'_>| match value {
            DeValue::String(text) => units::fraction(text),
            DeValue::Float(number) => units::fraction(number.as_str()),
            DeValue::Integer(number) => units::fraction(number.as_str()),
            DeValue::Boolean(_) | DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
        };
        self.typed(key, units::FRACTION, parse).map(|fraction| fraction.value)
    }

    pub(crate) fn boolean(&mut self, key: &'static str) -> Option<At<bool>> {
        self.typed(key, "`true` or `false`", DeValue::as_bool)
    }

    /// A list of texts; what else is in it is refused, one by one.
    pub(crate) fn list(&mut self, key: &'static str, expected: &str) -> Option<At<Vec<At<&'a str>>>> {
        let At { value: items, place } = self.typed(key, expected, DeValue::as_array)?;
        Some(At { value: self.texts(items, &place), place })
    }

    /// A list of whole numbers within `range`; what else is in it is refused, one by one.
    pub(crate) fn integers(&mut self, key: &'static str, range: RangeInclusive<usize>) -> Option<At<Vec<At<usize>>>> {
        let expected = format!("a whole number from {} to {}", range.start(), range.end());
        let At { value: items, place } = self.typed(key, &format!("a list, each {expected}"), DeValue::as_array)?;
        let mut numbers = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let place = Place { span: item.span(), key: format!("{}[{index}]", place.key) };
            let number = item.get_ref().as_integer();
            let number = number.and_then(|number| usize::from_str_radix(number.as_str(), number.radix()).ok());
            match number.filter(|number| range.contains(number)) {
                Some(value) => numbers.push(At { value, place }),
                None => self.refuse(&place, Fault::new(format!("expected {expected}"))),
            }
        }
        Some(At { value: numbers, place })
    }

    /// The texts of a list at `place`.
    fn texts(&self, items: &'a DeArray<'a>, place: &Place) -> Vec<At<&'a str>> {
        let mut texts = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let place = Place { span: item.span(), key: format!("{}[{index}]", place.key) };
            match item.get_ref().as_str() {
                Some(value) => texts.push(At { value, place }),
                None => self.refuse(&place, unexpected("a string", item.get_ref())),
            }
        }
        texts
    }

    /// Every list in this table, whatever its name, in the order of the file.
    pub(crate) fn each_list<T>(
        &mut self,
        expected: &str,
        mut read: impl FnMut(At<&'a str>, &Self, Vec<At<&'a str>>) -> T,
    ) -> Vec<T> {
        let mut results = Vec::new();
        for (name, value) in self.whatever_its_name() {
            match value.value.as_array() {
                Some(items) => {
                    let texts = self.texts(items, &value.place);
                    results.push(read(name, self, texts));
                }
                None => self.refuse_key(&value.place, unexpected(expected, value.value)),
            }
        }
        results
    }

    /// One of a few words, each with what it means.
    pub(crate) fn one_of<T: Copy>(&mut self, key: &'static str, choices: &[(&'static str, T)]) -> Option<T> {
        let names = || choices.iter().map(|(name, _)| *name);
        let expected = format!("one of {}", list(names()));
        let chosen = self.parsed(key, &expected, |text| match choices.iter().find(|(name, _)| *name == text) {
            Some((_, meaning)) => Ok(*meaning),
            None => Err(Fault::new(format!("expected {expected}")).suggest(text, names())),
        })?;
        Some(chosen.value)
    }

    /// Claims header fields for the scheme that is being read: the caller's are removed, though its secret be missing.
    pub(crate) fn own_fields(&self, names: &[HeaderName]) {
        self.reader.owned.borrow_mut().extend_from_slice(names);
    }

    /// A secret that is part of a header field; it must be there, and may hold no control character.
    pub(crate) fn secret(&mut self, key: &'static str) -> Option<At<Secret>> {
        let (secret, reference) = self.referenced(key)?;
        let legal = |byte: &u8| *byte >= b' ' && *byte != 0x7f;
        if secret.value.expose().iter().all(legal) {
            return Some(secret);
        }
        let fault = Fault::new(format!("`{reference}` holds a line break or another control character"))
            .hint("a secret is one line, and one final newline of a file is dropped");
        self.refuse_secret(&secret.place, fault);
        None
    }

    /// A secret of any bytes. `None`: it is not there, which the caller may have to refuse.
    pub(crate) fn secret_bytes(&mut self, key: &'static str) -> Option<At<Secret>> {
        if self.has(key) { self.referenced(key).map(|(secret, _)| secret) } else { self.ask(key).and(None) }
    }

    fn referenced(&mut self, key: &'static str) -> Option<(At<Secret>, Reference<'a>)> {
        let At { value: reference, place } = self.reference(key)?;
        if let Some(mode) = self.reader.source.open_to_all(&reference) {
            self.reader.warn(format!("`{reference}` can be read by every user of this machine (mode {mode:04o})"));
        }
        match self.reader.secret(&reference) {
            Ok(value) => Some((At { value, place }, reference)),
            Err(error) => {
                self.refuse_secret(&place, Fault::new(format!("`{reference}` {error}")));
                None
            }
        }
    }

    /// A secret reference, which must be there: a text, or a command as a table.
    fn reference(&mut self, key: &'static str) -> Option<At<Reference<'a>>> {
        let expected = format!("a secret reference: {FORMS}");
        if !self.has(key) {
            self.refuse_missing(key, &expected);
        }
        if self.entries.get(key).is_some_and(|value| value.get_ref().is_table()) {
            return self.optional_section(key, Self::command).flatten();
        }
        self.parsed(key, &expected, |text| {
            Reference::parse(text).map_err(|error| Fault::new(format!("expected {expected}")).hint(error.hint()))
        })
    }

    /// This table as a command: `{ command = ["PROGRAM", "ARGUMENT"], ttl = "5m", timeout = "10s" }`.
    fn command(&mut self) -> Option<At<Reference<'a>>> {
        const EXPECTED: &str = "a list of a program and its arguments";
        if !self.has("command") {
            self.refuse_missing("command", EXPECTED);
        }
        let words = self.list("command", EXPECTED);
        let (ttl, timeout) = (self.duration("ttl"), self.duration("timeout"));
        let At { value: words, place } = words?;
        let Some(mut invocation) = Invocation::new(words.iter().map(|word| word.value.to_owned()).collect()) else {
            self.refuse(&place, Fault::new(format!("expected {EXPECTED}")).hint(NotReference::Command.hint()));
            return None;
        };
        invocation.ttl = ttl.unwrap_or(invocation.ttl);
        invocation.timeout = timeout.unwrap_or(invocation.timeout);
        Some(At { value: Reference::Command(invocation), place: self.place.clone() })
    }

    /// The table `key`, or an empty one where it is not there.
    pub(crate) fn section<T>(&mut self, key: &'static str, read: impl FnOnce(&mut Table<'a>) -> T) -> T {
        let table = self.typed(key, "a table", DeValue::as_table);
        let nothing = || At { value: &self.reader.nothing, place: self.place.clone() };
        let At { value, place } = table.unwrap_or_else(nothing);
        self.reader.table(value, place, read)
    }

    /// The table `key`. `None`: there is none.
    pub(crate) fn optional_section<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&mut Table<'a>) -> T,
    ) -> Option<T> {
        let At { value, place } = self.typed(key, "a table", DeValue::as_table)?;
        Some(self.reader.table(value, place, read))
    }

    /// Every table in this one, whatever its name, in the order of the file.
    pub(crate) fn each<T>(&mut self, mut read: impl FnMut(&At<&'a str>, &mut Table<'a>) -> Option<T>) -> Vec<T> {
        let mut results = Vec::new();
        for (name, value) in self.whatever_its_name() {
            let Some(table) = value.value.as_table() else {
                self.refuse_key(&value.place, unexpected("a table", value.value));
                continue;
            };
            results.extend(self.reader.table(table, value.place, |table| read(&name, table)));
        }
        results
    }

    /// Every name and value in this table, in the order of the file.
    fn whatever_its_name(&mut self) -> Vec<(At<&'a str>, At<&'a DeValue<'a>>)> {
        self.any_key = true;
        let mut entries: Vec<_> = self.entries.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        let entries = entries.into_iter().map(|(key, value)| {
            let path = self.key_path(key.get_ref());
            let name = At { value: key.get_ref().as_ref(), place: Place { span: key.span(), key: path.clone() } };
            (name, At { value: value.get_ref(), place: Place { span: value.span(), key: path } })
        });
        entries.collect()
    }

    /// Lets any key pass: the table itself was refused.
    pub(crate) fn ignore_rest(&mut self) {
        self.any_key = true;
    }

    /// Reports the keys that nobody asked for.
    pub(super) fn finish(self) {
        if self.any_key {
            return;
        }
        for (key, _) in self.entries.iter() {
            if !self.asked.contains(&key.get_ref().as_ref()) {
                let fault = Fault::new("unknown key").suggest_or_list(key.get_ref(), self.asked.iter().copied());
                let place = Place { span: key.span(), key: self.key_path(key.get_ref()) };
                self.refuse_key(&place, fault);
            }
        }
    }

    /// The full path of `key`, quoted as TOML would have it where need be.
    fn key_path(&self, key: &str) -> String {
        let mut path = self.place.key.clone();
        if !path.is_empty() {
            path.push('.');
        }
        let bare = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if !key.is_empty() && key.bytes().all(bare) {
            path.push_str(key);
        } else {
            // Writing to a `String` cannot fail. Debug escapes control characters.
            let _ = write!(path, "{key:?}");
        }
        path
    }
}

/// The type of what was found may be told; the value may not.
fn unexpected(expected: &str, found: &DeValue<'_>) -> Fault {
    let found = match found {
        DeValue::String(_) => return Fault::new(format!("expected {expected}")),
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    };
    Fault::new(format!("expected {expected}, found {found}"))
}
