//! Where secrets come from: the only reader of the environment and of the files that a config refers to. What goes
//! wrong is told without a byte of what was read.

use std::fmt;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::Secret;

/// A secret is at most this long, in bytes.
const MAX_SECRET: usize = 64 * 1024;
/// A file of certificates is at most this long, in bytes: the system's own bundles are a quarter of it.
const MAX_FILE: u64 = 1024 * 1024;

/// A secret reference, as the config writes it. It may be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reference<'a> {
    /// `env:NAME`
    Variable(&'a str),
    /// `file:PATH`
    File(&'a str),
}

/// Why a text is no reference. The text itself may be the secret, and is not in here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotReference {
    /// Neither `env:` nor `file:`.
    Literal,
    /// What follows `env:` is no name.
    Name,
    /// What follows `file:` is no path.
    Path,
}

impl<'a> Reference<'a> {
    pub(crate) fn parse(text: &'a str) -> Result<Self, NotReference> {
        if let Some(name) = text.strip_prefix("env:") {
            let legal = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
                && name.bytes().next().is_some_and(|b| !b.is_ascii_digit());
            return if legal { Ok(Self::Variable(name)) } else { Err(NotReference::Name) };
        }
        match text.strip_prefix("file:") {
            Some(path) if path.is_empty() || path.chars().any(char::is_control) => Err(NotReference::Path),
            Some(path) => Ok(Self::File(path)),
            None => Err(NotReference::Literal),
        }
    }
}

impl fmt::Display for Reference<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file:{path}"),
        }
    }
}

/// Why a reference gives no secret. Each text goes after the reference's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SourceError {
    #[error("is not set")]
    NotSet,
    #[error("does not exist")]
    NotFound,
    #[error("cannot be read: permission denied")]
    Denied,
    #[error("is a directory")]
    Directory,
    #[error("cannot be read")]
    Unreadable,
    #[error("is empty")]
    Empty,
    #[error("is too large")]
    TooLarge,
}

/// Whether the environment says where the system's roots are (which `rustls-native-certs` reads).
#[expect(clippy::disallowed_methods, reason = "this file is the one that reads the environment")]
pub(crate) fn names_system_roots() -> bool {
    ["SSL_CERT_FILE", "SSL_CERT_DIR"].iter().any(|name| std::env::var_os(name).is_some())
}

/// Where references lead.
#[derive(Clone, Copy)]
pub(crate) enum Source<'a> {
    /// This process's environment, and its files: relative paths start at the config file's `folder`.
    Process { folder: &'a Path },
    /// What is given here, each under its reference, and nothing else: for tests and fuzzing.
    Given(&'a [(&'a str, &'a [u8])]),
}

impl Source<'_> {
    /// Reads a secret. One final newline of a file is dropped; an empty secret is refused.
    pub(crate) fn secret(self, reference: Reference<'_>) -> Result<Secret, SourceError> {
        let mut bytes = match (self, reference) {
            (Self::Process { .. }, Reference::Variable(name)) => variable(name)?,
            (Self::Process { .. }, Reference::File(path)) => secret_file(&self.locate(path))?,
            (Self::Given(given), _) => Zeroizing::new(given_bytes(given, reference)?),
        };
        if let Reference::File(_) = reference {
            let kept =
                bytes.strip_suffix(b"\n").map_or(&**bytes, |rest| rest.strip_suffix(b"\r").unwrap_or(rest)).len();
            bytes.truncate(kept);
        }
        match bytes.len() {
            0 => Err(SourceError::Empty),
            1..=MAX_SECRET => Ok(Secret::new(std::mem::take(&mut *bytes))),
            _ => Err(SourceError::TooLarge),
        }
    }

    /// Reads a file that holds no secret, such as certificates.
    pub(crate) fn file(self, path: &str) -> Result<Vec<u8>, SourceError> {
        if let Self::Given(given) = self {
            return given_bytes(given, Reference::File(path));
        }
        let mut bytes = Vec::new();
        open(&self.locate(path))?.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(|error| of_io(&error))?;
        match bytes.len() as u64 {
            0 => Err(SourceError::Empty),
            1..=MAX_FILE => Ok(bytes),
            _ => Err(SourceError::TooLarge),
        }
    }

    /// Where a path of the config leads.
    pub(crate) fn locate(self, path: &str) -> PathBuf {
        match self {
            Self::Process { folder } => folder.join(path),
            Self::Given(_) => PathBuf::from(path),
        }
    }

    /// The permissions of a referenced file that everyone on this machine can read.
    pub(crate) fn open_to_all(self, reference: Reference<'_>) -> Option<u32> {
        let (Self::Process { .. }, Reference::File(path)) = (self, reference) else { return None };
        let metadata = std::fs::metadata(self.locate(path)).ok()?;
        let mode = metadata.mode() & 0o7777;
        (metadata.is_file() && mode & 0o004 != 0).then_some(mode)
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the one place that may read the environment")]
fn variable(name: &str) -> Result<Zeroizing<Vec<u8>>, SourceError> {
    let value = std::env::var_os(name).ok_or(SourceError::NotSet)?;
    Ok(Zeroizing::new(value.into_encoded_bytes()))
}

/// Reads into one buffer that never grows, as growing would leave a copy behind; buffer and result are wiped.
fn secret_file(path: &Path) -> Result<Zeroizing<Vec<u8>>, SourceError> {
    let mut file = open(path)?;
    // A line ending more, which is dropped, and a byte more, which tells that there was too much.
    let mut buffer = Zeroizing::new(vec![0; MAX_SECRET + 3]);
    let mut filled = 0;
    while let Some(free) = buffer.get_mut(filled..).filter(|free| !free.is_empty()) {
        match file.read(free) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(of_io(&error)),
        }
    }
    Ok(Zeroizing::new(buffer.get(..filled).unwrap_or_default().to_vec()))
}

fn open(path: &Path) -> Result<File, SourceError> {
    File::open(path).map_err(|error| of_io(&error))
}

fn of_io(error: &std::io::Error) -> SourceError {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => SourceError::NotFound,
        ErrorKind::PermissionDenied => SourceError::Denied,
        ErrorKind::IsADirectory => SourceError::Directory,
        _ => SourceError::Unreadable,
    }
}

fn given_bytes(given: &[(&str, &[u8])], reference: Reference<'_>) -> Result<Vec<u8>, SourceError> {
    let name = reference.to_string();
    let absent = if matches!(reference, Reference::File(_)) { SourceError::NotFound } else { SourceError::NotSet };
    given.iter().find(|(known, _)| *known == name).map(|(_, bytes)| bytes.to_vec()).ok_or(absent)
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, set_permissions, write};
    use std::os::unix::fs::PermissionsExt;

    use super::{MAX_SECRET, NotReference, Reference, Source, SourceError};

    fn read_file(bytes: &[u8]) -> Result<Vec<u8>, SourceError> {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path().join("key"), bytes).unwrap();
        let source = Source::Process { folder: folder.path() };
        source.secret(Reference::File("key")).map(|secret| secret.expose().to_vec())
    }

    #[test]
    fn a_reference_is_a_variable_or_a_file_and_nothing_else() {
        assert_eq!(Reference::parse("env:KEY_2"), Ok(Reference::Variable("KEY_2")));
        assert_eq!(Reference::parse("file:a b/c"), Ok(Reference::File("a b/c")));
        for text in ["", "hunter2", "ENV:KEY", " env:KEY", "vault:x"] {
            assert_eq!(Reference::parse(text), Err(NotReference::Literal), "{text}");
        }
        for text in ["env:", "env:2KEY", "env:$KEY", "env:a-b", "env:a b", "env:é"] {
            assert_eq!(Reference::parse(text), Err(NotReference::Name), "{text}");
        }
        for text in ["file:", "file:a\nb", "file:\u{1b}[31m"] {
            assert_eq!(Reference::parse(text), Err(NotReference::Path), "{text:?}");
        }
    }

    #[test]
    fn one_final_newline_of_a_file_is_dropped() {
        for (written, read) in
            [("key", "key"), ("key\n", "key"), ("key\r\n", "key"), ("key\n\n", "key\n"), ("key\r", "key\r")]
        {
            assert_eq!(read_file(written.as_bytes()).unwrap(), read.as_bytes(), "{written:?}");
        }
    }

    #[test]
    fn an_empty_or_oversized_file_is_refused() {
        for written in ["", "\n", "\r\n"] {
            assert_eq!(read_file(written.as_bytes()), Err(SourceError::Empty), "{written:?}");
        }
        let mut largest = vec![b'x'; MAX_SECRET];
        largest.extend(b"\r\n");
        assert_eq!(read_file(&largest).unwrap().len(), MAX_SECRET);
        assert_eq!(read_file(&[b'x'; MAX_SECRET + 1]), Err(SourceError::TooLarge));
        assert_eq!(read_file(&[b'x'; MAX_SECRET * 3]), Err(SourceError::TooLarge));
    }

    #[test]
    fn what_is_not_there_is_said_to_be_so() {
        let folder = tempfile::tempdir().unwrap();
        let source = Source::Process { folder: folder.path() };
        let error = |reference| source.secret(reference).err().unwrap();
        assert_eq!(error(Reference::Variable("SIDEKEY_TEST_NO_SUCH_VARIABLE")), SourceError::NotSet);
        assert_eq!(error(Reference::File("absent")), SourceError::NotFound);
        assert_eq!(error(Reference::File(".")), SourceError::Directory);
    }

    #[test]
    fn a_variable_of_the_process_is_read() {
        let source = Source::Process { folder: std::path::Path::new("") };
        // Cargo sets it for every test.
        assert_eq!(source.secret(Reference::Variable("CARGO_PKG_NAME")).ok().unwrap().expose(), b"sidekey");
    }

    #[test]
    fn a_file_that_everyone_can_read_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        write(&path, "x").unwrap();
        let source = Source::Process { folder: folder.path() };
        for (mode, noticed) in [(0o600, None), (0o640, None), (0o644, Some(0o644)), (0o604, Some(0o604))] {
            set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            assert_eq!(source.open_to_all(Reference::File("key")), noticed, "{mode:o}");
        }
    }
}
