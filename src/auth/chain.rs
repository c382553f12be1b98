//! The chain of certificates that a client shows, and the path through it to a CA that is trusted.
//!
//! Owns the bounds of what is read, the choice of the path, and what each certificate must say for
//! its place. Always holds: a [`Path`] was found without trying any. Each certificate on it has one
//! issuer, the one that it names; where a CA of the configuration has that name, the path ends there.
//! So the CA that is nearest to the leaf vouches, and no other, and a peer cannot make the server
//! check more signatures than the path has certificates. CAs that are managed over the API
//! ([`super::anchors`]) can have any name; which of them it is, signatures tell whoever ascends.
//! Never does: check a signature.

use super::{Issuer, identity::CERTIFICATE_BYTES_MAX};
use crate::pki::{CertificateFault, Facts, Validity, key_sha256};

/// How many certificates a client may show, its own included: a handful is enough for any CA.
pub const CERTIFICATES_MAX: usize = 6;
/// How many bytes they may have in all.
pub const CHAIN_BYTES_MAX: usize = CERTIFICATE_BYTES_MAX;

/// Why a chain is refused, in words for the log: the peer gets TLS's alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainFault {
    /// More certificates than anybody needs.
    #[error(
        "the client shows more than 6 certificates; its own and those between it and the authority are enough"
    )]
    TooMany,
    /// More bytes than anybody needs.
    #[error("the client's certificates are larger than 32 KiB in all")]
    TooLarge,
    /// A certificate that cannot be read.
    #[error("a certificate of the client cannot be used: {0}")]
    Certificate(CertificateFault),
    /// It leads to no CA that is trusted.
    #[error("the client's certificate leads to no authority that is trusted here")]
    UnknownIssuer,
    /// Two certificates that could each be the next one.
    #[error(
        "the client shows two certificates of one name and key identifier; it must show the issuing one alone"
    )]
    Ambiguous,
    /// A certificate that was not made for clients.
    #[error("the client's certificate does not name clientAuth in its extended key usage")]
    NotForClients,
    /// A certificate whose key must not sign.
    #[error("the client's certificate has a key usage without digitalSignature")]
    NoSignature,
    /// A CA certificate, shown as a client's own.
    #[error("the client's certificate is one of an authority (CA:TRUE)")]
    Authority,
    /// More certificates between than the CA allows.
    #[error(
        "there are more certificates between the client's and the authority than the authority's pathlen allows"
    )]
    PathLength,
}

/// A CA that is trusted, and what it is trusted for.
#[derive(Clone, Debug)]
pub struct Authority {
    facts: Facts,
    issuer: Issuer,
    key_sha256: [u8; 32],
}

impl Authority {
    /// The CA with this certificate (DER).
    ///
    /// # Errors
    /// `CertificateFault` says why it cannot be trusted.
    pub fn from_der(certificate: &[u8], issuer: Issuer) -> Result<Self, CertificateFault> {
        let facts = Facts::of_authority(certificate)?;
        Ok(Self { facts, issuer, key_sha256: key_sha256(certificate)? })
    }

    /// What it vouches for.
    #[must_use]
    pub const fn issuer(&self) -> Issuer {
        self.issuer
    }

    /// SHA-256 of its `SubjectPublicKeyInfo`.
    #[must_use]
    pub const fn key_sha256(&self) -> [u8; 32] {
        self.key_sha256
    }

    /// Its name, DER.
    #[must_use]
    pub fn subject(&self) -> &[u8] {
        &self.facts.subject
    }

    /// When its certificate is valid.
    #[must_use]
    pub const fn validity(&self) -> Validity {
        self.facts.validity
    }
}

/// The path from a leaf to a CA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// Which of the intermediates lead there, from the leaf up.
    pub intermediates: Vec<usize>,
    /// Which of the CA certificates bear the name at its end: one, or several of one CA.
    pub authorities: Vec<usize>,
    /// When all certificates below the CA are valid.
    pub validity: Validity,
}

/// The way up from a client's certificate, one certificate at a time.
pub struct Ascent<'a, D> {
    leaf: Facts,
    links: Vec<(usize, Facts)>,
    intermediates: &'a [D],
    /// Read when they are needed: most clients show their own certificate alone, or more than leads
    /// anywhere.
    rest: Option<Vec<(usize, Facts)>>,
}

impl<'a, D: AsRef<[u8]>> Ascent<'a, D> {
    /// Begins at `leaf`, which must be fit for a client.
    ///
    /// # Errors
    /// [`ChainFault`] says why it is not, or what is too much.
    pub fn begin(leaf: &D, intermediates: &'a [D]) -> Result<Self, ChainFault> {
        if intermediates.len() >= CERTIFICATES_MAX {
            return Err(ChainFault::TooMany);
        }
        let bytes = intermediates.iter().map(|one| one.as_ref().len()).sum::<usize>();
        if bytes + leaf.as_ref().len() > CHAIN_BYTES_MAX {
            return Err(ChainFault::TooLarge);
        }
        let leaf = read(leaf)?;
        if leaf.is_authority() {
            return Err(ChainFault::Authority);
        }
        if !leaf.is_client() {
            return Err(ChainFault::NotForClients);
        }
        if !leaf.signs_messages() {
            return Err(ChainFault::NoSignature);
        }
        Ok(Self { leaf, links: Vec::new(), intermediates, rest: None })
    }

    /// The certificate whose issuer is looked for.
    #[must_use]
    pub fn top(&self) -> &Facts {
        self.links.last().map_or(&self.leaf, |(_, link)| link)
    }

    /// Which of the intermediates lead here, from the leaf up.
    #[must_use]
    pub fn links(&self) -> Vec<usize> {
        self.links.iter().map(|(index, _)| *index).collect()
    }

    /// When all certificates so far are valid.
    #[must_use]
    pub fn validity(&self) -> Validity {
        self.links.iter().fold(self.leaf.validity, |all, (_, link)| all.and(link.validity))
    }

    /// Whether an authority lets so many stand below it.
    #[must_use]
    pub fn is_allowed_by(&self, authority: &Authority) -> bool {
        allows(authority.facts.path_len, self.links.len())
    }

    /// The path, if it ends here: if some of `authorities` bear the name of the issuer.
    ///
    /// # Errors
    /// [`ChainFault::PathLength`] where none of those lets it.
    pub fn end(&self, authorities: &[Authority]) -> Result<Option<Path>, ChainFault> {
        let issuer = &self.top().issuer;
        let named = (0..).zip(authorities).filter(|(_, one)| one.facts.subject == *issuer);
        let (mut is_named, mut allowing) = (false, Vec::new());
        for (index, authority) in named {
            is_named = true;
            if self.is_allowed_by(authority) {
                allowing.push(index);
            }
        }
        match (is_named, allowing.is_empty()) {
            (false, _) => Ok(None),
            (true, true) => Err(ChainFault::PathLength),
            (true, false) => Ok(Some(Path {
                intermediates: self.links(),
                authorities: allowing,
                validity: self.validity(),
            })),
        }
    }

    /// Goes up to the issuer, which must be among the intermediates.
    ///
    /// # Errors
    /// [`ChainFault`] where it is not, or is not fit for its place.
    pub fn climb(&mut self) -> Result<(), ChainFault> {
        let mut candidates = match self.rest.take() {
            Some(rest) => rest,
            None => distinct(self.intermediates, read)?,
        };
        let next = next_link(self.top(), &mut candidates)?;
        next.1.may_sign().map_err(ChainFault::Certificate)?;
        self.links.push(next);
        self.rest = Some(candidates);
        Ok(())
    }
}

/// The path from `leaf` to one of `authorities`. Everything on it was checked but signatures and
/// times.
///
/// # Errors
/// [`ChainFault`] says why there is none.
pub fn path<D: AsRef<[u8]>>(
    leaf: &D,
    intermediates: &[D],
    authorities: &[Authority],
) -> Result<Path, ChainFault> {
    let mut ascent = Ascent::begin(leaf, intermediates)?;
    loop {
        if let Some(path) = ascent.end(authorities)? {
            return Ok(path);
        }
        ascent.climb()?;
    }
}

fn read<D: AsRef<[u8]>>(certificate: &D) -> Result<Facts, ChainFault> {
    Facts::read(certificate.as_ref()).map_err(ChainFault::Certificate)
}

/// The certificates, each once.
fn distinct<D: AsRef<[u8]>>(
    certificates: &[D],
    read: impl Fn(&D) -> Result<Facts, ChainFault>,
) -> Result<Vec<(usize, Facts)>, ChainFault> {
    let mut seen: Vec<&[u8]> = Vec::new();
    let mut distinct = Vec::new();
    for (index, certificate) in certificates.iter().enumerate() {
        if !seen.contains(&certificate.as_ref()) {
            seen.push(certificate.as_ref());
            distinct.push((index, read(certificate)?));
        }
    }
    Ok(distinct)
}

/// Takes the one certificate that has issued `last` out of the candidates, by its name and, where
/// both tell it, its key's identifier. Taken out, it cannot be met again: there are no rounds.
fn next_link(
    last: &Facts,
    candidates: &mut Vec<(usize, Facts)>,
) -> Result<(usize, Facts), ChainFault> {
    let is_issuer = |candidate: &Facts| {
        let key_differs = match (&last.issuer_key_id, &candidate.key_id) {
            (Some(wanted), Some(own)) => wanted != own,
            _ => false,
        };
        candidate.subject == last.issuer && !key_differs
    };
    let mut fitting =
        (0..).zip(candidates.iter()).filter(|(_, (_, facts))| is_issuer(facts)).map(|(at, _)| at);
    match (fitting.next(), fitting.next()) {
        (None, _) => Err(ChainFault::UnknownIssuer),
        (Some(at), None) => Ok(candidates.remove(at)),
        (Some(_), Some(_)) => Err(ChainFault::Ambiguous),
    }
}

fn allows(path_len: Option<u32>, between: usize) -> bool {
    path_len.and_then(|most| usize::try_from(most).ok()).is_none_or(|most| between <= most)
}

#[cfg(test)]
mod tests {
    use rcgen::{
        BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
        IsCa, Issuer as Signer, KeyPair, KeyUsagePurpose,
    };

    use super::*;

    /// What a test's certificate says.
    fn params(name: &str, ca: Option<BasicConstraints>) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        if let Some(constraints) = ca {
            params.is_ca = IsCa::Ca(constraints);
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        } else {
            params.is_ca = IsCa::ExplicitNoCa;
            params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        }
        params
    }

    fn ca(name: &str) -> CertificateParams {
        params(name, Some(BasicConstraints::Unconstrained))
    }

    fn signer(params: &CertificateParams) -> Signer<'static, KeyPair> {
        Signer::new(params.clone(), KeyPair::generate().unwrap())
    }

    fn root(params: &CertificateParams) -> Authority {
        let der = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        Authority::from_der(der.der(), Issuer::Region).unwrap()
    }

    /// A certificate that names the issuer `by`. Nobody here looks at the signature.
    fn under(params: &CertificateParams, by: &str) -> Vec<u8> {
        let issuer = signer(&ca(by));
        params.signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap().der().to_vec()
    }

    fn fault(leaf: &Vec<u8>, between: &[Vec<u8>], authorities: &[Authority]) -> ChainFault {
        path(leaf, between, authorities).expect_err("the chain is refused")
    }

    #[test]
    fn the_way_is_found_in_any_order_and_the_nearest_authority_ends_it() {
        let leaf = under(&params("leaf", None), "b");
        let between = [under(&ca("unrelated"), "z"), under(&ca("a"), "root"), under(&ca("b"), "a")];
        let (far, near) = (root(&ca("root")), root(&ca("a")));
        assert_eq!(
            path(&leaf, &between, std::slice::from_ref(&far)).unwrap().intermediates,
            [2, 1]
        );
        let nearest = path(&leaf, &between, &[far.clone(), near]).unwrap();
        assert_eq!((nearest.intermediates, nearest.authorities), (vec![2], vec![1]));
        let alone = path(&leaf, &[], &[far.clone(), root(&ca("b"))]).unwrap();
        assert_eq!((alone.intermediates, alone.authorities), (vec![], vec![1]));
        assert_eq!(fault(&leaf, &between[..2], &[far]), ChainFault::UnknownIssuer);
    }

    /// Five levels with fifteen look-alikes each made one handshake cost 1.9 s of signatures. Now
    /// it is refused for what can be counted, and what is left to count cannot multiply: each
    /// certificate is taken at most once.
    #[test]
    fn look_alikes_multiply_nothing() {
        let (leaf, top) = (under(&params("leaf", None), "level 1"), root(&ca("root")));
        let level = |n: usize| under(&ca(&format!("level {n}")), &format!("level {}", n + 1));
        let attack: Vec<_> = (1..=5).flat_map(|n| (0..15).map(move |_| n)).map(level).collect();
        assert_eq!(attack.len(), 75);
        assert_eq!(fault(&leaf, &attack, std::slice::from_ref(&top)), ChainFault::TooMany);
        // Within the bound, two that look alike are one too many.
        let twins = [level(1), level(1)];
        assert_eq!(fault(&leaf, &twins, std::slice::from_ref(&top)), ChainFault::Ambiguous);
        let same = [twins[0].clone(), twins[0].clone(), under(&ca("level 2"), "root")];
        assert_eq!(
            path(&leaf, &same, std::slice::from_ref(&top)).unwrap().intermediates.len(),
            2,
            "a repeated one is one"
        );
        // A round leads nowhere.
        let round = [under(&ca("level 1"), "level 2"), under(&ca("level 2"), "level 1")];
        assert_eq!(fault(&leaf, &round, std::slice::from_ref(&top)), ChainFault::UnknownIssuer);
        let mut large = params("leaf", None);
        large.subject_alt_names =
            vec![rcgen::SanType::URI(format!("x:{}", "a".repeat(33_000)).try_into().unwrap())];
        assert_eq!(fault(&under(&large, "root"), &[], &[top]), ChainFault::TooLarge);
    }

    /// The key's identifier tells two certificates of one name apart; where it does not, none is
    /// taken.
    #[test]
    fn key_identifiers_tell_namesakes_apart() {
        let (first, second) = (signer(&ca("b")), signer(&ca("b")));
        let of = |signer: &Signer<'_, KeyPair>| {
            let top = rcgen::Issuer::new(ca("root"), KeyPair::generate().unwrap());
            ca("b").signed_by(signer.key(), &top).unwrap().der().to_vec()
        };
        let mut knows = params("leaf", None);
        knows.use_authority_key_identifier_extension = true;
        let leaf = |params: &CertificateParams| {
            params.signed_by(&KeyPair::generate().unwrap(), &second).unwrap()
        };
        let between = [of(&first), of(&second)];
        let top = [root(&ca("root"))];
        assert_eq!(path(&leaf(&knows).der().to_vec(), &between, &top).unwrap().intermediates, [1]);
        assert_eq!(
            fault(&leaf(&params("leaf", None)).der().to_vec(), &between, &top),
            ChainFault::Ambiguous
        );
    }

    #[test]
    fn each_must_be_fit_for_its_place() {
        let top = [root(&ca("root"))];
        let with = |change: &dyn Fn(&mut CertificateParams)| {
            let mut params = params("leaf", None);
            change(&mut params);
            under(&params, "root")
        };
        assert!(path(&with(&|_| {}), &[], &top).is_ok());
        assert!(
            path(&with(&|leaf| leaf.key_usages.clear()), &[], &top).is_ok(),
            "no keyUsage restricts nothing"
        );
        let no_signature = with(&|leaf| leaf.key_usages = vec![KeyUsagePurpose::KeyEncipherment]);
        assert_eq!(fault(&no_signature, &[], &top), ChainFault::NoSignature);
        for purposes in
            [vec![], vec![ExtendedKeyUsagePurpose::Any], vec![ExtendedKeyUsagePurpose::ServerAuth]]
        {
            let leaf = with(&|leaf| leaf.extended_key_usages.clone_from(&purposes));
            assert_eq!(fault(&leaf, &[], &top), ChainFault::NotForClients, "{purposes:?}");
        }
        let both = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        assert!(path(&with(&|leaf| leaf.extended_key_usages.clone_from(&both)), &[], &top).is_ok());
        assert_eq!(
            fault(&with(&|leaf| leaf.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)), &[], &top),
            ChainFault::Authority
        );

        let leaf = under(&params("leaf", None), "a");
        let not_ca = fault(&leaf, &[under(&params("a", None), "root")], &top);
        assert_eq!(not_ca, ChainFault::Certificate(CertificateFault::NotCa));
        let mut signs_lists = ca("a");
        signs_lists.key_usages = vec![KeyUsagePurpose::CrlSign];
        let no_key_usage = fault(&leaf, &[under(&signs_lists, "root")], &top);
        assert_eq!(no_key_usage, ChainFault::Certificate(CertificateFault::KeyUsage));

        let short = [root(&params("root", Some(BasicConstraints::Constrained(0))))];
        assert_eq!(fault(&leaf, &[under(&ca("a"), "root")], &short), ChainFault::PathLength);
        assert!(path(&under(&params("leaf", None), "root"), &[], &short).is_ok());
    }

    #[test]
    fn authorities_are_judged_like_links() {
        let fault = |params: &CertificateParams| {
            let der = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
            Authority::from_der(der.der(), Issuer::Region).err()
        };
        assert_eq!(fault(&ca("root")), None);
        assert_eq!(fault(&params("leaf", None)), Some(CertificateFault::NotCa));
        let with = |change: &dyn Fn(&mut CertificateParams)| {
            let mut params = ca("root");
            change(&mut params);
            fault(&params)
        };
        assert_eq!(
            with(&|ca| ca.key_usages = vec![KeyUsagePurpose::CrlSign]),
            Some(CertificateFault::KeyUsage)
        );
        assert_eq!(with(&|ca| ca.key_usages.clear()), None);
        let server = vec![ExtendedKeyUsagePurpose::ServerAuth];
        assert_eq!(
            with(&|ca| ca.extended_key_usages.clone_from(&server)),
            Some(CertificateFault::Purpose)
        );
        assert_eq!(
            with(&|ca| ca.distinguished_name = DistinguishedName::new()),
            Some(CertificateFault::Name)
        );
    }
}
