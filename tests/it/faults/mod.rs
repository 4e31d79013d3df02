//! What can break, one file a family: the vendor's server, its certificate, its name, the caller, sidekey's own process.
//! `docs/reliability.md` says what becomes of each, and names the test that shows it.

mod caller;
mod ending;
mod names;
#[cfg(target_os = "linux")]
mod process;
mod tls;
mod upstream;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::support::Origin;

/// An `[upstream.api]` with `timeouts`.
fn with_timeouts(origin: &Origin, timeouts: &str) -> String {
    format!("{}timeouts = {{ {timeouts} }}\n", origin.upstream("api"))
}

/// Answers each request with its target, once `may_answer` lets it.
fn echo(may_answer: impl Fn() + Send + Sync + 'static) -> Origin {
    Origin::plain(move |conversation| {
        while let Some(request) = conversation.request() {
            may_answer();
            let body = request.target();
            conversation.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
        }
    })
}

const PAGE: &str = "docs/reliability.md";

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The rows of a page's tables: the heading of each, and the row.
fn rows(page: &str) -> Vec<(String, String)> {
    let page = read(page);
    let mut heading = "";
    let mut rows = Vec::new();
    for (line, next) in page.lines().zip(page.lines().skip(1).chain([""])).filter(|(line, _)| line.starts_with("| ")) {
        if next.starts_with("|--") {
            heading = line;
        } else {
            rows.push((heading.to_owned(), line.to_owned()));
        }
    }
    rows
}

/// Those that are about a fault, with what is in their comments.
fn faults() -> Vec<(String, String)> {
    let rows = rows(PAGE).into_iter().filter(|(heading, _)| heading.starts_with("| fault |"));
    let parts = rows.map(|(_, row)| {
        let (cells, comment) = row.split_once(" <!-- ").unwrap_or_else(|| panic!("no test is named: {row}"));
        (cells.to_owned(), comment.strip_suffix(" --> |").expect("a row ends with its comment").to_owned())
    });
    parts.collect()
}

/// What stands in code font.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// All of the files in `folder`, and in those within it.
fn files(folder: &Path) -> Vec<String> {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![fs::read_to_string(path).unwrap()] }).collect()
}

#[test]
fn every_fault_on_the_page_has_a_test() {
    let sources = ["tests/it", "src"].map(|folder| files(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder))).concat();
    let named = |test: &str| Some(test.split_once("fn ")?.1.split_once('(')?.0.to_owned());
    let tests: BTreeSet<_> =
        sources.iter().flat_map(|text| text.split("#[test]\n").skip(1).filter_map(named)).collect();
    let faults = faults();
    for (row, shown_by) in &faults {
        for test in shown_by.split(' ') {
            assert!(tests.contains(test), "there is no test `{test}`: {row}");
        }
    }
    assert!(faults.len() >= 90, "only {} faults", faults.len());
}

#[test]
fn what_the_log_says_on_the_page_is_what_it_says() {
    let sources = files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).concat();
    for (row, _) in faults() {
        let log = row.split(" | ").nth(2).unwrap().to_owned();
        for text in code(&log) {
            assert!(
                sources.contains(&format!("\"{text}")) || sources.contains(&format!("{text} =")),
                "`{text}`: {row}"
            );
        }
    }
}

#[test]
fn every_status_on_the_page_is_that_of_its_error() {
    let errors = read("docs/errors.md");
    let mut seen = 0;
    for (_, row) in rows(PAGE) {
        let statuses = row.match_indices(" `").filter_map(|(at, _)| {
            let before = row.get(at.checked_sub(3)?..at)?;
            before.parse::<u16>().is_ok().then_some((at, before))
        });
        for (at, status) in statuses {
            let slug = code(&row[at..]).next().unwrap();
            assert!(errors.contains(&format!("| `{slug}` | {status} |")), "{status} `{slug}`: {row}");
            seen += 1;
        }
    }
    assert!(seen >= 35, "only {seen} answers");
}

#[test]
fn every_deadline_of_the_config_has_the_status_of_its_error() {
    let errors = read("docs/errors.md");
    let deadlines = rows("docs/config.md").into_iter().filter(|(heading, _)| heading.starts_with("| phase |"));
    let mut seen = 0;
    for (_, row) in deadlines {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let status = cells[4].get(..3).filter(|status| status.parse::<u16>().is_ok());
        for slug in code(cells[5]) {
            assert!(status.is_some_and(|status| errors.contains(&format!("| `{slug}` | {status} |"))), "{row}");
            seen += 1;
        }
        assert_eq!(cells[5].is_empty(), status.is_none(), "{row}");
    }
    assert!(seen >= 10, "only {seen} answers");
}
