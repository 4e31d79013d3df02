//! A name server for one test: it says of each name what the test wants, at that moment, with a TTL of 0 (RFC 1035).

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

const A: u16 = 1;
const CNAME: u16 = 5;
const AAAA: u16 = 28;

pub(crate) struct NameServer {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    stop: Arc<AtomicBool>,
}

impl NameServer {
    /// `says`: the addresses of a name, or the one name that it is an alias of; none: there is no such name.
    pub(crate) fn start(says: impl Fn(&str) -> Vec<&'static str> + Send + 'static) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let (asked, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (noted, stopped) = (Arc::clone(&asked), Arc::clone(&stop));
        thread::spawn(move || {
            let mut question = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut question) {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let (name, answer) = answer(&question[..length], &says);
                noted.lock().unwrap().push(name);
                socket.send_to(&answer, from).unwrap();
            }
        });
        Self { address, asked, stop }
    }

    /// A `[server]` that asks this one, to which more keys may be added.
    pub(crate) fn server(&self) -> String {
        format!("[server]\nworkers = 1\ndrain = \"2s\"\nnameservers = [\"{}\"]\n", self.address)
    }

    /// How many questions came about `name`.
    pub(crate) fn asked(&self, name: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|asked| *asked == name).count()
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.send_to(&[], self.address));
    }
}

/// The name that is asked for, and the answer's bytes.
fn answer(question: &[u8], says: impl Fn(&str) -> Vec<&'static str>) -> (String, Vec<u8>) {
    let mut labels = Vec::new();
    let mut at = 12;
    while question[at] != 0 {
        let end = at + 1 + usize::from(question[at]);
        labels.push(String::from_utf8_lossy(&question[at + 1..end]).to_ascii_lowercase());
        at = end;
    }
    let kind = u16::from_be_bytes([question[at + 1], question[at + 2]]);
    let name = labels.join(".");
    let said = says(&name);
    let records: Vec<Vec<u8>> = said.iter().filter_map(|said| record(said, kind)).collect();
    let mut answer = question[..2].to_vec();
    // An answer, recursion was wanted and is had; 3: there is no such name.
    answer.extend([0x81, if said.is_empty() { 0x83 } else { 0x80 }, 0, 1, 0, u8::try_from(records.len()).unwrap()]);
    answer.extend([0, 0, 0, 0]);
    answer.extend(&question[12..at + 5]);
    answer.extend(records.into_iter().flatten());
    (name, answer)
}

/// A record of the name that was asked for; `None`: not of the kind that was asked for.
fn record(said: &str, kind: u16) -> Option<Vec<u8>> {
    let (own_kind, content) = match said.parse() {
        Ok(IpAddr::V4(address)) => (A, address.octets().to_vec()),
        Ok(IpAddr::V6(address)) => (AAAA, address.octets().to_vec()),
        Err(_) => {
            let label = |label: &str| [&[u8::try_from(label.len()).unwrap()], label.as_bytes()].concat();
            (CNAME, said.split('.').map(label).chain([vec![0]]).collect::<Vec<_>>().concat())
        }
    };
    let length = u16::try_from(content.len()).unwrap();
    let head = [&[0xc0, 12][..], &own_kind.to_be_bytes(), &[0, 1, 0, 0, 0, 0], &length.to_be_bytes()].concat();
    (own_kind == CNAME || own_kind == kind).then(|| [head, content].concat())
}
