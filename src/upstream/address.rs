//! Which addresses are dialled. A name is an upstream's only as long as whoever answers for it says so: each address
//! that it resolves to is judged here, at the moment of dialling, and by nothing but its bits.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::origin::Host;

/// What is at an address, as far as its bits tell (the IANA special-purpose registries, RFC 6890).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// Anybody's on the internet.
    Public,
    /// This machine.
    Loopback,
    /// A network that is not the internet; also what stands in documents and bench tests.
    Private,
    /// This link alone, and where clouds keep credentials for whoever asks.
    LinkLocal,
    /// Where a cloud gives credentials to whoever asks, outside the link-local range.
    Metadata,
    /// No address to connect to: this machine, by way of what systems make of it.
    Unspecified,
    Multicast,
    /// Nobody's, broadcast among them; or an IPv4 address in a form that cannot be read.
    Reserved,
}

/// What an upstream's addresses may be, besides public.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Allowance {
    /// Nothing else. Fails closed: a name says nothing about where it leads.
    Public,
    /// Loopback, since the name means this machine.
    Loopback,
    /// Loopback and private ones, since the config says so.
    Private,
}

impl Class {
    /// An IPv4 address within an IPv6 one is what counts: it is where a translator, or the kernel, sends the packets.
    pub(crate) fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::of_v4(address),
            IpAddr::V6(address) => Self::of_v6(address),
        }
    }

    fn of_v4(address: Ipv4Addr) -> Self {
        match address.octets() {
            [0, ..] => Self::Unspecified,
            [127, ..] => Self::Loopback,
            [169, 254, ..] => Self::LinkLocal,
            // Alibaba; Azure's WireServer; Oracle's classic cloud.
            [100, 100, 100, 200] | [168, 63, 129, 16] | [192, 0, 0, 192] => Self::Metadata,
            // RFC 1918, RFC 6598, RFC 6890, RFC 5737, RFC 7526, RFC 2544.
            [10, ..]
            | [172, 16..=31, ..]
            | [192, 168, ..]
            | [100, 64..=127, ..]
            | [192, 0, 0 | 2, _]
            | [198, 51, 100, _]
            | [203, 0, 113, _]
            | [192, 88, 99, _]
            | [198, 18..=19, ..] => Self::Private,
            [224..=239, ..] => Self::Multicast,
            [240..=255, ..] => Self::Reserved,
            _ => Self::Public,
        }
    }

    fn of_v6(address: Ipv6Addr) -> Self {
        match address.segments() {
            [0, 0, 0, 0, 0, 0, 0, 0] => Self::Unspecified,
            [0, 0, 0, 0, 0, 0, 0, 1] => Self::Loopback,
            // Compatible, mapped and translated (RFC 4291 2.5.5, RFC 2765); NAT64 (RFC 6052).
            [0, 0, 0, 0, 0, 0, high, low]
            | [0, 0, 0, 0, 0, 0xffff, high, low]
            | [0, 0, 0, 0, 0xffff, 0, high, low]
            | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Self::of_v4(v4(high, low)),
            // RFC 8215: the network chooses where in it the IPv4 address stands. Only in the last place can it be read;
            // everywhere else these bits are zero.
            [0x64, 0xff9b, 1, .., high, low] if high & 0xff != 0 || low != 0 => Self::of_v4(v4(high, low)),
            [0x64, 0xff9b, 1, ..] => Self::Reserved,
            // 6to4 (RFC 3056), and Teredo (RFC 4380 4), which inverts the bits.
            [0x2002, high, low, ..] => Self::of_v4(v4(high, low)),
            [0x2001, 0, .., high, low] => Self::of_v4(v4(!high, !low)),
            [0xfe80..=0xfebf, ..] => Self::LinkLocal,
            // AWS, whose range this is; Google; Oracle; Scaleway; Akamai; Alibaba.
            [0xfd00, 0xec2, ..]
            | [0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254]
            | [0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe]
            | [0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42]
            | [0xfd00, 0xa9fe, 0xa9fe, 0, 0, 0, 0, 1]
            | [0xfd00, 0x100, 0, 0, 0, 0, 0x100, 0x200] => Self::Metadata,
            [0xff00..=0xffff, ..] => Self::Multicast,
            // RFC 2928, RFC 3849, RFC 9637: within what is anybody's, but nobody's.
            [0x2001, 0..=0x1ff | 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => Self::Private,
            // RFC 4291 2.4: what is anybody's.
            [0x2000..=0x3fff, ..] => Self::Public,
            _ => Self::Private,
        }
    }

    /// Whether no config can have such an address dialled.
    pub(crate) fn is_never_dialled(self) -> bool {
        match self {
            Self::Public | Self::Loopback | Self::Private => false,
            Self::LinkLocal | Self::Metadata | Self::Unspecified | Self::Multicast | Self::Reserved => true,
        }
    }
}

impl Allowance {
    /// What the config says, by `url` or by `allow_private`. An address in `url` is dialled as it stands, and so is
    /// what the config says.
    pub(super) fn new(host: &Host, allow_private: bool) -> Self {
        match host {
            Host::Name(_) if allow_private => Self::Private,
            Host::Name(_) if host.is_loopback() => Self::Loopback,
            Host::Name(_) => Self::Public,
            Host::Address(_) => Self::Private,
        }
    }

    pub(super) fn covers(self, class: Class) -> bool {
        match class {
            Class::Public => true,
            Class::Loopback => self != Self::Public,
            Class::Private => self == Self::Private,
            Class::LinkLocal | Class::Metadata | Class::Unspecified | Class::Multicast | Class::Reserved => false,
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Public => "public",
            Self::Loopback => "loopback",
            Self::Private => "private",
            Self::LinkLocal => "link-local",
            Self::Metadata => "a cloud's metadata service",
            Self::Unspecified => "unspecified",
            Self::Multicast => "multicast",
            Self::Reserved => "reserved",
        })
    }
}

fn v4(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low))
}

#[cfg(test)]
mod tests;
