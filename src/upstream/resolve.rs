//! Name look-up. Workers ask; one task on the main thread looks up, with the TTLs of the answers, for all of them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{LookupIpStrategy, ResolveHosts};
use hickory_resolver::net::NetError;
use tokio::sync::{mpsc, oneshot};

/// Why a name has no address. The text is for the log.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LookupError {
    #[error("the system's resolver configuration cannot be used: {0}")]
    System(#[source] NetError),
    #[error("name look-up failed: {0}")]
    Failed(#[source] NetError),
    #[error("the name has no address")]
    Empty,
    #[error("the resolver has stopped")]
    Stopped,
}

struct Question {
    name: Box<str>,
    answer: oneshot::Sender<Result<Vec<IpAddr>, LookupError>>,
}

/// A worker's way to ask for addresses.
#[derive(Clone)]
pub(crate) struct Resolver(mpsc::UnboundedSender<Question>);

/// Where the questions arrive.
pub(crate) struct Lookups(mpsc::UnboundedReceiver<Question>);

/// A resolver, and what must be served for it to answer.
pub(crate) fn resolver() -> (Resolver, Lookups) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (Resolver(sender), Lookups(receiver))
}

impl Resolver {
    /// All addresses of `name`, of both families. Dropping the future forgets the question.
    pub(super) async fn addresses(&self, name: &str) -> Result<Vec<IpAddr>, LookupError> {
        // RFC 6761 6.3: never asked of the network.
        if name == "localhost" || name.ends_with(".localhost") {
            return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
        }
        let (answer, receiver) = oneshot::channel();
        let question = Question { name: name.into(), answer };
        self.0.send(question).map_err(|_| LookupError::Stopped)?;
        receiver.await.map_err(|_| LookupError::Stopped)?
    }
}

impl Lookups {
    /// Answers until every [`Resolver`] is gone.
    pub(crate) async fn serve(mut self) {
        let mut system = None;
        while let Some(question) = self.0.recv().await {
            let resolver = match &system {
                Some(resolver) => TokioResolver::clone(resolver),
                None => match system_resolver() {
                    Ok(resolver) => system.insert(resolver).clone(),
                    Err(error) => {
                        let _ = question.answer.send(Err(LookupError::System(error)));
                        continue;
                    }
                },
            };
            crate::server::spawn_lookup(async move {
                let _ = question.answer.send(look_up(&resolver, &question.name).await);
            });
        }
    }
}

/// The servers of `/etc/resolv.conf`. Its hosts file is not read: whoever may write it could point a vendor's name
/// anywhere. A name with a dot is tried as it is before any search domain.
fn system_resolver() -> Result<TokioResolver, NetError> {
    let mut builder = TokioResolver::builder_tokio()?;
    let options = builder.options_mut();
    options.use_hosts_file = ResolveHosts::Never;
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    options.ndots = 1;
    builder.build()
}

async fn look_up(resolver: &TokioResolver, name: &str) -> Result<Vec<IpAddr>, LookupError> {
    let found = resolver.lookup_ip(name).await.map_err(LookupError::Failed)?;
    let addresses: Vec<IpAddr> = found.iter().collect();
    if addresses.is_empty() { Err(LookupError::Empty) } else { Ok(addresses) }
}
