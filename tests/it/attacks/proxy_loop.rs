//! Whoever answers for a vendor's name points it at sidekey itself: each request would make another.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpListener, UdpSocket};
use std::thread;

use crate::support::{NameServer, OK, Origin, Sidekey, free_port, get};

/// sidekey at `listen` with that port, and the upstream `api.test` at the same port.
fn looped(dns: &NameServer, listen: &str, port: u16, more: &str) -> Sidekey {
    Sidekey::start(&format!(
        "{}[listen.local]\naddress = \"{listen}:{port}\"\ndangerously_open = true\n\
         [upstream.api]\nurl = \"http://api.test:{port}\"\nallow_plaintext = true\n\
         auth.bearer = {{ token = \"env:TOKEN\" }}\n{more}",
        dns.server()
    ))
}

fn is_a_loop(sidekey: &Sidekey) {
    let answer = sidekey.ask(get("/api/api/x"));
    answer.assert_own(508, "proxy_loop_detected");
    assert!(answer.text().contains("urn:sidekey:problem:proxy-loop") && !answer.text().contains("127."));
    let record = sidekey.access(|record| record["status"] == 508);
    assert_eq!(record["error"], "the upstream is sidekey itself");
    let records = sidekey.log().lines().filter(|line| line.contains("\"access\"")).count();
    assert_eq!(records, 1, "one request, and none that it made");
}

/// The address from which this machine would speak to another; loopback, if it knows no way to any.
fn own_address() -> IpAddr {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    let address = socket.connect("198.51.100.1:9").and_then(|()| socket.local_addr());
    address.map_or(Ipv4Addr::LOCALHOST.into(), |address| address.ip())
}

#[test]
fn a_name_that_leads_to_the_own_listener_is_508() {
    let dns = NameServer::start(|_| vec!["127.0.0.1"]);
    for allow in ["", "allow_private = true\n"] {
        is_a_loop(&looped(&dns, "127.0.0.1", free_port(), allow));
    }
    let mapped = NameServer::start(|_| vec!["::ffff:127.0.0.1"]);
    is_a_loop(&looped(&mapped, "127.0.0.1", free_port(), "allow_private = true\n"));
}

#[test]
fn an_unspecified_listener_is_at_every_address_of_the_machine() {
    let own: &'static str = own_address().to_string().leak();
    for address in [own, "127.0.0.1", "127.7.7.7"] {
        let dns = NameServer::start(move |_| vec![address]);
        is_a_loop(&looped(&dns, "0.0.0.0", free_port(), "allow_private = true\n"));
    }
}

#[test]
fn an_address_beside_the_own_one_is_dialled() {
    let port = free_port();
    let good = TcpListener::bind(("127.0.0.2", port)).unwrap();
    let answering = thread::spawn(move || {
        let mut stream = good.accept().unwrap().0;
        let _ = stream.read(&mut [0; 4096]).unwrap();
        stream.write_all(OK.as_bytes()).unwrap();
    });
    let dns = NameServer::start(|_| vec!["127.0.0.1", "127.0.0.2"]);
    let sidekey = looped(&dns, "127.0.0.1", port, "allow_private = true\n");
    sidekey.ask(get("/api/x")).assert_passed_on(200);
    answering.join().unwrap();
}

/// In a pod, `hostAliases` writes the hosts file.
#[test]
fn the_hosts_file_has_no_say_unless_the_config_gives_it() {
    let hosts = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
    let lines = hosts.lines().filter_map(|line| line.split('#').next());
    let mut names = lines.flat_map(|line| line.split_whitespace().skip(1));
    let is_asked_for = |name: &&str| !name.ends_with("localhost") && name.bytes().all(|b| b.is_ascii_alphanumeric());
    // Where the file names none but `localhost`, the unit tests of `upstream::resolve` are all that there is.
    let Some(name) = names.find(is_asked_for) else { return };
    let origin = Origin::ok();
    let dns = NameServer::start(|_| vec!["127.0.0.1"]);
    let upstream = format!(
        "[upstream.api]\nurl = \"http://{name}:{}\"\nallow_plaintext = true\nallow_private = true\n\
         timeouts.connect = \"1s\"\nauth.bearer = {{ token = \"env:TOKEN\" }}\n",
        origin.port()
    );
    let told = Sidekey::start(&format!("{}hosts_file = true\n{upstream}", dns.server()));
    let _ = told.ask(get("/api/x"));
    assert_eq!(dns.asked(&name.to_ascii_lowercase()), 0);
    let sidekey = Sidekey::start(&format!("{}{upstream}", dns.server()));
    sidekey.ask(get("/api/x")).assert_passed_on(200);
    assert!(dns.asked(&name.to_ascii_lowercase()) > 0);
}
