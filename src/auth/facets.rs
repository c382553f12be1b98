//! What else a certificate says, beside its names: text under object identifiers, as far as rules can ask
//! for it.
//!
//! Always holds: what is kept of one certificate is bounded; what is left out, be it that it cannot be read
//! or is too much, is told by its kind, so that no rule passes it over. Never does: deciding what that is
//! worth.

use std::collections::HashMap;

use x509_parser::asn1_rs::{Any, Class, Oid, Tag};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use crate::model::{Facet, FacetPlace, text};

/// The longest text that is read, in bytes.
pub(super) const TEXT_MAX: usize = 256;
/// The longest value of an extension that is read as bytes.
const VALUE_MAX: usize = 256;
/// How many there are at most, and how many kinds that are left out.
const FACETS_MAX: usize = 64;
/// How much text they have together, in bytes.
const SUM_MAX: usize = 8 << 10;

/// Those of one certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Facets {
    known: Vec<(Facet, String)>,
    unread: Vec<Facet>,
    /// Whether there is more than is kept, of kinds that are not told.
    is_cut: bool,
    sum: usize,
}

impl Facets {
    /// Reads the subject and the extensions.
    pub(super) fn read(certificate: &X509Certificate<'_>) -> Self {
        let mut facets = Self::default();
        for attribute in certificate.subject().iter_attributes() {
            let text = plain_text(attribute.attr_value());
            facets.add(FacetPlace::Subject, attribute.attr_type(), text);
        }
        let mut times = HashMap::new();
        for extension in certificate.extensions() {
            *times.entry(&extension.oid).or_insert(0) += 1;
        }
        for extension in certificate.extensions() {
            // Which of two counts, two readers may see differently.
            let value = Some(extension.value).filter(|_| times.get(&extension.oid) == Some(&1));
            let of_text = |value| match Any::from_der(value) {
                Ok((&[], any)) => plain_text(&any),
                _ => None,
            };
            facets.add(FacetPlace::Extension, &extension.oid, value.and_then(of_text));
            let short = value.filter(|value| value.len() <= VALUE_MAX);
            facets.add(FacetPlace::ExtensionBytes, &extension.oid, short.map(text::hex));
        }
        facets
    }

    /// Adds what is said under an object identifier, if that can be read and rules can ask for it.
    pub(super) fn add(&mut self, at: FacetPlace, oid: &Oid<'_>, text: Option<String>) {
        let Some(facet) = Facet::of(at, &oid.to_id_string()) else { return };
        if self.known.len() + self.unread.len() == FACETS_MAX {
            self.is_cut = true;
            return;
        }
        let room = SUM_MAX - self.sum;
        match text.filter(|text| text.len() <= room) {
            Some(text) => {
                self.sum += text.len();
                self.known.push((facet, text));
            }
            None => self.unread.push(facet),
        }
    }

    /// What is known.
    pub(super) fn known(&self) -> impl Iterator<Item = (&Facet, &str)> {
        self.known.iter().map(|(facet, text)| (facet, text.as_str()))
    }

    /// Whether something is left out of a kind that `is_asked` for.
    pub(super) fn hides(&self, is_asked: impl Fn(&Facet) -> bool) -> bool {
        self.is_cut || self.unread.iter().any(is_asked)
    }
}

/// The text of a value that is some kind of string, if it is plain and not too long.
pub(super) fn plain_text(value: &Any<'_>) -> Option<String> {
    let is_plain = value.class() == Class::Universal && !value.header.is_constructed();
    let text = match value.tag() {
        // As some authorities write whatever is not ASCII.
        Tag::BmpString => {
            let (units, rest) = value.data.as_chunks::<2>();
            let units: Vec<_> = units.iter().map(|unit| u16::from_be_bytes(*unit)).collect();
            String::from_utf16(&units).ok().filter(|_| rest.is_empty())
        }
        Tag::NumericString | Tag::PrintableString | Tag::Utf8String | Tag::Ia5String => {
            std::str::from_utf8(value.data).ok().map(str::to_owned)
        }
        _ => None,
    };
    text.filter(|text| {
        is_plain && (1..=TEXT_MAX).contains(&text.len()) && !text.chars().any(char::is_control)
    })
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, CustomExtension, DistinguishedName, DnType, DnValue, KeyPair};

    use super::*;
    use crate::auth::{
        identity::CertIdentity,
        test_tools::{der, identify, other_name},
    };

    fn read(subject: &[(&[u64], DnValue)], extensions: &[(&[u64], &[u8])]) -> Facets {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        for (oid, value) in subject {
            params.distinguished_name.push(DnType::CustomDnType(oid.to_vec()), value.clone());
        }
        let own = |(oid, content): &(&[u64], &[u8])| {
            CustomExtension::from_oid_content(oid, content.to_vec())
        };
        params.custom_extensions = extensions.iter().map(own).collect();
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        CertIdentity::from_der(certificate.der()).unwrap().facets().clone()
    }

    fn facet(at: FacetPlace, oid: &str) -> Facet {
        Facet::of(at, oid).unwrap()
    }

    fn said(facets: &Facets, at: FacetPlace, oid: &str) -> Vec<String> {
        let facet = facet(at, oid);
        facets
            .known()
            .filter(|(known, _)| **known == facet)
            .map(|(_, text)| text.to_owned())
            .collect()
    }

    fn hides(facets: &Facets, at: FacetPlace, oid: &str) -> bool {
        let facet = facet(at, oid);
        facets.hides(|hidden| *hidden == facet)
    }

    #[test]
    fn text_is_read_from_every_place() {
        use FacetPlace::{Extension, ExtensionBytes, OtherName, Subject};
        let utf8 = |text: &str| DnValue::Utf8String(text.to_owned());
        let facets = read(
            &[
                (&[2, 5, 4, 6], DnValue::PrintableString("FR".try_into().unwrap())),
                (&[2, 5, 4, 8], DnValue::BmpString("Île".try_into().unwrap())),
                (&[2, 5, 4, 10], utf8("Acme")),
            ],
            &[
                (&[1, 2, 3, 1], &der(0x0c, "app-ü".as_bytes())),
                (&[1, 2, 3, 2], &der(0x16, b"ia5")),
                (&[1, 2, 3, 3], &der(0x1e, &[0, b'b'])),
                (&[1, 2, 3, 4], &der(0x02, &[5])),
            ],
        );
        assert_eq!(said(&facets, Subject, "2.5.4.6"), ["FR"]);
        assert_eq!(said(&facets, Subject, "2.5.4.8"), ["Île"]);
        assert_eq!(said(&facets, Extension, "1.2.3.1"), ["app-ü"]);
        assert_eq!(said(&facets, Extension, "1.2.3.2"), ["ia5"]);
        assert_eq!(said(&facets, Extension, "1.2.3.3"), ["b"]);
        assert_eq!(said(&facets, ExtensionBytes, "1.2.3.4"), ["020105"]);
        // No text, and not passed over: one that is no text, and none that is not there.
        assert!(said(&facets, Extension, "1.2.3.4").is_empty());
        assert!(hides(&facets, Extension, "1.2.3.4") && !hides(&facets, ExtensionBytes, "1.2.3.4"));
        assert!(!hides(&facets, Extension, "1.2.3.5") && !hides(&facets, Subject, "2.5.4.7"));
        let places = facets.known().filter(|(facet, _)| facet.at == Subject).count();
        assert_eq!(places, 2, "the organization is in a list of its own");

        let identity = identify(&[
            other_name(&der(0xa0, &der(0x0c, b"a"))),
            other_name(&der(0xa0, &der(0x16, b"b"))),
        ]);
        assert_eq!(said(identity.unwrap().facets(), OtherName, "1.2.3"), ["a", "b"]);
    }

    /// A name that could not be read was none, and a rule that denies by it passed it over.
    #[test]
    fn what_cannot_be_read_is_told_by_its_kind() {
        use FacetPlace::{Extension, ExtensionBytes, OtherName, Subject};
        let utf8 = |text: &str| DnValue::Utf8String(text.to_owned());
        let long = "a".repeat(TEXT_MAX + 1);
        for value in
            [utf8(&long), utf8(""), utf8("a\0b"), DnValue::TeletexString("a".try_into().unwrap())]
        {
            let facets = read(&[(&[2, 5, 4, 6], value)], &[]);
            assert!(hides(&facets, Subject, "2.5.4.6") && !hides(&facets, Subject, "2.5.4.7"));
        }
        let facets = read(&[], &[(&[1, 2, 3], &der(0x0c, long.as_bytes()))]);
        assert!(hides(&facets, Extension, "1.2.3") && hides(&facets, ExtensionBytes, "1.2.3"));
        let text = der(0x0c, b"a");
        let facets =
            read(&[], &[(&[1, 2, 3], &text), (&[1, 2, 3], &der(0x0c, b"b")), (&[1, 2, 4], &text)]);
        assert!(hides(&facets, Extension, "1.2.3") && hides(&facets, ExtensionBytes, "1.2.3"));
        assert!(!hides(&facets, Extension, "1.2.4"));
        let with_rest = [text.clone(), vec![0]].concat();
        assert!(hides(&read(&[], &[(&[1, 2, 3], &with_rest)]), Extension, "1.2.3"));
        for value in [
            text.clone(),
            der(0xa1, &text),
            der(0xa0, &with_rest),
            der(0xa0, &der(0x02, &[1])),
            Vec::new(),
        ] {
            let identity = identify(&[other_name(&value)]).unwrap();
            assert!(hides(identity.facets(), OtherName, "1.2.3"), "{value:?}");
        }
    }

    #[test]
    fn what_is_kept_of_one_certificate_is_bounded() {
        let oid = |n: usize| vec![1, 2, 3, u64::try_from(n).unwrap()];
        let value = der(0x0c, &[b'a'; 200]);
        let many = |number: usize, value: &[u8]| {
            let oids: Vec<_> = (0..number).map(oid).collect();
            let extensions: Vec<_> = oids.iter().map(|oid| (oid.as_slice(), value)).collect();
            read(&[], &extensions)
        };
        let few = many(8, &value);
        assert!(!few.hides(|_| true));
        let full = many(FACETS_MAX / 2, &value);
        assert!(full.known.iter().map(|(_, text)| text.len()).sum::<usize>() <= SUM_MAX);
        assert!(!full.unread.is_empty() && !full.is_cut, "what is too much is told by its kind");
        let beyond = many(FACETS_MAX, &value);
        assert_eq!(beyond.known.len() + beyond.unread.len(), FACETS_MAX);
        assert!(beyond.hides(|_| false), "whatever is asked for");
    }
}
