//! The names that go into certificates.
//!
//! Always holds: a [`ServerName`] is a DNS name or an IP address that clients can match; a common
//! name is short, plain text.

use std::{fmt, net::IpAddr, str::FromStr};

use rcgen::{DistinguishedName, DnType, SanType};
use rustls_pki_types::DnsName;

use super::error::{Error, NameFault};

/// A name under which clients reach a server: a DNS name, possibly with `*` as its whole first
/// label, or an IP address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerName {
    text: String,
    san: SanType,
}

impl ServerName {
    /// The name as a subject alternative name.
    pub(super) fn san(&self) -> SanType {
        self.san.clone()
    }
}

impl FromStr for ServerName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self { text: address.to_string(), san: SanType::IpAddress(address) });
        }
        // A trailing dot is fine in the DNS but never matches in a certificate.
        if text.ends_with('.') || !text.is_ascii() {
            return Err(Error::ServerName);
        }
        DnsName::try_from(text.strip_prefix("*.").unwrap_or(text))
            .map_err(|_| Error::ServerName)?;
        let text = text.to_ascii_lowercase();
        let name = text.as_str().try_into().map_err(|_| Error::ServerName)?;
        Ok(Self { text, san: SanType::DnsName(name) })
    }
}

impl fmt::Display for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A subject with this common name and nothing else. The library's default subject is a name of its
/// own.
pub(super) fn subject(common_name: &str) -> Result<DistinguishedName, Error> {
    let fault = if common_name.trim().is_empty() {
        NameFault::Empty
    } else if common_name.chars().count() > COMMON_NAME_MAX {
        NameFault::TooLong { max: COMMON_NAME_MAX }
    } else if common_name.chars().any(char::is_control) {
        NameFault::Control
    } else {
        let mut subject = DistinguishedName::new();
        subject.push(DnType::CommonName, common_name);
        return Ok(subject);
    };
    Err(Error::CommonName(fault))
}

/// X.520's upper bound for a common name.
const COMMON_NAME_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_names_are_bounded() {
        let fault = |name: &str| subject(name).expect_err("refused");
        assert!(matches!(fault(" "), Error::CommonName(NameFault::Empty)));
        assert!(matches!(fault("a\0b"), Error::CommonName(NameFault::Control)));
        assert!(matches!(
            fault(&"é".repeat(65)),
            Error::CommonName(NameFault::TooLong { max: 64 })
        ));
        assert!(subject(&"é".repeat(64)).is_ok());
    }

    #[test]
    fn server_names_are_judged() {
        let san =
            |text: &str| text.parse::<ServerName>().map(|name| (name.to_string(), name.san()));
        for (text, shown) in
            [("KMS.example.com", "kms.example.com"), ("*.example.com", "*.example.com")]
        {
            assert!(
                matches!(san(text), Ok((name, SanType::DnsName(_))) if name == shown),
                "{text}"
            );
        }
        assert!(matches!(san("127.0.0.1"), Ok((_, SanType::IpAddress(_)))));
        assert!(matches!(san("::1"), Ok((_, SanType::IpAddress(_)))));
        for text in
            ["", ".", "a b", "example.com.", "*", "*.*.com", "a\0b", "exämple.com", "http://x"]
        {
            assert!(text.parse::<ServerName>().is_err(), "{text:?}");
        }
    }
}
