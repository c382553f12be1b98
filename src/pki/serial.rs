//! Serial numbers of certificates.
//!
//! Always holds: a [`Serial`] has at most 20 octets, as RFC 5280 has it, and one text in each
//! notation.

use std::{fmt, str::FromStr};

use x509_parser::{certificate::X509Certificate, num_bigint::BigUint, prelude::FromDer};

use super::error::Error;
use crate::model::{Invalid, text::hex};

/// A serial number. It prints in lower-case hexadecimal, without zero bytes in front.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Serial([u8; BYTES_MAX]);

impl Serial {
    /// A number of 16 random bytes. It is positive and does not begin with a zero byte, so that
    /// every tool shows it alike.
    pub(super) fn random() -> Result<Self, Error> {
        let mut bytes = [0; 16];
        aws_lc_rs::rand::fill(&mut bytes).map_err(|_| Error::Random)?;
        let number = u128::from_be_bytes(bytes) & (u128::MAX >> 1) | 1 << 126;
        Self::from_be_bytes(&number.to_be_bytes()).ok_or(Error::Random)
    }

    /// The number with these bytes, as a certificate has them; `None` where it is longer than 20
    /// octets.
    #[must_use]
    pub fn from_be_bytes(bytes: &[u8]) -> Option<Self> {
        // DER puts a zero in front of a number whose first bit is set; some authorities put more.
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        let number = bytes.get(zeros..).unwrap_or_default();
        let mut serial = [0; BYTES_MAX];
        serial.get_mut(BYTES_MAX.checked_sub(number.len())?..)?.copy_from_slice(number);
        Some(Self(serial))
    }

    /// That of a certificate (DER); `None` where it is longer, or the certificate is none.
    #[must_use]
    pub fn of_certificate(der: &[u8]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        Self::from_be_bytes(certificate.raw_serial())
    }

    /// The number in decimal, as Vault shows it.
    #[must_use]
    pub fn to_decimal(self) -> String {
        BigUint::from_bytes_be(&self.0).to_string()
    }

    /// The bytes, without zeros in front; a single zero for the number zero.
    #[must_use]
    pub fn significant(&self) -> &[u8] {
        let zeros = self.0.iter().take_while(|byte| **byte == 0).count().min(BYTES_MAX - 1);
        self.0.get(zeros..).unwrap_or_default()
    }
}

/// Hexadecimal, as this prints and as others do: in capitals, or with colons between the bytes.
impl FromStr for Serial {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        const WRONG: Invalid = Invalid(
            "a serial number must be hexadecimal of at most 20 bytes, such as 4f1a or 4F:1A",
        );
        let digits: Option<Vec<_>> = text
            .bytes()
            .filter(|byte| *byte != b':')
            .map(|byte| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
            .collect();
        let digits = digits.filter(|digits| !digits.is_empty()).ok_or(WRONG)?;
        // An odd number of digits lacks the first one, a zero.
        let bytes: Vec<_> = digits
            .rchunks(2)
            .rev()
            .map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit))
            .collect();
        Self::from_be_bytes(&bytes).ok_or(WRONG)
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(self.significant()))
    }
}

impl fmt::Debug for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

const BYTES_MAX: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_serials_are_positive_and_differ() {
        let serials: std::collections::HashSet<_> =
            (0..200).map(|_| Serial::random().unwrap()).collect();
        assert_eq!(serials.len(), 200);
        assert!(
            serials
                .iter()
                .all(|serial| serial.significant().len() == 16
                    && (0x40..0x80).contains(&serial.0[4]))
        );
    }

    /// A serial number of 60 KB, turned into decimal, once took 14 s of a worker for each login.
    #[test]
    fn serials_are_bounded_and_have_one_text_form() {
        let serial = |bytes: &[u8]| Serial::from_be_bytes(bytes).unwrap();
        for (bytes, hexadecimal, decimal) in [
            (&[][..], "00", "0"),
            (&[0, 0], "00", "0"),
            (&[0x0a], "0a", "10"),
            (&[0, 0x80, 0x01], "8001", "32769"),
            (
                &[0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0x01],
                "0123456789abcdef01",
                "20988295479420645121",
            ),
        ] {
            assert_eq!(
                (&*serial(bytes).to_string(), &*serial(bytes).to_decimal()),
                (hexadecimal, decimal)
            );
        }
        for text in ["0123456789abcdef01", "123456789ABCDEF01", "01:23:45:67:89:AB:CD:EF:01"] {
            assert_eq!(text.parse::<Serial>().unwrap().to_string(), "0123456789abcdef01");
        }
        for wrong in ["", ":", "0x12", "12 34", "xyz", "é", &"1".repeat(41)] {
            assert!(wrong.parse::<Serial>().is_err(), "{wrong}");
        }
        // A leading zero of DER does not count.
        let most = [&[0][..], &[0xff; 20]].concat();
        assert_eq!(serial(&most).to_string(), "ff".repeat(20));
        assert_eq!(serial(&most).to_decimal(), "1461501637330902918203684832716283019655932542975");
        assert!(
            Serial::from_be_bytes(&[1; 21]).is_none()
                && Serial::from_be_bytes(&vec![1; 60_000]).is_none()
        );
    }
}
