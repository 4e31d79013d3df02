//! What is allowed, and does nothing, or not what it looks like. `check` and the log warn of it.

use super::read::{Reader, Table};
use super::{Limits, Server, Upstream};
use crate::credential::{Credential, Which};

/// Of an upstream by itself.
pub(super) fn on_upstream(table: &Table<'_>, upstream: &Upstream) {
    let has_fallback = upstream.credentials.are_two();
    let scheme_of = |which| upstream.credentials.at(which).map(Credential::scheme);
    if has_fallback
        && scheme_of(Which::Main) == scheme_of(Which::Fallback)
        && upstream.secrets == upstream.fallback_secrets
    {
        table.warn("`fallback` has the same secrets as `auth`, so there is nothing to fall back on");
    }
    if table.has("replay_buffer") && !table.has("retry") && !table.has("fallback") {
        table.warn("`replay_buffer` does nothing without `retry` or `fallback`");
    }
    if upstream.retry.as_ref().is_some_and(|retry| retry.attempts == 1) {
        table.warn("`retry` with `attempts = 1` retries nothing: the first one counts");
    }
    if !upstream.obey_retry_after {
        on_limits(table, &upstream.limits);
    }
}

/// Of `limits` in `table`.
pub(super) fn on_limits(table: &Table<'_>, limits: &Limits) {
    if !limits.wait.is_zero() && limits.rate.is_none() && limits.concurrency.is_none() {
        table.warn("`limits.wait` does nothing without a `rate` or a `concurrency`");
    }
}

/// Of what upstreams ask of the server as a whole.
pub(super) fn on_memory(reader: &Reader<'_>, server: &Server, upstreams: &[Upstream]) {
    for upstream in upstreams {
        if upstream.credentials.sign_body().is_some_and(|limit| limit > server.max_buffered) {
            let key = format!("upstream.{}", upstream.name);
            reader.warn(format!("`{key}`: a body of `max_signed_body` would not fit into `server.max_buffered`"));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::file::parse_with;
    use crate::secret::source::Source;

    fn warnings(text: &str) -> Vec<String> {
        let secrets: [(&str, &[u8]); 3] =
            [("env:KEY", b"s3cret-one"), ("env:OLD", b"s3cret-two"), ("env:TOKEN", b"0123456789abcdef")];
        let config = parse_with(Path::new("sidekey.toml"), text, Source::Given(&secrets));
        config.unwrap_or_else(|error| panic!("{text}\n{error}")).warnings().to_vec()
    }

    #[test]
    fn what_does_nothing_is_warned_of_and_what_does_something_is_not() {
        const UPSTREAM: &str = "[upstream.a]\nurl = 'https://a.test'\nauth.bearer.token = 'env:KEY'\n";
        for (more, told) in [
            ("fallback.bearer.token = 'env:KEY'", "`upstream.a`: `fallback` has the same secrets as `auth`"),
            ("[admin]\nmode = '0660'", "`admin`: `mode` does nothing"),
            ("replay_buffer = '1KiB'", "`upstream.a`: `replay_buffer` does nothing"),
            ("retry.attempts = 1", "`upstream.a`: `retry` with `attempts = 1` retries nothing"),
            ("limits.wait = '2s'", "`upstream.a`: `limits.wait` does nothing"),
            (
                "[caller.x]\ntoken = 'env:TOKEN'\nupstreams = ['a']\nlimits.wait = '2s'",
                "`caller.x`: `limits.wait` does",
            ),
        ] {
            let said = warnings(&format!("{UPSTREAM}{more}\n"));
            assert!(matches!(&said[..], [warning] if warning.starts_with(told)), "{more}: {said:?}");
        }
        for more in [
            "",
            "fallback.bearer.token = 'env:OLD'\nreplay_buffer = '1KiB'",
            "fallback.api-key = { key = 'env:KEY', header = 'x-api-key' }",
            "retry = { attempts = 2 }\nreplay_buffer = '1KiB'",
            "limits = { wait = '2s', rate = '1/s' }",
            "limits = { wait = '2s', concurrency = 1 }",
            "limits.wait = '2s'\nobey_retry_after = true",
        ] {
            assert_eq!(warnings(&format!("{UPSTREAM}{more}\n")), [""; 0], "{more}");
        }
    }

    #[test]
    fn a_body_that_may_be_signed_fits_into_what_may_be_held() {
        const HUB: &str =
            "[upstream.hub]\npreset = 'messagemedia'\nauth.hmac = { username = 'env:KEY', secret = 'env:OLD' }\n";
        let told = "`upstream.hub`: a body of `max_signed_body` would not fit into `server.max_buffered`";
        assert_eq!(warnings(&format!("[server]\nmax_buffered = '9MiB'\n{HUB}")), [told]);
        assert_eq!(warnings(&format!("[server]\nmax_buffered = '10MiB'\n{HUB}")), [""; 0]);
    }
}
