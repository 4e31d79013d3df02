//! `sidekey run`.

use std::future::Future;
use std::io;

use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::hardening::{ClosedMemory, Hardening, Places};
use crate::secret::command;
use crate::service_manager::ServiceManager;
use crate::telemetry::{self, LogFormat};
use crate::{Config, Drained, InheritError, InheritedSockets, Reloads, ServeError, Server};

/// Why `run` ended as it should not.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The server does not run.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// The system gives no runtime, or no signals.
    #[error("cannot start")]
    Start(#[from] io::Error),
    /// The process that would run the config's commands.
    #[error("cannot start the process that runs commands")]
    Commands(#[source] io::Error),
    /// The service manager has passed what cannot be listened on.
    #[error(transparent)]
    Inherit(#[from] InheritError),
    /// A second signal came while begun requests were being finished.
    #[error("stopped by a second signal, before begun requests were finished")]
    SecondSignal,
}

/// Serves until SIGTERM or SIGINT, then finishes what has begun; a second signal ends it at once. Without `memory`, which
/// only `--no-hardening` asks for, nothing is hardened.
///
/// # Errors
/// The server cannot start, or was stopped before it had finished.
pub fn run(
    config: Config,
    sockets: InheritedSockets,
    log_format: Option<LogFormat>,
    memory: Option<ClosedMemory>,
) -> Result<(), RunError> {
    let (files, warnings, log) = (config.files.clone(), config.warnings.clone(), config.log);
    let server = Server::bind_with(config, sockets)?;
    let commands = memory.as_ref().map(|_| command::hand_over()).transpose().map_err(RunError::Commands)?;
    // Before there is any other thread: the log's, the workers'.
    let hardening = memory.map(|memory| Hardening::apply(memory, &Places::new(&files, &server.own_addresses())));
    let _log = telemetry::start(log_format, &log);
    match hardening {
        Some(hardening) => hardening.log(),
        None => tracing::warn!(target: "process", "not hardened: `--no-hardening`"),
    }
    if let Some(commands @ 1..) = commands {
        tracing::info!(target: "process", commands, "commands are run by another process, which runs these alone");
    }
    for warning in warnings {
        tracing::warn!(target: "config", "{warning}");
    }
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(server))
}

/// Serves until a signal ends it, or a second one what had begun.
async fn serve(server: Server) -> Result<(), RunError> {
    let mut signals = Signals::new()?;
    for address in server.addresses() {
        tracing::info!(target: "server", %address, "listening");
    }
    if let Some(address) = server.admin_address() {
        tracing::info!(target: "server", %address, "admin listener bound");
    }
    let (service, pulses) = (ServiceManager::new(&server.addresses()), server.pulses());
    let (draining, drain_begun) = tokio::sync::oneshot::channel();
    let mut second = Signals::new()?;
    let reloads = server.reloads();
    let stop = async {
        let draining = draining;
        signals.next().await;
        service.stopping();
        tracing::info!(target: "server", "stopping: begun requests are finished, a second signal ends them");
        let _ = draining.send(());
    };
    tokio::select! {
        drained = server.serve(stop) => match drained? {
            Drained::Whole => tracing::info!(target: "server", "stopped"),
            Drained::Cut(connections) => {
                tracing::warn!(target: "server", connections, "stopped: these took longer than `drain`");
            }
        },
        () = second.next_after(drain_begun) => return Err(RunError::SecondSignal),
        () = Signals::new()?.reload(&reloads, &service) => {}
        never = service.attend(&pulses) => match never {},
    }
    Ok(())
}

/// Runs the commands of a config, for the process at the other end of standard input.
///
/// # Errors
/// Standard input is not what `run` makes it.
pub fn serve_commands() -> io::Result<()> {
    command::broker::serve()
}

/// The signals that mean something: a terminal that closes, or an operator who wants a reload, cuts no request.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for SIGTERM or SIGINT.
    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Waits for the one that comes after the first, which `first` tells of.
    async fn next_after<T>(&mut self, first: impl Future<Output = T>) {
        first.await;
        self.next().await;
        self.next().await;
    }

    /// Has everything read again whenever SIGHUP comes.
    async fn reload(mut self, reloads: &Reloads, service: &ServiceManager) {
        while self.hang_up.recv().await.is_some() {
            service.reloading();
            command::run_again();
            reloads.reload().await;
            service.ready();
        }
    }
}
