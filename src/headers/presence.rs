//! Which of the fields that stages ask for a request has: told once, by one look at all its names, as each look-up would hash
//! the name that it asks for, and most come to nothing.

use http::{HeaderMap, HeaderName};

/// What is asked for. Whoever finds that it is there looks it up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    ContentLength,
    Expect,
    Origin,
    SecFetchSite,
    Te,
    TraceParent,
    TraceState,
    Upgrade,
    XRequestId,
}

/// Those that may be there: the others were not when this was made, and are not as long as nobody puts them on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Presence(u16);

impl Presence {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        Self(headers.keys().filter_map(asked).fold(0, |found, asked| found | bit(asked)))
    }

    /// Whether it may be there.
    pub(crate) fn of_field(self, asked: Asked) -> bool {
        self.0 & bit(asked) != 0
    }
}

fn bit(asked: Asked) -> u16 {
    1 << asked as u16
}

/// Sorted by length, which most names differ in.
fn asked(name: &HeaderName) -> Option<Asked> {
    let name = name.as_str();
    Some(match name.len() {
        2 if name == "te" => Asked::Te,
        6 if name == "expect" => Asked::Expect,
        6 if name == "origin" => Asked::Origin,
        7 if name == "upgrade" => Asked::Upgrade,
        10 if name == "tracestate" => Asked::TraceState,
        11 if name == "traceparent" => Asked::TraceParent,
        12 if name == "x-request-id" => Asked::XRequestId,
        14 if name == "content-length" => Asked::ContentLength,
        14 if name == "sec-fetch-site" => Asked::SecFetchSite,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue};

    use super::{Asked, Presence};

    const EACH: [(&str, Asked); 9] = [
        ("content-length", Asked::ContentLength),
        ("expect", Asked::Expect),
        ("origin", Asked::Origin),
        ("sec-fetch-site", Asked::SecFetchSite),
        ("te", Asked::Te),
        ("traceparent", Asked::TraceParent),
        ("tracestate", Asked::TraceState),
        ("upgrade", Asked::Upgrade),
        ("x-request-id", Asked::XRequestId),
    ];

    fn found<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<Asked> {
        let field = |name: &str| (HeaderName::try_from(name).unwrap(), HeaderValue::from_static("x"));
        let presence = Presence::of(&names.into_iter().map(field).collect::<HeaderMap>());
        EACH.map(|(_, asked)| asked).into_iter().filter(|asked| presence.of_field(*asked)).collect()
    }

    #[test]
    fn what_is_asked_for_is_found_and_nothing_else() {
        for (name, asked) in EACH {
            assert_eq!(found([name]), [asked], "{name}");
            assert_eq!(found(["host", &name.to_uppercase(), "accept"]), [asked], "{name}");
            let reversed: String = name.chars().rev().collect();
            assert_eq!(found([reversed.as_str(), "host"]), [], "{reversed}");
        }
        assert_eq!(found(EACH.map(|(name, _)| name)), EACH.map(|(_, asked)| asked));
        assert_eq!(found([]), []);
    }
}
