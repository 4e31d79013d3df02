//! How TLS with callers went. Nothing of who they are.

use super::cells::Cell;

/// What became of a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Handshake {
    /// It was made.
    Full,
    /// It went on from an earlier one.
    Resumed,
    /// The caller did not show a certificate that `client_ca` has signed.
    Certificate,
    /// The caller did not take ours, or said for another reason that it would not go on.
    Refused,
    /// What came was no TLS: such as HTTP in the clear.
    Plaintext,
    /// They have no version, cipher or protocol in common, or what came was wrong.
    Protocol,
    /// It took too long.
    Slow,
    /// The caller went away, or the server drained.
    Gone,
}

impl Handshake {
    pub(super) const ALL: [Self; 8] = [
        Self::Full,
        Self::Resumed,
        Self::Certificate,
        Self::Refused,
        Self::Plaintext,
        Self::Protocol,
        Self::Slow,
        Self::Gone,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Resumed => "resumed",
            Self::Certificate => "certificate",
            Self::Refused => "refused",
            Self::Plaintext => "plaintext",
            Self::Protocol => "protocol",
            Self::Slow => "slow",
            Self::Gone => "gone",
        }
    }
}

/// One worker's.
#[derive(Default)]
pub(crate) struct Handshakes([Cell; Handshake::ALL.len()]);

impl Handshakes {
    pub(super) fn of(&self, handshake: Handshake) -> u64 {
        self.0.get(handshake as usize).map_or(0, Cell::value)
    }

    pub(super) fn count(&self, handshake: Handshake) {
        if let Some(cell) = self.0.get(handshake as usize) {
            cell.add(1);
        }
    }
}
