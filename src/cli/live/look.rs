//! Looks at one upstream, a step at a time. A request is granted, prepared, authorised and sent by the stages of the
//! path: there is no other way to send one.

use std::rc::Rc;
use std::time::{Duration, SystemTime};

use http::header::{ACCEPT, ACCEPT_ENCODING, HeaderValue, USER_AGENT};
use tokio::time::timeout;

use super::plain::plain;
use super::report::{Addresses, Level, Report, Step};
use super::{answer, certificate, clock};
use crate::caller::Caller;
use crate::config;
use crate::config::probe::Probe;
use crate::credential::{AuthorizeError, PlaceError, Which};
use crate::error::ProxyError;
use crate::message::RequestHead;
use crate::policy::PolicyError;
use crate::route::{Spoken, Target};
use crate::upstream::{self, Answer, ConnectError, SendError, Upstream};
use crate::{credential, headers, policy};

/// Looks at an upstream for no longer than `limit`. Dropping the future closes whatever had been begun.
pub(super) async fn look<'a>(upstream: &Rc<Upstream>, config: &'a config::Upstream, limit: Duration) -> Report<'a> {
    let mut report = Report::new(config);
    match timeout(limit, steps(upstream, &mut report)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            let level = if is_refusal(&error) { Level::Warning } else { Level::Failure };
            let code = error.problem().slug.replace('-', "_");
            report.stop(level, code, plain(&error.chain(), upstream.scrubber()), hint(&error));
        }
        Err(_) => {
            let text = format!("not done within {} s", limit.as_secs_f64());
            report.stop(Level::Failure, "timeout".to_owned(), text, Some("`--timeout` allows for more"));
        }
    }
    report
}

async fn steps(upstream: &Rc<Upstream>, report: &mut Report<'_>) -> Result<(), ProxyError> {
    report.begin(Step::Lookup);
    let found = upstream.look_up().await.map_err(SendError::from)?;
    report.lookup = report.timed(Addresses { found: found.clone(), permitted: 0 });
    let permitted = upstream.permitted(found).map_err(SendError::from)?;
    if let Some(lookup) = &mut report.lookup {
        lookup.fact.permitted = permitted.len();
    }

    report.begin(Step::Connect);
    let tcp = upstream.connect(&permitted).await.map_err(SendError::from)?;
    report.connection = report.timed(tcp.peer_addr().ok());

    report.begin(Step::Tls);
    let fresh = upstream.handshake(tcp).await.map_err(SendError::from)?;
    match fresh.tls() {
        Some(connection) => {
            report.tls = report.timed(certificate::read(connection, upstream.scrubber()));
            certificate::judge(report, SystemTime::now());
        }
        None => say_plaintext(upstream, report),
    }

    report.begin(Step::Probe);
    let Some(probe) = &report.config.probe else {
        let text = "nothing was asked: no request is known that says whether the credential is good";
        let hint = "`probe = \"GET /path\"` in the config names one";
        report.find(Step::Probe, Level::Note, "no_probe", text, hint);
        return Ok(());
    };
    upstream.keep(fresh).await.map_err(SendError::from)?;
    let sent = SystemTime::now();
    report.begin(Step::Probe);
    let answer = ask(upstream, probe).await?;
    report.answer = report.timed(super::report::Answered { status: answer.head.status });
    if let Some(answered) = &report.answer {
        report.clock = clock::read(&answer.head.fields, sent, answered.took);
    }
    clock::judge(report);
    answer::read(answer, probe, report).await;
    say_which_is_taken(upstream, report);
    Ok(())
}

fn say_plaintext(upstream: &Upstream, report: &mut Report<'_>) {
    if upstream.origin().host().is_loopback() {
        report.find(Step::Tls, Level::Note, "plaintext", "none: `url` is `http://`, on this machine", None);
    } else {
        let text = "none: `url` is `http://`, so the credential is sent in the clear";
        report.find(Step::Tls, Level::Warning, "plaintext", text, "use `https://`");
    }
}

/// The path tries the other credential where one is refused: whoever is served all the same has to know.
fn say_which_is_taken(upstream: &Upstream, report: &mut Report<'_>) {
    if upstream.shared().preference().is_some_and(|preference| preference.preferred() == Which::Fallback) {
        let text = "the one in `auth` is rejected: only that in `fallback` is accepted";
        let hint = "once the key has been changed at the vendor, put the new one where `auth` looks for it";
        report.find(Step::Credential, Level::Warning, "main_credential_rejected", text, hint);
    }
}

/// Asks as a caller would, if the rules of the upstream let anyone.
async fn ask(upstream: &Rc<Upstream>, probe: &Probe) -> Result<Answer, ProxyError> {
    let mut head = RequestHead::new(probe.method.clone(), (&probe.path).into());
    for (name, value) in [
        (USER_AGENT, concat!("sidekey/", env!("CARGO_PKG_VERSION"))),
        (ACCEPT, "application/json, */*;q=0.5"),
        (ACCEPT_ENCODING, "identity"),
    ] {
        head.fields.put(&name, &HeaderValue::from_static(value));
    }
    let spoken = Spoken { authority: None, prefixed: false, tls: false };
    let target = Target { upstream: Rc::clone(upstream), path: (&probe.path).into(), spoken };
    let mut grant = policy::decide(&Caller::Anyone, target, &head)?;
    let outgoing = headers::prepare_own(head, &mut grant);
    let authorized = credential::authorize(grant, outgoing).await?;
    Ok(*upstream::send(authorized).await?)
}

/// Whether the config itself does not want the request: nothing is wrong with the vendor.
fn is_refusal(error: &ProxyError) -> bool {
    matches!(error, ProxyError::Policy(_) | ProxyError::Authorize(AuthorizeError::Place(PlaceError::NoSecret)))
}

/// What to do about it.
fn hint(error: &ProxyError) -> Option<&'static str> {
    match error {
        ProxyError::Policy(PolicyError::NotAllowed | PolicyError::Denied(_)) => {
            Some("let the rules allow it, or name another request with `probe`")
        }
        ProxyError::Policy(_) => Some("name another request with `probe`"),
        ProxyError::Authorize(AuthorizeError::Place(PlaceError::NoSecret)) => {
            Some("the upstream is `optional`: put its secret where `auth` looks for it")
        }
        ProxyError::Send(SendError::Connect(error)) => hint_of_connect(error),
        ProxyError::Send(SendError::ResponseTimeout) => Some("`timeouts.response` allows for more"),
        ProxyError::Send(SendError::Malformed(_) | SendError::UnaskedUpgrade) => {
            Some("is it the API that answers, and not a gateway before it?")
        }
        _ => None,
    }
}

fn hint_of_connect(error: &ConnectError) -> Option<&'static str> {
    match error {
        ConnectError::Lookup(_) => Some("look at `url`, and at `server.nameservers` or `/etc/resolv.conf`"),
        ConnectError::LookupTimeout => Some("look at the name server; `timeouts.lookup` allows for more"),
        ConnectError::Prohibited(_) => {
            Some("for an API inside your network: `allow_private = true`; else ask who answers for that name")
        }
        ConnectError::Loop => Some("put the vendor in `url`, and see who points its name here"),
        ConnectError::Unroutable(_) => Some("look at the network, and its egress rules"),
        ConnectError::Refused(_) => Some("nobody listens there: look at `url`, and at egress rules"),
        ConnectError::ConnectTimeout => {
            Some("look at the network, and its egress rules; `timeouts.connect` allows for more")
        }
        ConnectError::TlsTimeout => Some("is it TLS that is spoken there? `timeouts.tls` allows for more"),
        ConnectError::NoDescriptor(_) => Some("raise the limit of file descriptors: `ulimit -n`"),
        ConnectError::Terminated(_) => Some("try again; look at what is between"),
        ConnectError::Certificate(error) => hint_of_certificate(error),
        ConnectError::TlsProtocol(_) => Some(
            "TLS 1.2 and 1.3 are spoken; is it TLS there? does it ask for `tls.client_cert`? does it speak what `http` says?",
        ),
    }
}

fn hint_of_certificate(error: &std::io::Error) -> Option<&'static str> {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
    let Some(rustls::Error::InvalidCertificate(error)) = cause else { return None };
    match error {
        rustls::CertificateError::Expired | rustls::CertificateError::ExpiredContext { .. } => {
            Some("the vendor has to renew it; or this machine's clock is ahead")
        }
        rustls::CertificateError::NotValidYet | rustls::CertificateError::NotValidYetContext { .. } => {
            Some("is this machine's clock behind?")
        }
        rustls::CertificateError::NotValidForName | rustls::CertificateError::NotValidForNameContext { .. } => {
            Some("is `url` right? `tls.server_name` says another name that is to be asked for and checked")
        }
        // A CA of the same name, but another key, makes a bad signature.
        rustls::CertificateError::UnknownIssuer | rustls::CertificateError::BadSignature => {
            Some("a CA of your own belongs in `tls.ca_file`; else somebody is between you and the vendor")
        }
        _ => None,
    }
}
