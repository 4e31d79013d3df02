//! A caller's side of TLS. An end without `close_notify` counts as a reset: whoever reads cannot tell that all has come.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, HandshakeKind, StreamOwned};

/// A TLS connection that two hold: who reads and writes, and who asks about it.
#[derive(Clone)]
pub(crate) struct TlsClient(Arc<Mutex<StreamOwned<ClientConnection, TcpStream>>>);

impl TlsClient {
    /// Makes TLS with `localhost` on `socket`. An error: sidekey would not.
    pub(crate) fn make(socket: TcpStream, config: Arc<ClientConfig>) -> io::Result<Self> {
        let session = ClientConnection::new(config, ServerName::try_from("localhost").unwrap()).unwrap();
        let mut stream = StreamOwned::new(session, socket);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(Self(Arc::new(Mutex::new(stream))))
    }

    pub(crate) fn is_resumed(&self) -> bool {
        self.0.lock().unwrap().conn.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    pub(crate) fn protocol(&self) -> Option<String> {
        let stream = self.0.lock().unwrap();
        stream.conn.alpn_protocol().map(|name| String::from_utf8(name.to_vec()).unwrap())
    }

    /// The certificate that sidekey has shown.
    pub(crate) fn shown(&self) -> Vec<u8> {
        self.0.lock().unwrap().conn.peer_certificates().unwrap()[0].to_vec()
    }

    /// Says that nothing more will be sent, and reads on.
    pub(crate) fn say_goodbye(&self) {
        let mut stream = self.0.lock().unwrap();
        let StreamOwned { conn, sock } = &mut *stream;
        conn.send_close_notify();
        while conn.wants_write() {
            conn.write_tls(sock).unwrap();
        }
    }
}

impl Read for TlsClient {
    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        let mut stream = self.0.lock().unwrap();
        let StreamOwned { conn, sock } = &mut *stream;
        // rustls' own stream would not read any more after a goodbye.
        loop {
            match conn.reader().read(space) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Err(io::ErrorKind::ConnectionReset.into());
                }
                read => return read,
            }
            conn.read_tls(sock)?;
            conn.process_new_packets().map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        }
    }
}

impl Write for TlsClient {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.lock().unwrap().flush()
    }
}
