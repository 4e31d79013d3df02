//! A caller that sends any bytes, whole or in pieces, and reads what comes back strictly.

use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use socket2::SockRef;

use super::PATIENCE;
use super::TlsClient;
use super::message::Response;
use super::wire::{Broken, Record, Wire};

pub(crate) struct Caller {
    wire: Wire,
    /// The same socket, for what is not reading or writing.
    tcp: Option<TcpStream>,
    tls: Option<TlsClient>,
}

impl Caller {
    pub(super) fn tcp(address: SocketAddr, record: Record) -> Self {
        let stream = connect(address);
        Self { tcp: Some(stream.try_clone().unwrap()), tls: None, wire: Wire::new(stream, record) }
    }

    /// By TLS. An error: sidekey would not.
    pub(super) fn tls(address: SocketAddr, config: Arc<ClientConfig>, record: Record) -> std::io::Result<Self> {
        let stream = connect(address);
        let tcp = Some(stream.try_clone().unwrap());
        let tls = TlsClient::make(stream, config)?;
        Ok(Self { tcp, tls: Some(tls.clone()), wire: Wire::new(tls, record) })
    }

    pub(super) fn unix(path: &Path, record: Record) -> Self {
        let stream = UnixStream::connect(path).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { tcp: None, tls: None, wire: Wire::new(stream, record) }
    }

    /// What is known of its TLS.
    pub(crate) fn session(&self) -> &TlsClient {
        self.tls.as_ref().unwrap()
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.wire.write(bytes.as_ref()).unwrap();
    }

    /// Sends what the other side may already have refused.
    pub(crate) fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        self.wire.write(bytes.as_ref())
    }

    /// The whole answer to a request of any method but HEAD.
    pub(crate) fn response(&mut self) -> Response {
        self.response_to("GET")
    }

    pub(crate) fn response_to(&mut self, method: &str) -> Response {
        let mut response = self.head();
        response.read_body(&mut self.wire, method).unwrap();
        response
    }

    /// What came of an answer, and how it was cut.
    pub(crate) fn cut_response(&mut self) -> (Response, Broken) {
        let mut response = self.head();
        let broken = response.read_body(&mut self.wire, "GET").expect_err("the answer should have been cut");
        (response, broken)
    }

    /// The answer's header.
    pub(crate) fn head(&mut self) -> Response {
        Response::read_head(&mut self.wire).unwrap()
    }

    /// One line of what comes.
    pub(crate) fn line(&mut self) -> String {
        self.wire.line().unwrap()
    }

    pub(crate) fn exactly(&mut self, length: usize) -> Vec<u8> {
        self.wire.exactly(length).unwrap()
    }

    /// The same, if they come.
    pub(crate) fn try_exactly(&mut self, length: usize) -> Result<Vec<u8>, Broken> {
        self.wire.exactly(length)
    }

    /// Everything until the end, and which end it was.
    pub(crate) fn rest(&mut self) -> (Vec<u8>, Broken) {
        self.wire.rest()
    }

    /// Asserts that sidekey closes now, without another byte.
    pub(crate) fn assert_closed(&mut self) {
        assert_eq!(self.rest(), (Vec::new(), Broken::Closed));
    }

    /// Asserts that nothing comes for a while.
    pub(crate) fn assert_silent(&mut self, time: Duration) {
        let tcp = self.tcp.as_ref().unwrap();
        tcp.set_read_timeout(Some(time)).unwrap();
        let came = self.rest();
        let tcp = self.tcp.as_ref().unwrap();
        tcp.set_read_timeout(Some(PATIENCE)).unwrap();
        assert_eq!(came, (Vec::new(), Broken::Silent));
    }

    /// Closes the sending side.
    pub(crate) fn half_close(&mut self) {
        self.tcp.as_ref().unwrap().shutdown(Shutdown::Write).unwrap();
    }

    /// Goes away with a reset rather than an end.
    pub(crate) fn reset(self) {
        SockRef::from(self.tcp.as_ref().unwrap()).set_linger(Some(Duration::ZERO)).unwrap();
    }

    /// The socket itself, for whoever reads and writes at once.
    pub(crate) fn socket(&self) -> TcpStream {
        self.tcp.as_ref().unwrap().try_clone().unwrap()
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}
