//! What was found out of one upstream: facts, a field each, and findings, which say what they mean. Texts from outside
//! are plain by the time that they are here.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use http::StatusCode;

use super::Outcome;
use super::certificate::Certificate;
use super::clock::Clock;
use crate::config;

pub(super) struct Report<'a> {
    pub(super) config: &'a config::Upstream,
    pub(super) lookup: Option<Timed<Addresses>>,
    pub(super) connection: Option<Timed<Option<SocketAddr>>>,
    pub(super) tls: Option<Timed<Tls>>,
    pub(super) answer: Option<Timed<Answered>>,
    pub(super) credential: Verdict,
    pub(super) quota: Option<Quota>,
    pub(super) clock: Option<Clock>,
    pub(super) findings: Vec<Finding>,
    /// What is under way, and since when.
    step: Step,
    since: Instant,
}

/// A fact, and how long it took to find it out.
pub(super) struct Timed<T> {
    pub(super) took: Duration,
    pub(super) fact: T,
}

pub(super) struct Addresses {
    pub(super) found: Vec<IpAddr>,
    /// So many of them may be dialled.
    pub(super) permitted: usize,
}

pub(super) struct Tls {
    pub(super) version: &'static str,
    /// The version of HTTP that was agreed on.
    pub(super) http: &'static str,
    /// As the vendor sent it, the leaf first; what cannot be read is left out.
    pub(super) chain: Vec<Certificate>,
}

pub(super) struct Answered {
    pub(super) status: StatusCode,
}

/// What the vendor makes of the credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It was not asked.
    Unasked,
    Accepted,
    Rejected,
    /// Its answer does not say.
    NotTold,
}

/// What may still be asked.
pub(super) struct Quota {
    pub(super) used: Option<f64>,
    pub(super) limit: Option<f64>,
    pub(super) left: f64,
    /// What is counted: `credits`, or the time, such as `this month`.
    pub(super) of: &'static str,
}

/// Where in the work something was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Lookup,
    Connect,
    Tls,
    Probe,
    Credential,
    Quota,
    Clock,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    /// Something to know.
    Note,
    Warning,
    Failure,
}

/// What a fact means, or why there is none.
pub(super) struct Finding {
    pub(super) step: Step,
    pub(super) level: Level,
    /// For programs: of small letters and `_`, and the same from version to version.
    pub(super) code: String,
    pub(super) text: String,
    pub(super) hint: Option<&'static str>,
}

impl<'a> Report<'a> {
    pub(super) fn new(config: &'a config::Upstream) -> Self {
        Self {
            config,
            lookup: None,
            connection: None,
            tls: None,
            answer: None,
            credential: Verdict::Unasked,
            quota: None,
            clock: None,
            findings: Vec::new(),
            step: Step::Lookup,
            since: Instant::now(),
        }
    }

    /// From now on, this is under way.
    pub(super) fn begin(&mut self, step: Step) {
        (self.step, self.since) = (step, Instant::now());
    }

    /// What is under way has led to `fact`.
    pub(super) fn timed<T>(&self, fact: T) -> Option<Timed<T>> {
        Some(Timed { took: self.since.elapsed(), fact })
    }

    /// Notes what was found out at this `step`.
    pub(super) fn find(
        &mut self,
        step: Step,
        level: Level,
        code: impl Into<String>,
        text: impl Into<String>,
        hint: impl Into<Option<&'static str>>,
    ) {
        self.findings.push(Finding { step, level, code: code.into(), text: text.into(), hint: hint.into() });
    }

    /// Notes why what is under way leads nowhere.
    pub(super) fn stop(&mut self, level: Level, code: String, text: String, hint: Option<&'static str>) {
        self.find(self.step, level, code, text, hint);
    }

    pub(super) fn findings_of(&self, step: Step) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(move |finding| finding.step == step)
    }

    pub(super) fn outcome(&self) -> Outcome {
        self.findings.iter().map(|finding| finding.level.into()).max().unwrap_or(Outcome::Good)
    }
}

impl Step {
    /// In the order in which they are taken.
    pub(super) const ALL: [Self; 7] =
        [Self::Lookup, Self::Connect, Self::Tls, Self::Probe, Self::Credential, Self::Quota, Self::Clock];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Lookup => "lookup",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Probe => "probe",
            Self::Credential => "credential",
            Self::Quota => "quota",
            Self::Clock => "clock",
        }
    }
}

impl Level {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Failure => "failure",
        }
    }
}

impl Verdict {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Unasked => "not_asked",
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
            Self::NotTold => "not_told",
        }
    }
}
