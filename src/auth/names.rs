//! The names of a certificate that can identify its holder: its subject alternative names of four
//! kinds.
//!
//! Always holds: each name is non-empty UTF-8 without control characters, and their number and
//! length are bounded; where case does not count, it is lower case. Never does: read the common name (it is decoration), or pass over what it
//! cannot read: a malformed name is an error, not an absent name. Name kinds that never identify
//! anybody here (IP address, directory name, and so on) are passed over; other kinds of otherName are
//! [`Facets`].

use std::fmt;

use x509_parser::asn1_rs::{Any, Class, Oid, Tag, oid};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, SubjectAlternativeName};
use x509_parser::oid_registry::OID_X509_EXT_SUBJECT_ALT_NAME;
use x509_parser::prelude::FromDer;

use super::facets::{Facets, plain_text};
use crate::model::FacetPlace;

/// A subject alternative name of a kind that can identify somebody.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SubjectName {
    /// A user principal name (otherName 1.3.6.1.4.1.311.20.2.3).
    Upn(String),
    /// A URI, such as a SPIFFE id.
    Uri(String),
    /// A DNS name.
    Dns(String),
    /// An e-mail address.
    Email(String),
}

/// Why the names of a certificate cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameFault {
    /// More names than anybody needs.
    #[error("there are more than 64 subject alternative names")]
    TooMany,
    /// A name longer than anybody needs.
    #[error("a {0} in the subject alternative names is longer than 1024 bytes")]
    TooLong(NameKind),
    /// Bytes after the list of names.
    #[error("bytes follow the end of the subject alternative names")]
    TrailingBytes,
    /// The list of alternative names is there twice, or is not a list of names.
    #[error("the subject alternative names are malformed or repeated")]
    Malformed,
    /// A name that is not UTF-8, or not ASCII where X.509 allows only ASCII.
    #[error("a {0} in the subject alternative names is not valid text")]
    Encoding(NameKind),
    /// A name that contains NUL or another control character.
    #[error("a {0} in the subject alternative names contains a NUL or control character")]
    Control(NameKind),
    /// A name without any character.
    #[error("a {0} in the subject alternative names is empty")]
    Empty(NameKind),
    /// A user principal name that is not one `UTF8String`.
    #[error("the user principal name is not one UTF-8 string")]
    UpnType,
}

/// The kind of a name, for errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameKind {
    /// A user principal name.
    Upn,
    /// A URI.
    Uri,
    /// A DNS name.
    Dns,
    /// An e-mail address.
    Email,
}

impl fmt::Display for NameKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Upn => "user principal name",
            Self::Uri => "URI",
            Self::Dns => "DNS name",
            Self::Email => "e-mail address",
        })
    }
}

/// The names in a certificate that can identify, in its order.
/// What is there of other kinds is added to `others`.
pub(super) fn read_names(
    certificate: &X509Certificate<'_>,
    others: &mut Facets,
) -> Result<Vec<SubjectName>, NameFault> {
    let extension = certificate
        .get_extension_unique(&OID_X509_EXT_SUBJECT_ALT_NAME)
        .map_err(|_| NameFault::Malformed)?;
    let Some(extension) = extension else {
        return Ok(Vec::new());
    };
    // Read again from the extension's bytes: the parser's own pass drops what follows the list.
    let (rest, list) =
        SubjectAlternativeName::from_der(extension.value).map_err(|_| NameFault::Malformed)?;
    if !rest.is_empty() {
        return Err(NameFault::TrailingBytes);
    }
    if list.general_names.len() > NAMES_MAX {
        return Err(NameFault::TooMany);
    }
    for name in &list.general_names {
        if let GeneralName::OtherName(kind, value) = name
            && *kind != OID_UPN
        {
            others.add(
                FacetPlace::OtherName,
                kind,
                wrapped(value).and_then(|text| plain_text(&text)),
            );
        }
    }
    list.general_names.iter().filter_map(|name| read_name(name).transpose()).collect()
}

fn read_name(name: &GeneralName<'_>) -> Result<Option<SubjectName>, NameFault> {
    Ok(Some(match name {
        GeneralName::OtherName(kind, value) if *kind == OID_UPN => {
            SubjectName::Upn(fold_domain(&utf8_string(value)?, &['@']))
        }
        GeneralName::URI(text) => SubjectName::Uri(ia5(text, NameKind::Uri)?),
        GeneralName::DNSName(text) => {
            SubjectName::Dns(ia5(text, NameKind::Dns)?.to_ascii_lowercase())
        }
        GeneralName::RFC822Name(text) => {
            SubjectName::Email(fold_domain(&ia5(text, NameKind::Email)?, &['@']))
        }
        // What the parser could not read: only the tag tells what it should have been.
        GeneralName::Invalid(tag, _) => {
            return Err(match tag.0 {
                1 => NameFault::Encoding(NameKind::Email),
                2 => NameFault::Encoding(NameKind::Dns),
                6 => NameFault::Encoding(NameKind::Uri),
                _ => NameFault::Malformed,
            });
        }
        _ => return Ok(None),
    }))
}

/// The text of `[0] EXPLICIT UTF8String`, with nothing after it on either level.
fn utf8_string(value: &[u8]) -> Result<String, NameFault> {
    let (rest, outer) = Any::from_der(value).map_err(|_| NameFault::UpnType)?;
    let wrapped = outer.class() == Class::ContextSpecific
        && outer.tag() == Tag(0)
        && outer.header.is_constructed();
    if !wrapped || !rest.is_empty() {
        return Err(NameFault::UpnType);
    }
    let (rest, text) = Any::from_der(outer.data).map_err(|_| NameFault::UpnType)?;
    let is_text = text.class() == Class::Universal
        && text.tag() == Tag::Utf8String
        && !text.header.is_constructed();
    if !is_text || !rest.is_empty() {
        return Err(NameFault::UpnType);
    }
    let text = std::str::from_utf8(text.data).map_err(|_| NameFault::Encoding(NameKind::Upn))?;
    plain(text, NameKind::Upn)
}

/// What is in `[0] EXPLICIT`, with nothing after it on either level.
fn wrapped(value: &[u8]) -> Option<Any<'_>> {
    let (rest, outer) = Any::from_der(value).ok()?;
    let is_wrapped = outer.class() == Class::ContextSpecific
        && outer.tag() == Tag(0)
        && outer.header.is_constructed();
    let (behind, inner) = Any::from_der(outer.data).ok()?;
    (is_wrapped && rest.is_empty() && behind.is_empty()).then_some(inner)
}

/// `IA5String` is ASCII. The parser lets any UTF-8 through, under which two different names can
/// look the same.
fn ia5(text: &str, kind: NameKind) -> Result<String, NameFault> {
    if text.is_ascii() { plain(text, kind) } else { Err(NameFault::Encoding(kind)) }
}

/// An e-mail address or a user principal name in which the case of the domain does not count any
/// more: what stands behind the last of `marks`, where there is one.
pub(super) fn fold_domain(address: &str, marks: &[char]) -> String {
    let (name, domain) = address.split_at(address.rfind(marks).unwrap_or(address.len()));
    format!("{name}{}", domain.to_ascii_lowercase())
}

fn plain(text: &str, kind: NameKind) -> Result<String, NameFault> {
    if text.is_empty() {
        return Err(NameFault::Empty(kind));
    }
    if text.len() > NAME_BYTES_MAX {
        return Err(NameFault::TooLong(kind));
    }
    // A NUL would end the name early for a peer that is written in C.
    if text.chars().any(char::is_control) {
        return Err(NameFault::Control(kind));
    }
    Ok(text.to_owned())
}

const OID_UPN: Oid<'static> = oid!(1.3.6.1.4.1.311.20.2.3);
const NAMES_MAX: usize = 64;
const NAME_BYTES_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, SanType};

    use super::super::test_tools::{der, identify, san, upn, upn_of, with_extensions};
    use super::*;
    use crate::auth::identity::{CertIdentity, IdentityError};

    fn fault(names: &[Vec<u8>]) -> NameFault {
        match identify(names) {
            Err(IdentityError::Names(fault)) => fault,
            other => panic!("the names are refused: {other:?}"),
        }
    }

    #[test]
    fn every_identifying_kind_is_listed_in_order() {
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![
            SanType::URI("spiffe://example.com/billing".try_into().unwrap()),
            SanType::IpAddress("127.0.0.1".parse().unwrap()),
            SanType::DnsName("billing.example.com".try_into().unwrap()),
            SanType::OtherName((
                vec![1, 3, 6, 1, 4, 1, 311, 20, 2, 3],
                "someone@example.com".into(),
            )),
            SanType::OtherName((vec![1, 2, 3, 4], "another kind".into())),
            SanType::Rfc822Name("billing@example.com".try_into().unwrap()),
        ];
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let identity = CertIdentity::from_der(certificate.der()).unwrap();
        assert_eq!(
            identity.names(),
            [
                SubjectName::Uri("spiffe://example.com/billing".to_owned()),
                SubjectName::Dns("billing.example.com".to_owned()),
                SubjectName::Upn("someone@example.com".to_owned()),
                SubjectName::Email("billing@example.com".to_owned()),
            ]
        );
        assert_eq!(identity.okms_domain(), None);
    }

    /// The case of a DNS name says nothing, as that of an address's domain; that of the rest does.
    #[test]
    fn case_is_folded_where_it_does_not_count() {
        let names = [
            der(0x82, b"Web.Example.COM"),
            der(0x81, b"Some@One@Example.COM"),
            upn("Someone@Example.COM"),
            upn("DOMAIN Someone"),
            der(0x86, b"spiffe://Example.COM/A"),
        ];
        assert_eq!(
            identify(&names).unwrap().names(),
            [
                SubjectName::Dns("web.example.com".to_owned()),
                SubjectName::Email("Some@One@example.com".to_owned()),
                SubjectName::Upn("Someone@example.com".to_owned()),
                SubjectName::Upn("DOMAIN Someone".to_owned()),
                SubjectName::Uri("spiffe://Example.COM/A".to_owned()),
            ]
        );
    }

    #[test]
    fn faulty_names_are_refused_by_kind() {
        assert_eq!(fault(&[der(0x82, b"a\0b")]), NameFault::Control(NameKind::Dns));
        assert_eq!(fault(&[der(0x86, b"a\nb")]), NameFault::Control(NameKind::Uri));
        assert_eq!(fault(&[upn("okms.domain:*\0")]), NameFault::Control(NameKind::Upn));
        assert_eq!(fault(&[der(0x81, b"")]), NameFault::Empty(NameKind::Email));
        assert_eq!(fault(&[upn("")]), NameFault::Empty(NameKind::Upn));
        assert_eq!(fault(&[der(0x82, b"\xff")]), NameFault::Encoding(NameKind::Dns));
        assert_eq!(fault(&[der(0x86, "é".as_bytes())]), NameFault::Encoding(NameKind::Uri));
        assert_eq!(
            fault(&[upn_of(&der(0xa0, &der(0x0c, b"\xff")))]),
            NameFault::Encoding(NameKind::Upn)
        );
    }

    #[test]
    fn a_upn_is_one_utf8_string() {
        let text = der(0x0c, b"okms.domain:*");
        let wrapped = der(0xa0, &text);
        let doubled = [wrapped.clone(), wrapped.clone()].concat();
        let not_text = [
            upn_of(&[]),
            upn_of(&text),
            upn_of(&der(0xa0, &der(0x16, b"okms.domain:*"))),
            upn_of(&der(0xa1, &text)),
            upn_of(&der(0x80, &text)),
            upn_of(&doubled),
            upn_of(&der(0xa0, &[text.clone(), text.clone()].concat())),
            upn_of(&der(0xa0, &[])),
        ];
        for (number, name) in not_text.into_iter().enumerate() {
            assert_eq!(fault(&[name]), NameFault::UpnType, "case {number}");
        }
    }

    #[test]
    fn names_are_bounded_in_number_and_length() {
        let name = |len: usize| der(0x82, &vec![b'a'; len]);
        assert_eq!(identify(&[name(1024)]).unwrap().names().len(), 1);
        assert_eq!(fault(&[name(1025)]), NameFault::TooLong(NameKind::Dns));
        assert!(identify(&vec![name(1); 64]).is_ok());
        assert_eq!(fault(&vec![name(1); 65]), NameFault::TooMany);
    }

    #[test]
    fn nothing_is_passed_over() {
        let of = |extensions| match CertIdentity::from_der(&with_extensions(extensions)) {
            Err(IdentityError::Names(fault)) => fault,
            other => panic!("the names are refused: {other:?}"),
        };
        let list = der(0x30, &upn("okms.domain:*"));
        assert_eq!(of(vec![san(list.clone()), san(list.clone())]), NameFault::Malformed);
        assert_eq!(of(vec![san(der(0x04, b"x"))]), NameFault::Malformed);
        assert_eq!(of(vec![san([list.clone(), list].concat())]), NameFault::TrailingBytes);
        assert_eq!(fault(&[der(0x89, b"x")]), NameFault::Malformed);
    }
}
