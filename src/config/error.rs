//! Everything that is wrong with a config, at once, each thing with its place. No text here ever holds a config value:
//! a [`Fault`] is made of our own words, and a place is made of keys.

use std::fmt;
use std::path::{Path, PathBuf};

/// A config that cannot be served, with every reason why.
///
/// Its `Display` is the whole report, without colour; [`problems`](Self::problems) has the parts.
#[derive(Debug)]
pub struct ConfigError {
    path: PathBuf,
    /// In the order of the file. Never empty.
    problems: Vec<Problem>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    position: Option<Position>,
    key: Option<String>,
    message: String,
    hint: Option<String>,
}

/// A place in a text file, as editors count: both numbers from 1, the column in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The character in the line.
    pub column: usize,
}

/// What is wrong, in our own words, and perhaps what to do about it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    message: String,
    hint: Option<String>,
}

impl ConfigError {
    pub(crate) fn new(path: &Path, mut problems: Vec<Problem>) -> Self {
        problems.sort_by(|a, b| (a.position, &a.key, &a.message).cmp(&(b.position, &b.key, &b.message)));
        problems.dedup();
        Self { path: path.to_owned(), problems }
    }

    /// The file that is wrong.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All that is wrong with it, in the order of the file; what concerns the file as a whole comes first.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl Problem {
    pub(crate) fn new(position: Option<Position>, key: Option<String>, fault: Fault) -> Self {
        Self { position, key, message: fault.message, hint: fault.hint }
    }

    /// Where it is. `None`: it concerns the file as a whole.
    pub fn position(&self) -> Option<Position> {
        self.position
    }

    /// The full path of the key, such as `upstream.hub.auth.hmac.secret`.
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// What is wrong, or what was expected. Never a value.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to do about it. Never a value.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl Position {
    pub(crate) const START: Self = Self { line: 1, column: 1 };

    /// The place of a byte of `text`; one past the end is the end.
    pub(crate) fn of(offset: usize, text: &str) -> Self {
        let before = text.as_bytes().get(..offset).unwrap_or(text.as_bytes());
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let begins_character = |byte: &&u8| **byte & 0b1100_0000 != 0b1000_0000;
        let column =
            before.rsplit(|byte| *byte == b'\n').next().map_or(0, |line| line.iter().filter(begins_character).count())
                + 1;
        Self { line, column }
    }
}

impl Fault {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: without_controls(message.into()), hint: None }
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(without_controls(hint.into())), ..self }
    }

    /// With the one of `known` that was probably meant, if any was.
    pub(crate) fn suggest<'a>(self, written: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        let near = |name: &str| {
            let distance = strsim::damerau_levenshtein(written, name);
            (distance <= name.chars().count().div_ceil(3)).then_some(distance)
        };
        let nearest = known.into_iter().filter_map(|name| Some((near(name)?, name))).min();
        match nearest {
            Some((_, name)) => self.hint(format!("did you mean `{name}`?")),
            None => self,
        }
    }

    /// With the one of `known` that was probably meant, or else with all of them.
    pub(crate) fn suggest_or_list<'a>(self, written: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        let mut known: Vec<&str> = known.into_iter().collect();
        known.sort_unstable();
        let fault = self.suggest(written, known.iter().copied());
        if fault.hint.is_some() || known.is_empty() {
            fault
        } else {
            fault.hint(format!("known here: {}", list(known)))
        }
    }
}

impl From<&str> for Fault {
    fn from(message: &str) -> Self {
        Self::new(message)
    }
}

/// `` `a`, `b`, `c` ``
pub(crate) fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        let plural = if self.problems.len() == 1 { "" } else { "s" };
        write!(f, "error: {} problem{plural} in {path}", self.problems.len())?;
        let places: Vec<String> = self
            .problems
            .iter()
            .map(|problem| problem.position.map_or(path.to_string(), |position| format!("{path}:{position}")))
            .collect();
        let width = places.iter().map(|place| place.chars().count()).max().unwrap_or_default();
        for (problem, place) in self.problems.iter().zip(&places) {
            write!(f, "\n  {place:width$}  ")?;
            if let Some(key) = &problem.key {
                write!(f, "`{key}`: ")?;
            }
            f.write_str(&problem.message)?;
            if let Some(hint) = &problem.hint {
                write!(f, "\n  {:width$}  hint: {hint}", "")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

impl std::error::Error for ConfigError {}

/// A name from the file may hold what a terminal would obey.
fn without_controls(text: String) -> String {
    if text.contains(char::is_control) { text.escape_debug().collect() } else { text }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{ConfigError, Fault, Position, Problem};

    #[test]
    fn a_position_counts_characters_from_one() {
        let text = "a\r\nö☃x\n";
        for (offset, line, column) in [(0, 1, 1), (1, 1, 2), (3, 2, 1), (8, 2, 3), (9, 2, 4), (10, 3, 1), (99, 3, 1)] {
            assert_eq!(Position::of(offset, text), Position { line, column }, "{offset}");
        }
    }

    #[test]
    fn the_report_is_aligned_and_in_the_order_of_the_file() {
        let at = |line, column| Some(Position { line, column });
        let error = ConfigError::new(
            Path::new("sidekey.toml"),
            vec![
                Problem::new(at(12, 3), Some("server.drain".into()), Fault::new("expected a duration")),
                Problem::new(None, None, Fault::new("no upstream").hint("add one")),
                Problem::new(
                    at(4, 11),
                    Some("server.workers".into()),
                    Fault::new("unknown key").hint("did you mean `x`?"),
                ),
            ],
        );
        let expected = "\
error: 3 problems in sidekey.toml
  sidekey.toml       no upstream
                     hint: add one
  sidekey.toml:4:11  `server.workers`: unknown key
                     hint: did you mean `x`?
  sidekey.toml:12:3  `server.drain`: expected a duration";
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn a_near_miss_is_suggested_and_a_far_one_gets_the_list() {
        let hint = |written| Fault::new("unknown").suggest_or_list(written, ["username", "password"]).hint.unwrap();
        assert_eq!(hint("user_name"), "did you mean `username`?");
        assert_eq!(hint("pasword"), "did you mean `password`?");
        assert_eq!(hint("colour"), "known here: `password`, `username`");
    }
}
