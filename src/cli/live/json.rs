//! The report for a program: one object. Its keys stay what they are; durations are in milliseconds, and what was not
//! found out is `null`.

use std::io::{self, Write};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::Outcome;
use super::report::{Report, Timed};

pub(super) fn write(
    out: &mut impl Write,
    outcome: Outcome,
    reports: &[Report<'_>],
    warnings: &[String],
) -> io::Result<()> {
    let upstreams: Vec<Value> = reports.iter().map(upstream).collect();
    let whole = json!({ "outcome": name(outcome), "upstreams": upstreams, "warnings": warnings });
    writeln!(out, "{whole:#}")?;
    out.flush()
}

fn name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Good => "good",
        Outcome::Warned => "warned",
        Outcome::Failed => "failed",
    }
}

fn upstream(report: &Report<'_>) -> Value {
    let config = report.config;
    let findings = report.findings.iter().map(|finding| {
        json!({
            "step": finding.step.name(),
            "level": finding.level.name(),
            "code": finding.code,
            "text": finding.text,
            "hint": finding.hint,
        })
    });
    json!({
        "name": config.name,
        "url": config.origin.to_string(),
        "preset": config.preset.map(|preset| preset.name),
        "scheme": config.scheme(),
        "outcome": name(report.outcome()),
        "lookup": report.lookup.as_ref().map(|Timed { took, fact }| {
            json!({ "ms": ms(*took), "addresses": fact.found, "permitted": fact.permitted })
        }),
        "connect": report.connection.as_ref().map(|Timed { took, fact }| json!({ "ms": ms(*took), "address": fact })),
        "tls": tls(report),
        "probe": report.answer.as_ref().map(|Timed { took, fact }| {
            let probe = config.probe.as_ref();
            json!({
                "ms": ms(*took),
                "method": probe.map(|probe| probe.method.as_str()),
                "path": probe.map(|probe| probe.path.path()),
                "status": fact.status.as_u16(),
            })
        }),
        "credential": report.credential.name(),
        "quota": report.quota.as_ref().map(|quota| {
            json!({
                "used": quota.used.map(number),
                "limit": quota.limit.map(number),
                "left": number(quota.left),
                "of": quota.of,
            })
        }),
        "clock": report.clock.map(|clock| {
            json!({ "skew_ms": whole_ms(clock.skew), "uncertainty_ms": whole_ms(clock.uncertainty) })
        }),
        "findings": findings.collect::<Vec<_>>(),
    })
}

fn tls(report: &Report<'_>) -> Option<Value> {
    let Timed { took, fact } = report.tls.as_ref()?;
    let now = SystemTime::now();
    let chain = fact.chain.iter().map(|certificate| {
        json!({
            "subject": certificate.subject,
            "issuer": certificate.issuer,
            "expires": certificate.expires,
            "days_left": certificate.days_left(now),
        })
    });
    let days_left = fact.chain.iter().map(|certificate| certificate.days_left(now)).min();
    let chain = chain.collect::<Vec<_>>();
    Some(json!({ "ms": ms(*took), "version": fact.version, "http": fact.http, "days_left": days_left, "chain": chain }))
}

/// With a thousandth of it.
fn ms(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1_000_000.0).round() / 1000.0
}

/// A whole number as one.
fn number(number: f64) -> Value {
    let whole = number as i64;
    if whole as f64 == number { json!(whole) } else { json!(number) }
}

/// The seconds' milliseconds, as far as they say anything.
fn whole_ms(seconds: f64) -> i64 {
    (seconds * 1000.0).round() as i64
}
