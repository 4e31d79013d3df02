//! Which files the process goes on needing.

use std::path::{Path, PathBuf};

use crate::BoundAddress;

/// What may still be reached in the file system, once all is bound.
pub(crate) struct Places {
    /// Files and folders that may be read.
    pub(super) read: Vec<PathBuf>,
    /// Folders from which files may be removed.
    pub(super) remove_from: Vec<PathBuf>,
}

impl Places {
    /// The folders of `files`, which are the config's and whatever it refers to, and those of the sockets among
    /// `addresses`, from which the process takes its own away when it ends.
    ///
    /// Folders, since a file that is replaced is another one: editors rename, and Kubernetes swaps a symbolic link. What
    /// a link leads to counts too.
    pub(crate) fn new(files: &[PathBuf], addresses: &[BoundAddress]) -> Self {
        let targets = files.iter().filter_map(|file| file.canonicalize().ok());
        let read = files.iter().cloned().chain(targets).map(|file| folder_or_file(&file)).collect();
        let remove_from = addresses
            .iter()
            .filter_map(|address| match address {
                BoundAddress::Unix(path) => folder(path),
                BoundAddress::Tcp(_) => None,
            })
            .collect();
        Self { read, remove_from }
    }
}

/// The file's folder; the file alone where that is all there is.
fn folder_or_file(file: &Path) -> PathBuf {
    folder(file).unwrap_or_else(|| file.to_owned())
}

/// `None`: it is the root, which holds everything.
fn folder(file: &Path) -> Option<PathBuf> {
    let parent = file.parent()?;
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    let folder = parent.canonicalize().ok()?;
    (folder != Path::new("/")).then_some(folder)
}
