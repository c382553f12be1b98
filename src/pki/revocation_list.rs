//! Revocation lists of other authorities (RFC 5280, 5): whether one is its authority's own, whole, and
//! which certificates are on it.
//!
//! Always holds: a [`RevocationList`] was signed by the authority that it names; nothing but the
//! issuer's name was read of it before the signature was checked, so that nobody else can make the
//! server read much. It is the whole list: one that leaves certificates out, or says something that
//! is not understood and must be, is none. Never does: read a clock, a file, a socket.

use aws_lc_rs::signature::UnparsedPublicKey;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use rustls_pki_types::CertificateRevocationListDer;
use x509_parser::{
    prelude::FromDer,
    time::ASN1Time,
    x509::{AlgorithmIdentifier, SubjectPublicKeyInfo},
};

use super::{
    certificate::{Facts, read},
    error::CertificateFault,
    pem::{self, PemFault},
    public_key::{accept, verification},
    serial::Serial,
    validity::Validity,
};
use crate::model::Timestamp;

/// The largest list that is read, or the largest file with several: about 400,000 certificates.
pub const LIST_BYTES_MAX: usize = 16 << 20;

/// Why a list is not used, in words for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListFault {
    /// Neither DER nor PEM.
    #[error(transparent)]
    Pem(#[from] PemFault),
    /// Not a list.
    #[error("it is not a revocation list, or it is cut off or damaged")]
    Der,
    /// More bytes than are read.
    #[error("it is larger than 16 MiB")]
    TooLarge,
    /// It names another authority.
    #[error(
        "it is the list of another authority; give the list of this one, or the certificate of the other in crl_issuers"
    )]
    OtherIssuer,
    /// Nobody knows whether it is the authority's.
    #[error(
        "its signature does not verify with the key of the authority that it names; it is damaged, forged, or of an \
         authority of the same name"
    )]
    Signature,
    /// A signature that is not believed.
    #[error(
        "its signature algorithm is not accepted; have it signed with SHA-256, SHA-384 or SHA-512"
    )]
    Algorithm,
    /// A part of a list.
    #[error(
        "it is not the whole list of its authority (issuingDistributionPoint, deltaCRLIndicator or certificateIssuer); \
         give the complete one"
    )]
    Partial,
    /// It says something that must be understood.
    #[error("it has a critical extension that is not understood here")]
    Critical,
    /// It never ends.
    #[error("it does not say when the next list is due (nextUpdate); have it made with one")]
    Endless,
    /// It begins in the future.
    #[error("it is not valid yet; check the clocks")]
    Early,
    /// There is a newer one.
    #[error("it is older than the one that is in use")]
    Older,
}

/// An authority, as its lists know it: by its name and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListSigner {
    name: Vec<u8>,
    /// `SubjectPublicKeyInfo`.
    key: Vec<u8>,
}

impl ListSigner {
    /// The one with this certificate (DER).
    ///
    /// # Errors
    /// `CertificateFault` where it is none.
    pub fn read(certificate: &[u8]) -> Result<Self, CertificateFault> {
        let certificate = read(certificate)?;
        Ok(Self {
            name: certificate.subject().as_raw().to_vec(),
            key: certificate.public_key().raw.to_vec(),
        })
    }

    /// The same, of a certificate whose word is taken: it must be an authority's that may sign lists.
    ///
    /// # Errors
    /// `CertificateFault` says what it lacks.
    pub fn of_authority(certificate: &[u8]) -> Result<Self, CertificateFault> {
        Facts::of_authority(certificate)?.may_sign_lists()?;
        Self::read(certificate)
    }

    fn verify(&self, list: &Signed<'_>) -> Result<(), ListFault> {
        let (_, key) =
            SubjectPublicKeyInfo::from_der(&self.key).map_err(|_| ListFault::Signature)?;
        let kind = accept(&key).map_err(|_| ListFault::Signature)?;
        let (_, algorithm) =
            AlgorithmIdentifier::from_der(list.algorithm).map_err(|_| ListFault::Der)?;
        let algorithm = verification(kind, &algorithm.algorithm).ok_or(ListFault::Algorithm)?;
        UnparsedPublicKey::new(algorithm, &key.subject_public_key.data)
            .verify(list.content.whole, list.signature)
            .map_err(|_| ListFault::Signature)
    }
}

/// Where a list stands among those of its authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListOrder {
    /// The list's own number.
    pub number: Option<Serial>,
    /// From when on it counts, in Unix seconds.
    pub this_update: i64,
}

/// The certificates that an authority has revoked.
pub struct RevocationList {
    /// From when until when it is the authority's latest word.
    validity: Validity,
    /// The list's own number, which is as long as a certificate's at most.
    number: Option<Serial>,
    /// In order.
    revoked: Box<[Serial]>,
}

impl RevocationList {
    /// Reads a list (DER) that one of `signers` has signed, and says which.
    ///
    /// # Errors
    /// [`ListFault`] says why it is none.
    pub fn read<'a>(
        der: &[u8],
        signers: impl IntoIterator<Item = &'a ListSigner>,
    ) -> Result<(&'a ListSigner, Self), ListFault> {
        let signed = Signed::read(der)?;
        let mut outcome = Err(ListFault::OtherIssuer);
        for signer in signers {
            if signer.name != signed.issuer.whole {
                continue;
            }
            outcome = signer.verify(&signed).map(|()| signer);
            if outcome.is_ok() {
                break;
            }
        }
        Ok((outcome?, signed.entries()?))
    }

    /// Whether the certificate with this serial number is on it.
    #[must_use]
    pub fn contains(&self, serial: Serial) -> bool {
        self.revoked.binary_search(&serial).is_ok()
    }

    /// How many certificates are on it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.revoked.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.revoked.is_empty()
    }

    /// Where it stands among those of its authority.
    #[must_use]
    pub const fn order(&self) -> ListOrder {
        ListOrder { number: self.number, this_update: self.validity.not_before }
    }

    /// When the next one is due, in Unix seconds.
    #[must_use]
    pub const fn next_update(&self) -> i64 {
        self.validity.not_after
    }

    /// Whether the next one is overdue.
    #[must_use]
    pub const fn has_ended(&self, now: Timestamp) -> bool {
        self.validity.has_expired(now)
    }

    /// Whether it is another than what came before.
    #[must_use]
    pub fn is_as(&self, other: &Self) -> bool {
        (self.validity, self.number) == (other.validity, other.number)
            && self.revoked == other.revoked
    }

    /// Whether it may take the place of `before` at `now`. Who can only repeat what an authority once
    /// said must not be able to take its word back.
    ///
    /// # Errors
    /// [`ListFault`] says why not.
    pub fn succeeds(&self, before: Option<ListOrder>, now: Timestamp) -> Result<(), ListFault> {
        let early = i64::from(Validity::EARLY_SECONDS);
        if self.validity.not_before > now.unix_seconds().saturating_add(early) {
            return Err(ListFault::Early);
        }
        let Some(before) = before else { return Ok(()) };
        let counts_back = match (self.number, before.number) {
            (Some(number), Some(before)) => number < before,
            // One that had a number and has none is not told by it.
            _ => false,
        };
        if counts_back || self.validity.not_before < before.this_update {
            return Err(ListFault::Older);
        }
        Ok(())
    }
}

/// The lists in a file: one in DER, or some in PEM.
///
/// # Errors
/// [`ListFault`] says what is there instead.
pub fn lists_in(bytes: &[u8]) -> Result<Vec<CertificateRevocationListDer<'_>>, ListFault> {
    if bytes.len() > LIST_BYTES_MAX {
        return Err(ListFault::TooLarge);
    }
    if bytes.first() == Some(&SEQUENCE) {
        return Ok(vec![CertificateRevocationListDer::from(bytes)]);
    }
    Ok(pem::every::<CertificateRevocationListDer<'static>>(bytes)?)
}

/// The one list in a text: PEM, or DER in base64.
///
/// # Errors
/// [`ListFault`] says what is there instead.
pub fn list_in_text(text: &str) -> Result<Vec<u8>, ListFault> {
    if text.contains("-----") {
        return Ok(
            pem::exactly_one::<CertificateRevocationListDer<'static>>(text.as_bytes())?.to_vec()
        );
    }
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    STANDARD.decode(digits).map_err(|_| ListFault::Der)
}

/// A list whose signature nobody has checked.
struct Signed<'a> {
    content: Value<'a>,
    algorithm: &'a [u8],
    signature: &'a [u8],
    issuer: Value<'a>,
    /// What follows the issuer.
    rest: Der<'a>,
}

impl<'a> Signed<'a> {
    fn read(der: &'a [u8]) -> Result<Self, ListFault> {
        let mut outside = Der(der);
        let mut list = Der(outside.take(SEQUENCE)?.content);
        outside.end()?;
        let content = list.take(SEQUENCE)?;
        let algorithm = list.take(SEQUENCE)?.whole;
        // The first byte counts the bits at the end that are none.
        let [0, signature @ ..] = list.take(BIT_STRING)?.content else {
            return Err(ListFault::Der);
        };
        list.end()?;
        let mut rest = Der(content.content);
        // Version 1 has no extensions, and so nothing that it could leave out.
        if rest.is_next(INTEGER) && rest.take(INTEGER)?.content != [1] {
            return Err(ListFault::Der);
        }
        if rest.take(SEQUENCE)?.whole != algorithm {
            return Err(ListFault::Der);
        }
        let issuer = rest.take(SEQUENCE)?;
        Ok(Self { content, algorithm, signature, issuer, rest })
    }

    /// What is on it, once its signature was checked.
    fn entries(self) -> Result<RevocationList, ListFault> {
        let mut rest = self.rest;
        let not_before = rest.time()?;
        if !rest.is_next(UTC_TIME) && !rest.is_next(GENERALIZED_TIME) {
            return Err(ListFault::Endless);
        }
        let validity = Validity { not_before, not_after: rest.time()? };
        let mut revoked = Vec::new();
        if rest.is_next(SEQUENCE) {
            let mut entries = Der(rest.take(SEQUENCE)?.content);
            while !entries.is_over() {
                // A number that is longer than any certificate's that is let in matches none.
                revoked.extend(entry(entries.take(SEQUENCE)?.content)?);
            }
        }
        revoked.sort_unstable();
        let mut number = None;
        if rest.is_next(EXPLICIT_0) {
            let mut tagged = Der(rest.take(EXPLICIT_0)?.content);
            let mut extensions = Der(tagged.take(SEQUENCE)?.content);
            tagged.end()?;
            while !extensions.is_over() {
                let Extension { id, is_critical, value } = extensions.extension()?;
                match id {
                    AUTHORITY_KEY_ID => {}
                    CRL_NUMBER => {
                        let mut value = Der(value);
                        let digits = value.take(INTEGER)?.content;
                        value.end()?;
                        number = Some(Serial::from_be_bytes(digits).ok_or(ListFault::Der)?);
                    }
                    DELTA_INDICATOR | DISTRIBUTION_POINT => return Err(ListFault::Partial),
                    _ if is_critical => return Err(ListFault::Critical),
                    _ => {}
                }
            }
        }
        rest.end()?;
        Ok(RevocationList { validity, number, revoked: revoked.into() })
    }
}

/// The serial number in an entry. Why and since when it is there does not matter: a certificate on
/// hold is not let in either.
fn entry(content: &[u8]) -> Result<Option<Serial>, ListFault> {
    let mut entry = Der(content);
    let serial = Serial::from_be_bytes(entry.take(INTEGER)?.content);
    entry.time()?;
    if entry.is_next(SEQUENCE) {
        let mut extensions = Der(entry.take(SEQUENCE)?.content);
        while !extensions.is_over() {
            match extensions.extension()? {
                Extension { id: CERTIFICATE_ISSUER, .. } => return Err(ListFault::Partial),
                Extension { id: REASON | INVALIDITY_DATE, .. } => {}
                Extension { is_critical: true, .. } => return Err(ListFault::Critical),
                Extension { .. } => {}
            }
        }
    }
    entry.end()?;
    Ok(serial)
}

/// DER that is left to be read. A list can have hundreds of thousands of entries, and the library's
/// reader makes much of each.
struct Der<'a>(&'a [u8]);

/// A value, without its tag and with it.
struct Value<'a> {
    content: &'a [u8],
    whole: &'a [u8],
}

struct Extension<'a> {
    id: &'a [u8],
    is_critical: bool,
    value: &'a [u8],
}

impl<'a> Der<'a> {
    fn is_over(&self) -> bool {
        self.0.is_empty()
    }

    fn end(self) -> Result<(), ListFault> {
        if self.is_over() { Ok(()) } else { Err(ListFault::Der) }
    }

    fn is_next(&self, tag: u8) -> bool {
        self.0.first() == Some(&tag)
    }

    /// The next value, which must have this tag.
    fn take(&mut self, tag: u8) -> Result<Value<'a>, ListFault> {
        let whole = self.0;
        let (length, content) = match whole {
            [first, length @ ..=0x7f, rest @ ..] if *first == tag => (usize::from(*length), rest),
            [first, size @ 0x81..=0x84, rest @ ..] if *first == tag => {
                let (digits, rest) =
                    rest.split_at_checked(usize::from(size & 0x0f)).ok_or(ListFault::Der)?;
                (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
            }
            _ => return Err(ListFault::Der),
        };
        let (content, rest) = content.split_at_checked(length).ok_or(ListFault::Der)?;
        self.0 = rest;
        let whole = whole.get(..whole.len() - rest.len()).unwrap_or_default();
        Ok(Value { content, whole })
    }

    fn time(&mut self) -> Result<i64, ListFault> {
        let tag = if self.is_next(UTC_TIME) { UTC_TIME } else { GENERALIZED_TIME };
        let (_, time) = ASN1Time::from_der(self.take(tag)?.whole).map_err(|_| ListFault::Der)?;
        Ok(time.timestamp())
    }

    fn extension(&mut self) -> Result<Extension<'a>, ListFault> {
        let mut extension = Der(self.take(SEQUENCE)?.content);
        let id = extension.take(OBJECT_ID)?.content;
        let is_critical = extension.is_next(BOOLEAN) && extension.take(BOOLEAN)?.content != [0];
        let value = extension.take(OCTET_STRING)?.content;
        extension.end()?;
        Ok(Extension { id, is_critical, value })
    }
}

const BOOLEAN: u8 = 0x01;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const OBJECT_ID: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const EXPLICIT_0: u8 = 0xa0;

const CRL_NUMBER: &[u8] = &[0x55, 0x1d, 20];
const REASON: &[u8] = &[0x55, 0x1d, 21];
const INVALIDITY_DATE: &[u8] = &[0x55, 0x1d, 24];
const DELTA_INDICATOR: &[u8] = &[0x55, 0x1d, 27];
const DISTRIBUTION_POINT: &[u8] = &[0x55, 0x1d, 28];
const CERTIFICATE_ISSUER: &[u8] = &[0x55, 0x1d, 29];
const AUTHORITY_KEY_ID: &[u8] = &[0x55, 0x1d, 35];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        model::RevocationReason,
        pki::{CertificateAuthority, RevokedCertificate, pem::text, test_tools::now},
    };

    fn authority(name: &str) -> (CertificateAuthority, ListSigner) {
        let (authority, _) = CertificateAuthority::create(name, now(), 3650).unwrap();
        let der: Vec<rustls_pki_types::CertificateDer<'static>> =
            pem::every(authority.certificate_pem().as_bytes()).unwrap();
        let signer = ListSigner::of_authority(&der[0]).unwrap();
        (authority, signer)
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_seconds(now().unix_seconds() + seconds)
    }

    fn serial(number: u32) -> Serial {
        Serial::from_be_bytes(&number.to_be_bytes()).unwrap()
    }

    fn list(authority: &CertificateAuthority, numbers: &[u32], begins: i64) -> Vec<u8> {
        let revoked: Vec<_> = numbers
            .iter()
            .map(|number| RevokedCertificate {
                serial: serial(*number),
                at: now(),
                reason: RevocationReason::KeyCompromise,
            })
            .collect();
        authority.revocation_list(&revoked, at(begins), at(begins + 3600)).unwrap()
    }

    fn read_by(der: &[u8], signers: &[&ListSigner]) -> Result<RevocationList, ListFault> {
        RevocationList::read(der, signers.iter().copied()).map(|(_, list)| list)
    }

    fn fault(der: &[u8], signers: &[&ListSigner]) -> ListFault {
        read_by(der, signers).err().expect("the list is refused")
    }

    #[test]
    fn a_list_says_who_is_revoked() {
        let (authority, signer) = authority("a");
        let read = read_by(&list(&authority, &[7, 3, 900], 0), &[&signer]).unwrap();
        assert_eq!(
            [3, 4, 7, 900].map(|number| read.contains(serial(number))),
            [true, false, true, true]
        );
        assert_eq!((read.len(), read.next_update()), (3, at(3600).unix_seconds()));
        assert_eq!([3600, 3601].map(|seconds| read.has_ended(at(seconds))), [false, true]);
        assert!(read_by(&list(&authority, &[], 0), &[&signer]).unwrap().is_empty());
        let der = list(&authority, &[1], 0);
        let pem = text("X509 CRL", &der);
        for file in [pem.repeat(2).into_bytes(), der] {
            for one in lists_in(&file).unwrap() {
                assert_eq!(read_by(&one, &[&signer]).unwrap().len(), 1);
            }
        }
        assert!(matches!(lists_in(b"x"), Err(ListFault::Pem(_))));
        assert_eq!(lists_in(&vec![SEQUENCE; LIST_BYTES_MAX + 1]).err(), Some(ListFault::TooLarge));
    }

    /// Two authorities of one name never stand for each other: the key tells.
    #[test]
    fn a_list_is_its_authoritys_alone() {
        let (one, signer) = authority("same");
        let (_, namesake) = authority("same");
        let (_, other) = authority("other");
        let der = list(&one, &[1], 0);
        assert_eq!(fault(&der, &[&other]), ListFault::OtherIssuer);
        assert_eq!(fault(&der, &[&namesake, &other]), ListFault::Signature);
        let found = RevocationList::read(&der, [&namesake, &signer]).unwrap().0;
        assert_eq!(*found, signer);
    }

    /// What may take the place of what: a list that is repeated must not let anybody in again.
    #[test]
    fn nothing_goes_back() {
        let (authority, signer) = authority("a");
        let of = |begins| read_by(&list(&authority, &[], begins), &[&signer]).unwrap();
        let (first, second) = (of(0), of(60));
        assert_eq!(second.succeeds(Some(first.order()), now()), Ok(()));
        assert_eq!(first.succeeds(Some(first.order()), now()), Ok(()));
        assert_eq!(first.succeeds(Some(second.order()), now()), Err(ListFault::Older));
        let numbered = |number| RevocationList { number, ..of(60) };
        let (three, four) = (numbered(Some(serial(3))), numbered(Some(serial(4))));
        assert_eq!(three.succeeds(Some(four.order()), now()), Err(ListFault::Older));
        assert_eq!(numbered(None).succeeds(Some(four.order()), now()), Ok(()));
        assert_eq!(of(301).succeeds(None, now()), Err(ListFault::Early));
        assert_eq!(of(300).succeeds(None, now()), Ok(()));
    }

    #[test]
    fn who_may_not_sign_lists_is_no_signer() {
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        assert_eq!(ListSigner::of_authority(certificate.der()), Err(CertificateFault::ListUsage));
    }

    /// A byte that is another anywhere is found by the signature, or the list is the same.
    #[test]
    fn no_change_of_a_list_is_believed() {
        let (authority, signer) = authority("a");
        let der = list(&authority, &[5], 0);
        for at in 0..der.len() {
            assert!(read_by(&der[..at], &[&signer]).is_err(), "{at}");
            for bit in 0..8 {
                let mut changed = der.clone();
                changed[at] ^= 1 << bit;
                assert!(read_by(&changed, &[&signer]).is_err(), "{at}");
            }
        }
        assert_eq!(fault(&[&der[..], &[0]].concat(), &[&signer]), ListFault::Der);
    }

    /// What stands in a list, byte by byte, as its authority would have signed it.
    fn entries(after_times: &[u8]) -> Result<RevocationList, ListFault> {
        let time = [&[UTC_TIME, 13][..], b"260101000000Z"].concat();
        let rest = [&time[..], &time, after_times].concat();
        let empty = || Value { content: &[], whole: &[] };
        let (content, issuer) = (empty(), empty());
        Signed { content, algorithm: &[], signature: &[], issuer, rest: Der(&rest) }.entries()
    }

    fn value(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
        let content = parts.concat();
        [&[tag, u8::try_from(content.len()).unwrap()], &content[..]].concat()
    }

    fn extension(id: &[u8], critical: bool, content: &[u8]) -> Vec<u8> {
        let critical: &[u8] = if critical { &[BOOLEAN, 1, 0xff] } else { &[] };
        value(SEQUENCE, &[&value(OBJECT_ID, &[id]), critical, &value(OCTET_STRING, &[content])])
    }

    #[test]
    fn a_part_of_a_list_is_none() {
        const UNKNOWN: &[u8] = &[0x55, 0x1d, 99];
        let of_list = |id: &[u8], critical| {
            let extensions = value(SEQUENCE, &[&extension(id, critical, &[INTEGER, 1, 9])]);
            entries(&value(EXPLICIT_0, &[&extensions])).err()
        };
        let of_entry = |id: &[u8], critical| {
            let time = value(UTC_TIME, &[b"260101000000Z"]);
            let extensions = value(SEQUENCE, &[&extension(id, critical, &[])]);
            let entry = value(SEQUENCE, &[&[INTEGER, 1, 5], &time, &extensions]);
            entries(&value(SEQUENCE, &[&entry])).err()
        };
        for (id, critical, in_list, in_entry) in [
            (CRL_NUMBER, false, None, None),
            (AUTHORITY_KEY_ID, true, None, Some(ListFault::Critical)),
            (UNKNOWN, false, None, None),
            (UNKNOWN, true, Some(ListFault::Critical), Some(ListFault::Critical)),
            (DELTA_INDICATOR, false, Some(ListFault::Partial), None),
            (DISTRIBUTION_POINT, true, Some(ListFault::Partial), Some(ListFault::Critical)),
            (CERTIFICATE_ISSUER, false, None, Some(ListFault::Partial)),
            (REASON, true, Some(ListFault::Critical), None),
            (INVALIDITY_DATE, true, Some(ListFault::Critical), None),
        ] {
            assert_eq!(
                (of_list(id, critical), of_entry(id, critical)),
                (in_list, in_entry),
                "{id:?}"
            );
        }
        assert!(entries(&[]).unwrap().is_empty());
        assert_eq!(entries(&[0]).err(), Some(ListFault::Der), "nothing follows");
        let time = value(UTC_TIME, &[b"260101000000Z"]);
        let endless = Signed {
            content: Value { content: &[], whole: &[] },
            algorithm: &[],
            signature: &[],
            issuer: Value { content: &[], whole: &[] },
            rest: Der(&time),
        };
        assert_eq!(endless.entries().err(), Some(ListFault::Endless));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Signed::read(&bytes);
            let _ = entries(&bytes);
        }
    }
}
