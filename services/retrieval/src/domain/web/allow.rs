//! What an operator lets through although it is not public: names and networks, with or without a port.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::address::same_prefix;

/// One entry: `wiki.intern`, `wiki.intern:8080`, `10.1.0.0/16`, `10.1.2.3:8080`, `[fd00::1]:8080`, `fd00::/8`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed {
    host: AllowedHost,
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum AllowedHost {
    /// In small letters, without a dot at its end.
    Name(String),
    /// As 128 bits, IPv4 in its mapped form, with the length of the prefix.
    Network(u128, u32),
}

impl Allowed {
    /// Reads an entry; `None` when it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Some(network) = network(text) {
            return Some(Self { host: network, port: None });
        }
        if let Some(rest) = text.strip_prefix('[') {
            let (address, port) = rest.split_once("]:")?;
            return Some(Self { host: network(address)?, port: Some(port.parse().ok()?) });
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => (host, Some(port.parse().ok()?)),
            None => (text, None),
        };
        let host = match network(host) {
            Some(network) => network,
            None => AllowedHost::Name(name(host)?),
        };
        Some(Self { host, port })
    }

    /// Whether it lets a name through on a port, wherever the name leads.
    pub fn names(&self, host: &str, port: u16) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host);
        let same = matches!(&self.host, AllowedHost::Name(name) if name.eq_ignore_ascii_case(host));
        same && self.port.is_none_or(|own| own == port)
    }

    /// Whether it lets an address through on a port.
    pub fn holds(&self, address: IpAddr, port: u16) -> bool {
        let AllowedHost::Network(network, length) = self.host else { return false };
        same_prefix(bits(address), network, length) && self.port.is_none_or(|own| own == port)
    }
}

/// Whether any entry lets this through.
pub fn lets_through(list: &[Allowed], host: &str, address: IpAddr, port: u16) -> bool {
    list.iter().any(|entry| entry.names(host, port) || entry.holds(address, port))
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

fn network(text: &str) -> Option<AllowedHost> {
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length.parse::<u32>().ok()?)),
        None => (text, None),
    };
    if let Ok(address) = address.parse::<Ipv4Addr>() {
        let length = length.unwrap_or(32);
        return (length <= 32).then(|| AllowedHost::Network(bits(address.into()), length + 96));
    }
    let address = address.parse::<Ipv6Addr>().ok()?;
    let length = length.unwrap_or(128);
    (length <= 128).then(|| AllowedHost::Network(address.to_bits(), length))
}

fn name(text: &str) -> Option<String> {
    let text = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    let shaped = !text.is_empty() && text.len() <= 253 && text.chars().all(good);
    (shaped && text.split('.').all(|label| !label.is_empty())).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(text: &str) -> Allowed {
        Allowed::parse(text).unwrap_or_else(|| unreachable!("{text} is an entry"))
    }

    #[test]
    fn entries_say_what_they_let_through() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        assert!(entry("Wiki.Intern").names("wiki.intern.", 80));
        assert!(!entry("wiki.intern:8080").names("wiki.intern", 80));
        assert!(entry("wiki.intern:8080").names("wiki.intern", 8080));
        assert!(!entry("wiki.intern").names("evil-wiki.intern", 80));
        assert!(entry("10.1.0.0/16").holds(ip("10.1.200.3"), 9));
        assert!(!entry("10.1.0.0/16").holds(ip("10.2.0.0"), 9));
        assert!(entry("10.1.0.0/16").holds(ip("::ffff:10.1.0.1"), 9));
        assert!(entry("127.0.0.1:8080").holds(ip("127.0.0.1"), 8080));
        assert!(!entry("127.0.0.1:8080").holds(ip("127.0.0.1"), 80));
        assert!(entry("[fd00::1]:81").holds(ip("fd00::1"), 81));
        assert!(entry("fd00::/8").holds(ip("fdab::1"), 1));
        assert!(entry("0.0.0.0/0").holds(ip("10.0.0.1"), 1) && !entry("0.0.0.0/0").holds(ip("fd00::1"), 1));
        assert!(!entry("127.0.0.1").names("127.0.0.1", 80), "an address is no name");
    }

    #[test]
    fn what_is_no_entry_is_refused() {
        for bad in [
            "",
            "a b",
            "10.0.0.0/33",
            "fd00::/129",
            "host:",
            "host:99999",
            "a..b",
            "http://x",
            "*.x",
            "[::1]",
        ] {
            assert_eq!(Allowed::parse(bad), None, "{bad}");
        }
    }
}
