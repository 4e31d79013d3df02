//! Why the server does not run. Each says where in the config, or in systemd's unit, the cause is.

use std::io;

use crate::upstream::TlsSetupError;

/// Why the server does not run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A listener's address cannot be had.
    #[error("cannot listen on `{address}` (`listen.{listener}`)")]
    Bind {
        /// The listener's name in the config.
        listener: Box<str>,
        /// The address in the config.
        address: String,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// There is no socket for a listener that is to have one of systemd's.
    #[error(
        "systemd has passed no socket for `listen.{listener}`: its unit's `FileDescriptorName=` has to be as in `{address}`"
    )]
    NotPassed {
        /// The listener's name in the config.
        listener: Box<str>,
        /// The address in the config.
        address: String,
    },
    /// There is a socket for which there is no listener: whoever connects to it would wait for ever.
    #[error("no listener has the socket `{0}` that systemd has passed: `address = \"systemd:{0}\"` is missing")]
    NotTaken(Box<str>),
    /// Whoever reaches it would spend the credentials.
    #[error("other machines may reach `listen.{0}`, and nobody is asked who they are")]
    Open(Box<str>),
    /// The admin listener's address cannot be had.
    #[error("cannot listen on `{address}` (`admin`)")]
    BindAdmin {
        /// The address in the config.
        address: String,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// What `tls` says of an upstream cannot be used.
    #[error("the TLS of `upstream.{upstream}` cannot be set up")]
    Tls {
        /// The upstream's name in the config.
        upstream: Box<str>,
        /// What is wrong.
        #[source]
        source: UpstreamTlsError,
    },
    /// What `tls` says of a listener cannot be used.
    #[error("the TLS of `listen.{listener}` cannot be set up")]
    ListenTls {
        /// The listener's name in the config.
        listener: Box<str>,
        /// What is wrong.
        #[source]
        source: rustls::Error,
    },
    /// The system gives no thread, or no runtime for it.
    #[error("cannot start a worker")]
    Worker(#[source] io::Error),
}

/// What is wrong with an upstream's TLS settings.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct UpstreamTlsError(pub(super) TlsSetupError);
