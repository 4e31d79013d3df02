//! The credentials of one upstream: the main one, and one to fall back on while a key is being changed at the vendor.

use super::{Credential, HttpVersions, WantedHttp};
use crate::scrub::Forms;

/// Which of an upstream's credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// That of `auth`.
    Main,
    /// That of `fallback`.
    Fallback,
}

impl Which {
    pub(crate) fn other(self) -> Self {
        match self {
            Self::Main => Self::Fallback,
            Self::Fallback => Self::Main,
        }
    }

    /// The key of the config under which it stands.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::Main => "auth",
            Self::Fallback => "fallback",
        }
    }
}

/// What an upstream has of them. Neither: it is optional, and no usable secret has been read.
pub(crate) struct Credentials {
    main: Option<Credential>,
    fallback: Option<Credential>,
    http_versions: HttpVersions,
}

impl Credentials {
    pub(crate) fn new(main: Option<Credential>, fallback: Option<Credential>, http: WantedHttp) -> Self {
        let http_versions = HttpVersions::of(http, main.iter().chain(&fallback));
        Self { main, fallback, http_versions }
    }

    /// The versions of HTTP in which a request with any of them is right.
    pub(crate) fn http_versions(&self) -> HttpVersions {
        self.http_versions
    }

    pub(crate) fn at(&self, which: Which) -> Option<&Credential> {
        match which {
            Which::Main => self.main.as_ref(),
            Which::Fallback => self.fallback.as_ref(),
        }
    }

    #[cfg(test)]
    pub(super) fn into_main(self) -> Option<Credential> {
        self.main
    }

    /// Those that can be used, the main one first.
    pub(crate) fn each(&self) -> impl Iterator<Item = &Credential> {
        self.main.iter().chain(&self.fallback)
    }

    /// Whether there is a choice.
    pub(crate) fn are_two(&self) -> bool {
        self.main.is_some() && self.fallback.is_some()
    }

    /// The one that is used where nothing is known of either. `None`: none can be used.
    pub(crate) fn first(&self) -> Option<Which> {
        let main = self.main.as_ref().map(|_| Which::Main);
        main.or(self.fallback.as_ref().map(|_| Which::Fallback))
    }

    /// Where one of them signs the body: how many bytes of it may be held in memory for that.
    pub(crate) fn sign_body(&self) -> Option<u64> {
        self.each().filter_map(Credential::signs_body).max()
    }

    /// The forms in which an upstream could echo any of them.
    pub(crate) fn forms(&self) -> Forms {
        let mut forms = Forms::none();
        self.each().for_each(|credential| forms.extend(credential.forms().replica()));
        forms
    }

    /// The schemes, for a reader.
    pub(crate) fn schemes(&self) -> Option<String> {
        match (&self.main, &self.fallback) {
            (Some(main), Some(fallback)) => {
                Some(format!("{}, or {} to fall back on", main.scheme(), fallback.scheme()))
            }
            (Some(main), None) => Some(main.scheme().to_owned()),
            (None, Some(fallback)) => Some(format!("{} to fall back on", fallback.scheme())),
            (None, None) => None,
        }
    }

    /// A worker's own copy: it shares no reference count with this one.
    pub(crate) fn replica(&self) -> Self {
        let replica = |credential: &Option<Credential>| credential.as_ref().map(Credential::replica);
        let (main, fallback) = (replica(&self.main), replica(&self.fallback));
        Self { main, fallback, http_versions: self.http_versions }
    }
}
