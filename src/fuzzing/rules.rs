//! Rules and paths: what matches is what a plain reading of the pattern says, and a path that passes has one reading.

use http::Method;

use crate::policy::PlainPath;
use crate::policy::rules::{Rule, Rules, Verdict};

/// Takes `METHODS PATTERN`, a line end, and `METHOD PATH`.
#[expect(clippy::panic, reason = "a panic is how a fuzz target says that something is wrong")]
pub fn rules(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Some((rule, request)) = text.split_once('\n') else { return };
    let Some((method, path)) = request.split_once(' ') else { return };
    // Every way is tried below, and there may be too many.
    if rule.matches("**").count() > 4 || path.matches('/').count() > 24 {
        return;
    }
    let (Ok(method), Ok(plain)) = (Method::from_bytes(method.as_bytes()), PlainPath::read(path)) else { return };
    let decoded = decode_once(path);
    if let Some(reading) = second_reading(&decoded) {
        panic!("{path:?} passes, and could be read as {reading}");
    }
    let Ok(rule) = Rule::parse(rule) else { return };
    let (methods, pattern) = text.split_once('\n').and_then(|(rule, _)| split_words(rule)).unwrap_or_default();
    let named = methods == "*" || methods.split(',').any(|named| named == method.as_str());
    let expected = named && means(pattern, &decoded);
    let allow = Rules { allow: Some(vec![rule.clone()]), deny: Vec::new() };
    let allowed = matches!(allow.judge(&method, &plain), Verdict::AllowedBy(_));
    if allowed != expected {
        panic!("{pattern:?} allows {path:?}: {allowed}, and should: {expected}");
    }
    let deny = Rules { allow: None, deny: vec![rule] };
    if allowed && !matches!(deny.judge(&method, &plain), Verdict::DeniedBy(_)) {
        panic!("{pattern:?} allows {path:?}, and would not deny it");
    }
}

fn split_words(rule: &str) -> Option<(&str, &str)> {
    let mut words = rule.split_whitespace();
    Some((words.next()?, words.next()?))
}

/// Without a care for what it decodes to.
fn decode_once(path: &str) -> Vec<u8> {
    let mut decoded = Vec::new();
    let mut parts = path.split('%');
    decoded.extend_from_slice(parts.next().unwrap_or_default().as_bytes());
    for part in parts {
        let digits = part.get(..2).unwrap_or_default();
        decoded.extend(u8::from_str_radix(digits, 16));
        decoded.extend_from_slice(part.get(2..).unwrap_or_default().as_bytes());
    }
    decoded
}

/// How a server might read a path otherwise than it is written.
fn second_reading(decoded: &[u8]) -> Option<&'static str> {
    let text = String::from_utf8_lossy(decoded);
    let segments: Vec<&str> = text.split('/').skip(1).collect();
    let inner = segments.get(..segments.len().saturating_sub(1)).unwrap_or_default();
    if segments.iter().any(|segment| matches!(*segment, "." | "..")) {
        Some("a way up")
    } else if inner.iter().any(|segment| segment.is_empty()) {
        Some("a path with a segment less")
    } else if decoded.iter().any(|b| matches!(b, b';' | b'\\' | b'?' | b'#' | 0..=31 | 127)) {
        Some("one with a parameter, or cut off")
    } else if decoded != decode_once(&text) && std::str::from_utf8(decoded).is_ok() && has_escape(decoded) {
        Some("one that is decoded once more")
    } else {
        None
    }
}

fn has_escape(text: &[u8]) -> bool {
    text.windows(3).any(|part| matches!(part, [b'%', a, b] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit()))
}

/// Whether `pattern` stands for a path: by trying every way, one segment after the other.
fn means(pattern: &str, decoded: &[u8]) -> bool {
    fn matches(pattern: &[&str], path: &[&[u8]]) -> bool {
        match (pattern, path) {
            ([], []) => true,
            (["**", rest @ ..], path) => {
                (0..=path.len()).any(|skipped| matches(rest, path.get(skipped..).unwrap_or_default()))
            }
            (["*", rest @ ..], [segment, after @ ..]) => !segment.is_empty() && matches(rest, after),
            ([literal, rest @ ..], [segment, after @ ..]) => decode_once(literal) == **segment && matches(rest, after),
            ([], _) | (_, []) => false,
        }
    }
    let pattern: Vec<&str> = pattern.split('/').skip(1).collect();
    let path: Vec<&[u8]> = decoded.split(|b| *b == b'/').skip(1).collect();
    matches(&pattern, &path)
}

#[cfg(test)]
mod tests {
    use super::rules;
    use crate::fuzzing::seeds;

    #[test]
    fn the_rules_corpus_matches_as_a_plain_reading_says() {
        for seed in seeds("rules", 8) {
            rules(&seed);
        }
    }
}
