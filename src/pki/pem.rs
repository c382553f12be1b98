//! PEM text: taking what is wanted out of it, or naming what is wrong.
//!
//! Always holds: a section of the wanted kind is never silently passed over, whatever hides it from
//! a parser; a [`PemFault`] says what to do and has no byte of the text in it. That is why no error
//! of the library's parser is passed on: it quotes the line that it cannot read, and the line may
//! be a private key. Never does: look inside the DER.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rustls_pki_types::{
    CertificateDer, CertificateRevocationListDer, CertificateSigningRequestDer, PrivateKeyDer,
    pem::PemObject,
};

/// What a PEM section holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PemKind {
    /// A certificate.
    Certificate,
    /// A private key, in any of its forms.
    PrivateKey,
    /// A signing request.
    Request,
    /// A revocation list.
    RevocationList,
    /// Something else.
    Other,
}

impl fmt::Display for PemKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Certificate => "a certificate (BEGIN CERTIFICATE)",
            Self::PrivateKey => "a private key (BEGIN PRIVATE KEY)",
            Self::Request => "a signing request (BEGIN CERTIFICATE REQUEST)",
            Self::RevocationList => "a revocation list (BEGIN X509 CRL)",
            Self::Other => "something else",
        })
    }
}

/// Why text is not the PEM that is wanted, and what to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PemFault {
    /// Nothing there.
    #[error("it is empty")]
    Empty,
    /// A mark that some editors put in front, and that hides the first section.
    #[error("it begins with a byte order mark; save it as UTF-8 without one")]
    ByteOrderMark,
    /// Two bytes a character.
    #[error("it is UTF-16 text; save it as UTF-8")]
    Utf16,
    /// DER, PKCS#12, or no text at all.
    #[error(
        "it is binary (DER or PKCS#12) and not PEM text; convert it with openssl x509 -inform DER, openssl pkey \
         -inform DER, or openssl pkcs12"
    )]
    Binary,
    /// OpenSSL's own form of a certificate.
    #[error(
        "it is a TRUSTED CERTIFICATE, a form of OpenSSL's own; convert it (openssl x509 -in it.pem -out plain.pem)"
    )]
    Trusted,
    /// A key under a password.
    #[error("it is encrypted; decrypt it first (openssl pkey -in key.pem -out plain.pem)")]
    Encrypted,
    /// OpenSSH's own form of a key.
    #[error(
        "it is in OpenSSH's own form; convert a copy of it (ssh-keygen -p -N '' -m PKCS8 -f copy)"
    )]
    OpenSsh,
    /// One long line, as `tr -d '\n'` and environment variables make it.
    #[error(
        "its line breaks were lost, perhaps on the way through an environment variable; the BEGIN line, \
         what follows, and the END line must each stand on lines of their own"
    )]
    LineBreaks,
    /// Blanks in front, as in a block that was copied out of YAML.
    #[error(
        "its lines are indented; remove the blanks in front of the BEGIN line, the END line and what is between"
    )]
    Indented,
    /// Another kind of section.
    #[error("it holds {found}, and what belongs here is {wanted}")]
    Instead {
        /// What belongs there.
        wanted: PemKind,
        /// What is there.
        found: PemKind,
    },
    /// The end is missing.
    #[error("it is cut off: there is no END line after the BEGIN line")]
    CutOff,
    /// Not base64 between the markers.
    #[error("what is between its BEGIN and END lines is damaged: it is not base64")]
    Damaged,
    /// No section at all.
    #[error("it is not PEM text; what belongs here is {0}")]
    NotPem(PemKind),
    /// Two or more where one is wanted.
    #[error("it holds more than one of what belongs here; give exactly one")]
    Several,
}

/// What can be taken out of PEM text.
pub trait Section: PemObject {
    /// The kind of its section.
    const KIND: PemKind;
}

impl Section for CertificateDer<'static> {
    const KIND: PemKind = PemKind::Certificate;
}

impl Section for PrivateKeyDer<'static> {
    const KIND: PemKind = PemKind::PrivateKey;
}

impl Section for CertificateSigningRequestDer<'static> {
    const KIND: PemKind = PemKind::Request;
}

impl Section for CertificateRevocationListDer<'static> {
    const KIND: PemKind = PemKind::RevocationList;
}

/// Every section of kind `T` in `text`; at least one.
///
/// # Errors
/// [`PemFault`] names what is wrong.
pub fn every<T: Section>(text: &[u8]) -> Result<Vec<T>, PemFault> {
    let fault = || diagnose(text, T::KIND);
    if text.starts_with(BYTE_ORDER_MARK) {
        return Err(PemFault::ByteOrderMark);
    }
    let found = T::pem_slice_iter(text).collect::<Result<Vec<T>, _>>().map_err(|_| fault())?;
    let announced = begins(text).filter(|label| kind_of(label) == T::KIND).count();
    if found.is_empty() || found.len() != announced { Err(fault()) } else { Ok(found) }
}

/// The one section of kind `T` in `text`.
///
/// # Errors
/// [`PemFault`] names what is wrong, a second section of that kind included.
pub fn exactly_one<T: Section>(text: &[u8]) -> Result<T, PemFault> {
    let mut found = every(text)?.into_iter();
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one),
        _ => Err(PemFault::Several),
    }
}

/// Every certificate in `text`; at least one.
///
/// # Errors
/// As [`every`].
pub fn every_certificate(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, PemFault> {
    every(text)
}

/// The one certificate in `text`.
///
/// # Errors
/// As [`exactly_one`].
pub fn one_certificate(text: &[u8]) -> Result<CertificateDer<'static>, PemFault> {
    exactly_one(text)
}

/// The PEM of a certificate.
#[must_use]
pub fn of_certificate(der: &[u8]) -> String {
    text("CERTIFICATE", der)
}

/// A section with this label.
/// A revocation list (DER) as PEM text.
#[must_use]
pub fn of_revocation_list(der: &[u8]) -> String {
    text("X509 CRL", der)
}

pub(super) fn text(label: &str, der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    let lines = body.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok());
    let lines: String = lines.flat_map(|line| [line, "\n"]).collect();
    format!("-----BEGIN {label}-----\n{lines}-----END {label}-----\n")
}

/// Whether a private key is in `text`, in any of its forms.
#[must_use]
pub fn has_private_key(text: &[u8]) -> bool {
    begins(text).any(|label| label.ends_with(b"PRIVATE KEY"))
}

/// What hides the wanted section, or stands in its place.
fn diagnose(text: &[u8], wanted: PemKind) -> PemFault {
    match text {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => return PemFault::Utf16,
        [0x30, 0x80..=0x84, ..] => return PemFault::Binary,
        _ if text.trim_ascii().is_empty() => return PemFault::Empty,
        _ if text.contains(&0) => return PemFault::Binary,
        _ => {}
    }
    let has = |label: &[u8]| begins(text).any(|found| found == label);
    match wanted {
        PemKind::Certificate if has(b"TRUSTED CERTIFICATE") => return PemFault::Trusted,
        PemKind::PrivateKey if has(b"OPENSSH PRIVATE KEY") => return PemFault::OpenSsh,
        PemKind::PrivateKey
            if has(b"ENCRYPTED PRIVATE KEY") || positions(text, b",ENCRYPTED").next().is_some() =>
        {
            return PemFault::Encrypted;
        }
        _ => {}
    }
    let mut is_open = false;
    for line in text.split(|byte| matches!(byte, b'\n' | b'\r')) {
        let marker = line.trim_ascii();
        if positions(line, BEGIN).next().is_some() && !is_marker(marker) {
            return PemFault::LineBreaks;
        }
        let (begins, ends) = (marker.starts_with(BEGIN), marker.starts_with(END));
        if (begins || ends) && line.first().is_some_and(|byte| matches!(byte, b' ' | b'\t')) {
            return PemFault::Indented;
        }
        is_open = begins || is_open && !ends;
    }
    let mut kinds = begins(text).map(kind_of);
    match kinds.next() {
        None => PemFault::NotPem(wanted),
        Some(first) if first != wanted && kinds.all(|kind| kind != wanted) => {
            PemFault::Instead { wanted, found: first }
        }
        Some(_) if is_open => PemFault::CutOff,
        Some(_) => PemFault::Damaged,
    }
}

/// The labels behind every `-----BEGIN `, wherever it stands.
fn begins(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    positions(text, BEGIN).map(|at| {
        let rest = text.get(at + BEGIN.len()..).unwrap_or_default();
        rest.split(|byte| *byte == b'-').next().unwrap_or_default()
    })
}

/// Whether a line is the beginning of a section and nothing else.
fn is_marker(line: &[u8]) -> bool {
    let label = line.strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(b"-----"));
    label.is_some_and(|label| !label.contains(&b'-'))
}

fn kind_of(label: &[u8]) -> PemKind {
    match label {
        b"CERTIFICATE" | b"TRUSTED CERTIFICATE" => PemKind::Certificate,
        b"CERTIFICATE REQUEST" | b"NEW CERTIFICATE REQUEST" => PemKind::Request,
        b"X509 CRL" => PemKind::RevocationList,
        _ if label.ends_with(b"PRIVATE KEY") => PemKind::PrivateKey,
        _ => PemKind::Other,
    }
}

/// Where `what` stands in `text`.
fn positions<'a>(text: &'a [u8], what: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
    text.windows(what.len())
        .enumerate()
        .filter(move |(_, window)| *window == what)
        .map(|(at, _)| at)
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::{CertificateAuthority, KeyKind, generate_key, signing_request};

    type Certificate = CertificateDer<'static>;
    type Key = PrivateKeyDer<'static>;

    fn certificate() -> String {
        let (ca, _) = crate::pki::test_tools::region();
        CertificateAuthority::certificate_pem(&ca).to_owned()
    }

    fn key() -> String {
        generate_key(KeyKind::P256).unwrap().expose().to_owned()
    }

    fn of_key(text: impl AsRef<[u8]>) -> PemFault {
        exactly_one::<Key>(text.as_ref()).expect_err("the key is refused")
    }

    fn of_certificate(text: impl AsRef<[u8]>) -> PemFault {
        every::<Certificate>(text.as_ref()).expect_err("the certificate is refused")
    }

    #[test]
    fn what_is_right_is_taken() {
        let (certificate, key) = (certificate(), key());
        for text in [
            certificate.clone(),
            certificate.replace('\n', "\r\n"),
            certificate.replace('\n', "\r"),
        ] {
            assert_eq!(every::<Certificate>(text.as_bytes()).unwrap().len(), 1);
        }
        let both = format!("a note\n{certificate}\nanother\n{key}{certificate}");
        assert_eq!(every::<Certificate>(both.as_bytes()).unwrap().len(), 2);
        assert!(exactly_one::<Key>(both.as_bytes()).is_ok());
        assert!(
            exactly_one::<Key>(key.replace('\n', " \r\n").as_bytes()).is_ok(),
            "blanks at the ends do no harm"
        );
        assert!(
            exactly_one::<Certificate>(both.as_bytes())
                .is_err_and(|fault| fault == PemFault::Several)
        );
        let request = signing_request(&generate_key(KeyKind::P256).unwrap(), "x").unwrap();
        assert!(exactly_one::<CertificateSigningRequestDer<'static>>(request.as_bytes()).is_ok());
    }

    /// A key whose line breaks an environment variable had taken was printed whole in the library's
    /// error. Each habit that hides or spoils a section has a text of its own, and none has a byte
    /// of the section in it.
    #[test]
    fn each_habit_has_its_text_and_no_text_has_the_key() {
        let (certificate, key) = (certificate(), key());
        let indented =
            |text: &str| text.lines().flat_map(|line| ["    ", line, "\n"]).collect::<String>();
        let utf16 = |text: &str| {
            let units = std::iter::once(0xfeff).chain(text.encode_utf16());
            units.flat_map(u16::to_le_bytes).collect::<Vec<_>>()
        };
        let der = every::<Certificate>(certificate.as_bytes()).unwrap().remove(0);
        let legacy = key.replace("PRIVATE KEY", "EC PRIVATE KEY").replacen(
            '\n',
            "\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n",
            1,
        );
        let cut = |text: &str| text.lines().take(2).collect::<Vec<_>>().join("\n");
        let (wanted, found) = (PemKind::PrivateKey, PemKind::Certificate);
        for (text, expected) in [
            (key.replace('\n', ""), PemFault::LineBreaks),
            (key.replace('\n', " "), PemFault::LineBreaks),
            (key.replace('\n', "\\n"), PemFault::LineBreaks),
            (format!("KEY={key}"), PemFault::LineBreaks),
            (indented(&key), PemFault::Indented),
            (key.replace("-----END", "\t-----END"), PemFault::Indented),
            (format!("\u{feff}{key}"), PemFault::ByteOrderMark),
            (key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY"), PemFault::Encrypted),
            (legacy, PemFault::Encrypted),
            (key.replace("PRIVATE KEY", "OPENSSH PRIVATE KEY"), PemFault::OpenSsh),
            (certificate.clone(), PemFault::Instead { wanted, found }),
            (cut(&key), PemFault::CutOff),
            (key.replace("\nM", "\n!"), PemFault::Damaged),
            (format!("{key}{key}"), PemFault::Several),
            (format!("{}{key}", indented(&key)), PemFault::Indented),
            (String::new(), PemFault::Empty),
            (" \n".to_owned(), PemFault::Empty),
            ("hello".to_owned(), PemFault::NotPem(wanted)),
        ] {
            let fault = of_key(&text);
            assert_eq!(fault, expected, "{fault}");
            let said = format!("{fault} {fault:?}");
            let quoted = key
                .lines()
                .filter(|line| !line.starts_with('-'))
                .any(|line| said.contains(&line[..8]));
            assert!(!quoted && !said.contains("45, 45"), "{said}");
        }
        assert_eq!(of_key(utf16(&key)), PemFault::Utf16);
        assert_eq!(of_key(&*der), PemFault::Binary);
        let (wanted, found) = (PemKind::Certificate, PemKind::PrivateKey);
        assert_eq!(of_certificate(&key), PemFault::Instead { wanted, found });
        assert_eq!(
            of_certificate(certificate.replace("CERTIFICATE", "TRUSTED CERTIFICATE")),
            PemFault::Trusted
        );
        assert_eq!(of_certificate(&*der), PemFault::Binary);
        // A second certificate behind one that is hidden does not make the first one optional.
        assert_eq!(
            of_certificate(format!("\u{feff}{certificate}{certificate}")),
            PemFault::ByteOrderMark
        );
        assert_eq!(
            of_certificate(format!("{}{certificate}", indented(&certificate))),
            PemFault::Indented
        );
        assert_eq!(
            of_certificate(format!("{}{certificate}", certificate.replace('\n', ""))),
            PemFault::LineBreaks
        );
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..256)) {
            let _ = every::<Certificate>(&bytes);
            let _ = diagnose(&bytes, PemKind::Request);
        }
    }
}
