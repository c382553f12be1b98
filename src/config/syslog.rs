//! Where a listener of syslog messages is, and as what they count there.

use std::{path::PathBuf, str::FromStr};

use serde::{Deserialize, Deserializer};

use super::units::from_text;

/// Where a listener is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SyslogAddress {
    /// A Unix socket of datagrams on this machine.
    Unix(PathBuf),
    /// A host and a port, over TCP as it is.
    Tcp(String),
    /// A host and a port, over TLS.
    Tls(String),
}

impl Default for SyslogAddress {
    fn default() -> Self {
        Self::Unix(PathBuf::from("/dev/log"))
    }
}

impl FromStr for SyslogAddress {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let address = match text.split_once(':') {
            Some(("unix", path)) if !path.is_empty() => Some(Self::Unix(PathBuf::from(path))),
            Some(("tcp", to)) if is_host_and_port(to) => Some(Self::Tcp(to.to_owned())),
            Some(("tls", to)) if is_host_and_port(to) => Some(Self::Tls(to.to_owned())),
            _ => None,
        };
        address.ok_or(
            "it is such as \"unix:/dev/log\", \"tcp:logs.example.com:601\" or \"tls:logs.example.com:6514\"",
        )
    }
}

/// The longest host's name.
const HOST_MAX: usize = 255;

fn is_host_and_port(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    // An address of IPv6 has brackets.
    let is_host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => (1..=HOST_MAX).contains(&host.len()) && host.bytes().all(is_plain),
    };
    is_host && port.parse::<u16>().is_ok_and(|port| port > 0)
}

impl<'de> Deserialize<'de> for SyslogAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer)
    }
}

/// Whose messages they are to the listener: its number in RFC 5424.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facility(pub u8);

impl Default for Facility {
    /// `authpriv`: for few to read.
    fn default() -> Self {
        Self(10)
    }
}

/// Those that a server's messages may be of.
const FACILITIES: [(&str, u8); 12] = [
    ("user", 1),
    ("daemon", 3),
    ("auth", 4),
    ("authpriv", 10),
    ("local0", 16),
    ("local1", 17),
    ("local2", 18),
    ("local3", 19),
    ("local4", 20),
    ("local5", 21),
    ("local6", 22),
    ("local7", 23),
];

impl FromStr for Facility {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = FACILITIES.iter().find(|(name, _)| *name == text);
        found
            .map(|(_, number)| Self(*number))
            .ok_or("it is user, daemon, auth, authpriv, or local0 to local7")
    }
}

impl<'de> Deserialize<'de> for Facility {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_a_kind_and_a_place() {
        let unix = SyslogAddress::Unix(PathBuf::from("/run/log"));
        assert_eq!("unix:/run/log".parse(), Ok(unix));
        let tcp = SyslogAddress::Tcp("[::1]:601".to_owned());
        assert_eq!("tcp:[::1]:601".parse(), Ok(tcp));
        let tls = SyslogAddress::Tls("logs.example.com:6514".to_owned());
        assert_eq!("tls:logs.example.com:6514".parse(), Ok(tls));
        for wrong in [
            "",
            "unix:",
            "/dev/log",
            "udp:a:1",
            "tcp:a",
            "tcp::1",
            "tcp:a:0",
            "tcp:a:65536",
            "tls:a@b:1",
            "tcp:::1:601",
            "tcp:[a]:1",
            "tcp://a:1",
            "tcp:a/b:1",
        ] {
            assert!(wrong.parse::<SyslogAddress>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn facilities_have_names() {
        assert_eq!("local7".parse(), Ok(Facility(23)));
        assert_eq!("authpriv".parse(), Ok(Facility::default()));
        assert!("kern".parse::<Facility>().is_err());
    }
}
