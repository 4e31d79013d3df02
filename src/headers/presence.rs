//! Which of the fields that stages ask for a request has: told once, by one look at all its names, as most look-ups would come
//! to nothing.

use crate::fields::Fields;

/// A field that is asked for. Whoever finds that it is there looks it up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
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
    pub(crate) fn of(fields: &Fields) -> Self {
        Self(fields.names().filter_map(field).fold(0, |found, field| found | bit(field)))
    }

    /// Whether it may be there.
    pub(crate) fn of_field(self, field: Field) -> bool {
        self.0 & bit(field) != 0
    }
}

fn bit(field: Field) -> u16 {
    1 << field as u16
}

/// Sorted by length, which most names differ in.
fn field(name: &[u8]) -> Option<Field> {
    Some(match name.len() {
        2 if name == b"te" => Field::Te,
        6 if name == b"expect" => Field::Expect,
        6 if name == b"origin" => Field::Origin,
        7 if name == b"upgrade" => Field::Upgrade,
        10 if name == b"tracestate" => Field::TraceState,
        11 if name == b"traceparent" => Field::TraceParent,
        12 if name == b"x-request-id" => Field::XRequestId,
        14 if name == b"content-length" => Field::ContentLength,
        14 if name == b"sec-fetch-site" => Field::SecFetchSite,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::{Field, Presence};
    use crate::fields::tests::fields;

    const EACH: [(&str, Field); 9] = [
        ("content-length", Field::ContentLength),
        ("expect", Field::Expect),
        ("origin", Field::Origin),
        ("sec-fetch-site", Field::SecFetchSite),
        ("te", Field::Te),
        ("traceparent", Field::TraceParent),
        ("tracestate", Field::TraceState),
        ("upgrade", Field::Upgrade),
        ("x-request-id", Field::XRequestId),
    ];

    fn found<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<Field> {
        let given: Vec<_> = names.into_iter().map(|name| (name, "x")).collect();
        let presence = Presence::of(&fields(&given));
        EACH.map(|(_, field)| field).into_iter().filter(|field| presence.of_field(*field)).collect()
    }

    #[test]
    fn what_is_asked_for_is_found_and_nothing_else() {
        for (name, field) in EACH {
            assert_eq!(found([name]), [field], "{name}");
            assert_eq!(found(["host", &name.to_uppercase(), "accept"]), [field], "{name}");
            let reversed: String = name.chars().rev().collect();
            assert_eq!(found([reversed.as_str(), "host"]), [], "{reversed}");
        }
        assert_eq!(found(EACH.map(|(name, _)| name)), EACH.map(|(_, field)| field));
        assert_eq!(found([]), []);
    }
}
