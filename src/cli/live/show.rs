//! The report for a person: a block an upstream, a line a step. Every width is that of the text without its styles.

use std::io::{self, Write};
use std::time::{Duration, SystemTime};

use anstyle::{AnsiColor, Style};

use super::Outcome;
use super::certificate::days;
use super::report::{Addresses, Level, Report, Step, Timed, Tls, Verdict};

const STRONG: Style = Style::new().bold();
const QUIET: Style = Style::new().dimmed();
const GOOD: Style = AnsiColor::Green.on_default();
const WARNED: Style = AnsiColor::Yellow.on_default();
const FAILED: Style = AnsiColor::Red.on_default().bold();

/// What was found out of one upstream.
pub(super) fn block(out: &mut impl Write, report: &Report<'_>) -> io::Result<()> {
    let config = report.config;
    let preset = config.preset.map(|preset| format!(" (preset `{}`)", preset.name)).unwrap_or_default();
    let scheme = config.scheme();
    writeln!(out, "{STRONG}{}{STRONG:#}  {QUIET}{} with {scheme}{preset}{QUIET:#}", config.name, config.origin)?;
    for step in Step::ALL {
        line(out, report, step)?;
    }
    writeln!(out)?;
    out.flush()
}

/// A step's fact, and below it what was found about it; or what was found in its place.
fn line(out: &mut impl Write, report: &Report<'_>, step: Step) -> io::Result<()> {
    let fact = fact(report, step);
    let level = report.findings_of(step).map(|finding| finding.level).max();
    let mut lines = Vec::new();
    lines.extend(fact.text);
    for finding in report.findings_of(step) {
        lines.push(finding.text.clone());
        lines.extend(finding.hint.map(|hint| format!("{QUIET}hint: {hint}{QUIET:#}")));
    }
    let (style, mark) = match level {
        None => (GOOD, "ok"),
        Some(Level::Note) => (QUIET, "-"),
        Some(Level::Warning) => (WARNED, "warn"),
        Some(Level::Failure) => (FAILED, "fail"),
    };
    let (name, took) = (step.name(), fact.took.map(latency).unwrap_or_default());
    for (index, text) in lines.iter().enumerate() {
        match index {
            0 => writeln!(out, "  {style}{mark:<4}{style:#}  {name:<10}  {QUIET}{took:>7}{QUIET:#}  {text}")?,
            _ => writeln!(out, "{:27}{text}", "")?,
        }
    }
    Ok(())
}

/// What a step's line says if all is well.
#[derive(Default)]
struct Fact {
    text: Option<String>,
    took: Option<Duration>,
}

fn fact(report: &Report<'_>, step: Step) -> Fact {
    fn timed<T>(timed: Option<&Timed<T>>, text: impl FnOnce(&T) -> String) -> Fact {
        timed.map(|timed| Fact { text: Some(text(&timed.fact)), took: Some(timed.took) }).unwrap_or_default()
    }
    let untimed = |text: Option<String>| Fact { text, took: None };
    match step {
        Step::Lookup => timed(report.lookup.as_ref(), addresses),
        Step::Connect => timed(report.connection.as_ref(), |address| {
            address.map_or_else(|| "connected".to_owned(), |address| address.to_string())
        }),
        Step::Tls => timed(report.tls.as_ref(), tls),
        Step::Probe => timed(report.answer.as_ref(), |answered| match &report.config.probe {
            // Without the query: it is not for the eyes of everyone.
            Some(probe) => format!("{} {}: {}", probe.method, probe.path.path(), answered.status.as_u16()),
            None => answered.status.as_u16().to_string(),
        }),
        Step::Credential => untimed((report.credential == Verdict::Accepted).then(|| "accepted".to_owned())),
        Step::Quota => untimed(report.quota.as_ref().map(super::report::Quota::describe)),
        Step::Clock => untimed(report.clock.map(super::clock::Clock::describe)),
    }
}

fn addresses(Addresses { found, permitted }: &Addresses) -> String {
    const SHOWN: usize = 3;
    let mut text = found.iter().take(SHOWN).map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if let Some(more @ 1..) = found.len().checked_sub(SHOWN) {
        text.push_str(&format!(" and {more} more"));
    }
    let left_out = found.len() - permitted;
    if left_out > 0 && *permitted > 0 {
        text.push_str(&format!("; {left_out} not to be dialled"));
    }
    text
}

fn tls(Tls { version, http, chain }: &Tls) -> String {
    let now = SystemTime::now();
    let mut text = format!("TLS {version}, HTTP/{http}");
    if let Some(leaf) = chain.first() {
        let left = days(leaf.days_left(now));
        text.push_str(&format!(", `{}` by `{}`, {left} left", leaf.subject, leaf.issuer));
    }
    if let Some(rest) = chain.iter().skip(1).map(|certificate| certificate.days_left(now)).min() {
        text.push_str(&format!(" (the rest of its chain: {})", days(rest)));
    }
    text
}

/// In the unit that leaves two or three digits.
fn latency(took: Duration) -> String {
    match took.as_secs_f64() * 1000.0 {
        ms if ms < 10.0 => format!("{ms:.1} ms"),
        ms if ms < 1000.0 => format!("{ms:.0} ms"),
        ms => format!("{:.1} s", ms / 1000.0),
    }
}

/// The config's warnings, and the sum of it all.
pub(super) fn ending(out: &mut impl Write, reports: &[Report<'_>], warnings: &[String]) -> io::Result<()> {
    for warning in warnings {
        writeln!(out, "{WARNED}warning{WARNED:#}: {warning}")?;
    }
    let count = |outcome| reports.iter().filter(|report| report.outcome() == outcome).count();
    let plural = if reports.len() == 1 { "" } else { "s" };
    write!(out, "{STRONG}{} upstream{plural}{STRONG:#}", reports.len())?;
    let mut before = ":";
    for (outcome, style, word) in [
        (Outcome::Good, GOOD, "good"),
        (Outcome::Warned, WARNED, "with a warning"),
        (Outcome::Failed, FAILED, "failed"),
    ] {
        if let counted @ 1.. = count(outcome) {
            write!(out, "{before} {style}{counted} {word}{style:#}")?;
            before = ",";
        }
    }
    writeln!(out)?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Addresses, addresses, latency};

    #[test]
    fn a_latency_has_the_unit_that_fits() {
        for (micros, shown) in [(400, "0.4 ms"), (12_300, "12 ms"), (999_000, "999 ms"), (1_250_000, "1.2 s")] {
            assert_eq!(latency(Duration::from_micros(micros)), shown);
        }
    }

    #[test]
    fn many_addresses_are_counted_and_those_left_out_are_told() {
        let found = |count: u8| (1..=count).map(|last| [192, 0, 2, last].into()).collect::<Vec<_>>();
        for (count, permitted, shown) in [
            (1, 1, "192.0.2.1"),
            (2, 1, "192.0.2.1, 192.0.2.2; 1 not to be dialled"),
            (5, 5, "192.0.2.1, 192.0.2.2, 192.0.2.3 and 2 more"),
            (1, 0, "192.0.2.1"),
        ] {
            assert_eq!(addresses(&Addresses { found: found(count), permitted }), shown);
        }
    }
}
