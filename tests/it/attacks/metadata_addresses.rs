//! Whoever answers for a vendor's name points it at what only sidekey can reach: a cloud's metadata service, which hands out
//! credentials, the machine itself, or a neighbour in the network.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::support::{NameServer, OK, Origin, Sidekey, get};

const ALLOW: &str = "allow_private = true\n";

fn upstream(name: &str, host: &str, port: u16, more: &str) -> String {
    let token = "auth.bearer = { token = \"env:TOKEN\" }";
    format!("[upstream.{name}]\nurl = \"http://{host}:{port}\"\nallow_plaintext = true\n{token}\n{more}")
}

fn is_prohibited(sidekey: &Sidekey, upstream: &str, address: &str, class: &str) {
    let answer = sidekey.ask(get(&format!("/{upstream}/x")));
    answer.assert_own(502, "destination_ip_prohibited");
    assert!(answer.text().contains("urn:sidekey:problem:address-prohibited"), "{}", answer.text());
    assert!(!answer.text().contains(address) && !answer.text().contains(class), "{}", answer.text());
    let record = sidekey.access(|record| record["upstream"] == upstream);
    let told = record["error"].as_str().unwrap();
    assert!(told.contains(&format!("`{address}` is {class}")), "{told}");
}

#[test]
fn a_name_that_leads_to_an_address_that_is_never_dialled_is_502() {
    const NEVER: [(&str, &str, &str); 12] = [
        ("a", "169.254.169.254", "link-local"),
        ("b", "::ffff:169.254.169.254", "link-local"),
        ("c", "fe80::a9fe:a9fe", "link-local"),
        ("d", "64:ff9b::a9fe:a9fe", "link-local"),
        ("e", "2002:a9fe:a9fe::1", "link-local"),
        ("f", "fd00:ec2::254", "a cloud's metadata service"),
        ("g", "100.100.100.200", "a cloud's metadata service"),
        ("h", "168.63.129.16", "a cloud's metadata service"),
        // These two reach whatever listens on loopback.
        ("i", "0.0.0.0", "unspecified"),
        ("j", "::", "unspecified"),
        ("k", "224.0.0.1", "multicast"),
        ("l", "255.255.255.255", "reserved"),
    ];
    let origin = Origin::ok();
    let dns = NameServer::start(|name| {
        let found = NEVER.iter().find(|(label, ..)| name == format!("{label}.test"));
        found.iter().map(|(_, address, _)| *address).collect()
    });
    for allow in ["", ALLOW] {
        let mut config = dns.server();
        for (label, ..) in NEVER {
            config.push_str(&upstream(label, &format!("{label}.test"), origin.port(), allow));
        }
        let sidekey = Sidekey::start(&config);
        for (label, address, class) in NEVER {
            is_prohibited(&sidekey, label, address, class);
        }
    }
    assert_eq!(origin.connections(), 0);
}

#[test]
fn a_name_that_leads_into_the_network_needs_the_configs_word() {
    const INSIDE: [(&str, &str, &str); 6] = [
        ("a", "127.0.0.1", "loopback"),
        ("b", "::ffff:127.0.0.1", "loopback"),
        ("c", "::1", "loopback"),
        ("d", "10.0.0.1", "private"),
        ("e", "fd00::1", "private"),
        ("f", "192.168.1.1", "private"),
    ];
    let origin = Origin::ok();
    let dns = NameServer::start(|name| {
        let found = INSIDE.iter().find(|(label, ..)| name == format!("{label}.test"));
        found.iter().map(|(_, address, _)| *address).collect()
    });
    let config = |allow| {
        let of = |(label, ..): &(&str, &str, &str)| upstream(label, &format!("{label}.test"), origin.port(), allow);
        dns.server() + &INSIDE.iter().map(of).collect::<String>()
    };
    let strict = Sidekey::start(&config(""));
    for (label, address, class) in INSIDE {
        is_prohibited(&strict, label, address, class);
        let record = strict.access(|record| record["upstream"] == label);
        assert!(record["error"].as_str().unwrap().contains("allow_private"), "{record}");
    }
    assert_eq!(origin.connections(), 0);
    let told = Sidekey::start(&config(ALLOW));
    for label in ["a", "b"] {
        told.ask(get(&format!("/{label}/x"))).assert_passed_on(200);
    }
    assert_eq!(origin.requests().len(), 2);
}

#[test]
fn of_two_addresses_only_the_one_that_may_be_is_dialled() {
    // `0.0.0.0` would reach the bait, and comes first.
    let bait = Origin::ok();
    let good = TcpListener::bind(("127.0.0.2", bait.port())).unwrap();
    let answering = thread::spawn(move || {
        let mut stream = good.accept().unwrap().0;
        let mut request = [0; 4096];
        let length = stream.read(&mut request).unwrap();
        stream.write_all(OK.as_bytes()).unwrap();
        String::from_utf8_lossy(&request[..length]).into_owned()
    });
    let dns = NameServer::start(|_| vec!["0.0.0.0", "127.0.0.2", "::ffff:169.254.169.254"]);
    let sidekey = Sidekey::start(&(dns.server() + &upstream("api", "api.test", bait.port(), ALLOW)));
    sidekey.ask(get("/api/x")).assert_passed_on(200);
    assert_eq!(bait.connections(), 0);
    assert!(answering.join().unwrap().starts_with("GET /x HTTP/1.1\r\n"));
}

#[test]
fn a_name_that_was_well_once_is_judged_again_on_the_next_connection() {
    let origin = Origin::answering("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
    let rebound = Arc::new(AtomicBool::new(false));
    let says = Arc::clone(&rebound);
    let dns =
        NameServer::start(move |_| vec![if says.load(Ordering::Relaxed) { "169.254.169.254" } else { "127.0.0.1" }]);
    let sidekey = Sidekey::start(&(dns.server() + &upstream("api", "api.test", origin.port(), ALLOW)));
    sidekey.ask(get("/api/x")).assert_passed_on(200);
    let asked = dns.asked("api.test");
    rebound.store(true, Ordering::Relaxed);
    sidekey.ask(get("/api/x")).assert_own(502, "destination_ip_prohibited");
    assert!(dns.asked("api.test") > asked, "a TTL of 0 is not kept");
    rebound.store(false, Ordering::Relaxed);
    sidekey.ask(get("/api/x")).assert_passed_on(200);
    assert_eq!(origin.connections(), 2);
}

#[test]
fn where_aliases_lead_is_what_counts() {
    let origin = Origin::ok();
    let dns = NameServer::start(|name| match name {
        "metadata.test" => vec!["alias.test"],
        "alias.test" => vec!["end.test"],
        "end.test" => vec!["169.254.169.254"],
        "machine.test" => vec!["localhost"],
        "inside.test" => vec!["inside-alias.test"],
        "localhost" | "inside-alias.test" => vec!["127.0.0.1"],
        _ => vec![],
    });
    let of = |name: &str, allow| upstream(name, &format!("{name}.test"), origin.port(), allow);
    let sidekey = Sidekey::start(&(dns.server() + &of("metadata", ALLOW) + &of("machine", "") + &of("inside", ALLOW)));
    is_prohibited(&sidekey, "metadata", "169.254.169.254", "link-local");
    is_prohibited(&sidekey, "machine", "127.0.0.1", "loopback");
    assert_eq!(origin.connections(), 0);
    sidekey.ask(get("/inside/x")).assert_passed_on(200);
}
