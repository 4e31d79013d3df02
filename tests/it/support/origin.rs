//! An upstream that a test scripts: which bytes it answers, and when it closes.

use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use socket2::SockRef;

use super::PATIENCE;
use super::canary;
use super::message::Request;
use super::wire::{Broken, Record, Wire};

/// A short answer, and the connection stays.
pub(crate) const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

const LOOPBACK: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Listens on loopback and plays its script on each connection, each on a thread of its own.
pub(crate) struct Origin {
    address: SocketAddr,
    scheme: &'static str,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    stop: AtomicBool,
    connections: Mutex<Vec<Record>>,
    requests: Mutex<Vec<Request>>,
    closed: AtomicUsize,
    failed: AtomicBool,
}

/// One connection, as a script sees it.
pub(crate) struct Conversation {
    /// Which connection this is, from 0.
    pub(crate) index: usize,
    /// The name that TLS asked for.
    pub(crate) server_name: Option<String>,
    wire: Wire,
    tcp: TcpStream,
    seen: Arc<Seen>,
}

impl Origin {
    pub(crate) fn plain(script: impl Fn(&mut Conversation) + Send + Sync + 'static) -> Self {
        Self::start(LOOPBACK, None, script)
    }

    /// As [`plain`](Self::plain), at an address of the test's choice.
    pub(crate) fn plain_at(address: SocketAddr, script: impl Fn(&mut Conversation) + Send + Sync + 'static) -> Self {
        Self::start(address, None, script)
    }

    pub(crate) fn tls(config: Arc<ServerConfig>, script: impl Fn(&mut Conversation) + Send + Sync + 'static) -> Self {
        Self::start(LOOPBACK, Some(config), script)
    }

    /// Answers every request with `answer`.
    pub(crate) fn answering(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        Self::plain(move |conversation| conversation.answer_all(&answer))
    }

    /// Answers each request with a short 200, when it is told to.
    pub(crate) fn patient() -> (Self, Sender<()>) {
        let (answer, answering) = channel();
        let answering = Mutex::new(answering);
        let origin = Self::plain(move |conversation| {
            while conversation.request().is_some() {
                // A test that is over does not tell.
                let _ = answering.lock().unwrap().recv();
                conversation.send(OK);
            }
        });
        (origin, answer)
    }

    /// Answers every request with a short 200.
    pub(crate) fn ok() -> Self {
        Self::answering(OK)
    }

    fn start(
        address: SocketAddr,
        tls: Option<Arc<ServerConfig>>,
        script: impl Fn(&mut Conversation) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Seen::default());
        let scheme = if tls.is_some() { "https" } else { "http" };
        let (accepting, script) = (Arc::clone(&seen), Arc::new(script));
        thread::spawn(move || {
            for (index, tcp) in listener.incoming().enumerate() {
                if accepting.stop.load(Ordering::Relaxed) {
                    return;
                }
                let (seen, script, tls) = (Arc::clone(&accepting), Arc::clone(&script), tls.clone());
                let tcp = tcp.unwrap();
                let record = Record::default();
                seen.connections.lock().unwrap().push(Arc::clone(&record));
                thread::spawn(move || {
                    let play = || {
                        Conversation::begin(index, tcp, tls, &seen, record).is_some_and(|mut conversation| {
                            script(&mut conversation);
                            true
                        })
                    };
                    if catch_unwind(AssertUnwindSafe(play)).is_err() {
                        seen.failed.store(true, Ordering::Relaxed);
                    }
                });
            }
        });
        Self { address, scheme, seen }
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// `127.0.0.1:PORT`, as `Host` has it.
    pub(crate) fn authority(&self) -> String {
        self.address.to_string()
    }

    pub(crate) fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// An `[upstream.NAME]` that is this origin, with a bearer token; more keys may be written after it.
    pub(crate) fn upstream(&self, name: &str) -> String {
        format!("[upstream.{name}]\nurl = \"{}\"\nauth.bearer = {{ token = \"env:TOKEN\" }}\n", self.url())
    }

    /// How many connections were made.
    pub(crate) fn connections(&self) -> usize {
        self.seen.connections.lock().unwrap().len()
    }

    /// How many the scripts have closed by [`Conversation::close`].
    pub(crate) fn closed(&self) -> usize {
        self.seen.closed.load(Ordering::Relaxed)
    }

    /// The raw bytes that came on all connections, one after the other.
    pub(crate) fn raw(&self) -> Vec<u8> {
        self.seen.connections.lock().unwrap().iter().flat_map(|record| record.lock().unwrap().clone()).collect()
    }

    /// Every request whose header was read, as far as its body was.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.seen.requests.lock().unwrap().clone()
    }

    /// The one request that came.
    pub(crate) fn request(&self) -> Request {
        let mut requests = self.requests();
        assert_eq!(requests.len(), 1, "one request, and no other");
        requests.remove(0)
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.seen.stop.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
        if !thread::panicking() {
            assert!(!self.seen.failed.load(Ordering::Relaxed), "an origin's script failed");
            canary::assert_no_token_in(&self.raw());
        }
    }
}

impl Conversation {
    /// `None`: no TLS came about.
    fn begin(
        index: usize,
        tcp: TcpStream,
        tls: Option<Arc<ServerConfig>>,
        seen: &Arc<Seen>,
        record: Record,
    ) -> Option<Self> {
        tcp.set_read_timeout(Some(PATIENCE)).unwrap();
        tcp.set_write_timeout(Some(PATIENCE)).unwrap();
        tcp.set_nodelay(true).unwrap();
        let mut stream = tcp.try_clone().unwrap();
        let (wire, server_name) = match tls {
            None => (Wire::new(stream, record), None),
            Some(config) => {
                let mut connection = ServerConnection::new(config).unwrap();
                while connection.is_handshaking() {
                    connection.complete_io(&mut stream).ok()?;
                }
                let server_name = connection.server_name().map(str::to_owned);
                (Wire::new(StreamOwned::new(connection, stream), record), server_name)
            }
        };
        Some(Self { index, server_name, wire, tcp, seen: Arc::clone(seen) })
    }

    /// The next request, whole. `None`: no other comes.
    pub(crate) fn request(&mut self) -> Option<Request> {
        let (mut request, place) = self.note_head()?;
        request.read_body(&mut self.wire).ok()?;
        self.seen.requests.lock().unwrap()[place] = request.clone();
        Some(request)
    }

    /// The next request's header.
    pub(crate) fn head(&mut self) -> Option<Request> {
        self.note_head().map(|(request, _)| request)
    }

    /// The same, and its place among all that came: other connections' may have come before its body has.
    fn note_head(&mut self) -> Option<(Request, usize)> {
        let request = Request::read_head(&mut self.wire).ok()?;
        let mut requests = self.seen.requests.lock().unwrap();
        requests.push(request.clone());
        Some((request, requests.len() - 1))
    }

    /// Answers; whether anyone is there to read it is not its affair.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.try_send(bytes);
    }

    pub(crate) fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        self.wire.write(bytes.as_ref())
    }

    pub(crate) fn answer_all(&mut self, answer: impl AsRef<[u8]>) {
        while self.request().is_some() {
            self.send(&answer);
        }
    }

    /// So many bytes of a body.
    pub(crate) fn exactly(&mut self, length: usize) -> Result<Vec<u8>, Broken> {
        self.wire.exactly(length)
    }

    /// Whatever comes next, at least one byte.
    pub(crate) fn some(&mut self) -> Result<Vec<u8>, Broken> {
        self.wire.some()
    }

    /// Everything until sidekey goes away, and how it did.
    pub(crate) fn rest(&mut self) -> (Vec<u8>, Broken) {
        self.wire.rest()
    }

    /// Its socket, for whoever does with it what nothing here does.
    pub(crate) fn socket(&self) -> TcpStream {
        self.tcp.try_clone().unwrap()
    }

    /// Ends the sending side.
    pub(crate) fn half_close(&mut self) {
        let _ = self.tcp.shutdown(Shutdown::Write);
    }

    /// Ends the connection at once, TLS or not.
    pub(crate) fn close(&mut self) {
        let _ = self.tcp.shutdown(Shutdown::Both);
        self.seen.closed.fetch_add(1, Ordering::Relaxed);
    }

    /// Ends the connection with a reset.
    pub(crate) fn reset(&mut self) {
        SockRef::from(&self.tcp).set_linger(Some(Duration::ZERO)).unwrap();
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;

    use super::{OK, Origin};
    use crate::support::until_true;

    #[test]
    fn each_request_is_noted_once_whichever_ends_first() {
        let origin = Origin::ok();
        let connect = || TcpStream::connect(("127.0.0.1", origin.port())).unwrap();
        let (mut slow, mut quick) = (connect(), connect());
        slow.write_all(b"POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n").unwrap();
        until_true("the header", || origin.requests().len() == 1);
        quick.write_all(b"GET /quick HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        until_true("the other", || origin.requests().len() == 2);
        slow.write_all(b"body").unwrap();
        slow.read_exact(&mut [0; OK.len()]).unwrap();
        let noted: Vec<_> = origin.requests().iter().map(|request| request.target().to_owned()).collect();
        assert_eq!(noted, ["/slow", "/quick"]);
    }
}
