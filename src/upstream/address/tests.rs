//! Both edges of every range, and what lies beyond them.

use std::net::IpAddr;

use super::{Allowance, Class};
use crate::upstream::Host;

fn class(address: &str) -> Class {
    Class::of(address.parse::<IpAddr>().unwrap_or_else(|_| panic!("{address}")))
}

fn all_are(expected: Class, addresses: &[&str]) {
    for address in addresses {
        assert_eq!(class(address), expected, "{address}");
    }
}

#[test]
fn a_range_ends_where_its_rfc_says() {
    use Class::{LinkLocal, Loopback, Multicast, Private, Public, Reserved, Unspecified};
    // First, last, and the class before and after.
    for (before, first, last, after, expected) in [
        (None, "0.0.0.0", "0.255.255.255", Some(("1.0.0.0", Public)), Unspecified),
        (Some(("9.255.255.255", Public)), "10.0.0.0", "10.255.255.255", Some(("11.0.0.0", Public)), Private),
        (Some(("100.63.255.255", Public)), "100.64.0.0", "100.127.255.255", Some(("100.128.0.0", Public)), Private),
        (Some(("126.255.255.255", Public)), "127.0.0.0", "127.255.255.255", Some(("128.0.0.0", Public)), Loopback),
        (Some(("169.253.255.255", Public)), "169.254.0.0", "169.254.255.255", Some(("169.255.0.0", Public)), LinkLocal),
        (Some(("172.15.255.255", Public)), "172.16.0.0", "172.31.255.255", Some(("172.32.0.0", Public)), Private),
        (Some(("191.255.255.255", Public)), "192.0.0.0", "192.0.0.255", Some(("192.0.1.0", Public)), Private),
        (Some(("192.0.1.255", Public)), "192.0.2.0", "192.0.2.255", Some(("192.0.3.0", Public)), Private),
        (Some(("192.88.98.255", Public)), "192.88.99.0", "192.88.99.255", Some(("192.88.100.0", Public)), Private),
        (Some(("192.167.255.255", Public)), "192.168.0.0", "192.168.255.255", Some(("192.169.0.0", Public)), Private),
        (Some(("198.17.255.255", Public)), "198.18.0.0", "198.19.255.255", Some(("198.20.0.0", Public)), Private),
        (Some(("198.51.99.255", Public)), "198.51.100.0", "198.51.100.255", Some(("198.51.101.0", Public)), Private),
        (Some(("203.0.112.255", Public)), "203.0.113.0", "203.0.113.255", Some(("203.0.114.0", Public)), Private),
        (Some(("223.255.255.255", Public)), "224.0.0.0", "239.255.255.255", Some(("240.0.0.0", Reserved)), Multicast),
        (Some(("239.255.255.255", Multicast)), "240.0.0.0", "255.255.255.255", None, Reserved),
        (Some(("1fff:ffff::", Private)), "2000::", "2000:ffff::", Some(("2001:200::", Public)), Public),
        (Some(("2000:ffff::", Public)), "2001:1::", "2001:1ff:ffff::", Some(("2001:200::", Public)), Private),
        (Some(("2001:db7:ffff::", Public)), "2001:db8::", "2001:db8:ffff::", Some(("2001:db9::", Public)), Private),
        (Some(("3ffe:ffff::", Public)), "3fff::", "3fff:fff:ffff::", Some(("3fff:1000::", Public)), Private),
        (Some(("3fff:1000::", Public)), "3fff:1000::", "3fff:ffff::", Some(("4000::", Private)), Public),
        (Some(("fbff:ffff::", Private)), "fc00::", "fdff:ffff::", Some(("fe00::", Private)), Private),
        (Some(("fe7f:ffff::", Private)), "fe80::", "febf:ffff::", Some(("fec0::", Private)), LinkLocal),
        (Some(("febf:ffff::", LinkLocal)), "fec0::", "feff:ffff::", Some(("ff00::", Multicast)), Private),
        (Some(("feff:ffff::", Private)), "ff00::", "ffff:ffff::", None, Multicast),
    ] {
        all_are(expected, &[first, last]);
        for (address, expected) in before.into_iter().chain(after) {
            all_are(expected, &[address]);
        }
    }
    all_are(Unspecified, &["::", "::2", "::ffff:0.0.0.0"]);
    all_are(Loopback, &["::1", "127.0.0.1", "127.1.2.3"]);
    all_are(Public, &["8.8.8.8", "2606:4700::1111", "2a00::1"]);
    all_are(Private, &["100::1", "200::1", "5f00::1"]);
}

#[test]
fn metadata_is_metadata_wherever_a_cloud_keeps_it() {
    all_are(
        Class::LinkLocal,
        &["169.254.169.254", "169.254.170.2", "169.254.170.23", "169.254.42.42", "fe80::a9fe:a9fe"],
    );
    all_are(Class::Metadata, &["100.100.100.200", "168.63.129.16", "192.0.0.192"]);
    all_are(Class::Private, &["100.100.100.199", "100.100.100.201", "192.0.0.191", "192.0.0.193"]);
    all_are(Class::Public, &["168.63.129.15", "168.63.129.17"]);
    all_are(
        Class::Metadata,
        &["fd00:ec2::254", "fd00:ec2::23", "fd00:ec2::", "fd00:ec2:ffff:ffff:ffff:ffff:ffff:ffff"],
    );
    all_are(Class::Private, &["fd00:ec1:ffff::", "fd00:ec3::254"]);
    let exact = ["fd20:ce::254", "fd00:c1::a9fe:a9fe", "fd00:42::42", "fd00:a9fe:a9fe::1", "fd00:100::100:200"];
    all_are(Class::Metadata, &exact);
    all_are(
        Class::Private,
        &["fd20:ce::253", "fd20:ce::255", "fd00:c1::a9fe:a9fd", "fd00:42::43", "fd00:a9fe:a9fe::2"],
    );
    assert!(Class::LinkLocal.is_never_dialled() && Class::Metadata.is_never_dialled());
}

#[test]
fn an_ipv4_address_within_an_ipv6_one_is_what_counts() {
    for (address, expected) in [
        ("169.254.169.254", Class::LinkLocal),
        ("100.100.100.200", Class::Metadata),
        ("127.0.0.1", Class::Loopback),
        ("10.0.0.1", Class::Private),
        ("224.0.0.1", Class::Multicast),
        ("255.255.255.255", Class::Reserved),
        ("8.8.8.8", Class::Public),
    ] {
        let [a, b, c, d] = address.parse::<std::net::Ipv4Addr>().unwrap().octets();
        let hex = format!("{a:02x}{b:02x}:{c:02x}{d:02x}");
        let inverted = format!("{:02x}{:02x}:{:02x}{:02x}", !a, !b, !c, !d);
        for within in [
            format!("::{hex}"),
            format!("::ffff:{hex}"),
            format!("::ffff:0:{hex}"),
            format!("64:ff9b::{hex}"),
            format!("64:ff9b:1::{hex}"),
            format!("64:ff9b:1:ffff:ff:ffff:{hex}"),
            format!("2002:{hex}::1"),
            format!("2002:{hex}:ffff:ffff:ffff:ffff:ffff"),
            format!("2001:0:808:808:0:ffff:{inverted}"),
        ] {
            assert_eq!(class(&within), expected, "{within} holds {address}");
        }
    }
}

#[test]
fn where_an_ipv4_address_cannot_be_read_it_is_not_guessed() {
    // RFC 6052 2.2: 100.100.100.200 behind prefixes of 48, 56 and 64 bits.
    all_are(Class::Reserved, &["64:ff9b:1:6464:64:c800::", "64:ff9b:1:64:64:64c8::", "64:ff9b:1:0:64:6464:c800:0"]);
    all_are(Class::Reserved, &["64:ff9b:1::"]);
    // Next to the prefixes there is nothing to be read.
    all_are(Class::Private, &["64:ff9a::808:808", "64:ff9b:0:1::808:808", "64:ff9b:2::808:808", "64:ff9c::808:808"]);
    all_are(Class::Public, &["2003:a9fe:a9fe::1"]);
    all_are(Class::Private, &["::1:0:7f00:1", "::fffe:7f00:1", "0:0:0:1::ffff:7f00:1"]);
}

#[test]
fn what_is_not_public_needs_the_configs_word() {
    let classes = [Class::Public, Class::Loopback, Class::Private];
    let never = [Class::LinkLocal, Class::Metadata, Class::Unspecified, Class::Multicast, Class::Reserved];
    for (host, allow_private, expected) in [
        ("api.test", false, [true, false, false]),
        ("api.test", true, [true, true, true]),
        ("localhost", false, [true, true, false]),
        ("x.localhost", false, [true, true, false]),
        ("x.localhost", true, [true, true, true]),
        ("127.0.0.1", false, [true, true, true]),
        ("10.0.0.1", false, [true, true, true]),
        ("[fd00::1]", true, [true, true, true]),
    ] {
        let allowance = Allowance::new(&Host::parse(host).unwrap(), allow_private);
        assert_eq!(classes.map(|class| allowance.covers(class)), expected, "{host} {allow_private}");
        assert!(never.iter().all(|class| !allowance.covers(*class) && class.is_never_dialled()));
    }
}
