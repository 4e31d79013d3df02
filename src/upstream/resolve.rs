//! Name look-up. Workers ask; one task on the main thread looks up, with the TTLs of the answers, for all of them.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use hickory_resolver::config::{LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::op::Query;
use hickory_resolver::proto::rr::{Name, RecordType};
use hickory_resolver::system_conf::read_system_conf;
use hickory_resolver::{Hosts, TokioResolver};
use tokio::sync::{mpsc, oneshot};

use crate::config;

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
pub(crate) struct Lookups {
    questions: mpsc::UnboundedReceiver<Question>,
    config: config::Lookup,
    at_start: SystemFiles,
}

/// A resolver, and what must be served for it to answer. `at_start`: where the system's files cannot be read when the
/// first question comes.
pub(crate) fn resolver(config: config::Lookup, at_start: SystemFiles) -> (Resolver, Lookups) {
    let (sender, questions) = mpsc::unbounded_channel();
    (Resolver(sender), Lookups { questions, config, at_start })
}

/// What the system's files say, as far as the config has them read, and they can be.
#[derive(Default)]
pub(crate) struct SystemFiles {
    servers: Option<Result<(ResolverConfig, ResolverOpts), NetError>>,
    hosts: Option<io::Result<Hosts>>,
}

impl SystemFiles {
    pub(crate) fn read(config: &config::Lookup) -> Self {
        Self {
            servers: config.nameservers.is_empty().then(read_system_conf),
            hosts: config.hosts_file.then(Hosts::from_system),
        }
    }

    /// What could not be read is as it was in `earlier`: who replaces a file makes another one, which a hardened process
    /// may not open.
    fn or(self, earlier: Self) -> Self {
        Self { servers: or(self.servers, earlier.servers), hosts: or(self.hosts, earlier.hosts) }
    }
}

fn or<T, E>(now: Option<Result<T, E>>, earlier: Option<Result<T, E>>) -> Option<Result<T, E>> {
    match (now, earlier) {
        (Some(Err(_)), Some(Ok(earlier))) => Some(Ok(earlier)),
        (now, _) => now,
    }
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
        let mut begun = None;
        while let Some(question) = self.questions.recv().await {
            let sources = match &begun {
                Some(sources) => Arc::clone(sources),
                None => match self.sources() {
                    Ok(sources) => Arc::clone(begun.insert(Arc::new(sources))),
                    Err(error) => {
                        let _ = question.answer.send(Err(LookupError::System(error)));
                        continue;
                    }
                },
            };
            crate::server::spawn_lookup(async move {
                let _ = question.answer.send(sources.look_up(&question.name).await);
            });
        }
    }

    /// The files are read when they are needed: a machine may learn of its name servers after sidekey has started.
    fn sources(&mut self) -> Result<Sources, NetError> {
        let files = SystemFiles::read(&self.config).or(std::mem::take(&mut self.at_start));
        Sources::new(&self.config, files)
    }
}

/// What knows the addresses of a name.
struct Sources {
    /// Empty, unless the config says so: whoever may write that file could point a vendor's name anywhere.
    hosts: Hosts,
    servers: TokioResolver,
}

impl Sources {
    fn new(config: &config::Lookup, files: SystemFiles) -> Result<Self, NetError> {
        let (servers, mut options) = match files.servers {
            Some(read) => read?,
            None => {
                let servers = config.nameservers.iter().copied().map(name_server).collect();
                (ResolverConfig::from_name_servers(servers), ResolverOpts::default())
            }
        };
        options.use_hosts_file = ResolveHosts::Never;
        options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        // A name with a dot is tried as it is before any search domain.
        options.ndots = 1;
        let servers = TokioResolver::builder_with_config(servers, TokioRuntimeProvider::default());
        // A file that is not there lists nothing.
        let hosts = files.hosts.and_then(Result::ok).unwrap_or_default();
        Ok(Self { hosts, servers: servers.with_options(options).build()? })
    }

    async fn look_up(&self, name: &str) -> Result<Vec<IpAddr>, LookupError> {
        let listed = self.listed(name);
        if !listed.is_empty() {
            return Ok(listed);
        }
        let found = self.servers.lookup_ip(name).await.map_err(LookupError::Failed)?;
        let addresses: Vec<IpAddr> = found.iter().collect();
        if addresses.is_empty() { Err(LookupError::Empty) } else { Ok(addresses) }
    }

    /// What the hosts file says: if anything, then all there is. hickory's own use of it would ask the servers for the
    /// family that is not in the file.
    fn listed(&self, name: &str) -> Vec<IpAddr> {
        let Ok(name) = Name::from_str_relaxed(name) else { return Vec::new() };
        let of_kind = |kind| self.hosts.lookup_static_host(&Query::query(name.clone(), kind));
        let found = [RecordType::A, RecordType::AAAA].into_iter().filter_map(of_kind);
        found
            .flat_map(|lookup| lookup.answers().iter().filter_map(|record| record.data.ip_addr()).collect::<Vec<_>>())
            .collect()
    }
}

fn name_server(address: SocketAddr) -> NameServerConfig {
    let mut server = NameServerConfig::udp_and_tcp(address.ip());
    for connection in &mut server.connections {
        connection.port = address.port();
    }
    server
}

#[cfg(test)]
mod tests {
    use std::io::{Error, ErrorKind};
    use std::net::{IpAddr, UdpSocket};

    use super::{Hosts, ResolverConfig, ResolverOpts, Sources, SystemFiles, config};

    #[tokio::test]
    async fn what_the_hosts_file_lists_is_all_there_is() {
        let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
        silent.set_nonblocking(true).unwrap();
        let nameservers = vec![silent.local_addr().unwrap()];
        let mut sources =
            Sources::new(&config::Lookup { hosts_file: false, nameservers }, SystemFiles::default()).unwrap();
        let file = "10.0.0.1 Vendor.test other.test # first.test\n10.0.0.2 vendor.test\nfd00::1 six.test\n";
        sources.hosts.read_hosts_conf(file.as_bytes()).unwrap();
        for (name, listed) in [("vendor.test", &["10.0.0.1", "10.0.0.2"][..]), ("six.test", &["fd00::1"])] {
            let listed: Vec<IpAddr> = listed.iter().map(|address| address.parse().unwrap()).collect();
            assert_eq!(sources.look_up(name).await.unwrap(), listed);
        }
        assert!(silent.recv(&mut [0; 512]).is_err(), "no server was asked for either family");
        assert!(sources.listed("first.test").is_empty());
    }

    #[tokio::test]
    async fn the_hosts_file_is_read_only_if_the_config_says_so() {
        for hosts_file in [false, true] {
            let config = config::Lookup { hosts_file, nameservers: Vec::new() };
            let sources = Sources::new(&config, SystemFiles::read(&config)).unwrap();
            assert_eq!(!sources.listed("localhost").is_empty(), hosts_file);
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_any_more_is_as_it_was() {
        let denied = || Error::from(ErrorKind::PermissionDenied);
        let files = |first: Option<&str>| {
            let servers = first.map(|domain| {
                let mut servers = ResolverConfig::default();
                servers.set_domain(domain.parse().unwrap());
                (servers, ResolverOpts::default())
            });
            let hosts = first.map(|_| Hosts::default());
            let servers = servers.ok_or_else(|| denied().into());
            SystemFiles { servers: Some(servers), hosts: Some(hosts.ok_or_else(denied)) }
        };
        for (now, then, domain) in [
            (Some("now.test"), Some("then.test"), Some("now.test")),
            (None, Some("then.test"), Some("then.test")),
            (None, None, None),
        ] {
            let SystemFiles { servers, hosts } = files(now).or(files(then));
            let known = servers.unwrap().ok().map(|(servers, _)| servers.domain().unwrap().to_string());
            assert_eq!((known.as_deref(), hosts.unwrap().is_ok()), (domain, domain.is_some()));
        }
    }
}
