//! Stand-ins of the five vendors, on loopback, for `sidekey demo` and for tests. Beside the request path, not in it.
//!
//! Each is a TLS listener of its own under a CA made on the spot, and verifies what arrives as strictly as its vendor
//! would (and answers 400 to what a proxy must not let across). Nothing here is shared with `credential/`: what the
//! one signs, the other has to understand by itself.

mod authorization;
pub(crate) mod client;
mod config;
mod date;
mod http;
mod hub;
mod imagga;
mod imagine;
mod imagior;
mod keys;
pub(crate) mod kong;
mod leftover;
mod multipart;
mod png;
mod resci;
mod tls;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;

use rustls::pki_types::CertificateDer;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use self::http::{Answer, Arrived};
use self::keys::Keys;

/// The stand-ins, running until this is dropped.
pub struct Sandbox {
    addresses: Vec<(Vendor, SocketAddr)>,
    ca_pem: String,
    ca: CertificateDer<'static>,
    keys: Arc<Keys>,
    /// Its end ends the thread's work.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// A vendor that has a stand-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vendor {
    /// Image tagging.
    Imagga,
    /// Retention Science: customer data imports.
    Resci,
    /// Images from templates.
    Imagior,
    /// Images from prompts.
    Imagine,
    /// The messaging Hub.
    Hub,
}

/// Why the stand-ins could not start.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// No port, no thread, no runtime.
    #[error("cannot start the stand-ins")]
    Io(#[from] std::io::Error),
    /// The CA or a certificate could not be made.
    #[error("cannot make the stand-ins' certificates")]
    Certificate(#[from] rcgen::Error),
    /// The TLS stack refused them.
    #[error("cannot set up TLS for the stand-ins")]
    Tls(#[from] rustls::Error),
    /// The operating system gave no random bytes.
    #[error("no random bytes for the made-up secrets")]
    Random,
}

impl Vendor {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 5] = [Self::Imagga, Self::Resci, Self::Imagior, Self::Imagine, Self::Hub];

    /// What its upstream is called in the config of [`Sandbox::config_toml`].
    pub fn name(self) -> &'static str {
        match self {
            Self::Imagga => "imagga",
            Self::Resci => "resci",
            Self::Imagior => "imagior",
            Self::Imagine => "imagine",
            Self::Hub => "hub",
        }
    }

    /// The preset that knows it.
    pub fn preset(self) -> &'static str {
        match self {
            Self::Imagga => "imagga",
            Self::Resci => "resci",
            Self::Imagior => "imagior",
            Self::Imagine => "imagine",
            Self::Hub => "messagemedia",
        }
    }

    /// The schemes that it accepts, as the config names them.
    pub fn schemes(self) -> &'static [&'static str] {
        match self {
            Self::Imagga => &["basic"],
            Self::Resci => &["api-key"],
            Self::Imagior | Self::Imagine => &["bearer"],
            Self::Hub => &["hmac", "basic"],
        }
    }
}

/// One vendor's side: what it knows, and how it answers.
enum StandIn {
    Imagga(imagga::Imagga),
    Resci(resci::Resci),
    Imagior(imagior::Imagior),
    Imagine(imagine::Imagine),
    Hub(hub::Hub),
}

impl StandIn {
    fn new(vendor: Vendor, keys: &Arc<Keys>) -> Self {
        let keys = Arc::clone(keys);
        match vendor {
            Vendor::Imagga => Self::Imagga(imagga::Imagga::new(keys)),
            Vendor::Resci => Self::Resci(resci::Resci::new(keys)),
            Vendor::Imagior => Self::Imagior(imagior::Imagior::new(keys)),
            Vendor::Imagine => Self::Imagine(imagine::Imagine::new(keys)),
            Vendor::Hub => Self::Hub(hub::Hub::new(keys)),
        }
    }

    fn answer(&self, request: &Arrived) -> Answer {
        match self {
            Self::Imagga(vendor) => vendor.answer(request),
            Self::Resci(vendor) => vendor.answer(request),
            Self::Imagior(vendor) => vendor.answer(request),
            Self::Imagine(vendor) => vendor.answer(request),
            Self::Hub(vendor) => vendor.answer(request),
        }
    }
}

impl Sandbox {
    /// Makes a CA and secrets for this run, binds a port on 127.0.0.1 for each vendor, and serves on a thread of its
    /// own: callers need no runtime. When this returns, every stand-in accepts connections.
    ///
    /// # Errors
    /// No port, thread or random bytes to be had.
    pub fn start() -> Result<Self, SandboxError> {
        let authority = tls::Authority::new()?;
        let keys = Arc::new(Keys::make_up().ok_or(SandboxError::Random)?);
        let mut addresses = Vec::new();
        let mut listening = Vec::new();
        for vendor in Vendor::ALL {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            listener.set_nonblocking(true)?;
            addresses.push((vendor, listener.local_addr()?));
            listening.push((listener, authority.acceptor()?, Arc::new(StandIn::new(vendor, &keys))));
        }
        let (stop, stopped) = oneshot::channel();
        let (started, starting) = std::sync::mpsc::channel();
        let thread = std::thread::Builder::new().name("sandbox".into()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let (runtime, outcome) = match runtime {
                Ok(runtime) => (Some(runtime), Ok(())),
                Err(error) => (None, Err(error)),
            };
            // Nobody listens only if `start` is gone, and then the channel below has ended too.
            let _heard = started.send(outcome);
            if let Some(runtime) = runtime {
                runtime.block_on(serve(listening, stopped));
            }
        })?;
        let sandbox = Self {
            addresses,
            ca_pem: authority.pem(),
            ca: authority.der(),
            keys,
            stop: Some(stop),
            thread: Some(thread),
        };
        starting.recv().unwrap_or_else(|_| Err(std::io::ErrorKind::Other.into()))?;
        Ok(sandbox)
    }

    /// Where `vendor`'s stand-in listens. Its certificate names `localhost`, `127.0.0.1` and `::1`.
    pub fn address(&self, vendor: Vendor) -> SocketAddr {
        // Every vendor is bound in `start`; port 0 answers nobody.
        let unbound = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        self.addresses.iter().find(|(bound, _)| *bound == vendor).map_or(unbound, |(_, address)| *address)
    }

    /// The CA that signed every stand-in's certificate. Its private key is gone by now.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    pub(crate) fn ca(&self) -> &CertificateDer<'static> {
        &self.ca
    }
}

type Listening = (TcpListener, TlsAcceptor, Arc<StandIn>);

/// Serves until the other end of `stopped` is dropped. The end of this ends every connection.
async fn serve(listening: Vec<Listening>, stopped: oneshot::Receiver<()>) {
    let mut serving = JoinSet::new();
    for (listener, acceptor, stand_in) in listening {
        serving.spawn(http::serve(listener, acceptor, stand_in));
    }
    // The sender never sends: its end is the signal.
    let _ended = stopped.await;
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // A panic in there has already been reported by the panic hook.
            let _ended = thread.join();
        }
    }
}

#[cfg(test)]
mod tests;
