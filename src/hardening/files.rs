//! Only the files that it serves with can be opened, and none be written, made or run.

use std::path::PathBuf;

use landlock::{ABI, Access, AccessFs, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetStatus, path_beneath_rules};

use super::{Measure, NotHeld, Places};
use crate::secret::source;

/// With these rights everything that writes is covered, cutting a file short by its name (Linux 6.2) as well.
const RIGHTS: ABI = ABI::V3;
/// What name look-up reads. Each is a file of its own: nothing else in `/etc` is to be read.
const RESOLVER: [&str; 2] = ["/etc/resolv.conf", "/etc/hosts"];
/// What the links in the folders of the system's roots lead to.
const ROOTS_BEHIND_LINKS: [&str; 3] =
    ["/usr/share/ca-certificates", "/usr/local/share/ca-certificates", "/etc/pki/ca-trust/extracted"];

pub(super) fn confine(places: &Places) -> Measure {
    let readable = places.read.iter().cloned().chain(system_roots()).chain(RESOLVER.map(PathBuf::from));
    let status = Ruleset::default()
        .handle_access(AccessFs::from_all(RIGHTS))?
        .create()?
        .add_rules(path_beneath_rules(readable, AccessFs::ReadFile | AccessFs::ReadDir))?
        .add_rules(path_beneath_rules(&places.remove_from, AccessFs::RemoveFile))?
        .restrict_self()?;
    match status.ruleset {
        RulesetStatus::FullyEnforced => Ok(()),
        RulesetStatus::PartiallyEnforced => Err(NotHeld::Partial),
        RulesetStatus::NotEnforced => Err(NotHeld::Unsupported),
    }
}

/// A file of roots that the environment names may be replaced as any other may; of the usual ones, the folders are here
/// already.
fn system_roots() -> impl Iterator<Item = PathBuf> {
    let found = openssl_probe::probe();
    let file = found.cert_file.as_slice();
    let file = if source::names_system_roots() { Places::new(file, &[]).read } else { file.to_vec() };
    file.into_iter().chain(found.cert_dir).chain(ROOTS_BEHIND_LINKS.map(PathBuf::from))
}
