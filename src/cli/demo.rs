//! `sidekey demo`: the five stand-ins, the proxy before them, and a table of what becomes of a request without a
//! credential. Nothing in it is special: an ordinary config file, the ordinary loader, the ordinary server.

mod calls;
mod show;

use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use tokio::sync::oneshot;

use self::calls::{CALLS, Row};
use self::show::Place;
use crate::cli::run::Signals;
use crate::sandbox::{Sandbox, SandboxError};
use crate::{Config, ConfigError, ServeError, Server};

/// Where the demo listens, if nobody else does.
const PORT: u16 = 8080;

/// See it work: stand-ins of five vendors, sidekey before them, and no key in any request
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct Demo {
    /// Exit after the table, with an error if a row is not as promised
    #[arg(long)]
    pub once: bool,
    /// Listen on this port of 127.0.0.1 [default: 8080, or a free one]
    #[arg(long, value_name = "PORT")]
    pub port: Option<u16>,
}

/// Why the demo ended badly.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The stand-ins.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// The demo's own config, which is a defect.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The proxy: a port that is taken, mostly.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// The demo's directory, a signal, or the output.
    #[error("the demo could not go on")]
    Io(#[from] io::Error),
    /// The table shows which.
    #[error("not every row is as promised")]
    NotAsPromised,
}

/// Shows the table on `out` and, unless `once`, serves until SIGINT or SIGTERM. Styles are written as escapes: `out`
/// strips them where they are not wanted.
///
/// # Errors
/// The demo could not start, or a row of the table is not as promised.
pub fn demo(options: Demo, out: &mut impl Write) -> Result<(), DemoError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(run(options, out))
}

async fn run(options: Demo, out: &mut impl Write) -> Result<(), DemoError> {
    let sandbox = Sandbox::start()?;
    let directory = tempfile::Builder::new().prefix("sidekey-demo-").tempdir()?;
    let port = choose_port(options.port)?;
    let config_file = directory.path().join("sidekey.toml");
    let text = sandbox.config_toml(directory.path(), &format!("127.0.0.1:{port}"))?;
    std::fs::write(&config_file, &text)?;
    let server = Server::bind(Config::parse(&config_file, &text)?)?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let place = Place { address, config_file: &config_file, elsewhere: options.port.is_none() && port != PORT };

    let (stop, stopped) = oneshot::channel::<()>();
    let serving = server.serve(async {
        let _ended = stopped.await;
    });
    let showing = async {
        // However this block ends, the server ends with it.
        let _stop = stop;
        show(options, &sandbox, &place, out).await
    };
    let (shown, served) = tokio::join!(showing, serving);
    served?;
    shown
}

async fn show(options: Demo, sandbox: &Sandbox, place: &Place<'_>, out: &mut impl Write) -> Result<(), DemoError> {
    show::opening(out)?;
    let mut as_promised = true;
    for call in &CALLS {
        let row = Row::ask(call, sandbox, place.address).await;
        as_promised &= row.is_as_promised();
        show::row(out, &row)?;
    }
    if !as_promised {
        return Err(DemoError::NotAsPromised);
    }
    if options.once {
        return Ok(());
    }
    show::things_to_try(out, place)?;
    out.flush()?;
    Signals::new()?.next().await;
    writeln!(out)?;
    Ok(())
}

/// The port that was asked for; else the usual one, or one that is free. It is chosen before the config is written, so
/// that the file says what is served.
fn choose_port(asked: Option<u16>) -> io::Result<u16> {
    let bind = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    match asked {
        Some(port @ 1..) => return Ok(port),
        None if bind(PORT).is_ok() => return Ok(PORT),
        Some(0) | None => {}
    }
    Ok(bind(0)?.local_addr()?.port())
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};

    use super::choose_port;

    #[test]
    fn a_port_that_was_asked_for_is_not_exchanged_for_another() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        assert_eq!(choose_port(Some(port)).unwrap(), port);
        assert_ne!(choose_port(Some(0)).unwrap(), 0);
        assert_ne!(choose_port(None).unwrap(), 0);
    }
}
