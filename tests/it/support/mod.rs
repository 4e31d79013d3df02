//! The harness: sidekey as a process ([`Sidekey`]), a caller that sends any bytes ([`Caller`]), an origin that answers
//! with any ([`Origin`]), and a CA for its certificates ([`Authority`]).

mod authority;
mod black_hole;
mod caller;
mod canary;
mod dns;
mod frame;
mod frames;
pub(crate) mod http2;
mod http2_origin;
mod message;
mod origin;
mod process;
mod sidekey;
mod tls_client;
mod wire;

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

pub(crate) use self::authority::{Authority, Identity};
pub(crate) use self::black_hole::BlackHole;
pub(crate) use self::caller::Caller;
pub(crate) use self::canary::{LITERAL, QUERY};
pub(crate) use self::dns::NameServer;
pub(crate) use self::frames::{Frames, Kind};
pub(crate) use self::http2_origin::Http2Origin;
pub(crate) use self::message::{Request, Response};
pub(crate) use self::origin::{Conversation, OK, Origin};
pub(crate) use self::process::{Ended, check_with, command, command_within};
pub(crate) use self::sidekey::Sidekey;
pub(crate) use self::tls_client::TlsClient;
pub(crate) use self::wire::Broken;

/// How long anything may take before a test gives up: far more than it needs, as the machine may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until `probe` finds something, and fails the test if it does not in time.
pub(crate) fn until<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        sleep(Duration::from_millis(5));
    }
}

/// As [`until`], for what is or is not so.
pub(crate) fn until_true(what: &str, mut probe: impl FnMut() -> bool) {
    until(what, || probe().then_some(()));
}

/// A port at which nobody listens, on any address, and that no test gets which asks for any port: systems hand out higher
/// ones. For whoever has to name a port before it is bound, or wants one that refuses.
pub(crate) fn free_port() -> u16 {
    const FIRST: u16 = 20_000;
    const COUNT: u32 = 10_000;
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    let begin = std::process::id().wrapping_mul(61);
    let mut ports = (0..COUNT).map(|_| {
        let next = begin.wrapping_add(TAKEN.fetch_add(1, Ordering::Relaxed)) % COUNT;
        FIRST + u16::try_from(next).unwrap()
    });
    ports.find(|&port| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok()).expect("a free port")
}

/// Whether `bytes` holds `part`.
pub(crate) fn holds(bytes: &[u8], part: &[u8]) -> bool {
    memchr::memmem::find(bytes, part).is_some()
}

/// A GET of `target` from the listener itself.
pub(crate) fn get(target: &str) -> String {
    get_from("localhost", target)
}

/// The same with `fields`, each with its line's end.
pub(crate) fn get_with(target: &str, fields: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n")
}

pub(crate) fn get_from(host: &str, target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n")
}

/// A POST of `body` to `target`.
pub(crate) fn post(target: &str, body: &str) -> String {
    format!("POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}
