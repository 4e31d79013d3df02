//! The config as it is written: reads TOML into a [`Config`], or says everything that is wrong with it.

use std::fs::File;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::de::DeTable;

use super::error::{ConfigError, Fault, Position, Problem};
use super::listen::ListenerFile;
use super::read::{Reader, Table};
use super::{
    Config, ListenAddress, Listener, Reload, Server, Upstream, admin, advice, browser, caller, listen, log, lookup,
    names, syntax, upstream,
};
use crate::secret::source::{self, Source, SourceError};

const RELOAD_INTERVAL: Duration = Duration::from_secs(5);
const DRAIN_DELAY: Duration = Duration::ZERO;
const DRAIN: Duration = Duration::from_secs(25);
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
pub(super) const BODY_TIMEOUT: Duration = Duration::from_secs(60);
const KEEP_ALIVE: Duration = Duration::from_secs(75);
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);
/// A config is at most this long, in bytes: far more than anybody writes.
const MAX_CONFIG: u64 = 4 << 20;
/// Far more than a process can have.
const MOST_CONNECTIONS: usize = 1_000_000;
/// 64 MiB.
const MAX_BUFFERED: u64 = 64 << 20;
/// More threads than any machine that this is meant for has.
const MAX_WORKERS: usize = 1024;
/// The listener that there is without any `[listen.*]`.
pub(super) const DEFAULT_NAME: &str = "local";
pub(super) const DEFAULT_ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);

pub(super) fn load(path: &Path) -> Result<Config, ConfigError> {
    parse(path, &read_text(path)?)
}

/// As [`load`], by a process that serves: it waits for no pipe's writer, but refuses what is no regular file.
pub(super) fn load_again(path: &Path) -> Result<Config, ConfigError> {
    parse(path, &text_of(path, source::open(path))?)
}

/// The file's text. At start, it may come through a pipe.
pub(super) fn read_text(path: &Path) -> Result<String, ConfigError> {
    text_of(path, File::open(path).map_err(|error| source::of_io(&error)))
}

fn text_of(path: &Path, file: Result<File, SourceError>) -> Result<String, ConfigError> {
    let refuse = |position, fault| ConfigError::new(path, vec![Problem::new(position, None, fault)]);
    let mut bytes = Vec::new();
    let read =
        file.and_then(|file| file.take(MAX_CONFIG + 1).read_to_end(&mut bytes).map_err(|error| source::of_io(&error)));
    match read {
        Ok(length) if length as u64 > MAX_CONFIG => return Err(refuse(None, unreadable(SourceError::TooLarge))),
        Ok(_) => {}
        Err(error) => return Err(refuse(None, unreadable(error))),
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(text),
        Err(error) => {
            let (bytes, error) = (error.as_bytes(), error.utf8_error());
            let intact = bytes.get(..error.valid_up_to()).and_then(|bytes| std::str::from_utf8(bytes).ok());
            let position = Position::of(error.valid_up_to(), intact.unwrap_or_default());
            Err(refuse(Some(position), Fault::new("not UTF-8, as TOML has to be")))
        }
    }
}

fn unreadable(error: SourceError) -> Fault {
    match error {
        SourceError::NotFound => Fault::new("there is no such file").hint("name one with `--config FILE`"),
        SourceError::Denied => Fault::new("the file cannot be read: permission denied"),
        SourceError::Directory => Fault::new("expected a file, found a directory"),
        SourceError::NotRegular => Fault::new("expected a regular file, which can be read again"),
        SourceError::TooLarge => Fault::new(format!("the file has more than {} MiB", MAX_CONFIG >> 20)),
        SourceError::Unreadable
        | SourceError::NotSet
        | SourceError::NoCredentials
        | SourceError::Empty
        | SourceError::Command(_) => Fault::new("the file cannot be read"),
    }
}

pub(super) fn parse(path: &Path, text: &str) -> Result<Config, ConfigError> {
    let folder = path.parent().unwrap_or(Path::new(""));
    parse_with(path, text, Source::Process { folder })
}

/// Parses `text`, whose references lead to `source`.
pub(crate) fn parse_with(path: &Path, text: &str, source: Source<'_>) -> Result<Config, ConfigError> {
    let (document, errors) = DeTable::parse_recoverable(text);
    let reader = Reader::new(source, text);
    let mut config = reader.root(document.get_ref(), read_config);
    let problems = reader.take_problems(text, syntax::problems(text, &errors));
    if !problems.is_empty() {
        return Err(ConfigError::new(path, problems));
    }
    config.path = path.to_owned();
    config.files.push(path.to_owned());
    Ok(config)
}

/// With problems noted, the result is only what could be read.
fn read_config(table: &mut Table<'_>) -> Config {
    let server = table.section("server", read_server);
    let reload = table
        .section("reload", |table| Reload { interval: table.duration_or_zero("interval").unwrap_or(RELOAD_INTERVAL) });
    let browser = table.section("browser", browser::read);
    let log = table.section("log", log::read);
    let listeners = table.section("listen", listen::read_all);
    let admin = admin::read_in(table);
    let mut upstreams = table.section("upstream", upstream::read_all);
    upstreams.read.iter_mut().for_each(|upstream| upstream.timeouts.body = server.body_timeout);
    let callers = table.section("caller", caller::read_all);
    let reader = table.reader();
    if upstreams.names.is_empty() {
        let fault = Fault::new("there is no upstream, so nothing to be a proxy for");
        reader.refuse_file(fault.hint("add `[upstream.NAME]` with a `preset` or `url`, and `auth`"));
    }
    names::check(reader, &listeners, &upstreams);
    admin::check_address(reader, admin.as_ref(), &listeners);
    let read: Vec<&str> = upstreams.read.iter().map(|upstream| &*upstream.name).collect();
    caller::check_sockets(reader, &callers, &listeners);
    caller::check_client_cas(reader, &callers, &listeners);
    let callers = caller::resolve(table, callers, &upstreams.names, &read);
    listen::check_open(reader, &listeners, !callers.is_empty());
    let upstreams = upstreams.read;
    advice::on_memory(reader, &server, &upstreams);
    let listeners = listeners_of(listeners, &upstreams);
    let (warnings, files) = (reader.take_warnings(), reader.take_files());
    Config {
        path: PathBuf::new(),
        server,
        reload,
        browser,
        log,
        listeners,
        admin,
        upstreams,
        callers,
        warnings,
        files,
        fingerprint: reader.fingerprint(),
    }
}

/// The listeners as they are bound: there is one without any `[listen.*]`, too.
fn listeners_of(written: Vec<ListenerFile<'_>>, upstreams: &[Upstream]) -> Vec<Listener> {
    let position = |name: &str| upstreams.iter().position(|upstream| *upstream.name == *name);
    let mut listeners: Vec<Listener> = written
        .into_iter()
        .filter_map(|written| {
            let upstream = written.upstream.as_ref().and_then(|name| position(name.value));
            written.into_listener(upstream)
        })
        .collect();
    if listeners.is_empty() {
        listeners.push(default_listener());
    }
    listeners
}

fn read_server(table: &mut Table<'_>) -> Server {
    let workers = table.integer("workers", 1..=MAX_WORKERS).and_then(NonZeroUsize::new);
    Server {
        workers,
        drain_delay: table.duration_or_zero("drain_delay").unwrap_or(DRAIN_DELAY),
        drain: table.duration_or_zero("drain").unwrap_or(DRAIN),
        header_timeout: table.duration("header_timeout").unwrap_or(HEADER_TIMEOUT),
        body_timeout: table.duration("body_timeout").unwrap_or(BODY_TIMEOUT),
        keep_alive: table.duration("keep_alive").unwrap_or(KEEP_ALIVE),
        write_timeout: table.duration("write_timeout").unwrap_or(WRITE_TIMEOUT),
        max_connections: table.integer("max_connections", 1..=MOST_CONNECTIONS),
        max_buffered: table.size("max_buffered").unwrap_or(MAX_BUFFERED),
        lookup: lookup::read(table),
    }
}

fn default_listener() -> Listener {
    Listener {
        name: DEFAULT_NAME.into(),
        address: ListenAddress::Tcp(DEFAULT_ADDRESS),
        names: Vec::new(),
        upstream: None,
        dangerously_open: false,
        open: false,
        tls: None,
    }
}
