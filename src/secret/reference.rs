//! Secret references: what a config names a secret by. A text that is none may be the secret itself, and is never shown.

use std::fmt;

use super::command::Invocation;

/// How references are written.
pub(crate) const FORMS: &str = "`env:NAME`, `file:PATH`, `credential:NAME` or `command:[…]`";

/// A secret reference, as the config writes it. Its `Display` may be shown: of a command, whose arguments may hold
/// anything, it is the program alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reference<'a> {
    /// `env:NAME`
    Variable(&'a str),
    /// `file:PATH`
    File(&'a str),
    /// `credential:NAME`: a file in the folder that systemd makes for the service's credentials.
    Credential(&'a str),
    /// `command:["PROGRAM", "ARGUMENT", …]`
    Command(Invocation),
}

/// Why a text is no reference. The text itself may be the secret, and is not in here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotReference {
    /// It begins as none does.
    Literal,
    /// What follows `env:` is no name.
    Name,
    /// What follows `file:` is no path.
    Path,
    /// What follows `credential:` is not the name of a file.
    Credential,
    /// What follows `command:` is not a list of texts that begins with a program.
    Command,
}

impl<'a> Reference<'a> {
    pub(crate) fn parse(text: &'a str) -> Result<Self, NotReference> {
        match text.split_once(':') {
            Some(("env", name)) if is_variable(name) => Ok(Self::Variable(name)),
            Some(("env", _)) => Err(NotReference::Name),
            Some(("file", path)) if is_path(path) => Ok(Self::File(path)),
            Some(("file", _)) => Err(NotReference::Path),
            Some(("credential", name)) if is_path(name) && !matches!(name, "." | "..") && !name.contains('/') => {
                Ok(Self::Credential(name))
            }
            Some(("credential", _)) => Err(NotReference::Credential),
            Some(("command", list)) => {
                let words = serde_json::from_str(list).ok();
                words.and_then(Invocation::new).map(Self::Command).ok_or(NotReference::Command)
            }
            Some(_) | None => Err(NotReference::Literal),
        }
    }
}

impl NotReference {
    /// What to write instead.
    pub(crate) fn hint(self) -> &'static str {
        match self {
            Self::Literal => "put the value in a file or an environment variable and name it here",
            Self::Name => "what follows `env:` is a name of letters, digits and `_`",
            Self::Path => "what follows `file:` is the path of a file",
            Self::Credential => "what follows `credential:` is the name of a file in `$CREDENTIALS_DIRECTORY`",
            Self::Command => "a program and its arguments, as `'command:[\"PROGRAM\", \"ARGUMENT\"]'`",
        }
    }
}

fn is_variable(name: &str) -> bool {
    name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && name.bytes().next().is_some_and(|b| !b.is_ascii_digit())
}

fn is_path(path: &str) -> bool {
    !path.is_empty() && !path.chars().any(char::is_control)
}

impl fmt::Display for Reference<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file:{path}"),
            Self::Credential(name) => write!(f, "credential:{name}"),
            Self::Command(invocation) => write!(f, "command:[\"{}\", …]", invocation.program()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{NotReference, Reference};

    #[test]
    fn a_reference_is_of_one_of_four_kinds_and_nothing_else() {
        assert_eq!(Reference::parse("env:KEY_2"), Ok(Reference::Variable("KEY_2")));
        assert_eq!(Reference::parse("file:a b/c:d"), Ok(Reference::File("a b/c:d")));
        assert_eq!(Reference::parse("credential:api.key"), Ok(Reference::Credential("api.key")));
        assert!(matches!(Reference::parse("command:[\"op\", \"read\"]"), Ok(Reference::Command(_))));
        for (texts, why) in [
            (&["", "hunter2", "ENV:KEY", " env:KEY", "vault:x", "command"][..], NotReference::Literal),
            (&["env:", "env:2KEY", "env:$KEY", "env:a-b", "env:a b", "env:é"], NotReference::Name),
            (&["file:", "file:a\nb", "file:\u{1b}[31m"], NotReference::Path),
            (&["credential:", "credential:.", "credential:..", "credential:a/b", "credential:/a"], {
                NotReference::Credential
            }),
            (&["command:", "command:op", "command:[]", "command:[\"\"]", "command:[1]"], NotReference::Command),
            (&["command:[\"a\\u0000\"]", "command:[\"op\\n\"]", "command:{}", "command:[\"a\"] x"], {
                NotReference::Command
            }),
        ] {
            for text in texts {
                assert_eq!(Reference::parse(text), Err(why), "{text:?}");
            }
        }
    }

    #[test]
    fn of_a_command_the_program_alone_is_shown() {
        let reference = Reference::parse("command:[\"curl\", \"-H\", \"X-Token: hunter2\"]").unwrap();
        assert_eq!(reference.to_string(), "command:[\"curl\", …]");
    }
}
