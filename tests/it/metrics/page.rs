//! A page of metrics, taken apart.

use std::collections::{BTreeMap, BTreeSet};

pub(super) type Labels = BTreeMap<String, String>;

/// A page of metrics, read as Prometheus reads its text format.
pub(super) struct Page {
    pub(super) text: String,
    pub(super) types: BTreeMap<String, String>,
    samples: Vec<(String, Labels, f64)>,
}

impl Page {
    pub(super) fn parse(text: String) -> Self {
        let (mut types, mut samples) = (BTreeMap::new(), Vec::new());
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                assert!(types.insert(name.to_owned(), kind.to_owned()).is_none(), "a family comes once: {name}");
            } else if !line.starts_with('#') {
                let (series, value) = line.rsplit_once(' ').unwrap();
                let (name, labels) = match series.split_once('{') {
                    None => (series, Labels::new()),
                    Some((name, labels)) => (name, parse_labels(labels.strip_suffix('}').unwrap())),
                };
                samples.push((name.to_owned(), labels, value.parse().unwrap()));
            }
        }
        Self { text, types, samples }
    }

    /// The sum of all samples of `name` that have these labels.
    pub(super) fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let of = |(found, has, _): &&(String, Labels, f64)| {
            found == name && labels.iter().all(|(label, value)| has.get(*label).is_some_and(|known| known == value))
        };
        self.samples.iter().filter(of).map(|(_, _, value)| value).sum()
    }

    /// Whether a sample of `name` has this label with this value.
    pub(super) fn has(&self, name: &str, label: &str, value: &str) -> bool {
        let of = |(found, has, _): &(String, Labels, f64)| {
            found == name && has.get(label).is_some_and(|known| known == value)
        };
        self.samples.iter().any(of)
    }

    /// Every series' name with the labels that it can have; of a histogram, all three names.
    pub(super) fn names(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let mut names = BTreeMap::<_, BTreeSet<_>>::new();
        for (name, labels, _) in &self.samples {
            names.entry(&**name).or_default().extend(labels.keys().map(|label| &**label));
        }
        names
    }

    pub(super) fn families(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let names = self.names();
        let of = |(family, kind): (&'_ String, &String)| {
            let sample = if kind == "histogram" { format!("{family}_count") } else { family.clone() };
            names.get(&*sample).cloned().unwrap_or_default()
        };
        self.types.iter().map(|entry| (&**entry.0, of(entry))).collect()
    }
}

/// No value of the tests has a comma or a quote in it.
fn parse_labels(text: &str) -> Labels {
    let label = |label: &str| {
        let (name, value) = label.split_once('=').unwrap();
        (name.to_owned(), value.trim_matches('"').to_owned())
    };
    text.split(',').map(label).collect()
}
