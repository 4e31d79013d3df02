//! `[upstream.NAME]`: a vendor's API, and how to speak with it.

use std::time::Duration;

use super::error::{Fault, list};
use super::file::BODY_TIMEOUT;
use super::names::{self, HostName};
use super::preset::{self, Preset};
use super::read::{At, Place, Table};
use super::{Pool, Scrub, Timeouts, Upstream, advice, attempts, limits, probe, rules, tls};
use crate::credential::{self, Credential, Credentials, WantedHttp};
use crate::policy::Mode;
use crate::upstream::address::Class;
use crate::upstream::{Host, Origin};

const TIMEOUTS: Timeouts = Timeouts {
    lookup: Duration::from_secs(5),
    connect: Duration::from_secs(5),
    tls: Duration::from_secs(10),
    response: Duration::from_secs(60),
    idle: Duration::from_secs(60),
    body: BODY_TIMEOUT,
    tunnel: Duration::from_secs(60 * 60),
    request: None,
};
/// The idle time is below the minute that many servers and load balancers keep a connection.
const POOL: Pool = Pool { idle: Duration::from_secs(50), max_idle: 256 };
const MAX_IDLE: usize = 65_536;
const SCRUB: [(&str, Scrub); 2] = [("headers", Scrub::Headers), ("body", Scrub::Body)];

/// All upstreams of a file.
pub(super) struct UpstreamsFile<'a> {
    /// Those that could be read.
    pub(super) read: Vec<Upstream>,
    /// The `hosts` of all, under their upstream's name.
    pub(super) hosts: Vec<(&'a str, Vec<HostName>)>,
    /// The names of all.
    pub(super) names: Vec<&'a str>,
    /// Where those that could be read begin.
    pub(super) places: Vec<Place>,
}

pub(super) fn read_all<'a>(table: &mut Table<'a>) -> UpstreamsFile<'a> {
    let mut names = Vec::new();
    let mut hosts = Vec::new();
    let mut places = Vec::new();
    let read = table.each(|name, table| {
        let own_hosts = names::read_hosts(table, "hosts");
        let upstream = read(name, &own_hosts, table);
        names.push(name.value);
        hosts.push((name.value, own_hosts));
        places.extend(upstream.as_ref().map(|_| name.place.clone()));
        upstream
    });
    UpstreamsFile { read, hosts, names, places }
}

fn read(name: &At<&str>, hosts: &[HostName], table: &mut Table<'_>) -> Option<Upstream> {
    names::check_label(table, name);
    let preset = table.parsed("preset", "the name of a preset", |text| {
        preset::find(text).ok_or_else(|| Fault::new("unknown preset").suggest_or_list(text, preset::names()))
    });
    let preset = preset.map(|preset| preset.value);
    let origin = read_origin(table, preset);
    let allow_private = table.boolean("allow_private").is_some_and(|allow| allow.value);
    let optional = table.boolean("optional").is_some_and(|optional| optional.value);
    let reader = table.reader();
    if !table.has("auth") {
        refuse_missing_auth(table, preset);
    }
    let mut read_secret = |key| {
        reader.fingerprint_of(|| match optional {
            true => reader.tolerate_secrets(|| read_credential(table, key, preset)),
            false => read_credential(table, key, preset),
        })
    };
    let (main, secrets) = read_secret("auth");
    let (fallback, fallback_secrets) = read_secret("fallback");
    let http = read_http(table);
    let credentials = Credentials::new(main, fallback, http.as_ref().map(|http| http.value).unwrap_or_default());
    if let Some(http) = http.filter(|http| http.value == WantedHttp::Http2) {
        refuse_http2_where_signed(table, &http.place, &credentials);
    }
    let owned_fields = reader.take_owned().into();
    if credentials.forms().leaves_out() {
        table.warn("a secret of fewer than 6 bytes is not looked for in answers by itself");
    }
    let scrub = table.one_of("scrub", &SCRUB).unwrap_or_default();
    let trace = table.boolean("trace").is_none_or(|trace| trace.value);
    let tls = table.optional_section("tls", |table| At { value: tls::read(table), place: table.place.clone() });
    let rules = rules::read(table);
    let mode = table.one_of("mode", &[("enforce", Mode::Enforce), ("report", Mode::Report)]).unwrap_or(Mode::Enforce);
    let probe = probe::read(table, preset);
    let has_fallback = table.has("fallback");
    let fallback_on = attempts::read_fallback_on(table, preset, has_fallback);
    let retry = attempts::read_retry(table);
    let replay_buffer = attempts::read_replay_buffer(table);
    let breaker = attempts::read_breaker(table);
    let timeouts = table.section("timeouts", read_timeouts);
    let pool = table.section("pool", read_pool);
    let limits = limits::read(table);
    let obey_retry_after = table.boolean("obey_retry_after").is_some_and(|obey| obey.value);
    let origin = origin?;
    if let Some(tls) = tls.as_ref().filter(|_| !origin.tls()) {
        table.refuse(&tls.place, "an `http://` URL has no TLS");
    }
    let upstream = Upstream {
        name: name.value.into(),
        preset,
        origin,
        hosts: hosts.iter().map(|host| host.value.clone()).collect(),
        allow_private,
        credentials,
        owned_fields,
        secrets,
        fallback_secrets,
        fallback_on,
        retry,
        never_retried: preset.map(Preset::never_retried).unwrap_or_default(),
        replay_buffer,
        breaker,
        strip: preset.map_or(&[], |preset| preset.strip),
        rules,
        probe,
        mode,
        scrub,
        trace,
        tls: tls.map(|tls| tls.value).unwrap_or_default(),
        timeouts,
        pool,
        limits,
        obey_retry_after,
    };
    advice::on_upstream(table, &upstream);
    Some(upstream)
}

/// `url`, or the preset's origin.
fn read_origin(table: &mut Table<'_>, preset: Option<&'static Preset>) -> Option<Origin> {
    let url = table.parsed("url", "a URL of the form `https://host[:port]`", |text| {
        Origin::parse(text).map_err(|error| Fault::new(error.to_string()))
    });
    let allow_plaintext = table.boolean("allow_plaintext").is_some_and(|allow| allow.value);
    if !table.has("url") && !table.has("preset") {
        let fault = Fault::new("expected a `preset` or a `url`");
        table.refuse_absence(fault.hint(format!("the presets are {}", list(preset::names()))));
    }
    if let Some(url) = &url
        && !(url.value.tls() || url.value.host().is_loopback() || allow_plaintext)
    {
        let fault = Fault::new("an `http://` URL would send the credential in the clear");
        table.refuse(&url.place, fault.hint("use `https://`, or say `allow_plaintext = true`"));
    }
    if let Some(url) = &url
        && let Host::Address(address) = url.value.host()
        && Class::of(*address).is_never_dialled()
    {
        let fault = Fault::new(format!("the address is {}, and never dialled", Class::of(*address)));
        table.refuse(&url.place, fault.hint("name the vendor's API; no option lets a request go there"));
    }
    let url = url.map(|url| url.value);
    if table.has("url") { url } else { Origin::parse(preset?.origin).ok() }
}

/// `http`: what is spoken, if its credentials let it be.
fn read_http(table: &mut Table<'_>) -> Option<At<WantedHttp>> {
    const CHOICES: [(&str, WantedHttp); 3] =
        [("auto", WantedHttp::Auto), ("1.1", WantedHttp::Http1), ("2", WantedHttp::Http2)];
    let names = || CHOICES.iter().map(|(name, _)| *name);
    let expected = format!("one of {}", list(names()));
    table.parsed("http", &expected, |text| {
        let chosen = CHOICES.iter().find(|(name, _)| *name == text).map(|(_, wanted)| *wanted);
        chosen.ok_or_else(|| Fault::new(format!("expected {expected}")).suggest(text, names()))
    })
}

fn refuse_http2_where_signed(table: &Table<'_>, place: &Place, credentials: &Credentials) {
    if credentials.each().any(Credential::signs_request_line) {
        let fault = Fault::new("HTTP/2 has no request line, and one is signed here");
        table.refuse(place, fault.hint("leave `http` out, which means 1.1 here; or sign `@request-target` instead"));
    }
}

fn refuse_missing_auth(table: &Table<'_>, preset: Option<&'static Preset>) {
    let expected = format!("one scheme, as `auth.SCHEME = {{ … }}`; the schemes are {}", schemes(preset));
    table.refuse_missing("auth", &expected);
}

/// `auth.SCHEME`, or `fallback.SCHEME`: exactly one, and one that the vendor knows.
fn read_credential(table: &mut Table<'_>, key: &'static str, preset: Option<&'static Preset>) -> Option<Credential> {
    let mut first = None;
    let mut credentials = table.optional_section(key, |auth| {
        if auth.is_empty() {
            auth.refuse_absence(Fault::new(format!("expected one scheme of {}", schemes(preset))));
        }
        auth.each(|scheme, table| read_scheme(scheme, table, preset, &mut first))
    })?;
    credentials.pop()
}

fn read_scheme(
    scheme: &At<&str>,
    table: &mut Table<'_>,
    preset: Option<&'static Preset>,
    first: &mut Option<&'static str>,
) -> Option<Credential> {
    let known = credential::SCHEMES;
    let Some(name) = known.iter().find(|known| **known == scheme.value) else {
        table.refuse_key(
            &scheme.place,
            Fault::new("unknown scheme").suggest_or_list(scheme.value, known.iter().copied()),
        );
        table.ignore_rest();
        return None;
    };
    let first = *first.get_or_insert(name);
    if first != *name {
        let fault = Fault::new("a second scheme, where an upstream has one");
        table.refuse(&scheme.place, fault.hint(format!("`{first}` is the first; two upstreams may have one URL")));
    }
    if let Some(preset) = preset.filter(|preset| !preset.schemes.contains(name)) {
        let fault = Fault::new(format!("the vendor of preset `{}` does not know this scheme", preset.name));
        table.refuse(&scheme.place, fault.hint(format!("it knows {}", list(preset.schemes.iter().copied()))));
    }
    Credential::read(name, table)
}

/// The schemes that may be used, for a message.
fn schemes(preset: Option<&'static Preset>) -> String {
    list(preset.map_or(credential::SCHEMES, |preset| preset.schemes).iter().copied())
}

fn read_timeouts(table: &mut Table<'_>) -> Timeouts {
    Timeouts {
        lookup: table.duration("lookup").unwrap_or(TIMEOUTS.lookup),
        connect: table.duration("connect").unwrap_or(TIMEOUTS.connect),
        tls: table.duration("tls").unwrap_or(TIMEOUTS.tls),
        response: table.duration("response").unwrap_or(TIMEOUTS.response),
        idle: table.duration("idle").unwrap_or(TIMEOUTS.idle),
        tunnel: table.duration("tunnel").unwrap_or(TIMEOUTS.tunnel),
        request: table.duration("request"),
        ..TIMEOUTS
    }
}

fn read_pool(table: &mut Table<'_>) -> Pool {
    Pool {
        idle: table.duration("idle").unwrap_or(POOL.idle),
        max_idle: table.integer("max_idle", 0..=MAX_IDLE).unwrap_or(POOL.max_idle),
    }
}
