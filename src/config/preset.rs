//! What is known about a vendor, so that a config need not say it.

use http::HeaderName;

/// One vendor.
pub(crate) struct Preset {
    pub(crate) name: &'static str,
    /// Where its API is, unless the config has a `url`.
    pub(crate) origin: &'static str,
    /// The schemes that it knows; any other is refused.
    pub(crate) schemes: &'static [&'static str],
    /// Header fields that its own SDKs put a credential in, besides what the scheme owns: taken off the request.
    pub(crate) strip: &'static [HeaderName],
}

/// An SDK of the vendor's sends the key in a field named `Bearer`.
static IMAGINE_STRIP: [HeaderName; 1] = [HeaderName::from_static("bearer")];

static PRESETS: [Preset; 5] = [
    Preset { name: "imagga", origin: "https://api.imagga.com", schemes: &["basic"], strip: &[] },
    Preset { name: "resci", origin: "https://data.retentionscience.com", schemes: &["api-key"], strip: &[] },
    Preset { name: "imagior", origin: "https://api.imagior.com", schemes: &["bearer"], strip: &[] },
    Preset { name: "imagine", origin: "https://api.vyro.ai", schemes: &["bearer"], strip: &IMAGINE_STRIP },
    Preset { name: "messagemedia", origin: "https://api.messagemedia.com", schemes: &["basic", "hmac"], strip: &[] },
];

pub(crate) fn find(name: &str) -> Option<&'static Preset> {
    PRESETS.iter().find(|preset| preset.name == name)
}

pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    PRESETS.iter().map(|preset| preset.name)
}

#[cfg(test)]
mod tests {
    use super::PRESETS;
    use crate::credential::SCHEMES;
    use crate::upstream::Origin;

    #[test]
    fn a_preset_has_a_tls_origin_and_schemes_that_exist() {
        for preset in &PRESETS {
            assert!(Origin::parse(preset.origin).unwrap().tls(), "{}", preset.name);
            assert!(!preset.schemes.is_empty() && preset.schemes.iter().all(|scheme| SCHEMES.contains(scheme)));
        }
    }
}
