//! `sidekey explain`: takes a request through the stages that decide, and sends nothing. What it says is what those
//! stages say; no secret is in it.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::time::Instant;

use http::header::HOST;
use http::{HeaderName, HeaderValue, Method, Uri};

use crate::browser::{self, Guard};
use crate::caller::{Caller, Callers, Peer, UnknownCaller};
use crate::config::{Config, Listener};
use crate::correlation::Correlation;
use crate::error::ProxyError;
use crate::headers::Presence;
use crate::message::RequestHead;
use crate::policy::rules::Verdict;
use crate::policy::{self, Sought};
use crate::route::{Routes, Target};
use crate::upstream::Upstream;
use crate::{headers, max_forwards, wire};

/// What is asked about.
#[derive(Clone, Debug, clap::Args)]
pub struct Question {
    /// The method, such as `GET`
    pub method: String,
    /// What is asked for: `/NAME/path`, or a whole URL as the app has it
    pub url: String,
    /// As if this caller asked
    #[arg(long, value_name = "NAME")]
    pub caller: Option<String>,
    /// As if it came in by this listener [default: the first by which the caller can come]
    #[arg(long, value_name = "NAME")]
    pub listen: Option<String>,
    /// With this header field; may be given more than once
    #[arg(long = "header", short = 'H', value_name = "NAME: VALUE")]
    pub headers: Vec<String>,
}

/// What would become of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outlook {
    /// It would be sent.
    Sent,
    /// sidekey would answer it itself, as it should.
    Answered,
    /// sidekey would refuse it.
    Refused,
}

/// Why there is no explanation.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// No request can look like this.
    #[error("`{0}` is not a request that a client could send")]
    Request(&'static str),
    /// The config has none of this name.
    #[error("there is no {kind} `{name}` in the config")]
    Unknown {
        /// What was looked for.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// The result cannot be written.
    #[error("cannot write the result")]
    Write(#[from] io::Error),
}

/// Explains what would become of the request on `out`.
///
/// # Errors
/// It is no request, or names what the config does not have.
pub fn explain(config: &Config, asked: &Question, out: &mut dyn Write) -> Result<Outlook, ExplainError> {
    let callers = Callers::offline(config);
    let named = asked.caller.as_deref().map(|name| callers.named(name).ok_or_else(|| unknown("caller", name)));
    let named = named.transpose()?;
    let admits = |listener: &Listener| named.as_ref().is_none_or(|caller| caller.may_come_by(listener));
    let mut listeners = config.listeners.iter();
    let listener = match asked.listen.as_deref() {
        None => listeners.position(admits).unwrap_or(0),
        Some(name) => {
            listeners.position(|listener| *listener.name == *name).ok_or_else(|| unknown("listener", name))?
        }
    };
    let is_admitted = config.listeners.get(listener).is_some_and(admits);
    let named = named.map(|caller| if is_admitted { Ok(caller) } else { Err(UnknownCaller) });
    let request = request(asked)?;
    let mut lines = Lines { out };
    if let Some(listener) = config.listeners.get(listener) {
        let tls = if listener.tls.is_some() { " with TLS" } else { "" };
        lines.say("listener", &format!("{}, {}{tls}", listener.name, listener.address))?;
    }
    match through(config, &callers, named, listener, request, &mut lines) {
        Ok(Outlook::Sent) => lines.end(Outlook::Sent, "it would be sent"),
        Ok(own) => lines.end(own, "sidekey would answer it itself"),
        Err(Stop::Refused(error)) => {
            if matches!(error, ProxyError::Caller(_)) {
                let hint = if asked.caller.is_some() {
                    "this caller is known by a Unix socket or a certificate: name a listener by which it can come with `--listen`"
                } else {
                    "name a caller with `--caller`, or bring its token with `--header`"
                };
                lines.say("hint", hint)?;
            }
            let problem = error.problem();
            let told = format!("refused with {} {}: {}", problem.status.as_u16(), problem.slug, error.chain());
            lines.end(Outlook::Refused, &told)
        }
        Err(Stop::Write(error)) => Err(error.into()),
    }
}

fn unknown(kind: &'static str, name: &str) -> ExplainError {
    ExplainError::Unknown { kind, name: name.to_owned() }
}

/// Why the stages were not gone through to the end.
enum Stop {
    Refused(ProxyError),
    Write(io::Error),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Write(error)
    }
}

fn refused(error: impl Into<ProxyError>) -> Stop {
    Stop::Refused(error.into())
}

/// The stages of the request path, as far as they decide.
fn through(
    config: &Config,
    callers: &Callers,
    named: Option<Result<Caller, UnknownCaller>>,
    listener: usize,
    mut head: RequestHead,
    lines: &mut Lines<'_>,
) -> Result<Outlook, Stop> {
    if let Some(fault) = wire::request::fault(&raw(&head)) {
        return Err(refused(fault));
    }
    let presence = Presence::of(&head.fields);
    let page = Guard::new(&config.browser).admit(&mut head.fields, presence).map_err(refused)?;
    if browser::preflight(page.as_ref(), &head).map_err(refused)?.is_some() {
        return Ok(Outlook::Answered);
    }
    let target = Routes::new(config, Upstream::offline(config)).find(listener, &head);
    let meant = target.as_ref().ok().map(|target| &*target.upstream);
    let peer = Peer { listener, process: None, certificate: None };
    let caller = named.unwrap_or_else(|| callers.identify(&peer, &head.fields, meant)).map_err(refused)?;
    if let Some(name) = caller.name() {
        lines.say("caller", name)?;
    }
    let target = target.map_err(refused)?;
    say_target(config, &target, &head, lines)?;
    if max_forwards::count_down(&mut head).map_err(refused)?.is_some() {
        return Ok(Outlook::Answered);
    }
    say_rules(&caller, &target, &head, lines)?;
    let grant = policy::decide(&caller, target, &head).map_err(refused)?;
    if let Some(refusal) = grant.reported() {
        lines.say("report", &format!("would be refused if `mode` were `enforce`: {refusal}"))?;
    }
    say_headers(callers, &caller, grant.target(), &head, lines)?;
    Ok(Outlook::Sent)
}

fn say_target(config: &Config, target: &Target, head: &RequestHead, lines: &mut Lines<'_>) -> io::Result<()> {
    let upstream = &target.upstream;
    lines.say("upstream", &format!("{}, {}", upstream.name(), upstream.origin()))?;
    lines.say("request", &format!("{} {}", head.method, target.path))?;
    let preset = config.upstreams.iter().find(|known| *known.name == *upstream.name()).and_then(|known| known.preset);
    match preset.and_then(|preset| preset.effect(&head.method, target.path.path())) {
        Some(effect) => lines.say("effect", effect),
        None => Ok(()),
    }
}

fn say_rules(caller: &Caller, target: &Target, head: &RequestHead, lines: &mut Lines<'_>) -> io::Result<()> {
    let Some(callers_rules) = caller.rules_for(target.upstream.name()) else { return Ok(()) };
    let sought = Sought { method: &head.method, fields: &head.fields, path: &target.path };
    let Ok(verdicts) = sought.judge([target.upstream.rules(), callers_rules]) else { return Ok(()) };
    for (verdict, whose) in verdicts.iter().zip(["", ", for this caller"]) {
        match verdict {
            Verdict::AllowedBy(rule) => lines.say("rule", &format!("allowed by `{rule}`{whose}"))?,
            Verdict::Unruled | Verdict::DeniedBy(_) | Verdict::NotAllowed => {}
        }
    }
    Ok(())
}

/// Names alone: a value may be anything.
fn say_headers(
    callers: &Callers,
    caller: &Caller,
    target: &Target,
    head: &RequestHead,
    lines: &mut Lines<'_>,
) -> io::Result<()> {
    let (mut crossing, presence, upstream) = (head.clone(), Presence::of(&head.fields), &target.upstream);
    headers::readdress(&mut crossing, presence, upstream, target.path.clone());
    caller.take_off_token(&mut crossing.fields);
    let mut correlation = Correlation::begin(&head.fields, presence, callers, Instant::now());
    correlation.put_on_request(&mut crossing.fields, upstream.traces());
    let names = |taken_off: bool| {
        let crosses = |name: &[u8]| crossing.fields.names().any(|crossing| crossing == name);
        let mut told = BTreeSet::new();
        let names = head.fields.names().filter(|name| *name != b"host" && taken_off != crosses(name));
        names.filter(|name| told.insert(*name)).map(String::from_utf8_lossy).collect::<Vec<_>>().join(", ")
    };
    for (label, names) in [("crosses", names(false)), ("taken off", names(true))] {
        if !names.is_empty() {
            lines.say(label, &names)?;
        }
    }
    lines.say("host", upstream.origin().host_header().to_str().unwrap_or_default())?;
    let credential = match upstream.credentials().schemes() {
        Some(schemes) => format!("{schemes}, put on last"),
        None => "none that can be used: the answer would be 503".to_owned(),
    };
    lines.say("credential", &credential)
}

/// The request that a client would send for it.
fn request(asked: &Question) -> Result<RequestHead, ExplainError> {
    let method = Method::from_bytes(asked.method.as_bytes()).map_err(|_| ExplainError::Request("METHOD"))?;
    let url: Uri = asked.url.parse().map_err(|_| ExplainError::Request("URL"))?;
    let path = url.path_and_query().map_or("/", |path| path.as_str());
    // A URL may have a query and no path, which is the root's.
    let root = if path.starts_with('?') { "/" } else { "" };
    let authority = url.authority().map_or("localhost", |authority| authority.as_str());
    let mut head = RequestHead::new(method, format!("{root}{path}").into());
    for field in &asked.headers {
        let (name, value) = field.split_once(':').ok_or(ExplainError::Request("--header"))?;
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| ExplainError::Request("--header"))?;
        let value = HeaderValue::from_str(value.trim()).map_err(|_| ExplainError::Request("--header"))?;
        head.fields.append(&name, &value);
    }
    if !head.fields.has(&HOST) {
        let host = HeaderValue::from_str(authority).map_err(|_| ExplainError::Request("URL"))?;
        head.fields.put(&HOST, &host);
    }
    Ok(head)
}

/// As it would stand on the wire.
fn raw(head: &RequestHead) -> Vec<u8> {
    let mut raw = format!("{} {} HTTP/1.1\r\n", head.method, head.path).into_bytes();
    head.fields.write(&mut raw);
    raw.extend_from_slice(b"\r\n");
    raw
}

/// What is said, a stage a line.
struct Lines<'a> {
    out: &'a mut dyn Write,
}

impl Lines<'_> {
    fn say(&mut self, stage: &str, what: &str) -> io::Result<()> {
        writeln!(self.out, "  {stage:<11} {what}")
    }

    fn end(&mut self, outlook: Outlook, told: &str) -> Result<Outlook, ExplainError> {
        writeln!(self.out, "{told}")?;
        Ok(outlook)
    }
}
