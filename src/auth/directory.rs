//! From a certificate's identity to the principal that it stands for.

use std::sync::{Arc, OnceLock};

use super::{
    access::{Access, Having, Remembered},
    anchors::Listing,
    cert_rule::Rule,
    claim::DomainClaim,
    holder::{Holder, Line, Untraced},
    identity::CertIdentity,
    jwt::Token,
    lists::{Link, Unproven},
    revoked::Revoked,
    system::System,
    voucher::{Issuer, Voucher},
};
use crate::{
    model::{CertRule, OkmsId, Timestamp},
    pki::Serial,
};

/// A peer whose certificate chain the handshake has verified.
#[derive(Debug)]
pub struct VerifiedPeer {
    identity: CertIdentity,
    voucher: Voucher,
    /// What is held against lists: the certificate, and those between it and the CA. None where the
    /// CA's are held against none.
    links: Vec<Link>,
    /// Whether the CA is trusted still, where it is managed over the API.
    listing: Option<Arc<Listing>>,
    /// Whether a proxy says so, and not the handshake of its own connection.
    is_forwarded: bool,
    /// Whom it was renewed from, and issued for, once somebody has looked.
    line: OnceLock<Line>,
    /// What it may do, as long as the policies are the same.
    remembered: Remembered,
}

impl VerifiedPeer {
    /// For the connection that has just finished a handshake with client authentication, and nobody
    /// else.
    pub(crate) fn after_handshake(identity: CertIdentity, voucher: Voucher) -> Self {
        let peer = Self {
            identity,
            voucher,
            links: Vec::new(),
            listing: None,
            is_forwarded: false,
            line: OnceLock::new(),
            remembered: Remembered::default(),
        };
        if !peer.is_of_region() {
            // Others' are neither issued here nor renewed.
            peer.trace(Vec::new(), Vec::new());
        }
        peer
    }

    /// The same, with the certificates that are held against lists, its own first.
    pub(crate) fn held_against(self, links: Vec<Link>) -> Self {
        Self { links, ..self }
    }

    /// The same, of a CA that can be taken away.
    pub(crate) fn listed(self, listing: Option<Arc<Listing>>) -> Self {
        Self { listing, ..self }
    }

    /// Whether its CA was taken away.
    #[must_use]
    pub fn has_lost_its_authority(&self) -> bool {
        self.listing.as_ref().is_some_and(|listing| listing.is_over())
    }

    /// The same, as a proxy has shown it, which has seen the proof that its key is there.
    pub(crate) fn forwarded(self) -> Self {
        Self { is_forwarded: true, ..self }
    }

    /// Whether it comes by the word of a proxy.
    #[must_use]
    pub const fn is_forwarded(&self) -> bool {
        self.is_forwarded
    }

    /// What it has in its tenant.
    pub(super) fn has(&self, access: Arc<Access>) -> Result<Having, Untraced> {
        self.remembered.has(access, &self.holder())
    }

    /// The rules of its tenant that are about it, by their places.
    pub(super) fn rules(&self, access: &Access) -> Result<Vec<u32>, Untraced> {
        access.rules_about(&self.holder())
    }

    /// The identities that it was issued for, where policies of its tenant speak of such.
    pub(super) fn issued_for(&self, access: &Access) -> Result<&[String], Untraced> {
        access.issued_for(&self.holder())
    }

    /// Whether a rule is about it.
    pub(super) fn fits(&self, name: &str, rule: &CertRule) -> Result<bool, Untraced> {
        Rule::new(name, rule).is_about(&self.holder())
    }

    /// The same for the audit trail, where it is refused.
    #[must_use]
    pub fn recognized(&self) -> Recognized {
        Recognized::of(&self.identity, self.voucher, self.is_forwarded)
    }

    /// As rules see it.
    fn holder(&self) -> Holder<'_> {
        Holder::new(&self.identity, &self.voucher, self.line.get())
    }

    /// Whether that is told already.
    pub(crate) fn is_traced(&self) -> bool {
        self.line.get().is_some()
    }

    /// Tells the keys of the certificates that this one was renewed from and the identities that it
    /// was issued for, once and for all: neither changes.
    pub(crate) fn trace(&self, before: Vec<[u8; 32]>, identities: Vec<String>) {
        self.line.get_or_init(|| Line::new(&self.identity, before, identities));
    }

    /// The key of the first certificate of its line, where somebody has looked, which all that are renewed
    /// from that one have in common; else its own.
    #[must_use]
    pub fn first_key_sha256(&self) -> &[u8; 32] {
        let first = self.line.get().and_then(Line::first_key);
        first.unwrap_or_else(|| self.identity.public_key_sha256())
    }

    /// By whose word it is who it is.
    #[must_use]
    pub const fn voucher(&self) -> &Voucher {
        &self.voucher
    }

    /// What the certificate says.
    #[must_use]
    pub const fn identity(&self) -> &CertIdentity {
        &self.identity
    }

    /// Whether the region's authority itself has signed the certificate.
    #[must_use]
    pub const fn is_of_region(&self) -> bool {
        matches!(self.voucher.issuer, Issuer::Region) && self.voucher.is_direct
    }
}

/// Whose a certificate is that is refused, and was signed by an authority that is known all the same:
/// for the audit trail, and of no use for anything else. Where a handshake has failed, nobody has
/// proven to have its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recognized {
    /// Its subject's common name.
    pub common_name: Option<String>,
    /// Its serial number.
    pub serial: Serial,
    /// By whose word.
    pub voucher: Voucher,
    /// Whose it would be.
    pub party: Option<Party>,
    /// Whether a proxy has shown it.
    pub is_forwarded: bool,
}

impl Recognized {
    /// What is known of a certificate that this vouches for.
    #[must_use]
    pub fn of(identity: &CertIdentity, voucher: Voucher, is_forwarded: bool) -> Self {
        let party = match (voucher.issuer, identity.okms_domain()) {
            (Issuer::Customer(tenant), _) => Some(Party::Tenant(tenant)),
            (Issuer::Region, Some(DomainClaim::One(tenant))) if voucher.is_direct => {
                Some(Party::Tenant(tenant))
            }
            (Issuer::Region, Some(DomainClaim::Any)) if voucher.is_direct => Some(Party::Operator),
            (Issuer::Region, _) => None,
        };
        let common_name = identity.common_name().map(str::to_owned);
        Self { common_name, serial: identity.serial(), voucher, party, is_forwarded }
    }
}

/// Whose a principal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Party {
    /// One who runs the region: reaches every tenant.
    Operator,
    /// A service of one tenant.
    Tenant(OkmsId),
}

/// Whom we take somebody to be. Made here alone: of a verified certificate, or for the program
/// itself.
#[derive(Clone, Debug)]
pub struct Principal {
    party: Party,
    subject: Subject,
    /// Whose word counts beside: a JWT, and who it is about.
    token: Option<Arc<Token>>,
}

/// Who it is, in words that an operator can follow.
#[derive(Clone, Debug)]
pub enum Subject {
    /// The holder of a client certificate.
    Certificate(Arc<VerifiedPeer>),
    /// Somebody without a certificate, who logs in as a user of the tenant or has done so: it may do
    /// nothing but that, and what the user may whose token it brings.
    Visitor,
    /// Somebody without a certificate, of whom a JWT says who it is.
    Bearer,
    /// The program itself, at the command of whoever started it.
    Process,
    /// The program itself, as it does in a tenant what the time has come for.
    System(System),
}

impl Principal {
    /// Whoever started the program, with its root key in hands, and asks it for something without a
    /// connection.
    #[must_use]
    pub const fn of_process() -> Self {
        Self { party: Party::Operator, subject: Subject::Process, token: None }
    }

    /// The program, as it does that in a tenant.
    #[must_use]
    pub const fn of_system(tenant: OkmsId, system: System) -> Self {
        Self { party: Party::Tenant(tenant), subject: Subject::System(system), token: None }
    }

    /// A service of a tenant, for tests.
    #[cfg(test)]
    pub(crate) const fn of_test(tenant: OkmsId) -> Self {
        Self { party: Party::Tenant(tenant), subject: Subject::Process, token: None }
    }

    /// Whose it is.
    #[must_use]
    pub const fn party(&self) -> Party {
        self.party
    }

    /// Who it is.
    #[must_use]
    pub const fn subject(&self) -> &Subject {
        &self.subject
    }

    /// The JWT that counts beside, if one came along.
    #[must_use]
    pub const fn token(&self) -> Option<&Arc<Token>> {
        self.token.as_ref()
    }

    /// The same with a JWT; nobody where that is for another tenant than its own.
    #[must_use]
    pub fn with_token(self, token: Arc<Token>) -> Option<Self> {
        match (self.party, token.tenant()) {
            (Party::Tenant(own), Some(other)) if own != other => None,
            _ => Some(Self { token: Some(token), ..self }),
        }
    }

    /// The same at a later moment.
    ///
    /// # Errors
    /// As [`principal`], for the holder of a certificate; `Unauthenticated::TokenExpired` where a JWT is
    /// over.
    pub fn still(&self, revoked: &Revoked, now: Timestamp) -> Result<Self, Unauthenticated> {
        if let Some(token) = &self.token {
            token.lives(now).map_err(|_| Unauthenticated::TokenExpired)?;
        }
        match &self.subject {
            Subject::Certificate(peer) => {
                Ok(Self { token: self.token.clone(), ..principal(peer, revoked, now)? })
            }
            Subject::Visitor | Subject::Bearer | Subject::Process | Subject::System(_) => {
                Ok(self.clone())
            }
        }
    }
}

impl Subject {
    /// Whether it is the server itself.
    #[must_use]
    pub const fn is_servers_own(&self) -> bool {
        matches!(self, Self::Process | Self::System(_))
    }

    /// What its certificate says, where it has one.
    #[must_use]
    pub fn certificate(&self) -> Option<&CertIdentity> {
        match self {
            Self::Certificate(peer) => Some(peer.identity()),
            Self::Visitor | Self::Bearer | Self::Process | Self::System(_) => None,
        }
    }

    /// Who has it, where the region's authority itself has signed it.
    #[must_use]
    pub fn peer_of_region(&self) -> Option<&VerifiedPeer> {
        match self {
            Self::Certificate(peer) if peer.is_of_region() => Some(peer),
            Self::Certificate(_)
            | Self::Visitor
            | Self::Bearer
            | Self::Process
            | Self::System(_) => None,
        }
    }
}

/// Why a request comes from nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unauthenticated {
    /// The connection has no client certificate.
    #[error("no client certificate; connect with your access certificate and its private key")]
    NoCertificate,
    /// The certificate has expired, perhaps since the handshake.
    #[error("the client certificate has expired; get a new one and connect again")]
    Expired,
    /// The certificate is not valid yet.
    #[error("the client certificate is not valid yet; check the clocks")]
    NotYetValid,
    /// The CA's certificate, or one between, has expired.
    #[error(
        "the authority of the client certificate has expired, or a certificate between it and yours; get a certificate \
         of an authority that is valid"
    )]
    AuthorityExpired,
    /// The CA's certificate, or one between, is not valid yet.
    #[error("the authority of the client certificate is not valid yet; check the clocks")]
    AuthorityNotYetValid,
    /// It was signed by a CA below the region's own.
    #[error(
        "the client certificate is not of the region's authority itself but of one below it, whose word counts for no \
         domain; use an access certificate issued for your domain"
    )]
    Indirect,
    /// It was taken back.
    #[error("the client certificate was revoked; get a new one for your domain")]
    Revoked,
    /// One between it and its CA was taken back.
    #[error(
        "an authority of the client certificate was revoked, one between it and the one that is trusted; get a \
         certificate of another"
    )]
    AuthorityRevoked,
    /// Its CA was taken away.
    #[error(
        "the authority of the client certificate is not trusted any more, or for other certificates; connect again, with a \
         certificate of an authority that is"
    )]
    AuthorityRemoved,
    /// Its CA's certificates are held against lists, and nobody has named one of who signed it.
    #[error(
        "whether the client certificate was revoked is not known: there is no revocation list here of the authority that \
         has signed it; tell the operator"
    )]
    NoList,
    /// The list was not read yet.
    #[error(
        "whether the client certificate was revoked is not known: its authority's revocation list could not be read yet; \
         try again later, or tell the operator"
    )]
    ListUnread,
    /// The list is past its end.
    #[error(
        "whether the client certificate was revoked is not known: its authority's revocation list is past its end \
         (nextUpdate); its authority must publish a new one"
    )]
    ListStale,
    /// The certificate's names cannot be read.
    #[error("the client certificate cannot be read; get a new one for your domain")]
    Unreadable,
    /// The connection is a proxy's, which says of no certificate that it was shown it.
    #[error(
        "the proxy has forwarded no client certificate; connect to it with your access certificate and its private key"
    )]
    NotForwarded,
    /// What a proxy has forwarded leads to no authority, or is not for clients.
    #[error(
        "the client certificate that the proxy has forwarded is not taken here; use an access certificate issued for your \
         domain (the server's log says what is wrong with this one)"
    )]
    Untrusted,
    /// A proxy's own certificate was forwarded by another.
    #[error(
        "the certificate that the proxy has forwarded is another proxy's own; only one proxy may be between a client and the \
         server"
    )]
    ProxyBehindProxy,
    /// The proxy's word is taken for one domain alone, and this is of another.
    #[error("the proxy may not forward certificates of your domain; connect to the server itself")]
    NotOfProxy,
    /// An operator's was forwarded.
    #[error(
        "an operator's certificate counts on a connection of its own alone; connect to the server itself"
    )]
    ForwardedOperator,
    /// Each request is to bring a bearer, too, and this one does not.
    #[error(
        "a bearer token is asked for beside the certificate; send one in Authorization: Bearer"
    )]
    NoBearer,
    /// The JWT that came along has expired since.
    #[error("the bearer token has expired; get a new one")]
    TokenExpired,
    /// The certificate is fine, but names no domain here.
    #[error(
        "the client certificate names no okms.domain; use an access certificate issued for your domain"
    )]
    NoDomain,
}

/// The principal that `peer` stands for at `now`. Asked for every request, so that no connection
/// and no resumed session outlives its certificate, nor the authority that vouches for it, nor its
/// revocation.
///
/// # Errors
/// `Unauthenticated` says what is missing.
pub fn principal(
    peer: &Arc<VerifiedPeer>,
    revoked: &Revoked,
    now: Timestamp,
) -> Result<Principal, Unauthenticated> {
    stands(peer, revoked, now)?;
    let subject = Subject::Certificate(Arc::clone(peer));
    Ok(Principal { party: party(peer)?, subject, token: None })
}

/// Whoever comes without a certificate, to log in as a user of the tenant or with the token of such a
/// login, where the operator lets such in.
#[must_use]
pub const fn visitor(tenant: OkmsId) -> Principal {
    Principal { party: Party::Tenant(tenant), subject: Subject::Visitor, token: None }
}

/// Whoever comes without a certificate and with a good JWT, which says for which tenant it is, where the
/// operator takes such. Nobody where it says none.
#[must_use]
pub fn bearer(token: Arc<Token>) -> Option<Principal> {
    let party = Party::Tenant(token.tenant()?);
    Some(Principal { party, subject: Subject::Bearer, token: Some(token) })
}

/// Goes on if the certificate of `peer` may be relied on at `now`, whomever it is for.
///
/// # Errors
/// `Unauthenticated` says why not.
pub fn stands(
    peer: &VerifiedPeer,
    revoked: &Revoked,
    now: Timestamp,
) -> Result<(), Unauthenticated> {
    let (own, above) = (peer.identity.validity(), peer.voucher.validity);
    if own.has_expired(now) {
        return Err(Unauthenticated::Expired);
    }
    if !own.has_begun(now) {
        return Err(Unauthenticated::NotYetValid);
    }
    if above.has_expired(now) {
        return Err(Unauthenticated::AuthorityExpired);
    }
    if !above.has_begun(now) {
        return Err(Unauthenticated::AuthorityNotYetValid);
    }
    if peer.has_lost_its_authority() {
        return Err(Unauthenticated::AuthorityRemoved);
    }
    held_against_lists(&peer.links, now)?;
    if let Some(listing) = &peer.listing {
        let (serial, is_direct) = (peer.identity.serial(), peer.voucher.is_direct);
        listing.judge(serial, is_direct, now).map_err(|why| unproven(why, false))?;
    }
    match peer.voucher.issuer {
        Issuer::Region if !peer.voucher.is_direct => Err(Unauthenticated::Indirect),
        // A serial number is its authority's alone: another's certificate may bear the same.
        Issuer::Region if revoked.contains(peer.identity.serial()) => Err(Unauthenticated::Revoked),
        Issuer::Region | Issuer::Customer(_) => Ok(()),
    }
}

/// Whose it is, if it stands.
fn party(peer: &VerifiedPeer) -> Result<Party, Unauthenticated> {
    match peer.voucher.issuer {
        Issuer::Customer(tenant) => Ok(Party::Tenant(tenant)),
        Issuer::Region => match peer.identity.okms_domain() {
            // Whoever had a proxy's key would run the region.
            Some(DomainClaim::Any) if peer.is_forwarded => Err(Unauthenticated::ForwardedOperator),
            Some(DomainClaim::Any) => Ok(Party::Operator),
            Some(DomainClaim::One(tenant)) => Ok(Party::Tenant(tenant)),
            None => Err(Unauthenticated::NoDomain),
        },
    }
}

/// Whether none of the certificates was revoked by who signed it, its own first.
fn held_against_lists(links: &[Link], now: Timestamp) -> Result<(), Unauthenticated> {
    for (above, link) in links.iter().enumerate() {
        link.judge(now).map_err(|why| unproven(why, above > 0))?;
    }
    Ok(())
}

/// What is told of a certificate of which it is not proven that it was not revoked; or of an
/// authority above it.
const fn unproven(why: Unproven, is_above: bool) -> Unauthenticated {
    match why {
        Unproven::Revoked if is_above => Unauthenticated::AuthorityRevoked,
        Unproven::Revoked => Unauthenticated::Revoked,
        Unproven::NoList => Unauthenticated::NoList,
        Unproven::Unread => Unauthenticated::ListUnread,
        Unproven::Stale => Unauthenticated::ListStale,
    }
}
