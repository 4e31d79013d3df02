//! Writes metrics as Prometheus reads them: its own text format, or OpenMetrics. No maintained crate writes both from
//! numbers that it does not own.

use std::fmt::{Display, Write};

use super::cells::Sum;

/// What a scrape is answered in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Prometheus text 0.0.4.
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Format {
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// A page of metrics that is being written. Families come whole, one after the other.
pub(super) struct Exposition {
    format: Format,
    text: String,
}

/// Names and values of labels, in the order in which they are shown.
pub(super) type Labels<'a> = &'a [(&'a str, &'a str)];

impl Exposition {
    pub(super) fn new(format: Format) -> Self {
        Self { format, text: String::with_capacity(64 * 1024) }
    }

    /// What only goes up. `name` is without `_total`.
    pub(super) fn counter(&mut self, name: &str, help: &str, samples: impl FnOnce(&mut Samples<'_>)) {
        // The text format has no name for the family besides that of its samples.
        let family = match self.format {
            Format::Text => format!("{name}_total"),
            Format::OpenMetrics => name.to_owned(),
        };
        self.begin(&family, "counter", help);
        samples(&mut Samples { text: &mut self.text, name: &format!("{name}_total") });
    }

    pub(super) fn gauge(&mut self, name: &str, help: &str, samples: impl FnOnce(&mut Samples<'_>)) {
        self.begin(name, "gauge", help);
        samples(&mut Samples { text: &mut self.text, name });
    }

    pub(super) fn histogram(&mut self, name: &str, help: &str, series: impl FnOnce(&mut Histograms<'_>)) {
        self.begin(name, "histogram", help);
        series(&mut Histograms { text: &mut self.text, name });
    }

    fn begin(&mut self, family: &str, kind: &str, help: &str) {
        line(&mut self.text, format_args!("# HELP {family} {help}"));
        line(&mut self.text, format_args!("# TYPE {family} {kind}"));
        let unit = family.rsplit('_').next().filter(|unit| ["seconds", "bytes"].contains(unit));
        if let (Format::OpenMetrics, Some(unit)) = (self.format, unit) {
            line(&mut self.text, format_args!("# UNIT {family} {unit}"));
        }
    }

    pub(super) fn finish(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.text.push_str("# EOF\n");
        }
        self.text
    }
}

/// The samples of one family.
pub(super) struct Samples<'a> {
    text: &'a mut String,
    name: &'a str,
}

impl Samples<'_> {
    pub(super) fn add(&mut self, labels: Labels<'_>, value: impl Display) {
        sample(self.text, self.name, "", labels, None, value);
    }
}

/// The histograms of one family.
pub(super) struct Histograms<'a> {
    text: &'a mut String,
    name: &'a str,
}

impl Histograms<'_> {
    pub(super) fn add(&mut self, labels: Labels<'_>, sum: &Sum) {
        for (bound, count) in sum.cumulative() {
            // Debug keeps the point of `1.0`, as OpenMetrics wants it; both formats have the same series.
            sample(self.text, self.name, "_bucket", labels, Some(&format!("{bound:?}")), count);
        }
        sample(self.text, self.name, "_bucket", labels, Some("+Inf"), sum.count());
        sample(self.text, self.name, "_sum", labels, None, sum.seconds());
        sample(self.text, self.name, "_count", labels, None, sum.count());
    }
}

fn sample(text: &mut String, name: &str, suffix: &str, labels: Labels<'_>, bound: Option<&str>, value: impl Display) {
    text.push_str(name);
    text.push_str(suffix);
    let mut open = '{';
    for (label, value) in labels.iter().copied().chain(bound.map(|bound| ("le", bound))) {
        text.push(open);
        open = ',';
        text.push_str(label);
        text.push_str("=\"");
        value.chars().for_each(|character| match character {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            other => text.push(other),
        });
        text.push('"');
    }
    if open == ',' {
        text.push('}');
    }
    line(text, format_args!(" {value}"));
}

fn line(text: &mut String, content: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let _ = writeln!(text, "{content}");
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::cells::{COMPUTING, Histogram, Sum};
    use super::{Exposition, Format};

    fn page(format: Format) -> String {
        let mut page = Exposition::new(format);
        page.counter("x_body_bytes", "Bytes.", |samples| {
            samples.add(&[("name", "a\"\\\n"), ("other", "")], 3);
        });
        page.gauge("x_now", "Now.", |samples| samples.add(&[], 0.5));
        let histogram = Histogram::new(&COMPUTING);
        histogram.observe(Duration::from_millis(50));
        page.histogram("x_seconds", "Time.", |series| {
            series.add(&[("name", "a")], &Sum::of(&COMPUTING, [&histogram].into_iter()));
        });
        page.finish()
    }

    #[test]
    fn the_text_format_names_a_counter_as_its_sample() {
        let text = page(Format::Text);
        assert!(
            text.starts_with(
                "# HELP x_body_bytes_total Bytes.\n# TYPE x_body_bytes_total counter\nx_body_bytes_total{"
            )
        );
        assert!(text.contains("{name=\"a\\\"\\\\\\n\",other=\"\"} 3\n"), "{text}");
        assert!(text.contains("\nx_now 0.5\n"), "{text}");
        assert!(!text.contains("UNIT") && !text.contains("EOF"), "{text}");
    }

    #[test]
    fn openmetrics_names_the_family_and_its_unit_and_ends() {
        let text = page(Format::OpenMetrics);
        assert!(
            text.starts_with("# HELP x_body_bytes Bytes.\n# TYPE x_body_bytes counter\n# UNIT x_body_bytes bytes\n")
        );
        assert!(text.contains("\nx_body_bytes_total{") && text.contains("# UNIT x_seconds seconds\n"), "{text}");
        assert!(text.ends_with("\n# EOF\n"), "{text}");
    }

    #[test]
    fn buckets_add_up() {
        let text = page(Format::Text);
        for line in [
            "x_seconds_bucket{name=\"a\",le=\"0.0001\"} 0",
            "x_seconds_bucket{name=\"a\",le=\"1.0\"} 1",
            "x_seconds_bucket{name=\"a\",le=\"0.025\"} 0",
            "x_seconds_bucket{name=\"a\",le=\"0.05\"} 1",
            "x_seconds_bucket{name=\"a\",le=\"+Inf\"} 1",
            "x_seconds_sum{name=\"a\"} 0.05",
            "x_seconds_count{name=\"a\"} 1",
        ] {
            assert!(text.lines().any(|written| written == line), "{line}: {text}");
        }
    }
}
