//! `[browser]`: the web pages that may use sidekey. Without it, none may.

use http::HeaderValue;

use super::Browser;
use super::error::Fault;
use super::read::Table;
use crate::upstream::Host;

const EXPECTED: &str = "an origin as a browser sends it, `scheme://host[:port]`";
/// What a browser does not write out.
const DEFAULT_PORTS: [(&str, &str); 2] = [("http", "80"), ("https", "443")];

pub(super) fn read(table: &mut Table<'_>) -> Browser {
    let mut allow_origins = Vec::new();
    let written = table.list("allow_origins", "a list of origins").map(|list| list.value).unwrap_or_default();
    for origin in written {
        match parse(origin.value) {
            Ok(value) => allow_origins.push(value),
            Err(fault) => table.refuse(&origin.place, fault),
        }
    }
    Browser { allow_origins }
}

/// An origin in the one way in which browsers write it (RFC 6454 6.2): it is compared byte for byte.
fn parse(text: &str) -> Result<HeaderValue, Fault> {
    let refuse = |hint: &str| Err(Fault::new(format!("expected {EXPECTED}")).hint(hint));
    if text == "null" {
        let fault = Fault::new("`null` is the origin of any sandboxed frame and any local file, of whomever");
        return Err(fault.hint("serve the page from an address, such as `http://localhost:3000`"));
    }
    if text.contains('*') {
        let fault = Fault::new("a wildcard would let in pages of others");
        return Err(fault.hint("list each origin, such as `http://localhost:3000`"));
    }
    let Some((scheme, authority)) = text.split_once("://") else {
        return refuse("such as `http://localhost:3000`");
    };
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return refuse("it is in lower case");
    }
    if authority.contains(['/', '?', '#']) {
        return refuse("without a path, and without a final `/`");
    }
    if !is_scheme(scheme) {
        return refuse("the scheme is one such as `http` or `https`");
    }
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    if Host::parse(host).is_none_or(|parsed| parsed.to_string() != host) {
        return refuse("the host is a name, in punycode where it is not ASCII, or an address");
    }
    if port.is_some_and(|port| DEFAULT_PORTS.contains(&(scheme, port))) {
        return refuse("a browser leaves the scheme's own port out");
    }
    if !port.is_none_or(is_port) {
        return refuse("the port is a number from 1 to 65535");
    }
    HeaderValue::from_str(text).or_else(|_| refuse("such as `http://localhost:3000`"))
}

/// RFC 3986 3.1: those of browser extensions and of apps around a browser are schemes, too.
fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+-.".contains(&b))
}

fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok_and(|port| port > 0 && port.to_string() == text)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn an_origin_is_what_a_browser_would_send() {
        for origin in [
            "http://localhost:3000",
            "https://app.example",
            "http://127.0.0.1:8081",
            "http://[::1]:3000",
            "https://xn--bcher-kva.example:444",
            "http://localhost:443",
            "chrome-extension://abcdefghijklmnop",
            "tauri://localhost",
        ] {
            assert_eq!(parse(origin).unwrap(), origin);
        }
    }

    #[test]
    fn what_no_browser_would_send_is_refused_with_a_hint() {
        for (wrong, hint) in [
            ("null", "serve the page"),
            ("*", "list each origin"),
            ("https://*.example", "list each origin"),
            ("localhost:3000", "such as"),
            ("", "such as"),
            ("http://Localhost:3000", "lower case"),
            ("HTTP://localhost", "lower case"),
            ("http://localhost/", "without a path"),
            ("http://localhost:3000/app", "without a path"),
            ("http://localhost?x", "without a path"),
            ("://localhost", "the scheme"),
            ("1http://localhost", "the scheme"),
            ("ht tp://localhost", "the scheme"),
            ("http://", "the host"),
            ("http://user@localhost", "the host"),
            ("http://b\u{fc}cher.example", "the host"),
            ("http://localhost.:3000", "the host"),
            ("http://[::0001]", "the host"),
            ("http://::1", "the host"),
            ("http://localhost:80", "leaves the scheme's own port out"),
            ("https://app.example:443", "leaves the scheme's own port out"),
            ("http://localhost:", "the port"),
            ("http://localhost:0", "the port"),
            ("http://localhost:03000", "the port"),
            ("http://localhost:+3000", "the port"),
            ("http://localhost:65536", "the port"),
            ("http://localhost ", "the host"),
            ("http://localhost, http://app.example", "without a path"),
        ] {
            let fault = format!("{:?}", parse(wrong).unwrap_err());
            assert!(fault.contains(hint), "{wrong}: {fault}");
        }
    }
}
