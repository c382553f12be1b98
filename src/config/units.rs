//! The forms of values: regions, lengths of time, sizes.

use std::{fmt, path::PathBuf, str::FromStr, time::Duration};

use serde::{
    Deserialize, Deserializer,
    de::{self, Unexpected, Visitor},
};

use crate::{
    files::{self, FileName},
    model::{BuiltIn, Invalid, MountPath, text},
};

/// A region's name: letters, digits and `-`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region(String);

impl Region {
    /// The name's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Region {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if text.is_empty() || !text.bytes().all(is_name) {
            return Err("a region's name is letters, digits and - only");
        }
        Ok(Self(text.to_owned()))
    }
}

impl Default for Region {
    fn default() -> Self {
        Self("local".to_owned())
    }
}

impl<'de> Deserialize<'de> for Region {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer)
    }
}

/// A policy that is always there, by its name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DefaultPolicy(pub BuiltIn);

impl FromStr for DefaultPolicy {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let policy = BuiltIn::named(text).ok_or("it is admin, read-only, auditor or nothing")?;
        Ok(Self(policy))
    }
}

impl<'de> Deserialize<'de> for DefaultPolicy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer)
    }
}

/// The name of a mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountName(pub MountPath);

impl FromStr for MountName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let name = text.strip_suffix('/').unwrap_or(text).parse();
        name.map(Self).map_err(|Invalid(rule)| rule)
    }
}

impl<'de> Deserialize<'de> for MountName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer)
    }
}

/// SHA-256 of a public key, in hexadecimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyPin(pub [u8; 32]);

impl FromStr for KeyPin {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let key = text::sha256(text);
        key.map(Self).ok_or("it is SHA-256 of a public key: 64 hexadecimal digits")
    }
}

impl<'de> Deserialize<'de> for KeyPin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer)
    }
}

/// Where a revocation list is: in a file, or at an address. It prints without the address's query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CrlSource {
    /// A file.
    File(PathBuf),
    /// An address, `http://`.
    Http(String),
}

impl FromStr for CrlSource {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(rest) = text.strip_prefix("http://") {
            if !is_address(rest) || text.len() > ADDRESS_MAX {
                return Err(
                    "an address is such as \"http://pki.example.com/ca.crl\", without a user and a fragment",
                );
            }
            return Ok(Self::Http(text.to_owned()));
        }
        if text.contains("://") {
            return Err(
                "a revocation list is a file, or at an http:// address; its signature protects it on the way",
            );
        }
        let path = PathBuf::from(text);
        if text.is_empty() || files::holds_a_key(&path) {
            return Err("this is the name of a file, or an http:// address");
        }
        Ok(Self::File(path))
    }
}

impl fmt::Display for CrlSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => FileName::from(path.as_path()).fmt(f),
            Self::Http(address) => f.write_str(address.split('?').next().unwrap_or_default()),
        }
    }
}

impl<'de> Deserialize<'de> for CrlSource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer)
    }
}

/// An address, `https://`. It prints without its query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpsAddress(String);

impl HttpsAddress {
    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for HttpsAddress {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rest = text.strip_prefix("https://").unwrap_or_default();
        if is_address(rest) && text.len() <= ADDRESS_MAX {
            return Ok(Self(text.to_owned()));
        }
        Err(
            "an address is such as \"https://idp.example.com/jwks.json\", without a user and a fragment",
        )
    }
}

impl fmt::Display for HttpsAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.split('?').next().unwrap_or_default())
    }
}

impl<'de> Deserialize<'de> for HttpsAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer)
    }
}

/// Where a policy decision point is: `https://`, or `http://` on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PdpAddress {
    is_over_tls: bool,
    authority: String,
    host: String,
    port: u16,
    base: String,
}

impl PdpAddress {
    /// Whether it is asked over TLS.
    #[must_use]
    pub const fn is_over_tls(&self) -> bool {
        self.is_over_tls
    }

    /// Its host, and its port if it is not the usual one.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Its host and its port.
    #[must_use]
    pub fn host(&self) -> (&str, u16) {
        (&self.host, self.port)
    }

    /// What is in front of the paths that are asked: nothing, or a path without a slash at its end.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }
}

impl FromStr for PdpAddress {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const RULE: &str = "an address is such as \"https://pdp.example.com/authzen\", without a user, a query and a fragment; one that \
            begins with http:// is on this machine: 127.0.0.1, [::1] or localhost";
        let (scheme, rest) = text.split_once("://").ok_or(RULE)?;
        let is_over_tls = scheme == "https";
        if !is_address(rest) || rest.contains('?') || text.len() > ADDRESS_MAX {
            return Err(RULE);
        }
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().map_err(|_| RULE)?),
            _ => (authority, if is_over_tls { 443 } else { 80 }),
        };
        let host = host.strip_prefix('[').map_or(Some(host), |host| host.strip_suffix(']'));
        let host = host.filter(|host| !host.is_empty()).ok_or(RULE)?;
        let is_here = ["127.0.0.1", "::1", "localhost"].contains(&host);
        if !(is_over_tls || scheme == "http" && is_here) {
            return Err(RULE);
        }
        let base = path.trim_end_matches('/');
        Ok(Self {
            is_over_tls,
            authority: authority.to_owned(),
            host: host.to_owned(),
            port,
            base: if base.is_empty() { String::new() } else { format!("/{base}") },
        })
    }
}

impl fmt::Display for PdpAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_over_tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority, self.base)
    }
}

impl<'de> Deserialize<'de> for PdpAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer)
    }
}

/// Whether what follows the scheme has a host, and no user and no fragment.
fn is_address(rest: &str) -> bool {
    let is_clean = rest.bytes().all(|byte| byte.is_ascii_graphic() && !b"@#".contains(&byte));
    is_clean && !rest.is_empty() && !rest.starts_with(['/', ':', '?'])
}

/// The longest address, in bytes.
const ADDRESS_MAX: usize = 2048;

/// A length of time: text such as `10s`, `500ms` or `2m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub Duration);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer)
    }
}

impl FromStr for Span {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse_unit(
            text,
            &[("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)],
        )
        .map(|millis| Self(Duration::from_millis(millis)))
        .ok_or("a time is a whole number and ms, s, m, h or d, such as \"10s\"")
    }
}

/// A number of bytes: a number, or text such as `512KiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteSize(pub usize);

impl FromStr for ByteSize {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse_unit(text, &[("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("B", 1), ("", 1)])
            .and_then(|bytes| usize::try_from(bytes).ok())
            .map(Self)
            .ok_or(
                "a size is a number of bytes, or text such as \"512KiB\", \"256MiB\" or \"1GiB\"",
            )
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Size;

        impl Visitor<'_> for Size {
            type Value = ByteSize;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of bytes, or text such as \"512KiB\", \"256MiB\" or \"1GiB\"")
            }

            fn visit_i64<E: de::Error>(self, bytes: i64) -> Result<ByteSize, E> {
                usize::try_from(bytes)
                    .map(ByteSize)
                    .map_err(|_| E::invalid_value(Unexpected::Signed(bytes), &self))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<ByteSize, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Size)
    }
}

/// `<number><unit>` in the smallest unit.
fn parse_unit(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit.trim_start())?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

/// What `text` says, by its own rules.
pub(super) fn from_text<'de, D: Deserializer<'de>, T: FromStr<Err: fmt::Display>>(
    deserializer: D,
) -> Result<T, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_have_units() {
        for (text, millis) in [
            ("500ms", 500),
            ("10s", 10_000),
            ("2m", 120_000),
            ("1h", 3_600_000),
            ("2d", 172_800_000),
            ("10 s", 10_000),
        ] {
            assert_eq!(text.parse(), Ok(Span(Duration::from_millis(millis))));
        }
        for (text, bytes) in
            [("7", 7), ("7B", 7), ("2KiB", 2048), ("1MiB", 1 << 20), ("1GiB", 1 << 30)]
        {
            assert_eq!(text.parse(), Ok(ByteSize(bytes)));
        }
        for wrong in ["", "s", "10", "1.5s", "-1s", "1w", "99999999999999999h", "1s "] {
            assert!(wrong.parse::<Span>().is_err(), "{wrong:?}");
        }
        for wrong in ["", "KiB", "1KB", "1kib", "-1", "1.5GiB", "99999999999GiB"] {
            assert!(wrong.parse::<ByteSize>().is_err(), "{wrong:?}");
        }
    }
}
