//! What all workers know of one upstream, whichever of them found it out. It outlives the config that it began with: each
//! part is carried over to the next one, as long as nothing that it depends on has changed.

use std::sync::Arc;

use super::breaker::Breaker;
use super::budget::Budget;
use super::preference::Preference;
use super::rejected::Rejections;
use crate::config;
use crate::credential::Which;
use crate::limits::Limiter;
use crate::secret::Fingerprint;
use crate::telemetry::Moment;

/// An upstream's state. Whatever in it a request's path touches is atomic.
pub(crate) struct Shared {
    main_secret: Arc<SecretState>,
    fallback_secret: Arc<SecretState>,
    preference: Option<Arc<Preference>>,
    budget: Option<Arc<Budget>>,
    breaker: Option<Arc<Breaker>>,
    limiter: Arc<Limiter>,
}

/// What is known of a secret, besides what it is.
pub(crate) struct SecretState {
    fingerprint: Fingerprint,
    /// How often the vendor refused it.
    pub(super) rejections: Rejections,
}

impl Shared {
    /// The state of `config`, which follows on `previous`: the state of the upstream of this name, if there was one.
    pub(crate) fn new(config: &config::Upstream, previous: Option<&Self>) -> Arc<Self> {
        let limiter = Limiter::of_upstream(config, previous.map(|previous| &*previous.limiter));
        Arc::new(Self {
            limiter,
            main_secret: SecretState::new(config.secrets, previous.map(|previous| &previous.main_secret)),
            fallback_secret: SecretState::new(
                config.fallback_secrets,
                previous.map(|previous| &previous.fallback_secret),
            ),
            preference: Preference::new(config, previous.and_then(|previous| previous.preference.as_ref())),
            budget: Budget::new(config, previous.and_then(|previous| previous.budget.as_ref())),
            breaker: Breaker::new(config, previous.and_then(|previous| previous.breaker.as_ref())),
        })
    }

    /// How much it may be asked.
    pub(crate) fn limiter(&self) -> &Limiter {
        &self.limiter
    }

    pub(crate) fn secret(&self, which: Which) -> &SecretState {
        match which {
            Which::Main => &self.main_secret,
            Which::Fallback => &self.fallback_secret,
        }
    }

    /// Which credential is used first, where there are two.
    pub(crate) fn preference(&self) -> Option<&Preference> {
        self.preference.as_deref()
    }

    /// The one that a request gets first. `None`: there is none that could be used.
    pub(crate) fn preferred(&self, config: &config::Upstream) -> Option<Which> {
        self.preference().map(Preference::preferred).or_else(|| config.credentials.first())
    }

    /// What retries are paid from, where there are any.
    pub(super) fn budget(&self) -> Option<&Budget> {
        self.budget.as_deref()
    }

    pub(crate) fn breaker(&self) -> Option<&Breaker> {
        self.breaker.as_deref()
    }
}

impl SecretState {
    /// That of the secret with this fingerprint: `previous`, if it is the same secret.
    fn new(fingerprint: Fingerprint, previous: Option<&Arc<Self>>) -> Arc<Self> {
        match previous.filter(|previous| previous.fingerprint == fingerprint) {
            Some(same) => Arc::clone(same),
            None => Arc::new(Self { fingerprint, rejections: Rejections::new(Moment::now()) }),
        }
    }

    /// When it was first read as it is now.
    pub(crate) fn since(&self) -> &Moment {
        self.rejections.read()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::Shared;
    use crate::config::Config;
    use crate::config::file::parse_with;
    use crate::credential::Which;
    use crate::secret::source::Source;

    const TEXT: &str = "[upstream.x]\nurl = 'https://x.test'\nauth.bearer.token = 'env:A'\n\
                        fallback.bearer.token = 'env:B'\nretry.budget = '20%'\nbreaker.failures = 5\n";

    fn config(text: &str) -> Config {
        let given: [(&str, &[u8]); 3] = [("env:A", b"alpha-one"), ("env:B", b"beta-two"), ("env:C", b"gamma-three")];
        parse_with(Path::new("x.toml"), text, Source::Given(&given)).unwrap_or_else(|error| panic!("{error}"))
    }

    fn is_same<T>(a: &Option<Arc<T>>, b: &Option<Arc<T>>) -> bool {
        Arc::ptr_eq(a.as_ref().unwrap(), b.as_ref().unwrap())
    }

    #[test]
    fn each_of_two_secrets_is_as_old_as_it_is_itself() {
        let first = Shared::new(&config(TEXT).upstreams[0], None);
        for (from, to, kept) in [("env:B", "env:C", [true, false]), ("env:A", "env:C", [false, true])] {
            let next = Shared::new(&config(&TEXT.replace(from, to)).upstreams[0], Some(&*first));
            let is_kept =
                [Which::Main, Which::Fallback].map(|which| std::ptr::eq(next.secret(which), first.secret(which)));
            assert_eq!(is_kept, kept, "{to}");
        }
    }

    #[test]
    fn a_part_is_carried_over_as_long_as_what_it_depends_on_is_the_same() {
        let first = Shared::new(&config(TEXT).upstreams[0], None);
        for (from, to, kept) in [
            ("x.test'", "x.test'\nreplay_buffer = '1MiB'", [true; 3]),
            ("env:B", "env:C", [false, true, true]),
            ("20%", "10%", [true, false, true]),
            ("failures = 5", "failures = 4", [true, true, false]),
            ("x.test", "y.test", [true, true, false]),
        ] {
            let text = TEXT.replace(from, to);
            let next = Shared::new(&config(&text).upstreams[0], Some(&*first));
            let is_kept = [
                is_same(&next.preference, &first.preference),
                is_same(&next.budget, &first.budget),
                is_same(&next.breaker, &first.breaker),
            ];
            assert_eq!(is_kept, kept, "{to}");
        }
        let next = Shared::new(&config(&TEXT.replace("breaker", "pool.max_idle = 1\n#")).upstreams[0], Some(&*first));
        assert!(next.breaker.is_none());
    }
}
