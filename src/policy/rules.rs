//! `allow` and `deny`: which methods and paths may be asked for. Compiled at load, and matched without an allocation.

use std::fmt;

use http::Method;
use smallvec::SmallVec;

use super::path::{AmbiguousPath, PlainPath};

/// What may be asked for. With `allow`, everything else is refused, also where the list is empty; `deny` wins.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rules {
    pub(crate) allow: Option<Vec<Rule>>,
    pub(crate) deny: Vec<Rule>,
}

/// One rule: `METHODS PATTERN`.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    /// As it was written, between single spaces.
    text: Box<str>,
    /// Empty: any.
    methods: Box<[Method]>,
    pattern: Box<[Segment]>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Literal(Box<str>),
    /// `*`: one that is not empty.
    One,
    /// `**`: any number of them, or none.
    Any,
}

/// Why a text is no rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RuleError {
    #[error("expected `METHODS PATTERN`, such as `GET /v2/**`")]
    Form,
    #[error("a method is a name in upper case; several are parted by commas, and `*` is any")]
    Method,
    #[error("a pattern begins with a slash")]
    NotRooted,
    #[error("a rule sees the path alone, and a path holds no `?` and no `#`")]
    Query,
    #[error("in a pattern, `*` and `**` stand for whole segments")]
    Wildcard,
    #[error("no request's path could match, as rules refuse what this pattern holds")]
    Ambiguous(#[source] AmbiguousPath),
}

/// What rules say of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Verdict<'a> {
    /// There is no `allow` here, and no rule of `deny` matches.
    Unruled,
    AllowedBy(&'a Rule),
    DeniedBy(&'a Rule),
    /// There is an `allow`, of which no rule matches.
    NotAllowed,
}

/// What there is where the config has none.
static NO_RULES: Rules = Rules { allow: None, deny: Vec::new() };

impl Rules {
    /// No rules at all.
    pub(crate) fn none() -> &'static Self {
        &NO_RULES
    }

    /// Whether there is any rule: an `allow` without one allows nothing.
    pub(crate) fn are_in_force(&self) -> bool {
        self.allow.is_some() || !self.deny.is_empty()
    }

    /// Judges a request for `path` by these rules.
    pub(crate) fn judge(&self, method: &Method, path: &PlainPath<'_>) -> Verdict<'_> {
        let path: SmallVec<[&str; 16]> = path.segments().collect();
        if let Some(rule) = self.deny.iter().find(|rule| rule.denies(method, &path)) {
            return Verdict::DeniedBy(rule);
        }
        match &self.allow {
            None => Verdict::Unruled,
            Some(rules) => {
                rules.iter().find(|rule| rule.allows(method, &path)).map_or(Verdict::NotAllowed, Verdict::AllowedBy)
            }
        }
    }
}

impl Rule {
    pub(crate) fn parse(text: &str) -> Result<Self, RuleError> {
        let mut words = text.split_whitespace();
        let (Some(methods), Some(pattern), None) = (words.next(), words.next(), words.next()) else {
            return Err(RuleError::Form);
        };
        let text = format!("{methods} {pattern}").into();
        Ok(Self { text, methods: parse_methods(methods)?, pattern: parse_pattern(pattern)? })
    }

    /// To the letter.
    fn allows(&self, method: &Method, path: &[&str]) -> bool {
        let is_named = self.methods.is_empty() || self.methods.contains(method);
        is_named && matches(&self.pattern, path, |literal, segment, _| literal == segment)
    }

    /// As the most lenient origin would read it: in any case, with or without a final slash, and with what it takes for
    /// a format, `.json`, behind the last segment. HEAD does what GET does (RFC 9110 9.3.2).
    fn denies(&self, method: &Method, path: &[&str]) -> bool {
        let is_head = method.as_str().eq_ignore_ascii_case("HEAD");
        let is_named = self.methods.is_empty()
            || self.methods.iter().any(|named| {
                named.as_str().eq_ignore_ascii_case(method.as_str()) || (is_head && *named == Method::GET)
            });
        let pattern = self.pattern.strip_suffix(&[Segment::Literal("".into())]).unwrap_or(&self.pattern);
        let path = path.strip_suffix(&[""]).unwrap_or(path);
        is_named && matches(pattern, path, could_be_read_as)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn parse_methods(text: &str) -> Result<Box<[Method]>, RuleError> {
    if text == "*" {
        return Ok(Box::default());
    }
    let method = |name: &str| {
        let is_usual = !name.is_empty() && name.bytes().all(|b| b.is_ascii_uppercase() || b == b'-');
        is_usual.then(|| Method::from_bytes(name.as_bytes()).ok()).flatten().ok_or(RuleError::Method)
    };
    text.split(',').map(method).collect()
}

fn parse_pattern(text: &str) -> Result<Box<[Segment]>, RuleError> {
    if text.contains(['?', '#']) {
        return Err(RuleError::Query);
    }
    let path = PlainPath::read(text).map_err(|error| match error {
        AmbiguousPath::NotRooted => RuleError::NotRooted,
        AmbiguousPath::EmptySegment
        | AmbiguousPath::DotSegment
        | AmbiguousPath::Syntax
        | AmbiguousPath::Encoding
        | AmbiguousPath::EncodedSyntax
        | AmbiguousPath::NotUtf8 => RuleError::Ambiguous(error),
    })?;
    // An encoded star is a star in the path itself.
    let segment = |(written, decoded): (&str, &str)| match written {
        "*" => Ok(Segment::One),
        "**" => Ok(Segment::Any),
        written if written.contains('*') => Err(RuleError::Wildcard),
        _ => Ok(Segment::Literal(decoded.into())),
    };
    text.split('/').skip(1).zip(path.segments()).map(segment).collect()
}

/// Whether some origin reads `segment` as `literal`. Of the last one, frameworks take off what follows a dot, and any
/// may lose blanks at its end.
fn could_be_read_as(literal: &str, segment: &str, is_last: bool) -> bool {
    let (literal, segment) = (literal.trim_end(), segment.trim_end());
    let mut stems = segment.match_indices('.').filter_map(|(dot, _)| segment.get(..dot));
    is_same_in_any_case(literal, segment) || (is_last && stems.any(|stem| is_same_in_any_case(literal, stem)))
}

fn is_same_in_any_case(a: &str, b: &str) -> bool {
    a.chars().flat_map(char::to_lowercase).eq(b.chars().flat_map(char::to_lowercase))
}

/// Whether `path` is one of those that `pattern` stands for; `same` is told whether a segment is the last. In time of
/// their product at most: after a `**`, only the last one is tried anew.
fn matches(pattern: &[Segment], path: &[&str], same: impl Fn(&str, &str, bool) -> bool) -> bool {
    let (mut pattern, mut path) = (pattern, path);
    let mut last_any: Option<(&[Segment], &[&str])> = None;
    while let [segment, after_segment @ ..] = path {
        match pattern {
            [Segment::Any, after @ ..] => {
                last_any = Some((after, path));
                pattern = after;
                continue;
            }
            [Segment::One, after @ ..] if !segment.is_empty() => (pattern, path) = (after, after_segment),
            [Segment::Literal(literal), after @ ..] if same(literal, segment, after_segment.is_empty()) => {
                (pattern, path) = (after, after_segment);
            }
            [Segment::One | Segment::Literal(_), ..] | [] => match last_any {
                // It stands for one segment more.
                Some((after, [_, rest @ ..])) => {
                    last_any = Some((after, rest));
                    (pattern, path) = (after, rest);
                }
                Some((_, [])) | None => return false,
            },
        }
    }
    pattern.iter().all(|segment| *segment == Segment::Any)
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::{Rule, RuleError, Rules, Verdict};
    use crate::policy::path::PlainPath;

    fn rules(allow: &[&str], deny: &[&str]) -> Rules {
        let parse = |texts: &[&str]| texts.iter().map(|text| Rule::parse(text).unwrap()).collect();
        Rules { allow: (!allow.is_empty()).then(|| parse(allow)), deny: parse(deny) }
    }

    fn passes(rules: &Rules, request: &str) -> bool {
        let (method, path) = request.split_once(' ').unwrap();
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        match rules.judge(&method, &PlainPath::read(path).unwrap()) {
            Verdict::Unruled | Verdict::AllowedBy(_) => true,
            Verdict::DeniedBy(_) | Verdict::NotAllowed => false,
        }
    }

    #[test]
    fn a_star_is_one_segment_and_two_are_any() {
        for (pattern, matching, others) in [
            ("/v2/tags", &["/v2/tags", "/v2/t%61gs"][..], &["/v2/tags/", "/v2/Tags", "/v2", "/v2/tags/x", "/"][..]),
            ("/v2/*", &["/v2/tags", "/v2/a%20b"], &["/v2", "/v2/", "/v2/tags/x"]),
            ("/v2/**", &["/v2", "/v2/", "/v2/tags", "/v2/a/b/c/"], &["/v3", "/", "/v2x"]),
            ("/**", &["/", "/a", "/a/b"], &[]),
            ("/", &["/"], &["/a"]),
            ("/*/usage", &["/v2/usage", "/v3/usage"], &["/usage", "/v2/x/usage"]),
            ("/**/usage", &["/usage", "/a/usage", "/a/usage/b/usage"], &["/a/usage/b", "/ausage"]),
            ("/a/**/b/**/c", &["/a/b/c", "/a/x/b/y/z/c", "/a/b/b/c"], &["/a/c", "/a/b", "/a/b/c/d"]),
            ("/v2/%C3%A9", &["/v2/%c3%a9"], &["/v2/e"]),
            ("/v2/%2A", &["/v2/*", "/v2/%2a"], &["/v2/x"]),
        ] {
            let rules = rules(&[&format!("GET {pattern}")], &[]);
            for path in matching {
                assert!(passes(&rules, &format!("GET {path}")), "{pattern} {path}");
            }
            for path in others {
                assert!(!passes(&rules, &format!("GET {path}")), "{pattern} {path}");
            }
        }
    }

    #[test]
    fn methods_are_one_several_or_any() {
        let rules = rules(&["GET,HEAD /a", "* /b", "POST  /c"], &[]);
        for request in ["GET /a", "HEAD /a", "BREW /b", "DELETE /b", "POST /c"] {
            assert!(passes(&rules, request), "{request}");
        }
        for request in ["POST /a", "get /a", "GET /c", "post /c"] {
            assert!(!passes(&rules, request), "{request}");
        }
    }

    #[test]
    fn deny_wins_and_reads_as_the_most_lenient_origin_would() {
        let rules = rules(&["* /v1/**"], &["* /v1/iam/signature_keys/**", "POST /v1/spend/"]);
        for request in
            ["GET /v1/messages", "GET /v1/spend", "POST /v1/spend.json/x", "POST /v1/spending", "POST /v1/.spend"]
        {
            assert!(passes(&rules, request), "{request}");
        }
        for request in [
            "GET /v1/iam/signature_keys",
            "GET /v1/iam/signature_keys/",
            "DELETE /v1/iam/signature_keys/7",
            "GET /v1/IAM/Signature_Keys",
            "GET /v1/iam/%73ignature_keys",
            "POST /v1/spend",
            "post /v1/spend/",
            "POST /V1/spend",
            "POST /v1/spend.json",
            "POST /v1/Spend.v2.JSON/",
            "POST /v1/spend.",
            "POST /v1/spend%20",
            "GET /v1/iam/signature_keys.xml",
        ] {
            assert!(!passes(&rules, request), "{request}");
        }
    }

    #[test]
    fn who_may_not_get_may_not_ask_for_the_head() {
        let rules = rules(&[], &["GET /keys", "POST /spend"]);
        for request in ["GET /keys", "HEAD /keys", "head /keys"] {
            assert!(!passes(&rules, request), "{request}");
        }
        assert!(passes(&rules, "HEAD /spend") && passes(&rules, "POST /keys"));
    }

    #[test]
    fn an_allow_without_a_rule_allows_nothing() {
        let rules = Rules { allow: Some(Vec::new()), deny: Vec::new() };
        assert!(rules.are_in_force() && !passes(&rules, "GET /"));
        assert!(!Rules::default().are_in_force() && passes(&Rules::default(), "GET /"));
    }

    #[test]
    fn a_pattern_of_many_stars_is_not_tried_for_ever() {
        let rules = rules(&[&format!("GET {}/x", "/**/a".repeat(30))], &[]);
        assert!(!passes(&rules, &format!("GET {}", "/a".repeat(4_000))));
    }

    #[test]
    fn what_is_no_rule_says_why() {
        for (text, error) in [
            ("", RuleError::Form),
            ("/v2", RuleError::Form),
            ("GET /a /b", RuleError::Form),
            ("get /a", RuleError::Method),
            ("GET, /a", RuleError::Method),
            ("GET,* /a", RuleError::Method),
            ("GET v2", RuleError::NotRooted),
            ("GET **", RuleError::NotRooted),
            ("GET /a?b", RuleError::Query),
            ("GET /a*", RuleError::Wildcard),
            ("GET /***", RuleError::Wildcard),
        ] {
            assert_eq!(Rule::parse(text).map(|_| ()), Err(error), "{text}");
        }
        for text in ["GET //", "GET /a/../b", "GET /a;b", "GET /%2e", "GET /%zz"] {
            assert!(matches!(Rule::parse(text), Err(RuleError::Ambiguous(_))), "{text}");
        }
    }
}
