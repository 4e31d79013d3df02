//! Where secrets come from: the only reader of the environment and of the files that a config refers to. What goes
//! wrong is told without a byte of what was read.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use zeroize::Zeroizing;

use super::command::{self, CommandError};
pub(crate) use super::reference::{FORMS, NotReference, Reference};
use crate::Secret;

/// A secret is at most this long, in bytes.
pub(super) const MAX_SECRET: usize = 64 * 1024;
/// So much is read of one: a line ending more, which is dropped, and a byte more, which tells that there was too much.
pub(super) const MAX_READ: usize = MAX_SECRET + 3;
/// A file of certificates is at most this long, in bytes: the system's own bundles are a quarter of it.
const MAX_FILE: u64 = 1024 * 1024;

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
    #[error("is not a regular file")]
    NotRegular,
    #[error("cannot be found: `$CREDENTIALS_DIRECTORY` is not set, as systemd does for `LoadCredential=`")]
    NoCredentials,
    #[error("cannot be read")]
    Unreadable,
    #[error("is empty")]
    Empty,
    #[error("is too large")]
    TooLarge,
    #[error(transparent)]
    Command(#[from] CommandError),
}

/// Whether the environment says where the system's roots are (which `rustls-native-certs` reads).
#[expect(clippy::disallowed_methods, reason = "this file is the one that reads the environment")]
pub(crate) fn names_system_roots() -> bool {
    ["SSL_CERT_FILE", "SSL_CERT_DIR"].iter().any(|name| std::env::var_os(name).is_some())
}

/// Where references lead.
#[derive(Clone, Copy)]
pub(crate) enum Source<'a> {
    /// This process's environment, its files, and what it runs: relative paths start at the config file's `folder`.
    Process { folder: &'a Path },
    /// What is given here, each under its reference, and nothing else: for tests and fuzzing. Nothing is run.
    Given(&'a [(&'a str, &'a [u8])]),
}

impl Source<'_> {
    /// Reads a secret. One final newline is dropped of what is not a variable; an empty secret is refused.
    pub(crate) fn secret(self, reference: &Reference<'_>) -> Result<Secret, SourceError> {
        let mut bytes = match (self, reference) {
            (Self::Given(given), _) => Zeroizing::new(given_bytes(given, reference)?),
            (Self::Process { .. }, Reference::Variable(name)) => variable(name)?,
            (Self::Process { .. }, Reference::File(path)) => secret_file(&self.locate(path))?,
            (Self::Process { .. }, Reference::Credential(name)) => secret_file(&credential(name)?)?,
            (Self::Process { folder }, Reference::Command(invocation)) => command::read(invocation, folder)?,
        };
        match reference {
            Reference::Variable(_) => {}
            Reference::File(_) | Reference::Credential(_) | Reference::Command(_) => drop_newline(&mut bytes),
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
            return given_bytes(given, &Reference::File(path));
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

    /// The file that a reference leads to. `None`: it leads to none.
    pub(crate) fn file_of(self, reference: &Reference<'_>) -> Option<PathBuf> {
        match (self, reference) {
            (_, Reference::File(path)) => Some(self.locate(path)),
            (Self::Process { .. }, Reference::Credential(name)) => credential(name).ok(),
            (Self::Given(_), Reference::Credential(_)) | (_, Reference::Variable(_) | Reference::Command(_)) => None,
        }
    }

    /// The permissions of a referenced file that everyone on this machine can read.
    pub(crate) fn open_to_all(self, reference: &Reference<'_>) -> Option<u32> {
        let Self::Process { .. } = self else { return None };
        let metadata = std::fs::metadata(self.file_of(reference)?).ok()?;
        let mode = metadata.mode() & 0o7777;
        (metadata.is_file() && mode & 0o004 != 0).then_some(mode)
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the one place that may read the environment")]
fn variable(name: &str) -> Result<Zeroizing<Vec<u8>>, SourceError> {
    let value = std::env::var_os(name).ok_or(SourceError::NotSet)?;
    Ok(Zeroizing::new(value.into_encoded_bytes()))
}

/// Where systemd has put the credential `name`.
#[expect(clippy::disallowed_methods, reason = "this is the one place that may read the environment")]
fn credential(name: &str) -> Result<PathBuf, SourceError> {
    let folder = std::env::var_os("CREDENTIALS_DIRECTORY").filter(|folder| !folder.is_empty());
    Ok(PathBuf::from(folder.ok_or(SourceError::NoCredentials)?).join(name))
}

fn drop_newline(bytes: &mut Zeroizing<Vec<u8>>) {
    let kept = bytes.strip_suffix(b"\n").map_or(&***bytes, |rest| rest.strip_suffix(b"\r").unwrap_or(rest)).len();
    bytes.truncate(kept);
}

/// Reads into one buffer that never grows, as growing would leave a copy behind; buffer and result are wiped.
fn secret_file(path: &Path) -> Result<Zeroizing<Vec<u8>>, SourceError> {
    let mut file = open(path)?;
    let mut buffer = Zeroizing::new(vec![0; MAX_READ]);
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

/// Opens a regular file. Opening anything else may wait for ever, as a pipe does for its writer, or do something.
pub(crate) fn open(path: &Path) -> Result<File, SourceError> {
    refuse_irregular(&std::fs::metadata(path).map_err(|error| of_io(&error))?)?;
    open_at_once(path)
}

/// Another may have taken the file's place meanwhile: not even that is waited for.
fn open_at_once(path: &Path) -> Result<File, SourceError> {
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(|error| of_io(&error))?;
    refuse_irregular(&file.metadata().map_err(|error| of_io(&error))?)?;
    Ok(file)
}

fn refuse_irregular(metadata: &Metadata) -> Result<(), SourceError> {
    if metadata.is_file() {
        Ok(())
    } else {
        Err(if metadata.is_dir() { SourceError::Directory } else { SourceError::NotRegular })
    }
}

pub(crate) fn of_io(error: &std::io::Error) -> SourceError {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => SourceError::NotFound,
        ErrorKind::PermissionDenied => SourceError::Denied,
        ErrorKind::IsADirectory => SourceError::Directory,
        _ => SourceError::Unreadable,
    }
}

fn given_bytes(given: &[(&str, &[u8])], reference: &Reference<'_>) -> Result<Vec<u8>, SourceError> {
    let (name, absent) = match reference {
        Reference::Variable(_) => (reference.to_string(), SourceError::NotSet),
        Reference::File(_) | Reference::Credential(_) => (reference.to_string(), SourceError::NotFound),
        Reference::Command(invocation) => (invocation.written(), CommandError::NoProgram.into()),
    };
    given.iter().find(|(known, _)| *known == name).map(|(_, bytes)| bytes.to_vec()).ok_or(absent)
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, set_permissions, write};
    use std::os::unix::fs::PermissionsExt;

    use super::{MAX_SECRET, Reference, Source, SourceError, open_at_once};

    fn read_file(bytes: &[u8]) -> Result<Vec<u8>, SourceError> {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path().join("key"), bytes).unwrap();
        let source = Source::Process { folder: folder.path() };
        source.secret(&Reference::File("key")).map(|secret| secret.expose().to_vec())
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
        let error = |reference| source.secret(&reference).err().unwrap();
        assert_eq!(error(Reference::Variable("SIDEKEY_TEST_NO_SUCH_VARIABLE")), SourceError::NotSet);
        assert_eq!(error(Reference::File("absent")), SourceError::NotFound);
        assert_eq!(error(Reference::File(".")), SourceError::Directory);
    }

    #[test]
    fn what_is_not_a_regular_file_is_refused_unopened() {
        let folder = tempfile::tempdir().unwrap();
        let made = std::process::Command::new("mkfifo").arg(folder.path().join("pipe")).status().unwrap();
        assert!(made.success());
        std::os::unix::fs::symlink("pipe", folder.path().join("link")).unwrap();
        let source = Source::Process { folder: folder.path() };
        for path in ["pipe", "link", "/dev/zero"] {
            // Opening a pipe would wait for its writer, and this test with it.
            assert_eq!(source.secret(&Reference::File(path)).err(), Some(SourceError::NotRegular), "{path}");
            assert_eq!(source.file(path), Err(SourceError::NotRegular), "{path}");
            // Nor is one waited for that has taken a file's place since it was looked at.
            let opened = open_at_once(&folder.path().join(path)).map(drop);
            assert_eq!(opened, Err(SourceError::NotRegular), "{path}");
        }
    }

    #[test]
    fn every_kind_can_be_given_and_nothing_is_run() {
        let references = ["env:A", "file:a", "credential:a", "command:[\"touch\",\"a b\"]"];
        let given = references.map(|reference| (reference, reference.as_bytes()));
        for text in references {
            let reference = Reference::parse(text).unwrap();
            let secret = Source::Given(&given).secret(&reference).ok().unwrap();
            assert_eq!(secret.expose(), text.as_bytes());
            assert!(Source::Given(&[]).secret(&reference).is_err());
        }
    }

    #[test]
    fn a_variable_of_the_process_is_read() {
        let source = Source::Process { folder: std::path::Path::new("") };
        // Cargo sets it for every test.
        assert_eq!(source.secret(&Reference::Variable("CARGO_PKG_NAME")).ok().unwrap().expose(), b"sidekey");
    }

    #[test]
    fn a_file_that_everyone_can_read_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        write(&path, "x").unwrap();
        let source = Source::Process { folder: folder.path() };
        for (mode, noticed) in [(0o600, None), (0o640, None), (0o644, Some(0o644)), (0o604, Some(0o604))] {
            set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            assert_eq!(source.open_to_all(&Reference::File("key")), noticed, "{mode:o}");
        }
    }
}
