//! Whose word is taken about clients, and by whose word a peer is who it is.
//!
//! Always holds: the way from a client's certificate to an authority of the configuration is chosen
//! by its names ([`chain`]), and the handshake checks the signatures on that way alone. Authorities
//! that are managed over the API ([`Anchors`]) come and go, and have whatever names: signatures tell
//! them apart. Where one of them may be met on the way, signatures are checked once more when it is
//! told whose word it is, also for a resumed session, since another one may be there by then.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, RootCertStore,
    SignatureScheme,
    client::danger::HandshakeSignatureValid,
    pki_types::{CertificateDer, UnixTime},
    server::{
        WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};

use super::{
    error::TlsError,
    fitness::{Dated, Role},
    handshake::remember,
};
use crate::{
    auth::{
        Issuer, Recognized, Unauthenticated, VerifiedPeer, Voucher,
        anchors::{Anchor, Anchors, Configured, Listing},
        chain::{self, Ascent, Authority, ChainFault},
        claim::DomainClaim,
        identity::{CertIdentity, subject_text},
        lists::{Link, Lists},
    },
    clock::Clock,
    config, material,
    metrics::{Metrics, Seen},
    model::Timestamp,
    pki::{ListSigner, Serial, Validity, unjudged_constraints},
    seldom::Seldom,
};

/// One authority: its file, and what it is trusted for.
pub struct Trusted {
    /// The authority's certificate, PEM.
    pub certificate: PathBuf,
    /// What its certificates stand for.
    pub issuer: Issuer,
    /// What they are held against, where they are.
    pub lists: Option<Arc<Lists>>,
}

/// Whose certificates are believed, and what for. Cheap to clone.
#[derive(Clone)]
pub struct ClientTrust(Arc<Verifier>);

impl ClientTrust {
    /// Trust in `authorities`, and when each is valid, and in those that are `managed` over the API, as
    /// they come and go; peers without a certificate are let through
    /// unless `client_auth` forbids it.
    ///
    /// # Errors
    /// `TlsError` names the file at fault.
    pub fn load(
        authorities: &[Trusted],
        managed: Arc<Anchors>,
        client_auth: config::ClientAuth,
    ) -> Result<(Self, Vec<Dated>), TlsError> {
        let mut verifier = Verifier {
            authorities: Vec::new(),
            each: Vec::new(),
            certificates: Vec::new(),
            lists: Vec::new(),
            hints: Vec::new(),
            managed,
            is_mandatory: client_auth == config::ClientAuth::Required,
        };
        let mut dated = Vec::new();
        for Trusted { certificate: path, issuer, lists } in authorities {
            let before = verifier.authorities.len();
            for certificate in material::certificates(path)? {
                let unfit = |error| TlsError::Authority(path.as_path().into(), error);
                let authority = Authority::from_der(&certificate, *issuer).map_err(unfit)?;
                // Signatures tell authorities apart; clients and people, who see names only, could
                // not.
                let known = verifier.authorities.iter().take(before);
                if known.into_iter().any(|known| known.subject() == authority.subject()) {
                    return Err(TlsError::SameName(path.as_path().into()));
                }
                let role = match issuer {
                    Issuer::Region => Role::RegionCa,
                    Issuer::Customer(domain) => Role::CustomerCa(*domain),
                };
                dated.push(Dated {
                    role,
                    path: path.as_path().into(),
                    validity: authority.validity(),
                    unjudged: unjudged_constraints(&certificate).map_err(unfit)?,
                });
                verifier
                    .add(authority, certificate)
                    .map_err(|()| TlsError::Unusable(path.as_path().into()))?;
                verifier.lists.push(lists.clone());
            }
        }
        Ok((Self(Arc::new(verifier)), dated))
    }

    /// What verifies a client's certificate in the handshake.
    #[must_use]
    pub fn verifier(&self) -> Arc<dyn ClientCertVerifier> {
        Arc::clone(&self.0) as Arc<dyn ClientCertVerifier>
    }

    /// How often authorities that are managed over the API have changed so far.
    pub(super) fn changes(&self) -> u64 {
        self.0.managed.changes()
    }

    /// Says which authorities are the configuration's, so that none of them is added over the API.
    pub fn tell_configured(&self) {
        let each = self.0.authorities.iter().zip(&self.0.certificates);
        let configured = each.map(|(authority, (_, certificate))| Configured {
            authority: authority.clone(),
            certificate: certificate.to_vec(),
        });
        self.0.managed.are_configured(configured.collect());
    }

    /// Whether the same authorities of the configuration are believed for the same, from the same peers, and their
    /// certificates held against the same places of lists, whatever is in them.
    pub(super) fn is_as(&self, other: &Self) -> bool {
        self.0.certificates == other.0.certificates
            && self.0.lists == other.0.lists
            && self.0.is_mandatory == other.0.is_mandatory
    }

    /// Whether a peer that was let in with `chain`, by what was believed `before`, would be let in
    /// now, and be told to be the same for as long.
    pub(super) fn still_believes(
        &self,
        chain: Option<&[CertificateDer<'_>]>,
        before: &Self,
        now: Timestamp,
    ) -> bool {
        if self.is_as(before) {
            return true;
        }
        let Some([leaf, intermediates @ ..]) = chain else { return !self.0.is_mandatory };
        let now = now.unix_seconds();
        let told = |trust: &Self| {
            let Told { voucher, links, .. } = trust.0.told(leaf, intermediates, now)?;
            let Voucher { issuer, authority_key, is_direct, validity } = voucher;
            Some((issuer, authority_key, is_direct, validity.not_after, links))
        };
        self.0.judge(leaf, intermediates, unix_time(now)).is_ok() && told(self) == told(before)
    }

    /// Whether it is the very same, and not only alike.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The peer that has presented `chain` to a proxy: judged as in a handshake, but for the proof
    /// that its key is there, which the proxy has seen.
    ///
    /// # Errors
    /// What a handshake would fail of; or what would be told to the peer after it.
    pub(super) fn forwarded(
        &self,
        chain: &[CertificateDer<'_>],
        clock: &dyn Clock,
        metrics: &Metrics,
    ) -> Result<VerifiedPeer, Unfit> {
        if let [leaf, intermediates @ ..] = chain {
            let now = unix_time(clock.now().unix_seconds());
            let _verified = self.0.judge(leaf, intermediates, now)?;
        }
        Ok(self.peer(Some(chain), clock, metrics)?.forwarded())
    }

    /// Whose certificate it is that a proxy has shown and that is not taken, if an authority that is
    /// known has signed it, be it that its time is over.
    pub(super) fn recognizes(&self, chain: &[CertificateDer<'_>]) -> Option<Recognized> {
        let [leaf, intermediates @ ..] = chain else { return None };
        let recognized = self.0.recognizes(leaf, intermediates)?;
        Some(Recognized { is_forwarded: true, ..recognized })
    }

    /// The peer that presented `chain`, which the handshake has verified: by whose word it is who
    /// it is.
    ///
    /// # Errors
    /// `Unauthenticated` where there is no certificate, or one that cannot be told.
    pub fn peer(
        &self,
        chain: Option<&[CertificateDer<'_>]>,
        clock: &dyn Clock,
        metrics: &Metrics,
    ) -> Result<VerifiedPeer, Unauthenticated> {
        let Some([leaf, intermediates @ ..]) = chain else {
            return Err(Unauthenticated::NoCertificate);
        };
        let identity = CertIdentity::from_der(leaf).map_err(|error| {
            static LINES: Seldom = Seldom::new(Duration::from_secs(10));
            if let Some(left_out) = LINES.due() {
                let subject = subject_text(leaf);
                tracing::info!(%error, subject, left_out, "a client certificate that was verified cannot be read");
            }
            Unauthenticated::Unreadable
        })?;
        let now = clock.now().unix_seconds();
        let Told { voucher, links, listing } =
            self.0.told(leaf, intermediates, now).ok_or(Unauthenticated::AuthorityRemoved)?;
        let is_operator =
            voucher.issuer == Issuer::Region && identity.okms_domain() == Some(DomainClaim::Any);
        let seen = if is_operator { Seen::Operator } else { Seen::Client };
        metrics.certificate_seen(seen, identity.validity().not_after, now);
        Ok(VerifiedPeer::after_handshake(identity, voucher).held_against(links).listed(listing))
    }
}

/// Why a certificate that was forwarded is not taken.
#[derive(Debug)]
pub(super) enum Unfit {
    /// The handshake would have failed.
    Untrusted(Error),
    /// The peer would have been nobody.
    Nobody(Unauthenticated),
}

impl From<Error> for Unfit {
    fn from(error: Error) -> Self {
        Self::Untrusted(error)
    }
}

impl From<Unauthenticated> for Unfit {
    fn from(why: Unauthenticated) -> Self {
        Self::Nobody(why)
    }
}

/// Checks the one way from a client's certificate to an authority.
struct Verifier {
    authorities: Vec<Authority>,
    /// Their certificates, and what for.
    certificates: Vec<(Issuer, CertificateDer<'static>)>,
    /// What the certificates of each are held against.
    lists: Vec<Option<Arc<Lists>>>,
    /// What checks signatures against each of them.
    each: Vec<Arc<dyn ClientCertVerifier>>,
    /// The names of the configuration's.
    hints: Vec<DistinguishedName>,
    /// Those that are managed over the API.
    managed: Arc<Anchors>,
    is_mandatory: bool,
}

/// Where the way from a client's certificate ends.
enum Way {
    /// At an authority of the configuration, or several of one name. No signature was checked.
    Configured(chain::Path),
    /// At one that is managed over the API. All signatures on the way are good.
    Managed { anchor: Arc<Anchor>, path: chain::Path },
}

/// By whose word a peer is who it is, what is held against lists for it, and whether that authority
/// is trusted still.
struct Told {
    voucher: Voucher,
    links: Vec<Link>,
    listing: Option<Arc<Listing>>,
}

impl Verifier {
    fn add(
        &mut self,
        authority: Authority,
        certificate: CertificateDer<'static>,
    ) -> Result<(), ()> {
        let verifier = verifier_of(&certificate)?;
        self.hints.extend_from_slice(verifier.root_hint_subjects());
        self.each.push(verifier);
        self.certificates.push((authority.issuer(), certificate));
        self.authorities.push(authority);
        Ok(())
    }

    /// Checks the signatures on the way that ends at the authority `index`.
    fn check(
        &self,
        index: usize,
        leaf: &CertificateDer<'_>,
        links: &[CertificateDer<'_>],
        at: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verifier = self
            .each
            .get(index)
            .ok_or(Error::InvalidCertificate(CertificateError::UnknownIssuer))?;
        verifier.verify_client_cert(leaf, links, at)
    }

    /// The way to the nearest authority. An authority of the configuration is known by its name; of
    /// those that are managed over the API, which may have any name, the one whose key has signed.
    /// `at` says for when, of certificates that are valid then and then.
    fn way(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        at: impl Fn(Validity) -> UnixTime,
    ) -> Result<Way, Error> {
        let mut ascent = Ascent::begin(leaf, intermediates).map_err(tls_error)?;
        let mut not_signed = None;
        loop {
            if let Some(path) = ascent.end(&self.authorities).map_err(tls_error)? {
                return Ok(Way::Configured(path));
            }
            for anchor in self.managed.of(ascent.top()) {
                let links = pick(&ascent.links(), intermediates);
                match check_against(&anchor, leaf, &links, at(ascent.validity())) {
                    Ok(_) if !ascent.is_allowed_by(anchor.authority()) => {
                        return Err(tls_error(ChainFault::PathLength));
                    }
                    Ok(_) => {
                        let (intermediates, validity) = (ascent.links(), ascent.validity());
                        let path = chain::Path { intermediates, validity, authorities: Vec::new() };
                        return Ok(Way::Managed { anchor, path });
                    }
                    // Another one of that name.
                    Err(error) if is_about_signature(&error) => not_signed = Some(error),
                    Err(error) => return Err(error),
                }
            }
            ascent.climb().map_err(|fault| match (fault, not_signed.take()) {
                (ChainFault::UnknownIssuer, Some(error)) => error,
                (fault, _) => tls_error(fault),
            })?;
        }
    }

    /// Whose certificate it is that is refused, where the way to an authority held at the beginning
    /// of its life, or at the end.
    fn recognizes(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
    ) -> Option<Recognized> {
        let identity = CertIdentity::from_der(leaf).ok()?;
        let Validity { not_before, not_after } = identity.validity();
        let held = |at: &i64| self.judge(leaf, intermediates, unix_time(*at)).is_ok();
        let at = [not_before, not_after].into_iter().find(held)?;
        let Told { voucher, .. } = self.told(leaf, intermediates, at)?;
        Some(Recognized::of(&identity, voucher, false))
    }

    /// Whether the way to an authority holds at that time.
    fn judge(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let path = match self.way(leaf, intermediates, |_| now)? {
            Way::Configured(path) => path,
            Way::Managed { anchor, .. } => {
                return in_time(anchor.authority(), now).map(|()| ClientCertVerified::assertion());
            }
        };
        let links = pick(&path.intermediates, intermediates);
        let mut outcome = Err(Error::InvalidCertificate(CertificateError::UnknownIssuer));
        for index in &path.authorities {
            let Some(authority) = self.authorities.get(*index) else { continue };
            outcome = in_time(authority, now).and_then(|()| self.check(*index, leaf, &links, now));
            if outcome.is_ok() {
                break;
            }
        }
        outcome
    }

    /// By whose word the holder of `leaf` is who it is, and which certificates are held against lists
    /// for it.
    fn told(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: i64,
    ) -> Option<Told> {
        // A resumed session can bring certificates that have ended since. Every request judges
        // that, and says so; here only the signatures are in question.
        let at =
            |validity: Validity| unix_time(now.min(validity.not_after).max(validity.not_before));
        match self.way(leaf, intermediates, at).ok()? {
            Way::Configured(path) => {
                self.told_by_configured(leaf, intermediates, &path, at(path.validity), now)
            }
            Way::Managed { anchor, path } => {
                let authority = anchor.authority();
                Some(Told {
                    voucher: voucher(authority, &path),
                    links: Vec::new(),
                    listing: Some(Arc::clone(anchor.listing())),
                })
            }
        }
    }

    /// The same of an authority of the configuration. The handshake has checked the way, if it was
    /// this one: it was, where such an authority itself has signed, as its name alone leads there. Of
    /// several certificates of one authority that bear the name, signatures tell which it is.
    fn told_by_configured(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        path: &chain::Path,
        at: UnixTime,
        now: i64,
    ) -> Option<Told> {
        let links = pick(&path.intermediates, intermediates);
        let vouches = |index: &usize| match path.authorities.as_slice() {
            [_] if links.is_empty() => true,
            _ => self.check(*index, leaf, &links, at).is_ok(),
        };
        let found = path.authorities.iter().filter(|index| vouches(index));
        // The one that lasts longest, of those whose time has come: a renewed authority may be there
        // ahead of time.
        let found = found.filter_map(|index| Some((*index, self.authorities.get(*index)?)));
        let (index, authority) = found.max_by_key(|(_, one)| {
            let Validity { not_before, not_after } = one.validity();
            (not_before <= now, not_after)
        })?;
        let links = self.held_against_lists(index, leaf, &links);
        Some(Told { voucher: voucher(authority, path), links, listing: None })
    }

    /// Each certificate on the way, from the client's own up, with the place of the list of who signed
    /// it: the next one, and the authority `index` at the end.
    fn held_against_lists(
        &self,
        index: usize,
        leaf: &CertificateDer<'_>,
        links: &[CertificateDer<'_>],
    ) -> Vec<Link> {
        let Some(Some(lists)) = self.lists.get(index) else { return Vec::new() };
        let authority = self.certificates.get(index).map(|(_, certificate)| certificate);
        let signers = links.iter().chain(authority);
        let signed = std::iter::once(leaf).chain(links).zip(signers);
        let link = |(certificate, signer): (&CertificateDer<'_>, &CertificateDer<'_>)| {
            let signer = ListSigner::read(signer).ok();
            let place = signer.and_then(|signer| lists.place(&signer));
            Link::new(place, Serial::of_certificate(certificate))
        };
        signed.map(link).collect()
    }
}

impl ClientCertVerifier for Verifier {
    /// Clients are told which authorities are known while these are the configuration's alone: the
    /// names of others are their domains' business, many cost every handshake, and a client that is
    /// told of some shows no certificate of another.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        if self.managed.is_empty() { &self.hints } else { &[] }
    }

    fn client_auth_mandatory(&self) -> bool {
        self.is_mandatory
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.judge(leaf, intermediates, now)
            .inspect_err(|_| remember(leaf, self.recognizes(leaf, intermediates)))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms =
            rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, &algorithms)
            .inspect_err(|_| remember(certificate, None))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms =
            rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &algorithms)
            .inspect_err(|_| remember(certificate, None))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        provider.signature_verification_algorithms.supported_schemes()
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Verifier({} authorities)", self.authorities.len())
    }
}

/// The certificates on the way, and no others: what is left out cannot be tried.
fn pick<'a>(indexes: &[usize], intermediates: &'a [CertificateDer<'_>]) -> Vec<CertificateDer<'a>> {
    let chosen = indexes.iter().filter_map(|index| intermediates.get(*index));
    chosen.map(|certificate| CertificateDer::from(certificate.as_ref())).collect()
}

fn voucher(authority: &Authority, path: &chain::Path) -> Voucher {
    Voucher {
        issuer: authority.issuer(),
        authority_key: authority.key_sha256(),
        is_direct: path.intermediates.is_empty(),
        validity: authority.validity().and(path.validity),
    }
}

/// Checks the signatures on the way that ends at an authority that is managed over the API.
fn check_against(
    anchor: &Anchor,
    leaf: &CertificateDer<'_>,
    links: &[CertificateDer<'_>],
    at: UnixTime,
) -> Result<ClientCertVerified, Error> {
    verifier_of(&CertificateDer::from(anchor.certificate()))
        .map_err(|()| Error::InvalidCertificate(CertificateError::UnknownIssuer))?
        .verify_client_cert(leaf, links, at)
}

/// What checks signatures against one authority.
fn verifier_of(authority: &CertificateDer<'_>) -> Result<Arc<dyn ClientCertVerifier>, ()> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.clone().into_owned()).map_err(|_| ())?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().map_err(|_| ())
}

/// Whether an authority is refused since its key has not signed.
const fn is_about_signature(error: &Error) -> bool {
    use CertificateError as Fault;
    matches!(
        error,
        Error::InvalidCertificate(
            Fault::BadSignature
                | Fault::UnknownIssuer
                | Fault::UnsupportedSignatureAlgorithmContext { .. }
                | Fault::UnsupportedSignatureAlgorithmForPublicKeyContext { .. }
        )
    )
}

/// Authorities end as other certificates do; the library judges those only that a peer shows.
fn in_time(authority: &Authority, now: UnixTime) -> Result<(), Error> {
    let now = Timestamp::from_unix_seconds(i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
    if authority.validity().has_expired(now) {
        return Err(Error::InvalidCertificate(CertificateError::Expired));
    }
    if !authority.validity().has_begun(now) {
        return Err(Error::InvalidCertificate(CertificateError::NotValidYet));
    }
    Ok(())
}

/// The library's own word for a fault, where it has one: it chooses the alert by that.
fn tls_error(fault: ChainFault) -> Error {
    Error::InvalidCertificate(match fault {
        ChainFault::UnknownIssuer => CertificateError::UnknownIssuer,
        fault => CertificateError::Other(OtherError(Arc::new(fault))),
    })
}

pub(super) fn unix_time(seconds: i64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(seconds.try_into().unwrap_or_default()))
}
