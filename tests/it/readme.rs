//! What the documents say: every config in them is accepted, every command and program in the README runs, and their tables
//! list what there is.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use tempfile::TempDir;

/// A fenced block, and where it stands.
struct Block {
    place: String,
    language: String,
    text: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The README and every page of `docs/`.
fn documents() -> Vec<String> {
    let pages = fs::read_dir(root().join("docs")).unwrap();
    let pages = pages.map(|page| format!("docs/{}", page.unwrap().file_name().into_string().unwrap()));
    let mut documents: Vec<String> = pages.filter(|page| page.ends_with(".md")).collect();
    documents.extend(["README.md".into(), "SECURITY.md".into(), "CONTRIBUTING.md".into(), "CHANGELOG.md".into()]);
    documents
}

fn blocks(document: &str) -> Vec<Block> {
    let text = read(document);
    let mut blocks: Vec<Block> = Vec::new();
    let mut inside = false;
    for (number, line) in text.lines().enumerate() {
        match (line.strip_prefix("```"), inside) {
            (Some(language), false) => {
                let place = format!("{document}:{}", number + 1);
                blocks.push(Block { place, language: language.into(), text: String::new() });
                inside = true;
            }
            (Some(_), true) => inside = false,
            (None, true) => {
                let block = &mut blocks.last_mut().unwrap().text;
                block.push_str(line);
                block.push('\n');
            }
            (None, false) => {}
        }
    }
    assert!(!inside, "{document}: a block does not end");
    blocks
}

#[test]
fn every_config_in_the_documents_is_accepted() {
    let blocks: Vec<Block> = documents().iter().flat_map(|document| blocks(document)).collect();
    let configs: Vec<&Block> = blocks.iter().filter(|block| block.language == "toml").collect();
    assert!(configs.len() >= 10, "found only {}", configs.len());
    for config in configs {
        let surroundings = Surroundings::of(&config.text);
        let checked = surroundings.check();
        let said = String::from_utf8_lossy(&checked.stderr);
        assert!(checked.status.success(), "{}:\n{said}", config.place);
    }
}

#[test]
fn the_config_for_systemd_is_accepted() {
    let checked = Surroundings::of(&read("deploy/systemd/sidekey.toml")).check();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}

#[test]
fn a_config_that_is_wrong_would_be_noticed() {
    let checked = Surroundings::of("[upstream.x]\npreset = \"imagga\"\nauth.bearer = { token = \"env:T\" }\n").check();
    assert_eq!(checked.status.code(), Some(78));
}

/// What a config refers to: files in a folder of its own, and variables.
struct Surroundings {
    folder: TempDir,
    variables: Vec<String>,
}

impl Surroundings {
    /// Every absolute path in `config` is moved into the folder; secrets and certificates are put there.
    fn of(config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["x.test".to_owned()]).unwrap();
        let mut text = String::new();
        let mut variables = Vec::new();
        // The parts between quotes are the odd ones. No value in the documents has a quote in it.
        for (index, part) in config.split('"').enumerate() {
            if index > 0 {
                text.push('"');
            }
            if index % 2 == 0 {
                text.push_str(part);
            } else if let Some(name) = part.strip_prefix("env:") {
                variables.push(name.to_owned());
                text.push_str(part);
            } else if let Some(name) = part.strip_prefix("credential:") {
                fs::write(folder.path().join(name), "made-up-and-long-enough\n").unwrap();
                text.push_str(part);
            } else {
                let (kind, path) = part.split_at(part.len() - part.trim_start_matches("file:").len());
                let (kind, path) = match path.strip_prefix("unix:") {
                    Some(path) => ("unix:", path),
                    None => (kind, path),
                };
                let path = path.trim_start_matches('/');
                let content = match Path::new(path).extension().and_then(|extension| extension.to_str()) {
                    Some("pem" | "crt") => cert.pem(),
                    Some("key") => signing_key.serialize_pem(),
                    _ => "made-up-and-long-enough\n".into(),
                };
                if kind == "unix:" || (kind.is_empty() && ![".pem", ".crt"].iter().any(|end| path.ends_with(end))) {
                    text.push_str(if kind.is_empty() { part } else { "unix:proxy.sock" });
                    continue;
                }
                text.push_str(kind);
                text.push_str(path);
                let file = folder.path().join(path);
                fs::create_dir_all(file.parent().unwrap()).unwrap();
                fs::write(file, content).unwrap();
            }
        }
        fs::write(folder.path().join("sidekey.toml"), text).unwrap();
        // The one program that the documents' commands run.
        let program = folder.path().join("op");
        fs::write(&program, "#!/bin/sh\necho made-up-and-long-enough\n").unwrap();
        fs::set_permissions(program, PermissionsExt::from_mode(0o755)).unwrap();
        Self { folder, variables }
    }

    fn check(&self) -> std::process::Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sidekey"));
        command.env_clear().env("PATH", self.folder.path()).env("CREDENTIALS_DIRECTORY", self.folder.path());
        command.arg("check").arg("--config").arg(self.folder.path().join("sidekey.toml"));
        command.envs(self.variables.iter().map(|name| (name, "made-up-and-long-enough"))).output().unwrap()
    }
}

/// A new kind of command in the README has to be run by something, too.
#[test]
fn every_command_of_the_readme_is_one_that_is_run() {
    let pipeline = read(".ci/run");
    for block in blocks("README.md").iter().filter(|block| block.language == "sh") {
        for command in block.text.lines() {
            let run = match command.split(' ').next().unwrap() {
                // `the_readmes_examples_work`, below.
                "curl" => command.contains("localhost:8080") || command.contains("127.0.0.1:8080"),
                "cargo" => pipeline.contains(command),
                // No engine here: the Dockerfile's steps are run by hand there.
                "docker" => pipeline.contains("static_binary"),
                _ => false,
            };
            assert!(run, "{}: nothing runs `{command}`", block.place);
        }
    }
}

#[test]
#[ignore = "needs curl, python3 and node"]
fn the_readmes_examples_work() {
    let demo = Demo::start();
    let mut ran = 0;
    for block in blocks("README.md") {
        let text = block.text.replace(":8080", &format!(":{}", demo.port));
        let lines: Vec<&str> = match block.language.as_str() {
            "sh" => text.lines().filter(|line| line.starts_with("curl ")).collect(),
            "python" | "js" => vec![&text],
            _ => vec![],
        };
        for line in lines {
            let mut command = match block.language.as_str() {
                "python" => program("python3", &["-c", line]),
                "js" => program("node", &["--input-type=module", "-e", line]),
                _ => program("sh", &["-c", &line.replace("curl ", "curl --silent --show-error --fail ")]),
            };
            let output = command.output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{}: {line}\n{said}", block.place);
            ran += 1;
        }
    }
    assert!(ran >= 5, "only {ran} examples were found");
}

/// A program without the settings that would lead its requests elsewhere.
fn program(name: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(name);
    command.args(arguments).stdin(Stdio::null());
    for variable in ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "no_proxy"] {
        command.env_remove(variable);
    }
    command.env_remove("NO_PROXY");
    command
}

/// `sidekey demo` on a port of its own.
struct Demo {
    process: Child,
    port: u16,
}

impl Demo {
    fn start() -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sidekey"));
        command.args(["demo", "--port", "0"]).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok);
        let port = lines.find_map(|line| line.trim().strip_prefix("sidekey  http://127.0.0.1:")?.parse().ok());
        // The rest is read, so that the demo never writes to a closed pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Self { process, port: port.expect("the demo says where it listens") }
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // SIGTERM, so that it removes its folder.
        let _ = Command::new("kill").arg(self.process.id().to_string()).status();
        let _ = self.process.wait();
    }
}

#[test]
fn the_table_of_errors_is_complete() {
    let source = read("src/error/problem.rs") + &read("src/error/problem/upstream.rs");
    let is_slug = |text: &str| {
        let word = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase());
        text.split('-').all(word)
    };
    let in_source: BTreeSet<&str> = source.split('"').skip(1).step_by(2).filter(|text| is_slug(text)).collect();
    let table = read("docs/errors.md");
    let rows = table.lines().filter(|line| line.starts_with("| `"));
    let in_table: BTreeSet<&str> = rows.filter_map(|row| row.split('`').nth(1)).collect();
    assert!(in_source.len() > 15, "{in_source:?}");
    assert_eq!(in_source, in_table);
}

#[test]
fn the_page_on_the_config_has_every_key() {
    let example = read("config.example.toml");
    let page = read("docs/config.md");
    let mut keys = 0;
    for line in example.lines() {
        let line = line.strip_prefix("# ").unwrap_or(line);
        let Some((key, _)) = line.split_once(" = ") else { continue };
        if key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') {
            assert!(page.contains(&format!("| `{key}` |")), "`{key}`");
            keys += 1;
        }
    }
    assert!(keys > 20, "only {keys} keys were found");
}

/// The names under which a page's headings can be linked to: in lower case, `-` for a space, other signs left out.
fn anchors(page: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(page).unwrap();
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let anchor = |heading: &str| {
        let kept = heading.trim_start_matches('#').trim().chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
    };
    headings.map(anchor).collect()
}

#[test]
fn every_link_leads_somewhere() {
    let mut links = 0;
    for document in documents() {
        let folder = PathBuf::from(&document).parent().unwrap().to_owned();
        for link in read(&document).split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0.to_owned())) {
            if link.contains("://") {
                continue;
            }
            let (file, heading) = link.split_once('#').unwrap_or((&link, ""));
            let file = if file.is_empty() { root().join(&document) } else { root().join(&folder).join(file) };
            assert!(file.exists(), "{document}: {link}");
            assert!(heading.is_empty() || anchors(&file).contains(heading), "{document}: {link}");
            links += 1;
        }
    }
    assert!(links > 10, "only {links} links were found");
}
