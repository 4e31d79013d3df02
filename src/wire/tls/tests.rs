//! Against a server of rustls in memory: what is said arrives, whole and in order, however the bytes between are cut.

use std::collections::VecDeque;
use std::future::Future;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::pin::{Pin, pin};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, Waker};

use proptest::collection::vec;
use proptest::prelude::*;
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::{TLS12, TLS13};
use rustls::{AlertDescription, ClientConfig, HandshakeKind, RootCertStore, ServerConfig, ServerConnection};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::TlsStream;

/// A certificate that takes more than one record, as its chain would with many a vendor.
static IDENTITY: LazyLock<(CertificateDer<'static>, KeyPair)> = LazyLock::new(|| {
    let mut names = vec!["localhost".to_owned()];
    names.extend((0..1000).map(|number| format!("n{number}.example.com")));
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
    assert!(certificate.der().len() > 16 * 1024);
    (certificate.der().clone(), key)
});

fn server(is_tls13: bool) -> ServerConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let (certificate, key) = &*IDENTITY;
    ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[if is_tls13 { &TLS13 } else { &TLS12 }])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
        .unwrap()
}

fn client(trusts: bool) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    if trusts {
        roots.add(IDENTITY.0.clone()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[&TLS13, &TLS12]).unwrap();
    Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
}

/// A socket with a server behind it. It gives and takes pieces as long as `cuts` says, in turn, and keeps everyone waiting
/// before each if it `lags`.
struct Peer {
    server: ServerConnection,
    to_client: VecDeque<u8>,
    heard: Vec<u8>,
    failed: Option<rustls::Error>,
    cuts: Vec<usize>,
    turn: usize,
    lags: bool,
    is_gone: bool,
}

impl Peer {
    fn new(config: &Arc<ServerConfig>, cuts: &[usize], lags: bool) -> Self {
        let mut server = ServerConnection::new(Arc::clone(config)).unwrap();
        server.set_buffer_limit(None);
        let (to_client, cuts) = (VecDeque::new(), cuts.to_vec());
        Self { server, to_client, heard: Vec::new(), failed: None, cuts, turn: 0, lags, is_gone: false }
    }

    fn says(&mut self, data: &[u8]) {
        self.server.writer().write_all(data).unwrap();
        self.pump();
    }

    fn pump(&mut self) {
        while self.server.wants_write() {
            self.server.write_tls(&mut self.to_client).unwrap();
        }
    }

    /// How long the next piece is. `None`: it is waited for, and whoever waits is woken at once.
    fn piece(&mut self, cx: &Context<'_>) -> Option<usize> {
        self.turn += 1;
        if self.lags && self.turn.is_multiple_of(2) {
            cx.waker().wake_by_ref();
            return None;
        }
        Some(self.cuts[self.turn / (1 + usize::from(self.lags)) % self.cuts.len()])
    }
}

impl AsyncRead for Peer {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.to_client.is_empty() {
            return if this.is_gone { Poll::Ready(Ok(())) } else { Poll::Pending };
        }
        let Some(piece) = this.piece(cx) else { return Poll::Pending };
        let length = piece.min(this.to_client.len()).min(buffer.remaining());
        buffer.put_slice(&this.to_client.drain(..length).collect::<Vec<_>>());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Peer {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let Some(piece) = this.piece(cx) else { return Poll::Pending };
        let taken = &bytes[..piece.min(bytes.len())];
        let mut left = taken;
        while !left.is_empty() && this.failed.is_none() {
            this.server.read_tls(&mut left).unwrap();
            this.failed = this.server.process_new_packets().err();
            let mut fresh = Vec::new();
            let _ = this.server.reader().read_to_end(&mut fresh);
            this.heard.extend(fresh);
        }
        this.pump();
        Poll::Ready(Ok(taken.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().is_gone = true;
        Poll::Ready(Ok(()))
    }
}

/// Asks until there is an answer. `None`: there will be none.
fn ask<T>(mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> Option<T> {
    (0..1_000_000).find_map(|_| match poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => Some(answer),
        Poll::Pending => None,
    })
}

fn connect(config: &Arc<ClientConfig>, peer: Peer) -> io::Result<TlsStream<Peer>> {
    let mut connecting = pin!(TlsStream::connect(Arc::clone(config), "localhost".try_into().unwrap(), peer));
    ask(|cx| connecting.as_mut().poll(cx)).expect("the handshake ends")
}

/// What is read with buffers as long as `asks` says, and how it ends: `None` if nothing more comes and nothing ends.
fn read(stream: &mut TlsStream<Peer>, asks: &[usize]) -> (Vec<u8>, Option<io::Result<()>>) {
    let (mut read, mut asks) = (Vec::new(), asks.iter().cycle());
    loop {
        let mut space = vec![0; *asks.next().unwrap()];
        let mut buffer = ReadBuf::new(&mut space);
        let asked = (0..4).find_map(|_| {
            match Pin::new(&mut *stream).poll_read(&mut Context::from_waker(Waker::noop()), &mut buffer) {
                Poll::Ready(result) => Some(result),
                Poll::Pending => {
                    // Whoever waits holds no more than the beginning of a record.
                    assert!(stream.incoming.holds_no_room());
                    None
                }
            }
        });
        match asked {
            Some(Ok(())) if !buffer.filled().is_empty() => read.extend_from_slice(buffer.filled()),
            None if !stream.socket.to_client.is_empty() => {}
            end => return (read, end),
        }
    }
}

fn write(stream: &mut TlsStream<Peer>, pieces: &[&[u8]]) -> io::Result<()> {
    let mut slices: Vec<_> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
    let mut slices = &mut slices[..];
    while slices.iter().any(|slice| !slice.is_empty()) {
        let written = ask(|cx| Pin::new(&mut *stream).poll_write_vectored(cx, slices)).expect("the write ends")?;
        IoSlice::advance_slices(&mut slices, written);
    }
    ask(|cx| Pin::new(&mut *stream).poll_flush(cx)).expect("the flush ends")
}

/// Bytes of which none looks like its neighbour.
fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8).collect()
}

fn length() -> impl Strategy<Value = usize> {
    prop_oneof![1..8usize, 1..2000usize, 16_000..16_800usize, 1..70_000usize]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn however_what_comes_is_cut_the_same_is_read(
        (is_tls13, lags, is_told) in any::<(bool, bool, bool)>(),
        records in vec((length(), any::<bool>()), 0..8),
        cuts in vec(length(), 1..6),
        asks in vec(length(), 1..6),
    ) {
        let mut stream = connect(&client(true), Peer::new(&Arc::new(server(is_tls13)), &cuts, lags)).unwrap();
        let said = bytes(records.iter().map(|record| record.0).sum());
        let mut left = &said[..];
        for (length, with_new_keys) in records {
            if is_tls13 && with_new_keys {
                stream.socket.server.refresh_traffic_keys().unwrap();
            }
            stream.socket.says(left.split_off(..length).unwrap());
        }
        if is_told {
            stream.socket.server.send_close_notify();
            stream.socket.pump();
        }
        stream.socket.is_gone = true;
        let (heard, end) = read(&mut stream, &asks);
        prop_assert!(heard == said, "{} of {} bytes came", heard.len(), said.len());
        match end.unwrap() {
            Ok(()) => prop_assert!(is_told),
            Err(error) => prop_assert!(!is_told && error.kind() == ErrorKind::UnexpectedEof, "{}", error),
        }
        // What the session has answered to new keys goes first.
        write(&mut stream, &[b"all of it"]).unwrap();
        prop_assert_eq!(&stream.socket.failed, &None);
        prop_assert_eq!(&stream.socket.heard[..], b"all of it");
    }

    #[test]
    fn however_little_the_socket_takes_what_was_written_arrives(
        (is_tls13, lags) in any::<(bool, bool)>(),
        pieces in vec(length(), 0..8),
        cuts in vec(length(), 1..6),
    ) {
        let mut stream = connect(&client(true), Peer::new(&Arc::new(server(is_tls13)), &cuts, lags)).unwrap();
        let said = bytes(pieces.iter().sum());
        let mut left = &said[..];
        let pieces: Vec<_> = pieces.iter().map(|&length| left.split_off(..length).unwrap()).collect();
        write(&mut stream, &pieces).unwrap();
        ask(|cx| Pin::new(&mut stream).poll_shutdown(cx)).unwrap().unwrap();
        prop_assert!(stream.socket.heard == said);
        prop_assert!(stream.socket.is_gone);
        let state = stream.socket.server.process_new_packets().unwrap();
        prop_assert!(state.peer_has_closed(), "it was told of the end");
        prop_assert_eq!(write(&mut stream, &[b"more"]).unwrap_err().kind(), ErrorKind::BrokenPipe);
    }
}

#[test]
fn pieces_that_there_is_no_room_for_do_not_let_shorter_ones_go_before() {
    for is_tls13 in [true, false] {
        let mut stream = connect(&client(true), Peer::new(&Arc::new(server(is_tls13)), &[usize::MAX], false)).unwrap();
        let lengths = (0..6000).map(|number| 1 + number * 7 % 50);
        let said = bytes(lengths.clone().sum());
        let mut left = &said[..];
        let pieces: Vec<_> = lengths.map(|length| left.split_off(..length).unwrap()).collect();
        write(&mut stream, &pieces).unwrap();
        assert!(stream.socket.heard == said);
    }
}

#[test]
fn a_read_is_filled_by_as_many_records_as_have_come() {
    let mut stream = connect(&client(true), Peer::new(&Arc::new(server(true)), &[usize::MAX], false)).unwrap();
    let said = bytes(3 * 16 * 1024 + 20);
    stream.socket.says(&said);
    let mut space = vec![0; 64 * 1024];
    let mut buffer = ReadBuf::new(&mut space);
    ask(|cx| Pin::new(&mut stream).poll_read(cx, &mut buffer)).unwrap().unwrap();
    assert!(buffer.filled() == said);
    assert!(stream.is_drained());
}

#[test]
fn a_connection_with_a_part_of_a_record_is_not_drained() {
    let mut stream = connect(&client(true), Peer::new(&Arc::new(server(true)), &[usize::MAX], false)).unwrap();
    assert_eq!(read(&mut stream, &[100]).0, b"");
    assert!(stream.is_drained());
    stream.socket.says(b"more than was asked for");
    let whole = std::mem::take(&mut stream.socket.to_client);
    stream.socket.to_client = whole.iter().take(20).copied().collect();
    assert_eq!(read(&mut stream, &[4]).0, b"");
    assert!(!stream.is_drained());
    stream.socket.to_client = whole.iter().skip(20).copied().collect();
    let mut space = [0; 4];
    ask(|cx| Pin::new(&mut stream).poll_read(cx, &mut ReadBuf::new(&mut space))).unwrap().unwrap();
    assert_eq!(&space, b"more");
    assert!(!stream.is_drained());
    assert_eq!(read(&mut stream, &[100]).0, b" than was asked for");
    assert!(stream.is_drained());
}

#[test]
fn a_connection_that_has_ended_is_not_drained() {
    let mut stream = connect(&client(true), Peer::new(&Arc::new(server(true)), &[usize::MAX], false)).unwrap();
    stream.socket.says(b"the last");
    stream.socket.server.send_close_notify();
    stream.socket.pump();
    let mut space = [0; 100];
    let mut buffer = ReadBuf::new(&mut space);
    ask(|cx| Pin::new(&mut stream).poll_read(cx, &mut buffer)).unwrap().unwrap();
    assert_eq!(buffer.filled(), b"the last");
    assert!(stream.incoming.is_empty() && !stream.is_drained());
}

#[test]
fn a_forged_record_ends_the_connection_after_what_came_before_it() {
    let mut stream = connect(&client(true), Peer::new(&Arc::new(server(true)), &[usize::MAX], false)).unwrap();
    let _ = read(&mut stream, &[100]);
    stream.socket.says(b"true");
    let sound = stream.socket.to_client.len();
    stream.socket.says(b"forged");
    stream.socket.to_client[sound + 8] ^= 1;
    stream.socket.says(b"true again");
    let (heard, end) = read(&mut stream, &[100]);
    assert_eq!(heard, b"true");
    let is_refused = |error: &io::Error| {
        let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
        assert_eq!((error.kind(), cause), (ErrorKind::InvalidData, Some(&rustls::Error::DecryptError)));
    };
    is_refused(&end.unwrap().unwrap_err());
    is_refused(&read(&mut stream, &[100]).1.unwrap().unwrap_err());
    is_refused(&write(&mut stream, &[b"nobody would know to whom"]).unwrap_err());
    assert_eq!(stream.socket.failed, Some(rustls::Error::AlertReceived(AlertDescription::BadRecordMac)));
    assert_eq!(stream.socket.heard, b"");
}

#[test]
fn a_certificate_of_nobody_who_is_trusted_is_refused_and_the_server_is_told() {
    for is_tls13 in [true, false] {
        let mut peer = Peer::new(&Arc::new(server(is_tls13)), &[usize::MAX], false);
        let error = {
            let name = "localhost".try_into().unwrap();
            let mut connecting = pin!(TlsStream::connect(client(false), name, &mut peer));
            ask(|cx| connecting.as_mut().poll(cx)).unwrap().err().unwrap()
        };
        let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
        assert!(matches!(cause, Some(rustls::Error::InvalidCertificate(_))), "{error}");
        assert_eq!(peer.failed, Some(rustls::Error::AlertReceived(AlertDescription::UnknownCA)));
    }
}

#[test]
fn a_handshake_that_is_broken_off_is_no_error_of_tls() {
    let socket = tokio::io::join(tokio::io::empty(), tokio::io::sink());
    let mut connecting = pin!(TlsStream::connect(client(true), "localhost".try_into().unwrap(), socket));
    let error = ask(|cx| connecting.as_mut().poll(cx)).unwrap().err().unwrap();
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    assert!(error.get_ref().is_none_or(|cause| cause.downcast_ref::<rustls::Error>().is_none()));
}

#[test]
fn a_ticket_that_has_come_shortens_the_next_handshake() {
    for is_tls13 in [true, false] {
        let (client, server) = (client(true), Arc::new(server(is_tls13)));
        let kinds = [HandshakeKind::Full, HandshakeKind::Resumed].map(|kind| {
            let mut stream = connect(&client, Peer::new(&server, &[500], true)).unwrap();
            stream.socket.says(b"hello");
            assert_eq!(read(&mut stream, &[100]).0, b"hello");
            (stream.get_ref().1.handshake_kind(), Some(kind))
        });
        assert!(kinds.iter().all(|(was, expected)| was == expected), "{kinds:?}");
    }
}
