//! A vendor that is over its own limit says when to come again. Until then, nobody on that upstream asks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use http::StatusCode;

use super::rate::nanos;
use crate::config;
use crate::fields::Fields;
use crate::retry_after;
use crate::secret::Fingerprint;
use crate::upstream::Origin;

/// Whatever a vendor says, one is tried again after so long.
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// Until when the vendor wants to be left alone.
pub(super) struct Pause {
    asker: Asker,
    epoch: Instant,
    /// Nanoseconds after `epoch`, twice: the last bit says whether it was a 503 that asked for it. So the two are read, and
    /// written, as one.
    until: AtomicU64,
    /// How often it has come to want that.
    count: AtomicU64,
}

/// Where who is asked for it: with another key, it may be nobody.
#[derive(PartialEq, Eq)]
struct Asker {
    origin: Origin,
    secrets: [Fingerprint; 2],
}

/// A vendor's wish to be left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) until: Instant,
    pub(super) with: Refusal,
}

/// The status with which a vendor asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// 429.
    TooManyRequests,
    /// 503.
    Unavailable,
}

impl Pause {
    /// That of `config`. `previous` goes on, if it is of the same place and the same keys.
    pub(super) fn new(config: &config::Upstream, previous: Option<&Arc<Self>>) -> Arc<Self> {
        let secrets = [config.secrets, config.fallback_secrets];
        let asker = Asker { origin: config.origin.clone(), secrets };
        let count = previous.map_or(0, |previous| previous.count.load(Ordering::Relaxed)).into();
        match previous.filter(|previous| previous.asker == asker) {
            Some(previous) => Arc::clone(previous),
            None => Arc::new(Self { asker, epoch: Instant::now(), until: AtomicU64::new(0), count }),
        }
    }

    /// Notes what an answer asks for, if it does. The longest counts.
    pub(super) fn heed(&self, status: StatusCode, fields: &Fields, now: Instant) {
        let unavailable = match status {
            StatusCode::TOO_MANY_REQUESTS => 0,
            StatusCode::SERVICE_UNAVAILABLE => 1,
            _ => return,
        };
        let Some(wait) = retry_after::read(fields, SystemTime::now()).filter(|wait| !wait.is_zero()) else { return };
        let until = nanos((now + wait.min(LONGEST)).saturating_duration_since(self.epoch));
        let before = self.until.fetch_max(until << 1 | unavailable, Ordering::Relaxed);
        if self.moment(before) <= now {
            self.count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many pauses have begun.
    pub(super) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// What is asked for at `now`. `None`: nothing.
    pub(super) fn asked(&self, now: Instant) -> Option<Asked> {
        let noted = self.until.load(Ordering::Relaxed);
        let until = self.moment(noted);
        let with = if noted & 1 == 0 { Refusal::TooManyRequests } else { Refusal::Unavailable };
        (until > now).then_some(Asked { until, with })
    }

    fn moment(&self, noted: u64) -> Instant {
        self.epoch + Duration::from_nanos(noted >> 1)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::path::Path;
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use http::StatusCode;

    use super::{Asked, Pause, Refusal};
    use crate::config::Config;
    use crate::config::file::parse_with;
    use crate::fields::Fields;
    use crate::fields::tests::fields;
    use crate::secret::source::Source;

    fn config(url: &str, secret: &str) -> Config {
        let text = format!("[upstream.x]\nurl = '{url}'\nauth.bearer.token = 'env:A'\nobey_retry_after = true\n");
        let given: [(&str, &[u8]); 1] = [("env:A", secret.as_bytes())];
        parse_with(Path::new("x.toml"), &text, Source::Given(&given)).unwrap_or_else(|error| panic!("{error}"))
    }

    pub(in crate::limits) fn pause() -> Arc<Pause> {
        Pause::new(&config("https://x.test", "alpha-one").upstreams[0], None)
    }

    #[test]
    fn another_key_or_another_place_was_not_asked_to_wait() {
        let pause = pause();
        for (url, secret, same) in [
            ("https://x.test", "alpha-one", true),
            ("https://x.test", "beta-two", false),
            ("https://y.test", "alpha-one", false),
        ] {
            let next = Pause::new(&config(url, secret).upstreams[0], Some(&pause));
            assert_eq!(Arc::ptr_eq(&next, &pause), same, "{url} {secret}");
        }
    }

    fn asks(seconds: &str) -> Fields {
        fields(&[("retry-after", seconds)])
    }

    fn asked_for(pause: &Pause, now: Instant) -> Option<(u64, Refusal)> {
        pause.asked(now).map(|Asked { until, with }| ((until - now).as_secs(), with))
    }

    #[test]
    fn a_vendor_is_left_alone_as_long_as_it_asks_for() {
        let (pause, now) = (pause(), Instant::now());
        for (status, value) in [(429, "0"), (429, "never"), (200, "9"), (500, "9")] {
            pause.heed(StatusCode::from_u16(status).unwrap(), &asks(value), now);
            assert_eq!(pause.asked(now), None, "{status} {value}");
        }
        pause.heed(StatusCode::TOO_MANY_REQUESTS, &asks("5"), now);
        assert_eq!(asked_for(&pause, now), Some((5, Refusal::TooManyRequests)));
        pause.heed(StatusCode::SERVICE_UNAVAILABLE, &asks("9"), now);
        assert_eq!(asked_for(&pause, now), Some((9, Refusal::Unavailable)));
        pause.heed(StatusCode::TOO_MANY_REQUESTS, &asks("2"), now);
        assert_eq!(asked_for(&pause, now), Some((9, Refusal::Unavailable)), "the longest counts");
        assert_eq!(pause.asked(now + Duration::from_secs(9)), None);
        assert_eq!(pause.count(), 1, "a pause that grows is one");
        pause.heed(StatusCode::TOO_MANY_REQUESTS, &asks("1"), now + Duration::from_secs(10));
        assert_eq!(pause.count(), 2);
    }

    #[test]
    fn no_vendor_is_left_alone_for_more_than_an_hour() {
        let (pause, now) = (pause(), Instant::now());
        pause.heed(StatusCode::SERVICE_UNAVAILABLE, &asks("999999999"), now);
        assert_eq!(asked_for(&pause, now), Some((3600, Refusal::Unavailable)));
    }
}
