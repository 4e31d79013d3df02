//! What a vendor's answer says of the credential, and of what may still be asked. Of its body only numbers are taken, of
//! its header its date and when to ask again.

use crate::credential::{Credential, Which};
use crate::fields::ascii;
use std::future::poll_fn;
use std::pin::Pin;

use http::StatusCode;
use http::header::RETRY_AFTER;
use http_body::Body;
use serde_json::Value;
use tokio::time::timeout;

use super::report::{Level, Quota, Report, Step, Verdict};
use crate::config::probe::{Probe, QuotaPlace};
use crate::upstream::{Answer, StreamedBody};

/// More than any account's state takes.
const MAX_BODY: usize = 256 * 1024;

/// Reads the answer to `probe`. Dropping the future closes the connection.
pub(super) async fn read(mut answer: Answer, probe: &Probe, report: &mut Report<'_>) {
    let status = answer.head.status;
    judge(status, retry_after(&answer), report);
    if let Some(place) = probe.quota.filter(|_| status.is_success()) {
        // Whatever the config says: a number that is the credential is none of these.
        answer.body.scrub();
        report.begin(Step::Quota);
        let body = whole(answer.body).await.unwrap_or_default();
        report.quota = serde_json::from_slice(&body).ok().and_then(|body| Quota::read(&body, place));
        judge_quota(report);
    }
}

/// What the status means for the credential.
fn judge(status: StatusCode, retry_after: Option<u64>, report: &mut Report<'_>) {
    let code = status.as_u16();
    report.credential = match code {
        200..=299 => Verdict::Accepted,
        401 => Verdict::Rejected,
        _ => Verdict::NotTold,
    };
    let (level, slug, text, hint) = match code {
        200..=299 => return,
        401 => (Level::Failure, "credential_rejected", "rejected (401)".to_owned(), Some(hint_for_rejected(report))),
        403 => return judge_forbidden(report),
        429 => {
            let wait = retry_after.map(|seconds| format!("; to be asked again in {seconds} s")).unwrap_or_default();
            let text = format!("not told: the vendor was asked too often (429){wait}");
            (Level::Warning, "rate_limited", text, None)
        }
        500..=599 => {
            let text = format!("not told: the vendor fails ({code})");
            (Level::Failure, "vendor_fails", text, Some("try again; look at the vendor's status page"))
        }
        300..=399 => {
            let text = format!("not told: the vendor redirects ({code}), and sidekey follows none");
            (Level::Warning, "redirected", text, Some("`probe` names another request"))
        }
        404 | 405 | 410 => {
            let text = format!("not told: there is no such request at the vendor ({code})");
            (Level::Warning, "probe_unknown", text, Some("`probe` names another; is `url` right?"))
        }
        _ => {
            let text = format!("not told: {code} says nothing of it");
            (Level::Warning, "unexpected_status", text, Some("`probe` names another request"))
        }
    };
    report.find(Step::Credential, level, slug, text, hint);
}

fn hint_for_rejected(report: &Report<'_>) -> &'static str {
    match report.config.credentials.at(Which::Main).map(Credential::scheme) {
        Some("hmac") => "the key pair is wrong or revoked, the clock is off, or `headers` is not what the vendor wants",
        _ => "it is wrong or was revoked: look at what the references in `auth` lead to",
    }
}

/// What 403 means depends on the vendor.
fn judge_forbidden(report: &mut Report<'_>) {
    let (level, text, hint) = match report.config.preset.and_then(|preset| preset.forbidden) {
        Some(reason) => {
            let text = format!("not told: 403 does not say that it is bad, as {reason}");
            (Level::Warning, text, "look at the vendor's dashboard")
        }
        None => {
            let text = "refused (403): it may not ask for this, or is not accepted".to_owned();
            (Level::Failure, text, "look at what it may do; `probe` names another request")
        }
    };
    report.find(Step::Credential, level, "forbidden", text, hint);
}

/// In seconds. As a date, it is not worth a word.
fn retry_after(answer: &Answer) -> Option<u64> {
    ascii(answer.head.fields.get(&RETRY_AFTER)?)?.parse().ok()
}

/// The whole body. `None`: it is too long, too slow, or broken off.
async fn whole(mut body: StreamedBody) -> Option<Vec<u8>> {
    let mut whole = Vec::new();
    let idle = body.idle_limit();
    while let Some(frame) = timeout(idle, poll_fn(|cx| Pin::new(&mut body).poll_frame(cx))).await.ok()? {
        if let Ok(piece) = frame.ok()?.into_data() {
            if whole.len() + piece.len() > MAX_BODY {
                return None;
            }
            whole.extend_from_slice(&piece);
        }
    }
    Some(whole)
}

impl Quota {
    /// `None`: the vendor says it otherwise than was known.
    fn read(body: &Value, place: &QuotaPlace) -> Option<Self> {
        let number = |pointer| body.pointer(pointer).and_then(Value::as_f64);
        match *place {
            QuotaPlace::Used { used, limit, of } => {
                let (used, limit) = (number(used)?, number(limit)?);
                Some(Self { used: Some(used), limit: Some(limit), left: (limit - used).max(0.0), of })
            }
            QuotaPlace::Left { left, of } => Some(Self { used: None, limit: None, left: number(left)?, of }),
        }
    }

    /// In words.
    pub(super) fn describe(&self) -> String {
        match (self.used, self.limit) {
            (Some(used), Some(limit)) => format!("{used} of {limit} used {}, {} left", self.of, self.left),
            _ => format!("{} {} left", self.left, self.of),
        }
    }
}

fn judge_quota(report: &mut Report<'_>) {
    let Some(quota) = &report.quota else {
        let text = "the vendor does not say it where it was known to";
        report.find(Step::Quota, Level::Note, "quota_unknown", text, None);
        return;
    };
    // Of what has a limit, the last tenth.
    let is_low = quota.limit.is_some_and(|limit| quota.left < limit / 10.0);
    if quota.left <= 0.0 {
        report.find(Step::Quota, Level::Warning, "quota_used_up", "nothing is left", "the vendor refuses what costs");
    } else if is_low {
        report.find(Step::Quota, Level::Warning, "quota_low", "less than a tenth is left", None);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Quota, QuotaPlace};

    #[test]
    fn only_numbers_are_taken_from_a_body() {
        let place = QuotaPlace::Used { used: "/used", limit: "/limit", of: "this month" };
        let read = |body| Quota::read(&body, &place).map(|quota| quota.describe());
        assert_eq!(read(json!({ "used": 12, "limit": 2000 })).unwrap(), "12 of 2000 used this month, 1988 left");
        assert_eq!(read(json!({ "used": 12.5, "limit": 10 })).unwrap(), "12.5 of 10 used this month, 0 left");
        for body in [json!({ "used": "12", "limit": 2000 }), json!({ "limit": 1 }), json!([]), json!("\u{1b}[2J")] {
            assert!(read(body).is_none());
        }
        let left = QuotaPlace::Left { left: "/usage/left", of: "credits" };
        let quota = Quota::read(&json!({ "usage": { "left": 7 } }), &left).unwrap();
        assert_eq!(quota.describe(), "7 credits left");
    }
}
