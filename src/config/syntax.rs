//! What is wrong with a file that is not TOML, in our own words: the parser's messages may come to quote a value, and
//! its reports print the line.

use super::error::{Fault, Position, Problem};

const KEY: &str = "a key is made of letters, digits, `-` and `_`, or stands in quotes";
const COMMA: &str = "a comma is missing or too many, or the list is not closed";

/// What is wrong with `text`: of each line the first error, as the others follow from it.
pub(super) fn problems(text: &str, errors: &[toml::de::Error]) -> Vec<Problem> {
    let position =
        |error: &toml::de::Error| error.span().map_or(Position::START, |span| Position::of(span.start, text));
    let mut problems: Vec<(Position, Fault)> =
        errors.iter().map(|error| (position(error), fault(error.message()))).collect();
    problems.sort_by_key(|(position, _)| *position);
    problems.dedup_by_key(|(position, _)| position.line);
    // A list that is not closed takes the lines after it for its items.
    problems.dedup_by(|(_, later), (_, earlier)| later.message() == COMMA && earlier.message() == COMMA);
    problems.into_iter().map(|(position, fault)| Problem::new(Some(position), None, fault)).collect()
}

/// Our own words for the parser's: its text chooses among ours, and is not shown.
fn fault(message: &str) -> Fault {
    let about = |part: &str| message.contains(part);
    if about("duplicate key") {
        Fault::new("this key or section is given twice")
    } else if about("dotted key") {
        Fault::new("this key already has a value, which cannot be extended")
    } else if about("unexpected key or value") {
        Fault::new("expected the end of the line")
            .hint("one `key = value` stands on a line, or between commas in `{ }`")
    } else if about("unquoted keys") {
        Fault::new("expected a key").hint(KEY)
    } else if about("string values must be quoted") || about("invalid literal string") {
        Fault::new("expected a value").hint("a text stands in quotes: `key = \"text\"`")
    } else if about("unclosed table") || about("unclosed array table") {
        Fault::new("the section's name is not closed").hint("a section starts as `[name]`, alone on its line")
    } else if about("unclosed array") {
        Fault::new("the list is not closed").hint("a list ends in `]`")
    } else if about("inline table") && about("unclosed") {
        Fault::new("the table is not closed").hint("a table that starts with `{` ends in `}`")
    } else if about("comma") {
        Fault::new(COMMA)
    } else if about("escape") || about("unicode") {
        Fault::new("not a valid escape in a text").hint("single quotes take a text as it is: `'C:\\dir'`")
    } else if about("quote") || about("string") {
        Fault::new("the text is not closed, or holds a character that must be escaped")
    } else if about("no value") || about("missing value") || about("assignment") {
        Fault::new("expected `key = value`")
    } else if about("recurs") {
        Fault::new("nested too deep")
    } else if about("carriage return") || about("character") {
        Fault::new("a control character that TOML does not allow")
    } else if about("key") {
        Fault::new("expected a key").hint(KEY)
    } else {
        Fault::new("not valid TOML")
    }
}

#[cfg(test)]
mod tests {
    use toml::de::DeTable;

    use super::problems;

    fn report(text: &str) -> String {
        let (_, errors) = DeTable::parse_recoverable(text);
        let lines = problems(text, &errors);
        lines.iter().map(|p| format!("{} {}\n", p.position().unwrap(), p.message())).collect()
    }

    #[test]
    fn syntax_errors_are_told_in_our_own_words_with_their_place() {
        for (text, told) in [
            ("a = 1\na = 2", "2:1 this key or section is given twice\n"),
            ("[a]\n[b]\n[a]", "3:2 this key or section is given twice\n"),
            ("a = 1\na.b = 2", "2:1 this key already has a value, which cannot be extended\n"),
            ("a = hunter2", "1:5 expected a value\n"),
            ("a = \"hunter2", "1:13 the text is not closed, or holds a character that must be escaped\n"),
            ("a = \"\\q\"", "1:7 not a valid escape in a text\n"),
            ("[a\nb = 1", "1:3 the section's name is not closed\n"),
            ("a = [1, 2\nb = 1", "2:1 a comma is missing or too many, or the list is not closed\n"),
            ("a = { b = 1", "1:12 the table is not closed\n"),
            ("a = { b = 1 c = 2 }", "1:11 expected a value\n"),
            ("hunter2", "1:8 expected `key = value`\n"),
            ("a =", "1:4 expected a value\n"),
            ("= 3", "1:1 expected a key\n"),
            ("a = \"x\" b = 2", "1:9 expected the end of the line\n"),
            ("[a]]", "1:4 expected the end of the line\n"),
        ] {
            assert_eq!(report(text), told, "{text}");
        }
    }

    #[test]
    fn all_syntax_errors_are_told_at_once() {
        assert_eq!(report("a = x\nb = 1\nc = \"y\nd = 2\nd = 3\n").lines().count(), 3);
    }
}
