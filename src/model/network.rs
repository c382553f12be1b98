//! Ranges of IP addresses.
//!
//! Always holds: an IPv4 address is the same however it is written, so that `::ffff:192.0.2.1` is
//! `192.0.2.1`; a range of one family has no address of the other.

use core::net::IpAddr;

use super::Invalid;

/// All addresses that begin with the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network {
    first: IpAddr,
    /// How many bits are the same.
    length: u32,
}

impl Network {
    /// The range of one address.
    ///
    /// # Errors
    /// `Invalid` for what is no address.
    pub fn of_one(text: &str) -> Result<Self, Invalid> {
        const WRONG: Invalid =
            Invalid("an IP address is wrong; write one like 192.0.2.1 or 2001:db8::1");
        let first = text.parse::<IpAddr>().map_err(|_| WRONG)?.to_canonical();
        Ok(Self { first, length: bits(first).1 })
    }

    /// The range that is written as its first address, `/` and the number of bits.
    ///
    /// # Errors
    /// `Invalid` for what is none; for an address that is not the first: one of the two is not what
    /// was meant.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        const WRONG: Invalid = Invalid(
            "a range of IP addresses is wrong; write one like 192.0.2.0/24 or 2001:db8::/32",
        );
        const NOT_FIRST: Invalid = Invalid(
            "a range of IP addresses begins within itself: behind its / there are fewer bits than its address has; write \
             the first address, as in 192.0.2.0/24",
        );
        let (address, length) = text.split_once('/').ok_or(WRONG)?;
        let is_number = length.len() <= 3 && length.bytes().all(|byte| byte.is_ascii_digit());
        let length = length.parse::<u32>().ok().filter(|_| is_number).ok_or(WRONG)?;
        let written = address.parse::<IpAddr>().map_err(|_| WRONG)?;
        let first = written.to_canonical();
        // Of an IPv4 address in the form of an IPv6 one, the bits before it are the same for all.
        let length = length.checked_sub(bits(written).1 - bits(first).1).ok_or(WRONG)?;
        let (same, most) = bits(first);
        if length > most {
            return Err(WRONG);
        }
        let rest = u128::MAX.checked_shr(length).unwrap_or_default();
        if same & rest == 0 { Ok(Self { first, length }) } else { Err(NOT_FIRST) }
    }

    /// Whether an address is in it.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let ((own, own_most), (other, most)) = (bits(self.first), bits(address.to_canonical()));
        own_most == most && (own ^ other).leading_zeros() >= self.length
    }
}

/// The bits of an address, from the left, and how many they are.
fn bits(address: IpAddr) -> (u128, u32) {
    match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()) << 96, 32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_no_range_is_refused() {
        for text in [
            "",
            "/",
            "/8",
            "10.0.0.0",
            "10.0.0.0/",
            "10.0.0.0/33",
            "10.0.0.0/+8",
            "10.0.0.0/-1",
            "10.0.0.0/8/8",
            "10.0.0.1/8",
            "10.0.0.0/0",
            "010.0.0.0/8",
            "10.0.0/8",
            "::1/127",
            "::/129",
            "2001:db9::/31",
            " 10.0.0.0/8",
            "::ffff:0.0.0.0/95",
            "::ffff:10.0.0.0/8",
            "fe80::1%eth0/128",
            "10.0.0.0/0008",
            "localhost/8",
        ] {
            assert!(Network::parse(text).is_err(), "{text}");
        }
        for text in ["", "10.0.0.0/32", "10.0.0", "::1%eth0", " ::1", "host"] {
            assert!(Network::of_one(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_address_is_the_same_in_either_form() {
        let contains = |range: &str, address: &str| {
            Network::parse(range).unwrap().contains(address.parse().unwrap())
        };
        for (range, address, is_in) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.0.0.0/8", "::ffff:10.1.2.3", true),
            ("::ffff:10.0.0.0/104", "10.1.2.3", true),
            ("::ffff:10.0.0.0/104", "::ffff:11.1.2.3", false),
            ("0.0.0.0/0", "1.2.3.4", true),
            ("0.0.0.0/0", "::1", false),
            ("::/0", "2001:db8::1", true),
            ("::/0", "1.2.3.4", false),
            ("::/0", "::ffff:1.2.3.4", false),
            ("2001:db8::/32", "2001:db8:ffff::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("192.0.2.7/32", "192.0.2.7", true),
            ("192.0.2.7/32", "192.0.2.6", false),
            ("::1/128", "::1", true),
            // This one has no form in IPv4.
            ("::10.0.0.0/104", "10.1.2.3", false),
        ] {
            assert_eq!(contains(range, address), is_in, "{range} {address}");
        }
        let one = Network::of_one("::ffff:192.0.2.1").unwrap();
        assert_eq!(one, Network::of_one("192.0.2.1").unwrap());
        assert_eq!(one, Network::parse("192.0.2.1/32").unwrap());
    }

    proptest! {
        /// As the text of the bits says.
        #[test]
        fn what_begins_alike_is_in_it(own: u32, other: u32, same in 0u32..=32, length in 0u32..=32) {
            let own = own & u32::MAX.checked_shl(32 - length).unwrap_or(0);
            let other = (other & u32::MAX.checked_shr(same).unwrap_or(0)) | (own & u32::MAX.checked_shl(32 - same).unwrap_or(0));
            let (own, other) = (core::net::Ipv4Addr::from(own), core::net::Ipv4Addr::from(other));
            let text = |address: core::net::Ipv4Addr| format!("{:032b}", address.to_bits());
            let length_of_text = usize::try_from(length).unwrap();
            let is_in = text(own)[..length_of_text] == text(other)[..length_of_text];
            let range = Network::parse(&format!("{own}/{length}")).unwrap();
            prop_assert_eq!(range.contains(other.into()), is_in);
            let mapped = Network::parse(&format!("::ffff:{own}/{}", 96 + length)).unwrap();
            prop_assert_eq!(mapped.contains(other.to_ipv6_mapped().into()), is_in);
        }
    }
}
