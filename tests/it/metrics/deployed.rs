//! The dashboard and the alert rules in `deploy/`: each query finds something in what sidekey really says, and Prometheus'
//! own tools find no fault with it.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::page::Page;
use super::{Busy, read, repository, scrape};

/// What Prometheus adds to every series that it scrapes, or to those of a histogram.
const ADDED: [&str; 3] = ["job", "instance", "le"];

/// Asserts that a query speaks of series, labels and values of labels that there are.
fn assert_answerable(query: &str, page: &Page) {
    let names = page.names();
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut found = 0;
    let mut usable: BTreeSet<&str> = ADDED.into();
    let mut rest = query;
    while let Some(at) = rest.find(|c: char| c.is_ascii_lowercase()) {
        rest = &rest[at..];
        let (word, after) = rest.split_at(rest.find(|c| !is_name(c)).unwrap_or(rest.len()));
        rest = after;
        if word == "up" || word.starts_with("sidekey_") || word.starts_with("process_") {
            found += 1;
            let up = BTreeSet::new();
            let labels =
                if word == "up" { &up } else { names.get(word).unwrap_or_else(|| panic!("`{word}` in {query}")) };
            usable.extend(labels);
            if let Some(selector) = after.strip_prefix('{') {
                let (selector, behind) = selector.split_once('}').unwrap();
                rest = behind;
                for part in selector.split(',') {
                    let label = part.split(['=', '!']).next().unwrap();
                    assert!(labels.contains(label) || ADDED.contains(&label), "`{label}` of `{word}` in {query}");
                    assert_values(page, word, label, &part[label.len()..]);
                }
            }
        } else if let Some(quoted) = word.chars().next().and_then(|_| after.strip_prefix('"')) {
            rest = quoted.split_once('"').map_or("", |(_, behind)| behind);
        }
    }
    assert!(found > 0, "{query}");
    for keyword in ["by (", "by(", "on (", "on(", "group_left (", "without ("] {
        for list in query.split(keyword).skip(1) {
            for label in list.split(')').next().unwrap().split(',').map(str::trim).filter(|label| !label.is_empty()) {
                assert!(usable.contains(label), "`{label}` in {query}");
            }
        }
    }
}

/// Asserts that a label has the values that a selector names, if it names any that are whole. Of problems there are more
/// than one page has.
fn assert_values(page: &Page, name: &str, label: &str, matcher: &str) {
    let (operator, value) = matcher.split_once('"').unwrap();
    if operator.starts_with('!') || label == "problem" || ADDED.contains(&label) || value.contains(['$', '*']) {
        return;
    }
    for value in value.trim_end_matches('"').split('|') {
        assert!(page.has(name, label, value), "no `{name}` has `{label}` {value}");
    }
}

/// Every text under a key `expr` or `query` of a dashboard, however deep.
fn queries<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(members) => {
            found.extend(members.get("expr").and_then(Value::as_str));
            members.values().for_each(|member| queries(member, found));
        }
        Value::Array(items) => items.iter().for_each(|item| queries(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn every_query_of_the_dashboard_and_the_alert_rules_finds_something() {
    let busy = Busy::start();
    let page = scrape(&busy.sidekey);
    let names = page.names();
    let dashboard: Value = serde_json::from_str(&read("deploy/grafana/sidekey.json")).unwrap();
    let mut asked = Vec::new();
    queries(&dashboard, &mut asked);
    assert!(asked.len() >= 25, "{}", asked.len());
    let rules = read("deploy/prometheus/alerts.yaml");
    let rules: Vec<_> = rules.lines().filter_map(|line| line.trim().strip_prefix("expr: ")).collect();
    assert!(rules.len() >= 10, "{rules:?}");
    asked.iter().chain(&rules).for_each(|query| assert_answerable(query, &page));
    // The variables, too, are of labels that there are.
    for variable in dashboard["templating"]["list"].as_array().unwrap() {
        let Some(query) = variable["query"]["query"].as_str() else { continue };
        let inside = query.strip_prefix("label_values(").unwrap().trim_end_matches(')');
        let (series, label) = inside.rsplit_once(',').unwrap();
        assert_answerable(series, &page);
        let name = series.split('{').next().unwrap();
        assert!(names[name].contains(label.trim()) || ADDED.contains(&label.trim()), "{query}");
    }
    // Problems that are named there exist.
    let errors = read("docs/errors.md");
    for query in asked.iter().chain(&rules) {
        for (_, problem) in query.match_indices("problem=\"").map(|(at, key)| query.split_at(at + key.len())) {
            let problem = problem.split('"').next().unwrap();
            assert!(errors.contains(&format!("| `{problem}` |")), "{query}");
        }
    }
}

#[test]
#[should_panic(expected = "`sidekey_no_such_total`")]
fn a_query_of_what_there_is_not_would_be_noticed() {
    assert_answerable(
        "sum by (upstream) (rate(sidekey_no_such_total{upstream=\"a\"}[5m]))",
        &Page::parse(String::new()),
    );
}

#[test]
#[should_panic(expected = "`state` ajar")]
fn a_query_of_a_value_that_there_is_not_would_be_noticed() {
    let page = Page::parse("sidekey_door{state=\"open\"} 1\n".to_owned());
    assert_answerable("sidekey_door{state=~\"open|ajar\"}", &page);
}

#[test]
fn every_alert_rule_has_a_test_and_tells_what_to_do() {
    let (rules, tests) = (read("deploy/prometheus/alerts.yaml"), read("deploy/prometheus/alerts.test.yaml"));
    let alerts: Vec<_> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() >= 10, "{alerts:?}");
    let docs = read("docs/metrics.md");
    for alert in alerts {
        assert!(tests.contains(&format!("alertname: {alert}\n")), "{alert} has no test");
        assert!(docs.contains(&format!("| `{alert}` |")), "{alert} is not in docs/metrics.md");
    }
}

/// Runs a program with `input`, and asserts that it is content.
fn assert_content(program: &mut Command, input: &str) {
    let mut child = program.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let ended = child.wait_with_output().unwrap();
    let said = [ended.stdout, ended.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(ended.status.success(), "{program:?}: {said}");
    // A rule that finds nothing is no success.
    assert!(!said.contains(": 0 rules found"), "{said}");
}

#[test]
#[ignore = "needs promtool, which `.ci/run` installs"]
fn promtool_finds_no_fault() {
    let busy = Busy::start();
    let page = scrape(&busy.sidekey);
    assert_content(Command::new("promtool").args(["check", "metrics"]), &page.text);
    let folder = repository().join("deploy/prometheus");
    assert_content(Command::new("promtool").args(["check", "rules", "alerts.yaml"]).current_dir(&folder), "");
    assert_content(Command::new("promtool").args(["test", "rules", "alerts.test.yaml"]).current_dir(&folder), "");
    // The dashboard's queries, as rules: so their grammar is looked at, too.
    let dashboard: Value = serde_json::from_str(&read("deploy/grafana/sidekey.json")).unwrap();
    let mut asked = Vec::new();
    queries(&dashboard, &mut asked);
    let rule = |(number, query): (usize, &&str)| {
        let query =
            ["$job", "$instance", "$upstream"].iter().fold(query.to_string(), |text, name| text.replace(name, ".*"));
        let query = Value::from(query.replace("$__rate_interval", "5m"));
        format!("      - record: dashboard:{number}\n        expr: {query}\n")
    };
    let rules: String = asked.iter().enumerate().map(rule).collect();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("groups:\n  - name: dashboard\n    rules:\n{rules}")).unwrap();
    assert_content(Command::new("promtool").args(["check", "rules"]).arg(file.path()), "");
}

#[test]
#[ignore = "needs PyPI's prometheus-client, which `.ci/run` installs"]
fn the_parser_of_openmetrics_finds_no_fault() {
    let busy = Busy::start();
    let page = busy.sidekey.ask_admin("/metrics", "Accept: application/openmetrics-text\r\n").text();
    let script = "import sys\nfrom prometheus_client.openmetrics.parser import text_string_to_metric_families as parse\n\
                  families = list(parse(sys.stdin.read()))\nassert len(families) > 30, len(families)\n";
    let python: PathBuf = repository().join(".ci/cache/python/bin/python");
    assert_content(Command::new(python).args(["-c", script]), &page);
}
