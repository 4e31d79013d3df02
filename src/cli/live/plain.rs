//! Texts from outside, as they may be shown: without the credential, without what a terminal would obey or what would
//! change the order of a line, and not without end.

use crate::scrub::Scrubber;

/// Longer than any name, and than any error that explains something.
const LONGEST: usize = 300;

/// Makes `text` plain.
pub(super) fn plain(text: &str, scrubber: &Scrubber) -> String {
    let clean = scrubber.clean_text(text);
    let mut shown = String::with_capacity(clean.len());
    for character in clean.chars().take(LONGEST) {
        if character.is_ascii_graphic() || character == ' ' || character.is_alphanumeric() {
            shown.push(character);
        } else {
            shown.extend(character.escape_unicode());
        }
    }
    if clean.chars().nth(LONGEST).is_some() {
        shown.push_str("...");
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::plain;
    use crate::scrub::{Forms, Scrubber};

    #[test]
    fn nothing_that_a_terminal_would_obey_is_left() {
        let scrubber = Scrubber::new("api", &Forms::none());
        for (text, shown) in [
            ("R11, Übung GmbH", "R11, Übung GmbH"),
            ("\u{1b}[2Jx\u{7}", "\\u{1b}[2Jx\\u{7}"),
            ("a\r\nb\u{9b}", "a\\u{d}\\u{a}b\\u{9b}"),
            ("evil\u{202e}moc", "evil\\u{202e}moc"),
        ] {
            assert_eq!(plain(text, &scrubber), shown);
        }
        assert_eq!(plain(&"x".repeat(5000), &scrubber).len(), 303);
    }
}
