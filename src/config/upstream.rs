//! `[upstream.NAME]`: a vendor's API, and how to speak with it.

use std::time::Duration;

use super::error::{Fault, list};
use super::file::BODY_TIMEOUT;
use super::names::{self, HostName};
use super::preset::{self, Preset};
use super::read::{At, Place, Table};
use super::{Pool, Scrub, Timeouts, Tls, Upstream, advice, attempts, auth, limits, probe, rules, tls};
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
const MODES: [(&str, Mode); 2] = [("enforce", Mode::Enforce), ("report", Mode::Report)];
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
    let auth = auth::read(table, preset);
    let has_fallback = table.has("fallback");
    let upstream = Upstream {
        name: name.value.into(),
        preset,
        hosts: hosts.iter().map(|host| host.value.clone()).collect(),
        allow_private: table.boolean("allow_private").is_some_and(|allow| allow.value),
        credentials: auth.credentials,
        owned_fields: auth.owned_fields,
        secrets: auth.secrets,
        fallback_secrets: auth.fallback_secrets,
        fallback_on: attempts::read_fallback_on(table, preset, has_fallback),
        retry: attempts::read_retry(table),
        never_retried: preset.map(Preset::never_retried).unwrap_or_default(),
        replay_buffer: attempts::read_replay_buffer(table),
        breaker: attempts::read_breaker(table),
        strip: preset.map_or(&[], |preset| preset.strip),
        rules: rules::read(table),
        probe: probe::read(table, preset),
        mode: table.one_of("mode", &MODES).unwrap_or(Mode::Enforce),
        scrub: table.one_of("scrub", &SCRUB).unwrap_or_default(),
        trace: table.boolean("trace").is_none_or(|trace| trace.value),
        tls: read_tls(table, origin.as_ref()),
        timeouts: table.section("timeouts", read_timeouts),
        pool: table.section("pool", read_pool),
        limits: limits::read(table),
        obey_retry_after: table.boolean("obey_retry_after").is_some_and(|obey| obey.value),
        // Without one, all the rest is looked at first: everything that is wrong is said at once.
        origin: origin?,
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

fn read_tls(table: &mut Table<'_>, origin: Option<&Origin>) -> Tls {
    let tls = table.optional_section("tls", |table| At { value: tls::read(table), place: table.place.clone() });
    if let Some(tls) = tls.as_ref().filter(|_| origin.is_some_and(|origin| !origin.tls())) {
        table.refuse(&tls.place, "an `http://` URL has no TLS");
    }
    tls.map(|tls| tls.value).unwrap_or_default()
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
