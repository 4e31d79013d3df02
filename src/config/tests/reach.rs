//! Who may be reached, and by whom: addresses in `url`, name servers, loops, and listeners that are open.

use super::{GOOD, accept, refuse};

fn upstream(url: &str) -> String {
    format!("[upstream.a]\nurl = '{url}'\nauth.bearer.token = 'env:KEY'\n")
}

fn listener(address: &str) -> String {
    format!("[listen.a]\naddress = '{address}'\n")
}

#[test]
fn an_address_that_is_never_dialled_is_no_upstream() {
    const HINT: &str = "(name the vendor's API; no option lets a request go there)";
    for (host, class) in [
        ("169.254.169.254", "link-local"),
        ("[fe80::1]", "link-local"),
        ("100.100.100.200", "a cloud's metadata service"),
        ("[fd00:ec2::254]", "a cloud's metadata service"),
        ("[::ffff:169.254.169.254]", "link-local"),
        ("[64:ff9b::a9fe:a9fe]", "link-local"),
        ("0.0.0.0", "unspecified"),
        ("[::]", "unspecified"),
        ("224.0.0.1", "multicast"),
        ("255.255.255.255", "reserved"),
    ] {
        let text = upstream(&format!("https://{host}"));
        let told = format!("2:7 upstream.a.url: the address is {class}, and never dialled {HINT}");
        assert_eq!(refuse(&text), told, "{host}");
        assert_eq!(refuse(&format!("{text}allow_private = true\n")), told, "{host}");
    }
    for host in ["127.0.0.1", "[::1]", "10.0.0.1", "[fd00::1]", "localhost", "8.8.8.8"] {
        assert!(!accept(&upstream(&format!("https://{host}"))).upstreams[0].allow_private);
    }
    assert!(accept(&format!("{}allow_private = true\n", upstream("https://a.test"))).upstreams[0].allow_private);
}

#[test]
fn the_default_listener_is_no_upstream_either() {
    for url in ["http://127.0.0.1:8080", "http://localhost:8080", "https://a.localhost:8080"] {
        let told = refuse(&upstream(url));
        assert!(told.contains("the URL leads to `listen.local`: sidekey would call itself"), "{told}");
        // A listener elsewhere takes the default one's place.
        accept(&(listener("127.0.0.1:8081") + &upstream(url)));
    }
    let mapped = listener("127.0.0.1:8081") + &upstream("https://[::ffff:127.0.0.1]:8081");
    assert!(refuse(&mapped).contains("sidekey would call itself"));
}

#[test]
fn a_listener_that_others_may_reach_says_so() {
    const FAULT: &str = "2:11 listen.a.address: other machines may reach this address, and nobody is asked who they are \
                         (name callers in `[caller.NAME]`, bind to loopback or `unix:`, ask for certificates with `tls.client_ca`, or say `dangerously_open = true`)";
    for address in ["0.0.0.0:8080", "[::]:8080", "10.0.0.1:0", "[fe80::1]:1", "8.8.8.8:80", "[::ffff:10.0.0.1]:1"] {
        assert_eq!(refuse(&(listener(address) + GOOD)), FAULT, "{address}");
        assert_eq!(refuse(&format!("{}dangerously_open = false\n{GOOD}", listener(address))), FAULT, "{address}");
        accept(&format!("{}dangerously_open = true\n{GOOD}", listener(address)));
    }
    for address in ["127.0.0.1:8080", "127.9.9.9:1", "[::1]:8080", "[::ffff:127.0.0.1]:1", "unix:/x"] {
        accept(&(listener(address) + GOOD));
    }
}

#[test]
fn a_name_server_is_an_address() {
    let server = |line: &str| format!("[server]\n{line}\n{GOOD}");
    let lookup = accept(&server("nameservers = ['127.0.0.1:5353', '192.0.2.53', '::1', '[::1]:54']")).server.lookup;
    let addresses: Vec<String> = lookup.nameservers.iter().map(ToString::to_string).collect();
    assert_eq!(addresses, ["127.0.0.1:5353", "192.0.2.53:53", "[::1]:53", "[::1]:54"]);
    assert!(!lookup.hosts_file);
    assert!(accept(&server("hosts_file = true")).server.lookup.hosts_file);
    for wrong in ["dns.test", "dns.test:53", "192.0.2.53:0", "192.0.2.53:x", "[::1]", ""] {
        assert_eq!(
            refuse(&server(&format!("nameservers = ['{wrong}']"))),
            "2:16 server.nameservers[0]: expected an address, `IP` or `IP:PORT`",
            "{wrong}"
        );
    }
    let default = accept(GOOD).server.lookup;
    assert!(default.nameservers.is_empty() && !default.hosts_file);
}
