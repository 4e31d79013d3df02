//! What the demo says. Styles are `anstyle`'s alone; every width is that of the text without them.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;

use anstyle::{AnsiColor, Style};
use http::StatusCode;

use super::calls::Row;

const STRONG: Style = Style::new().bold();
const QUIET: Style = Style::new().dimmed();
const GOOD: Style = AnsiColor::Green.on_default();
const REFUSED: Style = AnsiColor::Yellow.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();

/// Where the demo can be found.
pub(super) struct Place<'a> {
    pub(super) address: SocketAddr,
    pub(super) config_file: &'a Path,
    /// The usual port was taken.
    pub(super) elsewhere: bool,
}

/// What is being shown, and the head of the table.
pub(super) fn opening(out: &mut impl Write) -> io::Result<()> {
    writeln!(
        out,
        "\n  {STRONG}Your apps make the calls. sidekey holds the keys.{STRONG:#}\n\n  \
         Five vendors have stand-ins on this machine that check credentials as the real ones do.\n  \
         Each request below carries none. It goes straight to the vendor, then through sidekey.\n"
    )?;
    let (upstream, scheme, request) = ("upstream", "scheme", "request");
    writeln!(out, "  {QUIET}{upstream:<9}  {scheme:<7}  {request:<26}  direct  sidekey  answer{QUIET:#}")?;
    out.flush()
}

/// One line of the table.
pub(super) fn row(out: &mut impl Write, row: &Row<'_>) -> io::Result<()> {
    let call = row.call;
    let path = call.target.split('?').next().unwrap_or_default();
    let request = format!("{:<4} {path}", call.method);
    let direct = status(row.direct, "direct".len(), StatusCode::UNAUTHORIZED, REFUSED);
    let through = status(row.through_sidekey, "sidekey".len(), call.promised, GOOD);
    writeln!(out, "  {:<9}  {:<7}  {request:<26}  {direct}  {through}  {}", call.upstream, call.scheme, row.gist)?;
    out.flush()
}

/// A status, as wide as its head: in `style` if it is the one that was `promised`, else so that it is seen.
fn status(status: Option<StatusCode>, width: usize, promised: StatusCode, style: Style) -> String {
    let style = if status == Some(promised) { style } else { BAD };
    let text = status.map_or_else(|| "none".to_owned(), |status| status.as_str().to_owned());
    format!("{style}{text:<width$}{style:#}")
}

/// Commands that work as they are printed, where the config lies, and how it ends.
pub(super) fn things_to_try(out: &mut impl Write, place: &Place<'_>) -> io::Result<()> {
    let Place { address, config_file, elsewhere } = place;
    writeln!(out, "\n  {STRONG}Try it.{STRONG:#} Not one of these holds a key.")?;
    for (what, command) in commands(*address) {
        writeln!(out, "\n  {QUIET}# {what}{QUIET:#}\n  {command}")?;
    }
    let taken = if *elsewhere { format!(" {QUIET}(8080 is taken){QUIET:#}") } else { String::new() };
    writeln!(
        out,
        "\n  {STRONG}sidekey{STRONG:#}  http://{address}{taken}\n  \
         {STRONG}config{STRONG:#}   {}  {QUIET}with its made-up secrets beside it{QUIET:#}\n\n  \
         {QUIET}Ctrl-C ends it, and removes them.{QUIET:#}",
        config_file.display()
    )
}

/// What each shows, and the command for a shell.
fn commands(address: SocketAddr) -> [(&'static str, String); 6] {
    let port = address.port();
    [
        ("the upstream is the first part of the path", format!("curl http://{address}/imagga/v2/usage")),
        ("or the host name", format!("curl http://imagior.localhost:{port}/user/account")),
        (
            "an upload",
            format!(
                "echo '{{\"email\":\"ada@example.com\"}}' | \\\n    \
                 curl -F import_type=full -F users=@- http://{address}/resci/v3/import_jobs"
            ),
        ),
        (
            "a picture, left in harbour.png",
            format!(
                "curl -F prompt='a quiet harbour' -F style=realistic -o harbour.png \\\n    \
                 http://{address}/imagine/v2/image/generations"
            ),
        ),
        (
            "a message, signed with HMAC on its way",
            format!(
                "curl -H 'Content-Type: application/json' \\\n    \
                 -d '{{\"messages\":[{{\"content\":\"Hello\",\"destination_number\":\"+61491570156\"}}]}}' \\\n    \
                 http://{address}/hub/v1/messages"
            ),
        ),
        (
            "and from a program: the base URL is all that changes",
            format!(
                "python3 -c 'import urllib.request as r; print(r.urlopen(\n    \
                 \"http://{address}/hub-basic/v1/replies\").read().decode())'"
            ),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};
    use std::path::Path;

    use http::StatusCode;

    use super::super::calls::{CALLS, Row};
    use super::{Place, commands, opening, row, things_to_try};

    /// What a terminal would show, without its styles.
    fn shown(write: impl FnOnce(&mut Vec<u8>) -> std::io::Result<()>) -> String {
        let mut stripped = anstream::StripStream::new(Vec::new());
        let mut styled = Vec::new();
        write(&mut styled).unwrap();
        std::io::Write::write_all(&mut stripped, &styled).unwrap();
        String::from_utf8(stripped.into_inner()).unwrap()
    }

    fn place(elsewhere: bool) -> Place<'static> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 8080));
        Place { address, config_file: Path::new("/tmp/sidekey-demo-a1b2c3/sidekey.toml"), elsewhere }
    }

    #[test]
    fn the_table_is_aligned_and_fits_a_terminal() {
        let table = shown(|out| {
            opening(out)?;
            for call in &CALLS {
                let (direct, gist) = (Some(StatusCode::UNAUTHORIZED), "an answer".to_owned());
                row(out, &Row { call, direct, through_sidekey: Some(call.promised), gist })?;
            }
            Ok(())
        });
        let rows: Vec<&str> = table.lines().skip_while(|line| !line.contains("upstream  ")).collect();
        assert_eq!(rows.len(), 1 + CALLS.len(), "{table}");
        let column = |word: &str| rows[0].find(word).unwrap();
        for line in &rows[1..] {
            assert_eq!((line.find("401"), line.find("an answer")), (Some(column("direct")), Some(column("answer"))));
        }
        assert!(table.lines().all(|line| line.chars().count() <= 96), "{table}");
    }

    #[test]
    fn a_broken_promise_stands_out() {
        let lines = |through_sidekey| {
            let mut out = Vec::new();
            let direct = Some(StatusCode::UNAUTHORIZED);
            row(&mut out, &Row { call: &CALLS[0], direct, through_sidekey, gist: String::new() }).unwrap();
            String::from_utf8(out).unwrap()
        };
        let red = super::BAD.to_string();
        assert!(!lines(Some(StatusCode::OK)).contains(&red));
        assert!(lines(Some(StatusCode::UNAUTHORIZED)).contains(&red));
        assert!(lines(None).contains("none"));
    }

    #[test]
    fn what_there_is_to_try_fits_a_terminal_and_names_the_config() {
        let text = shown(|out| things_to_try(out, &place(false)));
        assert!(text.contains("/tmp/sidekey-demo-a1b2c3/sidekey.toml"), "{text}");
        assert!(!text.contains("taken"));
        assert!(text.lines().all(|line| line.chars().count() <= 96), "{text}");
        assert!(shown(|out| things_to_try(out, &place(true))).contains("(8080 is taken)"));
    }

    #[test]
    fn no_command_holds_a_credential() {
        for (_, command) in commands(place(false).address) {
            assert!(!command.to_ascii_lowercase().contains("authorization"), "{command}");
            assert!(!command.contains(" -u"), "{command}");
        }
    }
}
