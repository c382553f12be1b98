//! What else rules can ask of a certificate, beside its names: further attributes of the subject,
//! alternative names of other kinds, and extensions, each by its object identifier.
//!
//! Always holds: a facet that a rule asks for is one that a certificate can have; what rules ask for by
//! another list is not asked for by this one. Never does: reading a certificate.

use std::sync::Arc;

use super::{CertRule, Invalid};

/// The longest object identifier, in bytes of text.
const OID_MAX: usize = 128;

/// Something that a certificate says, of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Facet {
    /// Where.
    pub at: FacetPlace,
    /// What, as numbers with dots.
    pub oid: Arc<str>,
}

/// Where a certificate says something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FacetPlace {
    /// Among the attributes of its subject.
    Subject,
    /// Among its alternative names, as an otherName.
    OtherName,
    /// In an extension, whose value is text.
    Extension,
    /// In an extension: the bytes of its value, in hexadecimal.
    ExtensionBytes,
}

/// The attributes that have a name here.
const ATTRIBUTES: [(&str, &str); 13] = [
    ("C", "2.5.4.6"),
    ("DC", "0.9.2342.19200300.100.1.25"),
    ("L", "2.5.4.7"),
    ("SN", "2.5.4.4"),
    ("ST", "2.5.4.8"),
    ("STREET", "2.5.4.9"),
    ("UID", "0.9.2342.19200300.100.1.1"),
    ("dnQualifier", "2.5.4.46"),
    ("emailAddress", "1.2.840.113549.1.9.1"),
    ("givenName", "2.5.4.42"),
    ("organizationIdentifier", "2.5.4.97"),
    ("serialNumber", "2.5.4.5"),
    ("title", "2.5.4.12"),
];
/// Common name, organization and unit.
const OF_OTHER_LISTS: [&str; 3] = ["2.5.4.3", "2.5.4.10", "2.5.4.11"];
/// User principal names.
const UPN: &str = "1.3.6.1.4.1.311.20.2.3";
/// X.509's own extensions, and those of the Internet's profile: what they say, the handshake has judged,
/// or it is asked for by other lists.
const STANDARD: [&str; 2] = ["2.5.29.", "1.3.6.1.5.5.7.1."];

impl Facet {
    /// What a certificate says in a place under an object identifier, if rules can ask for that.
    #[must_use]
    pub fn of(at: FacetPlace, oid: &str) -> Option<Self> {
        let is_free = match at {
            FacetPlace::Subject => !OF_OTHER_LISTS.contains(&oid),
            FacetPlace::OtherName => oid != UPN,
            FacetPlace::Extension | FacetPlace::ExtensionBytes => {
                !STANDARD.iter().any(|of_standard| oid.starts_with(of_standard))
            }
        };
        is_free.then(|| Self { at, oid: oid.into() })
    }

    fn of_subject(name: &str) -> Result<Self, Invalid> {
        const OTHER: Invalid = Invalid(
            "common names, organizations and units of the subject have lists of their own: commonNames, organizations, \
             organizationalUnits",
        );
        let known = ATTRIBUTES.iter().find(|(known, _)| *known == name).map(|(_, oid)| *oid);
        let oid = known.map_or_else(|| oid(name), Ok);
        let oid = oid.map_err(|_| {
            Invalid(
                "subject has members like C, ST, L, STREET, serialNumber, UID and DC, or object identifiers like 2.5.4.6",
            )
        })?;
        Self::of(FacetPlace::Subject, oid).ok_or(OTHER)
    }

    fn of_other_name(kind: &str) -> Result<Self, Invalid> {
        const OTHER: Invalid =
            Invalid("user principal names have a list of their own: userPrincipalNames");
        Self::of(FacetPlace::OtherName, oid(kind)?).ok_or(OTHER)
    }

    /// What is asked for in Vault's words, and the pattern.
    fn of_extension(asked: &str) -> Result<(Self, String), Invalid> {
        const WRONG: Invalid = Invalid(
            "a required extension is an object identifier, : and a pattern for its text, as 1.2.3.4:app-*, or hex: before \
             that, for its bytes in hexadecimal",
        );
        const STANDARD: Invalid = Invalid(
            "the extensions of X.509 and of its Internet profile are not asked for by required extensions",
        );
        let (at, rest) = match asked.strip_prefix("hex:") {
            Some(rest) => (FacetPlace::ExtensionBytes, rest),
            None => (FacetPlace::Extension, asked),
        };
        let (name, pattern) = rest.split_once(':').ok_or(WRONG)?;
        let is_bytes = at == FacetPlace::ExtensionBytes;
        let is_hex = pattern.bytes().all(|byte| byte == b'*' || byte.is_ascii_hexdigit());
        if pattern.is_empty() || is_bytes && !is_hex {
            return Err(WRONG);
        }
        let pattern = if is_bytes { pattern.to_ascii_lowercase() } else { pattern.to_owned() };
        let facet = Self::of(at, oid(name).map_err(|_| WRONG)?).ok_or(STANDARD)?;
        Ok((facet, pattern))
    }
}

/// Goes on with an object identifier.
fn oid(text: &str) -> Result<&str, Invalid> {
    const WRONG: Invalid =
        Invalid("an object identifier is numbers with dots, as 1.3.6.1.4.1.311.25.1");
    let is_number = |arc: &str| {
        !arc.is_empty()
            && arc.bytes().all(|byte| byte.is_ascii_digit())
            && (arc.len() == 1 || !arc.starts_with('0'))
    };
    let is_one = text.len() <= OID_MAX
        && text.contains('.')
        && text.split('.').all(is_number)
        && matches!(text.as_bytes(), [b'0'..=b'2', b'.', ..]);
    if is_one { Ok(text) } else { Err(WRONG) }
}

impl CertRule {
    /// The lists of what else it asks for: each fits where something of the kind fits one of its
    /// patterns.
    ///
    /// # Errors
    /// `Invalid` says what cannot be asked for.
    pub fn facets(&self) -> Result<Vec<(Facet, Vec<String>)>, Invalid> {
        let of_subject = self
            .subject
            .iter()
            .map(|(name, patterns)| Ok((Facet::of_subject(name)?, patterns.clone())));
        let of_other_names = self
            .other_names
            .iter()
            .map(|(kind, patterns)| Ok((Facet::of_other_name(kind)?, patterns.clone())));
        let of_extensions = self.required_extensions.iter().map(|asked| {
            let (facet, pattern) = Facet::of_extension(asked)?;
            Ok((facet, vec![pattern]))
        });
        of_subject.chain(of_other_names).chain(of_extensions).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_certificate_can_have_is_asked_for() {
        let subject = |name: &str| {
            let rule = CertRule {
                subject: [(name.to_owned(), vec!["x".to_owned()])].into(),
                ..CertRule::default()
            };
            rule.facets()
        };
        assert_eq!(subject("C"), subject("2.5.4.6"));
        for name in ["UID", "DC", "L", "ST", "serialNumber", "1.2.3", "2.999.1"] {
            assert!(subject(name).is_ok(), "{name}");
        }
        for name in [
            "", "c", "CN", "O", "2.5.4.3", "2.5.4.10", "2.5.4.11", "3.1", "1", "1.", ".1", "1..2",
            "1.02", "1.2 ", "1.a",
        ] {
            assert!(subject(name).is_err(), "{name}");
        }
        let other_name = |kind: &str| {
            let rule = CertRule {
                other_names: [(kind.to_owned(), vec!["x".to_owned()])].into(),
                ..CertRule::default()
            };
            rule.facets()
        };
        assert!(other_name("1.3.6.1.5.5.7.8.5").is_ok());
        for kind in [UPN, "upn", ""] {
            assert!(other_name(kind).is_err(), "{kind}");
        }
    }

    #[test]
    fn extensions_are_asked_for_as_vault_does() {
        let of = |asked: &str| {
            let rule =
                CertRule { required_extensions: vec![asked.to_owned()], ..CertRule::default() };
            let mut facets = rule.facets()?;
            Ok::<_, Invalid>(
                facets.pop().map(|(facet, patterns)| (facet.at, facet.oid.to_string(), patterns)),
            )
        };
        let told =
            |at, oid: &str, pattern: &str| Ok(Some((at, oid.to_owned(), vec![pattern.to_owned()])));
        assert_eq!(
            of("1.2.3.45:*.example.org"),
            told(FacetPlace::Extension, "1.2.3.45", "*.example.org")
        );
        assert_eq!(of("1.2.3.45:a:b"), told(FacetPlace::Extension, "1.2.3.45", "a:b"));
        assert_eq!(of("hex:1.2.3.45:0C*fF"), told(FacetPlace::ExtensionBytes, "1.2.3.45", "0c*ff"));
        for wrong in [
            "",
            ":",
            "x",
            "1.2.3",
            "1.2.3:",
            ":x",
            "hex:1.2.3",
            "hex:1.2.3:",
            "hex:1.2.3:xyz",
            "hex::00",
            "HEX:1.2.3:00",
            "2.5.29.17:*",
            "hex:2.5.29.37:*",
            "1.3.6.1.5.5.7.1.1:x",
        ] {
            assert!(of(wrong).is_err(), "{wrong}");
        }
    }
}
