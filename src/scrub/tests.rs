//! The scrubber finds what it should in every spelling, and is the same as the naive one however a text is cut.

use std::time::{Duration, Instant};

use bytes::Bytes;
use proptest::prelude::*;

use super::naive;
use super::{BodyScrubber, Forms, Scrubber};

const MARKER: &str = "[redacted:x]";

fn forms(secret: &str) -> Forms {
    Forms::none().secret(secret.as_bytes())
}

fn scrub(forms: &Forms, text: &[u8]) -> (String, u64) {
    let mut body = BodyScrubber::new(Scrubber::new("x", forms).into());
    let clean = body.push(Bytes::copy_from_slice(text), true);
    (String::from_utf8_lossy(&clean).into_owned(), body.found())
}

fn assert_scrubbed(secret: &str, text: &str, clean: &str) {
    let (scrubbed, found) = scrub(&forms(secret), text.as_bytes());
    assert_eq!((scrubbed.as_str(), found), (clean, clean.matches(MARKER).count() as u64), "{text}");
}

#[test]
fn any_mixture_of_escapes_is_read() {
    let secret = "a/\"\\&<> '+%é☃😀";
    for spelling in [
        "a/\"\\&<> '+%é☃😀",
        "a%2F%22%5C%26%3C%3E+%27%2B%25%C3%A9%E2%98%83%F0%9F%98%80",
        "%61%2f%22%5c%26%3c%3e%20%27%2b%25%c3%a9%e2%98%83%f0%9f%98%80",
        r#"a\/\"\\&<> '+%\u00e9\u2603\ud83d\ude00"#,
        r"\u0061\u002F\u0022\u005c\u0026\u003c\u003E\u0020\u0027\u002b\u0025\u00E9\u2603\uD83D\uDE00",
        "a/&quot;\\&amp;&lt;&gt; &apos;+%&#233;&#x2603;&#128512;",
        "&#97;&#x2F;&#34;&#X5c;&#0038;&#x003C;&gt;&#32;&#39;&#x2b;&#37;&#xE9;&#9731;&#x1f600;",
        // Each byte of a header field is a character to whoever reads it as Latin-1.
        r"a/%22\u005C&amp;<\u003e+'+%\u00c3\u00a9%E2&#152;\u0083%F0\u009f&#x98;%80",
    ] {
        assert_scrubbed(secret, &format!("x{spelling}y"), "x[redacted:x]y");
    }
}

#[test]
fn what_is_nearly_the_secret_passes_as_it_is() {
    for text in ["secre", "secreT0", "secre%74", "secre\\u007", "secre&#116", "secret", "secret%3", "s%65cret-", ""] {
        assert_scrubbed("secret0", text, text);
    }
}

#[test]
fn a_secret_that_looks_like_an_escape_is_found_as_it_is_and_escaped() {
    for (secret, spellings) in [
        ("%41%42%43", &["%41%42%43", "%2541%2542%2543", "%41%2542%43"][..]),
        (r"\\\\\\", &[r"\\\\\\", r"\\\\\\\\\\\\", r"\u005c\\\\\\\\\\"]),
        ("&amp;&amp;", &["&amp;&amp;", "&amp;amp;&amp;amp;", "&#38;amp;&amp;"]),
        (r"\u0041\u0042", &[r"\u0041\u0042", r"\\u0041\\u0042"]),
        ("a+b c+d", &["a+b c+d", "a%2Bb+c%2Bd", "a+b+c+d"]),
    ] {
        for spelling in spellings {
            assert_scrubbed(secret, &format!("<{spelling}>"), "<[redacted:x]>");
        }
    }
}

#[test]
fn the_leftmost_and_then_the_longest_form_is_taken() {
    let forms = Forms::none().secret(b"secret").value(b"Key secret").value(b"secretive").value(b"retina-scan");
    for (text, clean) in [
        ("Key secret", "[redacted:x]"),
        ("Key secreT", "Key secreT"),
        ("secretive", "[redacted:x]"),
        ("secretivE", "[redacted:x]ivE"),
        ("secretina-scan", "[redacted:x]ina-scan"),
        ("secretsecret", "[redacted:x][redacted:x]"),
    ] {
        assert_eq!(scrub(&forms, text.as_bytes()).0, clean);
    }
}

#[test]
fn base64_is_found_in_both_alphabets_with_its_padding_or_without() {
    // printf 'a?>b?>?' | base64
    for spelling in ["YT8+Yj8+Pw==", "YT8-Yj8-Pw", "YT8%2BYj8%2BPw%3D%3D", "YT8-Yj8-Pw\\u003d=", "YT8+Yj8+Pw="] {
        assert_scrubbed("a?>b?>?", &format!("({spelling})"), "([redacted:x])");
    }
    assert_scrubbed("a?>b?>?", "YT8+Yj8+Pw===", "[redacted:x]=");
}

#[test]
fn a_pair_is_found_as_it_is_and_encoded_and_a_short_part_by_itself_is_not() {
    let forms = Forms::none().username(b"user").secret(b"pass").pair(b"user:pass").value(b"Basic dXNlcjpwYXNz");
    assert!(forms.leaves_out());
    for (text, clean) in [
        ("user:pass", "[redacted:x]"),
        ("user%3Apass", "[redacted:x]"),
        ("dXNlcjpwYXNz", "[redacted:x]"),
        ("Basic dXNlcjpwYXNz.", "[redacted:x]."),
        ("basic dXNlcjpwYXNz", "basic [redacted:x]"),
        ("user pass cGFzcw", "user pass cGFzcw"),
    ] {
        assert_eq!(scrub(&forms, text.as_bytes()).0, clean);
    }
    let forms = Forms::none().username(b"a.n.user").secret(b"passwd");
    assert!(!forms.leaves_out());
    assert_eq!(scrub(&forms, b"a.n.user passwd cGFzc3dk").0, "[redacted:x] [redacted:x] [redacted:x]");
}

#[test]
fn a_fields_name_is_read_in_any_case_and_a_value_is_not() {
    let scrubber = Scrubber::new("x", &forms("SeCrEt+/"));
    assert!(scrubber.finds_in_name(b"x-secret%2b%2F-y") && !scrubber.finds_in_name(b"x-secre"));
    assert!(scrubber.finds_in(b"SeCrEt+/") && !scrubber.finds_in(b"secret+/"));
}

#[test]
fn only_what_may_become_a_form_is_held_back() {
    let mut body = BodyScrubber::new(Scrubber::new("x", &forms("secret0")).into());
    let mut push = |piece: &'static str| body.push(Bytes::from_static(piece.as_bytes()), false);
    assert_eq!(push("data: {\"a\": 1}\n\n"), "data: {\"a\": 1}\n\n");
    assert_eq!(push("data: sec"), "data: ");
    assert_eq!(push("ret"), "");
    assert_eq!(push("\n\n"), "secret\n\n");
    assert_eq!(push("\\u00"), "");
    assert_eq!(push("73ecret0 "), "[redacted:x] ");
    assert_eq!(push("%"), "");
    assert_eq!((body.finish(), body.found()), (Bytes::from_static(b"%"), 1));
}

#[test]
fn what_is_held_back_is_bounded_whatever_comes() {
    let secret = "\"".repeat(64);
    let mut body = BodyScrubber::new(Scrubber::new("x", &forms(&secret)).into());
    // The longest spelling that there is, and one that goes on for ever.
    for piece in ["&#x0000022;", "&#", "0", "\\u0022"] {
        for _ in 0..10_000 {
            body.push(Bytes::from_static(piece.as_bytes()), false);
            assert!(body.held.len() <= 12 * (secret.len() + 3), "{piece}");
        }
    }
}

#[test]
fn what_is_held_back_is_not_read_again_for_every_piece() {
    let secret = "0123456789abcdef".repeat(1024);
    let mut body = BodyScrubber::new(Scrubber::new("x", &forms(&secret)).into());
    let spelled = secret.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>();
    let began = Instant::now();
    let clean: Vec<u8> = spelled.bytes().flat_map(|byte| body.push(Bytes::from(vec![byte]), false)).collect();
    assert_eq!((String::from_utf8(clean).unwrap().as_str(), body.found()), (MARKER, 1));
    // A second or less; reading it again would take minutes.
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

#[test]
fn a_text_without_a_form_is_not_copied() {
    let mut body = BodyScrubber::new(Scrubber::new("x", &forms("secret0")).into());
    let piece = Bytes::from(vec![b'.'; 100]);
    assert_eq!(body.push(piece.clone(), false).as_ptr(), piece.as_ptr());
}

#[test]
fn what_is_made_for_a_request_is_found_beside_what_is_not() {
    let scrubber = Scrubber::new("x", &forms("secret0")).with(&Forms::none().base64(b"c2lnbmVk=="));
    let scrubbed = scrubber.scrub(b"secret0 c2lnbmVk= c2lnbmVL");
    assert_eq!(scrubbed.replaced.unwrap(), b"[redacted:x] [redacted:x] c2lnbmVL");
    assert_eq!((scrubbed.found, scrubbed.settled), (2, 26));
}

/// A secret of characters that are escaped, look like an escape, or are neither.
fn secrets() -> impl Strategy<Value = String> {
    let character = prop::sample::select("ab%\\&/\"+ =;u0025#xé☃😀".chars().collect::<Vec<_>>());
    prop::collection::vec(character, 6..12).prop_map(String::from_iter)
}

/// Texts in which a secret occurs, whole and in parts, in all spellings.
fn texts(secret: &str) -> impl Strategy<Value = String> + use<> {
    let spell = |character: char| {
        let percent = |text: &str| text.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>();
        let units = |character: char| {
            character.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04X}")).collect::<String>()
        };
        let (plain, code) = (character.to_string(), u32::from(character));
        let json = if "/\"\\".contains(character) { format!("\\{character}") } else { plain.clone() };
        let named = match character {
            '&' => "&amp;".to_owned(),
            '"' => "&quot;".to_owned(),
            ' ' => "+".to_owned(),
            _ => format!("&#{code};"),
        };
        let percent = percent(&plain);
        prop::sample::select(vec![
            plain.clone(),
            plain,
            percent,
            units(character),
            json,
            named,
            format!("&#x{code:05x};"),
        ])
    };
    let secret: Vec<char> = secret.chars().collect();
    let spelled = secret.iter().map(|character| spell(*character)).collect::<Vec<_>>();
    let spelled = (spelled, 0..30_usize).prop_map(|(parts, kept)| {
        let kept = if kept < parts.len() { kept } else { parts.len() };
        parts[..kept].concat()
    });
    let noise =
        prop::sample::select(vec!["%", "\\", "&", "%2", "\\u00", "&#", "&#x", "&am", "=", "%3D", " ", "\n", "\\ud83d"]);
    let piece = prop_oneof![2 => spelled, 1 => noise.prop_map(str::to_owned)];
    prop::collection::vec(piece, 1..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn for_any_chunking_the_scrubber_equals_the_naive_one(
        (secret, text) in secrets().prop_flat_map(|secret| (Just(secret.clone()), texts(&secret))),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let (user, secret) = secret.as_bytes().split_at(secret.len().min(3));
        let whole = [user, secret].concat();
        let forms = Forms::none().secret(&whole).pair(&[user, b":", secret].concat()).value(&whole[whole.len() / 2..]);
        let naive = naive::scrub(&forms, MARKER.as_bytes(), text.as_bytes());
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
        cuts.extend([0, text.len()]);
        cuts.sort_unstable();
        let mut body = BodyScrubber::new(Scrubber::new("x", &forms).into());
        let mut clean = Vec::new();
        for piece in cuts.windows(2) {
            clean.extend_from_slice(&body.push(Bytes::copy_from_slice(&text.as_bytes()[piece[0]..piece[1]]), false));
        }
        clean.extend_from_slice(&body.finish());
        prop_assert_eq!((String::from_utf8_lossy(&clean), body.found()), (String::from_utf8_lossy(&naive.0), naive.1));
    }
}
