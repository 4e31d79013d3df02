//! What is known about a vendor, so that a config need not say it.

use http::{HeaderName, Method};

use super::probe::{KnownProbe, QuotaPlace};
use crate::policy::PlainPath;
use crate::policy::rules::{Rule, Rules, Verdict};

/// One vendor.
pub(crate) struct Preset {
    pub(crate) name: &'static str,
    /// Where its API is, unless the config has a `url`.
    pub(crate) origin: &'static str,
    /// The schemes that it knows; any other is refused.
    pub(crate) schemes: &'static [&'static str],
    /// Header fields that its own SDKs put a credential in, besides what the scheme owns: taken off the request.
    pub(crate) strip: &'static [HeaderName],
    /// What a caller should not be able to ask for unless it has to.
    pub(crate) sensitive: &'static [Sensitive],
    /// A request that costs nothing, and succeeds if the credential is good.
    pub(crate) probe: Option<KnownProbe>,
    /// What a 403 may say besides that the credential is bad, such as that a quota is used up.
    pub(crate) forbidden: Option<&'static str>,
}

/// Requests with which a caller does more than ask.
pub(crate) struct Sensitive {
    /// As it stands in `allow` and `deny`.
    pub(crate) rule: &'static str,
    /// What the vendor does then.
    pub(crate) effect: &'static str,
    /// Whether doing it twice costs or changes something twice, whatever its method: it is never retried.
    pub(crate) only_once: bool,
}

/// An SDK of the vendor's sends the key in a field named `Bearer`.
static IMAGINE_STRIP: [HeaderName; 1] = [HeaderName::from_static("bearer")];

static IMAGGA_SENSITIVE: [Sensitive; 1] =
    [Sensitive { rule: "GET,POST /v2/tags/**", effect: "counts towards the month's quota", only_once: false }];

static RESCI_SENSITIVE: [Sensitive; 1] =
    [Sensitive { rule: "POST /v3/import_jobs", effect: "changes customer data", only_once: true }];

static IMAGIOR_SENSITIVE: [Sensitive; 1] =
    [Sensitive { rule: "POST /image/generate", effect: "takes a credit", only_once: true }];

static IMAGINE_SENSITIVE: [Sensitive; 1] =
    [Sensitive { rule: "POST /v2/image/**", effect: "is billed for each image", only_once: true }];

static HUB_SENSITIVE: [Sensitive; 4] = [
    Sensitive { rule: "* /v1/iam/signature_keys/**", effect: "makes and replaces signature keys", only_once: true },
    Sensitive { rule: "POST /v1/messages", effect: "sends and bills a message", only_once: true },
    Sensitive { rule: "* /v1/lookups/**", effect: "is billed for each number", only_once: true },
    Sensitive { rule: "POST /v1/messaging/numbers/dedicated/**", effect: "buys a number", only_once: true },
];

static PRESETS: [Preset; 5] = [
    Preset {
        name: "imagga",
        origin: "https://api.imagga.com",
        schemes: &["basic"],
        strip: &[],
        sensitive: &IMAGGA_SENSITIVE,
        probe: Some(KnownProbe {
            request: "GET /v2/usage",
            quota: QuotaPlace::Used {
                used: "/result/monthly_processed",
                limit: "/result/monthly_limit",
                of: "this month",
            },
        }),
        forbidden: Some("the month's quota may be used up"),
    },
    Preset {
        name: "resci",
        origin: "https://data.retentionscience.com",
        schemes: &["api-key"],
        strip: &[],
        sensitive: &RESCI_SENSITIVE,
        probe: None,
        forbidden: None,
    },
    Preset {
        name: "imagior",
        origin: "https://api.imagior.com",
        schemes: &["bearer"],
        strip: &[],
        sensitive: &IMAGIOR_SENSITIVE,
        probe: Some(KnownProbe {
            request: "GET /user/account",
            quota: QuotaPlace::Left { left: "/usage/remainingCredits", of: "credits" },
        }),
        forbidden: Some("there may be no credits left"),
    },
    Preset {
        name: "imagine",
        origin: "https://api.vyro.ai",
        schemes: &["bearer"],
        strip: &IMAGINE_STRIP,
        sensitive: &IMAGINE_SENSITIVE,
        probe: None,
        forbidden: None,
    },
    Preset {
        name: "messagemedia",
        origin: "https://api.messagemedia.com",
        schemes: &["basic", "hmac"],
        strip: &[],
        sensitive: &HUB_SENSITIVE,
        probe: Some(KnownProbe {
            request: "GET /v1/messaging/credits",
            quota: QuotaPlace::Left { left: "/credits", of: "credits" },
        }),
        forbidden: None,
    },
];

pub(crate) fn find(name: &str) -> Option<&'static Preset> {
    PRESETS.iter().find(|preset| preset.name == name)
}

impl Preset {
    /// What a request does besides asking, as far as that is known.
    pub(crate) fn effect(&self, method: &Method, path: &str) -> Option<&'static str> {
        let path = PlainPath::read(path).ok()?;
        let is_this = |sensitive: &&Sensitive| {
            Rule::parse(sensitive.rule).is_ok_and(|rule| {
                let rules = Rules { allow: None, deny: vec![rule] };
                matches!(rules.judge(method, &path), Verdict::DeniedBy(_))
            })
        };
        self.sensitive.iter().find(is_this).map(|sensitive| sensitive.effect)
    }

    /// Rules of which `deny` has what is never retried.
    pub(crate) fn never_retried(&self) -> Rules {
        let once = self.sensitive.iter().filter(|sensitive| sensitive.only_once);
        Rules { allow: None, deny: once.filter_map(|sensitive| Rule::parse(sensitive.rule).ok()).collect() }
    }
}

pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    PRESETS.iter().map(|preset| preset.name)
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::super::probe::Probe;
    use super::{PRESETS, Rule, find};
    use crate::credential::SCHEMES;
    use crate::upstream::Origin;

    #[test]
    fn every_sensitive_endpoint_is_a_rule_that_the_docs_have_ready() {
        let docs = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/vendors.md")).unwrap();
        for sensitive in PRESETS.iter().flat_map(|preset| preset.sensitive) {
            assert!(Rule::parse(sensitive.rule).is_ok(), "{}", sensitive.rule);
            assert!(docs.contains(&format!("\"{}\"", sensitive.rule)), "{}", sensitive.rule);
        }
    }

    #[test]
    fn a_request_with_an_effect_is_known_however_it_is_spelt() {
        let effect = |preset, method: Method, path| find(preset).unwrap().effect(&method, path);
        assert_eq!(effect("imagior", Method::POST, "/image/Generate/"), Some("takes a credit"));
        assert_eq!(
            effect("messagemedia", Method::DELETE, "/v1/iam/signature_keys/7"),
            Some("makes and replaces signature keys")
        );
        assert_eq!(effect("imagior", Method::GET, "/user/account"), None);
    }

    #[test]
    fn a_probe_is_one_that_the_docs_name_and_has_no_effect() {
        let docs = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/vendors.md")).unwrap();
        for preset in &PRESETS {
            let Some(known) = &preset.probe else { continue };
            let probe = Probe::parse(known.request).unwrap();
            assert_eq!(preset.effect(&probe.method, probe.path.path()), None, "{}", preset.name);
            assert!(docs.contains(&format!("| probe | `{}`", known.request)), "{}", preset.name);
        }
    }

    #[test]
    fn what_costs_or_changes_something_is_never_retried() {
        let never = |preset, method: Method, path| {
            let path = crate::policy::PlainPath::read(path).unwrap();
            matches!(find(preset).unwrap().never_retried().judge(&method, &path), super::Verdict::DeniedBy(_))
        };
        assert!(never("imagior", Method::POST, "/image/generate"));
        assert!(never("imagior", Method::POST, "/image/Generate/"));
        assert!(never("resci", Method::POST, "/v3/import_jobs"));
        assert!(never("messagemedia", Method::POST, "/v1/messages"));
        assert!(never("messagemedia", Method::GET, "/v1/lookups/phone/1"));
        assert!(!never("imagior", Method::GET, "/user/account"));
        assert!(!never("imagga", Method::GET, "/v2/tags"));
    }

    #[test]
    fn a_preset_has_a_tls_origin_and_schemes_that_exist() {
        for preset in &PRESETS {
            assert!(Origin::parse(preset.origin).unwrap().tls(), "{}", preset.name);
            assert!(!preset.schemes.is_empty() && preset.schemes.iter().all(|scheme| SCHEMES.contains(scheme)));
        }
    }
}
