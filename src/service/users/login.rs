//! Where somebody logs in from: by what failures are counted.

use std::net::{IpAddr, Ipv6Addr};

/// Where a login comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LoginSource {
    /// Somebody with a certificate: SHA-256 of the public key of the first one of its line, so that whoever
    /// renews it stays who it is ([`first_key`](super::super::Credentials::first_key)).
    Key([u8; 32]),
    /// Somebody without one, at an address.
    Address(IpAddr),
}

impl LoginSource {
    /// Somebody without a certificate at this address. Who has one of version 6 has all that share its
    /// first 64 bits.
    #[must_use]
    pub const fn at(address: IpAddr) -> Self {
        Self::Address(match address {
            IpAddr::V4(_) => address,
            IpAddr::V6(address) => {
                IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)))
            }
        })
    }
}
