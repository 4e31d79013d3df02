//! `[caller.NAME]`: who may ask, for what. With one caller, there is nobody else.

use super::error::{Fault, list};
use super::listen::ListenerFile;
use super::read::{At, Place, Reader, Table};
use super::{Caller, Limits, advice, limits, names, rules};
use crate::caller::Token;
use crate::certificate::CertificateName;
use crate::policy::rules::{Rule, Rules};

/// A caller, as far as it could be read, and where what it says of upstreams stands.
pub(super) struct CallerFile<'a> {
    name: &'a str,
    place: Place,
    token: Option<At<Token>>,
    uid: Option<u32>,
    gid: Option<u32>,
    client_cert: Option<At<Vec<CertificateName>>>,
    upstreams: Vec<At<&'a str>>,
    allow: Vec<RulesFile<'a>>,
    deny: Vec<RulesFile<'a>>,
    limits: Limits,
}

/// The rules for one upstream, under its name.
struct RulesFile<'a> {
    upstream: At<&'a str>,
    rules: Vec<Rule>,
}

pub(super) fn read_all<'a>(table: &mut Table<'a>) -> Vec<CallerFile<'a>> {
    table.each(|name, table| Some(read(name, table)))
}

fn read<'a>(name: &At<&'a str>, table: &mut Table<'a>) -> CallerFile<'a> {
    names::check_label(table, name);
    let token = read_token(table);
    let uid = read_id(table, "uid");
    let gid = read_id(table, "gid");
    let client_cert = read_client_cert(table);
    if !["token", "uid", "gid", "client_cert"].iter().any(|key| table.has(key)) {
        let fault = Fault::new("nothing by which this caller could be known");
        table.refuse_absence(fault.hint(
            "add a `token`, a `uid` or `gid` where it comes by a Unix socket, or a `client_cert` where it comes by TLS",
        ));
    }
    if !table.has("upstreams") {
        table.refuse_missing("upstreams", "a list of the upstreams that it may use");
    }
    let upstreams = table.list("upstreams", "a list of upstreams").map(|list| list.value).unwrap_or_default();
    let allow = table.section("allow", read_rules);
    let deny = table.section("deny", read_rules);
    let limits = limits::read(table);
    advice::on_limits(table, &limits);
    let (name, place) = (name.value, name.place.clone());
    CallerFile { name, place, token, uid, gid, client_cert, upstreams, allow, deny, limits }
}

/// The user and group ids of the system: -1 is none.
fn read_id(table: &mut Table<'_>, key: &'static str) -> Option<u32> {
    table.integer(key, 0..=u32::MAX as usize - 1).and_then(|id| u32::try_from(id).ok())
}

fn read_token(table: &mut Table<'_>) -> Option<At<Token>> {
    if !table.has("token") {
        // Known here, whether it is there or not.
        return table.secret_bytes("token").and(None);
    }
    let At { value: secret, place } = table.secret("token")?;
    match Token::new(&secret) {
        Ok(value) => Some(At { value, place }),
        Err(error) => {
            table.refuse(&place, Fault::new(error.to_string()).hint("`sidekey token` prints a good one"));
            None
        }
    }
}

/// The names that are looked for in a certificate. An empty list would let nobody in, and is refused.
fn read_client_cert(table: &mut Table<'_>) -> Option<At<Vec<CertificateName>>> {
    const EXPECTED: &str = "a list of names as certificates have them: a DNS name, or a URI such as `spiffe://…`";
    let At { value: written, place } = table.list("client_cert", EXPECTED)?;
    if written.is_empty() {
        table.refuse(&place, Fault::new(format!("expected {EXPECTED}")));
    }
    let names = written.into_iter().filter_map(|At { value, place }| {
        let name = CertificateName::parse(value);
        if name.is_none() {
            let fault = Fault::new("expected a DNS name, or a URI");
            table.refuse(&place, fault.hint("names are compared as a whole: there are no wildcards, and no addresses"));
        }
        name
    });
    Some(At { value: names.collect(), place })
}

fn read_rules<'a>(table: &mut Table<'a>) -> Vec<RulesFile<'a>> {
    table.each_list("a list of rules, such as `[\"GET /v2/**\"]`", |upstream, table, texts| RulesFile {
        upstream,
        rules: rules::parse_all(table, texts),
    })
}

/// Turns what was read into callers of `upstreams`, and refuses what they say wrongly of each other or of those.
pub(super) fn resolve(table: &Table<'_>, written: Vec<CallerFile<'_>>, known: &[&str], read: &[&str]) -> Vec<Caller> {
    refuse_twins(table, &written);
    written.into_iter().map(|caller| caller.resolve(table, known, read)).collect()
}

/// Refuses a caller that is known by the other end of a Unix socket where no listener is one: it could never come. Without
/// any listener there is one on TCP; one whose address could not be read may have been meant as a socket.
pub(super) fn check_sockets(reader: &Reader<'_>, callers: &[CallerFile<'_>], listeners: &[ListenerFile<'_>]) {
    if !listeners.iter().all(|listener| listener.tcp().is_some()) {
        return;
    }
    for caller in callers.iter().filter(|caller| caller.uid.or(caller.gid).is_some()) {
        let fault = Fault::new("known by `uid` or `gid`, and no listener is a Unix socket");
        reader.refuse(
            &caller.place,
            fault.hint("add a `[listen.NAME]` with `address = \"unix:/PATH\"`, or use a `token`"),
        );
    }
}

/// Refuses a caller that is known by its certificate where no listener asks for one: it could never come.
pub(super) fn check_client_cas(reader: &Reader<'_>, callers: &[CallerFile<'_>], listeners: &[ListenerFile<'_>]) {
    if listeners.iter().any(ListenerFile::asks_certificates) {
        return;
    }
    for At { place, .. } in callers.iter().filter_map(|caller| caller.client_cert.as_ref()) {
        let fault = Fault::new("no listener asks for certificates");
        reader.refuse(place, fault.hint("say in `tls.client_ca` of a `[listen.NAME]` whose certificates count"));
    }
}

/// Refuses a second caller that could not be told from the first.
fn refuse_twins(table: &Table<'_>, callers: &[CallerFile<'_>]) {
    for (index, caller) in callers.iter().enumerate() {
        let (mut earlier, token) = (callers.iter().take(index), caller.token.as_ref());
        if let Some(token) = token {
            let twin = earlier.find(|other| other.token.as_ref().is_some_and(|other| other.value == token.value));
            if let Some(twin) = twin {
                table.refuse(&token.place, Fault::new(format!("`caller.{}` has this token already", twin.name)));
            }
        } else if let Some(twin) = earlier.find(|other| caller.is_twin_of(other)) {
            let same = match caller.client_cert {
                Some(_) => "by a name of the same certificate",
                None => "by the same `uid` and `gid`",
            };
            let fault = Fault::new(format!("`caller.{}` is known {same}", twin.name));
            table.refuse(&caller.place, fault.hint("a `token` tells two apps of one user apart"));
        }
    }
}

impl CallerFile<'_> {
    /// Whether one that is known without a token could be the other. What could not be read is told elsewhere.
    fn is_twin_of(&self, other: &Self) -> bool {
        let names = |caller: &Self| caller.client_cert.as_ref().map(|names| names.value.clone());
        let share_certificate = match (names(self), names(other)) {
            (Some(own), Some(others)) => own.iter().any(|name| others.contains(name)),
            (None, None) => self.uid.or(self.gid).is_some(),
            (Some(_), None) | (None, Some(_)) => false,
        };
        other.token.is_none() && (self.uid, self.gid) == (other.uid, other.gid) && share_certificate
    }

    fn resolve(mut self, table: &Table<'_>, known: &[&str], read: &[&str]) -> Caller {
        let mut upstreams: Vec<(usize, Rules)> = Vec::new();
        for At { value: name, place } in &self.upstreams {
            match read.iter().position(|read| read == name) {
                Some(index) if upstreams.iter().any(|(other, _)| *other == index) => {
                    table.refuse(place, "this upstream is listed twice");
                }
                Some(index) => upstreams.push((index, self.rules_for(name))),
                None if known.contains(name) => {}
                None => {
                    let fault = Fault::new("there is no upstream of this name");
                    table.refuse(place, fault.suggest_or_list(name, known.iter().copied()));
                }
            }
        }
        let names: Vec<&str> = self.upstreams.iter().map(|upstream| upstream.value).collect();
        for RulesFile { upstream, .. } in self.allow.iter().chain(&self.deny) {
            if !names.contains(&upstream.value) {
                let fault = Fault::new("rules for an upstream that `upstreams` does not list");
                table.refuse(&upstream.place, fault.hint(format!("it lists {}", list(names.iter().copied()))));
            }
        }
        let (uid, gid, limits) = (self.uid, self.gid, self.limits);
        Caller {
            name: self.name.into(),
            token: self.token.take().map(|token| token.value),
            uid,
            gid,
            client_cert: self.client_cert.take().map(|names| names.value).unwrap_or_default().into(),
            upstreams,
            limits,
        }
    }

    fn rules_for(&self, upstream: &str) -> Rules {
        let of = |lists: &[RulesFile<'_>]| {
            lists.iter().find(|list| list.upstream.value == upstream).map(|list| list.rules.clone())
        };
        Rules { allow: of(&self.allow), deny: of(&self.deny).unwrap_or_default() }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::Config;
    use crate::config::file::parse_with;
    use crate::secret::source::Source;

    const SECRETS: [(&str, &[u8]); 4] = [
        ("env:KEY", b"k3y"),
        ("env:TOKEN", b"0123456789abcdef"),
        ("env:SAME", b"0123456789abcdef"),
        ("env:ODD", b"hunter2 hunter2 hunter2"),
    ];
    const UPSTREAMS: &str = "[upstream.a]\nurl = 'https://a.test'\nauth.bearer.token = 'env:KEY'\n\
                             [upstream.b]\nurl = 'https://b.test'\nauth.bearer.token = 'env:KEY'\n";
    const SOCKET: &str = "[listen.s]\naddress = 'unix:s.sock'\n";

    fn parse(text: &str) -> Result<Config, String> {
        parse_whole(&format!("{text}{UPSTREAMS}{SOCKET}"))
    }

    fn parse_whole(text: &str) -> Result<Config, String> {
        parse_with(Path::new("sidekey.toml"), text, Source::Given(&SECRETS)).map_err(|error| error.to_string())
    }

    #[test]
    fn a_caller_is_what_is_written() {
        let config = parse(
            "[caller.shop]\ntoken = 'env:TOKEN'\nuid = 1000\nupstreams = ['b', 'a']\nallow.b = []\ndeny.a = ['* /x']\n",
        );
        let config = config.unwrap();
        let [shop] = &config.callers[..] else { panic!("one caller") };
        assert!(shop.token.is_some() && shop.uid == Some(1000) && shop.gid.is_none());
        let rules: Vec<_> =
            shop.upstreams.iter().map(|(index, rules)| (*index, rules.allow.is_some(), rules.deny.len())).collect();
        assert_eq!(rules, [(1, true, 0), (0, false, 1)]);
    }

    #[test]
    fn what_is_wrong_with_a_caller_is_told_where_it_stands() {
        for (text, told) in [
            ("[caller.x]\nupstreams = ['a']\n", "1:1  `caller.x`: nothing by which this caller could be known"),
            ("[caller.x]\nuid = 1\n", "`caller.x.upstreams`: missing: expected a list of the upstreams"),
            ("[caller.x]\nuid = -1\nupstreams = []\n", "`caller.x.uid`: expected a whole number"),
            (
                "[caller.x]\nuid = 1\nupstreams = ['c']\n",
                "3:14  `caller.x.upstreams[0]`: there is no upstream of this name",
            ),
            ("[caller.x]\nuid = 1\nupstreams = ['a', 'a']\n", "`caller.x.upstreams[1]`: this upstream is listed twice"),
            (
                "[caller.x]\nuid = 1\nupstreams = ['a']\nallow.b = []\n",
                "`caller.x.allow.b`: rules for an upstream that `upstreams` does not list",
            ),
            (
                "[caller.x]\nuid = 1\nupstreams = ['a']\nallow.a = ['get /']\n",
                "`caller.x.allow.a[0]`: a method is a name in upper case",
            ),
            (
                "[caller.x]\nuid = 1\nupstreams = ['a']\nallow.a = 'GET /'\n",
                "`caller.x.allow.a`: expected a list of rules",
            ),
            (
                "[caller.x]\ntoken = 'env:KEY'\nupstreams = ['a']\n",
                "`caller.x.token`: the token is shorter than 16 bytes",
            ),
            (
                "[caller.x]\ntoken = 'env:ODD'\nupstreams = ['a']\n",
                "`caller.x.token`: the token holds a character other",
            ),
            ("[caller.x]\ntoken = 'hunter2'\nupstreams = ['a']\n", "`caller.x.token`: expected a secret reference"),
            (
                "[caller.x]\ntoken = 'env:TOKEN'\nupstreams = ['a']\n[caller.y]\ntoken = 'env:SAME'\nupstreams = ['a']\n",
                "`caller.y.token`: `caller.x` has this token already",
            ),
            (
                "[caller.x]\nuid = 1\nupstreams = ['a']\n[caller.y]\nuid = 1\nupstreams = ['b']\n",
                "`caller.y`: `caller.x` is known by the same `uid` and `gid`",
            ),
            ("[caller.x]\nuid = 1\nupstream = ['a']\nupstreams = []\n", "`caller.x.upstream`: unknown key"),
        ] {
            let report = parse(text).err().unwrap();
            assert!(report.contains(told) && report.starts_with("error: 1 problem"), "{text}\n{report}");
            assert!(!report.contains("hunter2"), "{report}");
        }
    }

    #[test]
    fn a_caller_that_needs_a_socket_has_one_to_come_by() {
        const TCP: &str = "[listen.t]\naddress = '127.0.0.1:0'\n";
        let told = "1:9  `caller.x`: known by `uid` or `gid`, and no listener is a Unix socket";
        for id in ["uid", "gid"] {
            let caller = format!("[caller.x]\n{id} = 1\nupstreams = ['a']\n{UPSTREAMS}");
            for listeners in ["", TCP] {
                let report = parse_whole(&format!("{caller}{listeners}")).err().unwrap();
                assert!(report.contains(told) && report.starts_with("error: 1 problem"), "{report}");
            }
            assert!(parse_whole(&format!("{caller}{TCP}{SOCKET}")).is_ok());
        }
        assert!(parse_whole(&format!("[caller.x]\ntoken = 'env:TOKEN'\nupstreams = ['a']\n{UPSTREAMS}")).is_ok());
    }
}
