//! `sidekey check`.

use std::io::{self, Write};

use crate::config::{Config, Listener};
use crate::telemetry::clock::rfc3339;
use crate::{ServeError, Server};

/// Says what `config`, which is right as far as it was read, amounts to.
///
/// # Errors
/// What only serving would have found; or nothing can be written.
pub fn check(config: &Config, out: &mut dyn Write) -> Result<(), CheckError> {
    Server::check(config)?;
    let plural = |count: usize, thing: &str| format!("{count} {thing}{}", if count == 1 { "" } else { "s" });
    let upstreams = plural(config.upstreams.len(), "upstream");
    writeln!(out, "ok: {upstreams}, {}", plural(config.listeners.len(), "listener"))?;
    for listener in &config.listeners {
        writeln!(out, "  listen.{:<12} {}{}", listener.name, listener.address, tls_of(listener))?;
    }
    if let Some(admin) = &config.admin {
        writeln!(out, "  {:<19} {}", "admin", admin.address)?;
    }
    for upstream in &config.upstreams {
        let scheme = upstream.scheme();
        let preset = upstream.preset.map(|preset| format!(" (preset `{}`)", preset.name)).unwrap_or_default();
        writeln!(out, "  upstream.{:<10} {} with {scheme}{preset}", upstream.name, upstream.origin)?;
    }
    for caller in &config.callers {
        let told_by = [
            ("token", caller.token.is_some()),
            ("uid", caller.uid.is_some()),
            ("gid", caller.gid.is_some()),
            ("certificate", !caller.client_cert.is_empty()),
        ];
        let told_by: Vec<_> = told_by.iter().filter(|(_, asked)| *asked).map(|(what, _)| *what).collect();
        let upstreams = caller.upstreams.iter().filter_map(|(index, _)| config.upstreams.get(*index));
        let upstreams: Vec<_> = upstreams.map(|upstream| &*upstream.name).collect();
        writeln!(out, "  caller.{:<12} by {} for {}", caller.name, told_by.join(" and "), upstreams.join(", "))?;
    }
    if config.callers.is_empty() {
        writeln!(out, "  callers             none: whoever reaches a listener is served")?;
    }
    for warning in config.warnings() {
        writeln!(out, "warning: {warning}")?;
    }
    Ok(())
}

/// What is to be said of a listener's TLS, if it has any.
fn tls_of(listener: &Listener) -> String {
    let Some(tls) = &listener.tls else { return String::new() };
    let asks = if tls.client_ca.is_some() { ", asks for certificates" } else { "" };
    format!(" with TLS, certificate until {}{asks}", rfc3339(tls.validity.ends()))
}

/// Why a config that could be read is not right.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// It cannot be served.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// The result cannot be written.
    #[error("cannot write the result")]
    Write(#[from] io::Error),
}
