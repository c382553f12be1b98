//! Access certificates: issued by the region's authority to an operator who asks, shown, renewed by
//! themselves, and revoked.

mod revoke;
mod sweep;

use std::{fmt, sync::Arc};

use uuid::Uuid;

use super::{
    Error,
    changes::ChangeName,
    cursor::{self, Page},
    endings, lines,
    records::{Draft, Reader, credential_is_damaged, id_by_time, millis, missing, open},
    revocations::{Mark, Revocations},
    scope::Scope,
    tokens::Tokens,
    unit::{Basis, Change, UnitReader},
};
use crate::{
    auth::{
        self, AccessDirectory, Action, Detail, Party, Permit, Principal, Resource, Thing,
        VerifiedPeer, Voucher,
        holder::{Holder, Line},
        identity::CertIdentity,
    },
    crypto::DomainKeys,
    model::{Credential, Invalid, OkmsId, Revocation, RevocationReason, Timestamp, check_remarks},
    pki::{self, CertificateAuthority, Issued, KeyKind, PrivateKeyPem, Serial, Subject, Validity},
    store::{
        engine::Read,
        kinds::{Kind, Malformed, credential, ending, line::Member, revocation},
    },
};

/// The longest life of an access certificate, in days.
const DAYS_MAX: u32 = 3650;
/// How often a certificate can be renewed, one from the other: each connection of the last one reads
/// them all, where a rule pins a key.
const RENEWALS_MAX: usize = 1_000;
/// How many records are looked through at once.
const AT_ONCE: usize = 256;

/// Whose key is certified.
#[derive(Debug)]
pub enum KeySource {
    /// A new one, which the answer brings along and nobody keeps.
    Fresh(KeyKind),
    /// The requester's own, from a PKCS#10 request in PEM.
    Request(String),
}

/// What an operator asks for.
#[derive(Debug)]
pub struct CredentialRequest {
    /// The certificate's display name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Whom it speaks for beside its domain: policies that are about one of these are about it.
    pub identities: Vec<String>,
    /// Whose key.
    pub key: KeySource,
    /// How many days it lives.
    pub days: u32,
}

/// What a certificate asks for in its own place.
#[derive(Debug)]
pub struct Renewal {
    /// Whose key.
    pub key: KeySource,
    /// How many days it lives: at most as many as the one that asks, which is the default.
    pub days: Option<u32>,
    /// Whether the one that asks is revoked then.
    pub revokes_old: bool,
}

/// An access certificate as it is remembered.
#[derive(Clone, Debug)]
pub struct KnownCredential {
    /// Its id.
    pub id: Uuid,
    /// What was issued.
    pub credential: Credential,
    /// Whether it was taken back.
    pub revocation: Option<Revocation>,
}

impl KnownCredential {
    /// The certificate, PEM, where it was kept.
    #[must_use]
    pub fn certificate_pem(&self) -> Option<String> {
        self.credential.certificate.as_deref().map(pki::pem::of_certificate)
    }

    /// Its serial number, in hexadecimal.
    #[must_use]
    pub fn serial(&self) -> Option<String> {
        Serial::from_be_bytes(&self.credential.serial).map(|serial| serial.to_string())
    }
}

/// A certificate just issued. Its key is shown this once.
pub struct IssuedCredential {
    /// What is remembered of it.
    pub known: KnownCredential,
    /// The certificate.
    pub certificate_pem: String,
    /// Its private key, where it was made here.
    pub key: Option<PrivateKeyPem>,
}

impl fmt::Debug for IssuedCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = self.known.credential.ends_at;
        write!(f, "IssuedCredential(until {})", end.to_rfc3339_seconds())
    }
}

/// The use cases on access certificates.
pub struct Credentials {
    scope: Scope,
    authority: Option<Arc<CertificateAuthority>>,
    revocations: Arc<Revocations>,
    access: Arc<AccessDirectory>,
    tokens: Arc<Tokens>,
}

impl Credentials {
    pub(super) const fn new(
        scope: Scope,
        authority: Option<Arc<CertificateAuthority>>,
        revocations: Arc<Revocations>,
        access: Arc<AccessDirectory>,
        tokens: Arc<Tokens>,
    ) -> Self {
        Self { scope, authority, revocations, access, tokens }
    }

    /// Issues an access certificate for the permit's domain. It is remembered before anybody gets
    /// it.
    ///
    /// # Errors
    /// `Error::DomainNotFound`; `Error::CertificateRefused` where name, key or request cannot be
    /// taken; `Error::NoAuthority` where this server has no authority.
    pub async fn issue(
        &self,
        permit: &Permit,
        request: CredentialRequest,
        now: Timestamp,
    ) -> Result<IssuedCredential, Error> {
        permit.check(Action::CredentialCreate, Resource::Tenant)?;
        if request.days == 0 || request.days > DAYS_MAX {
            return Err(Invalid("the validity must be from 1 to 3650 days").into());
        }
        check_remarks(&request.description, &request.identities)?;
        // Only a domain that exists gets certificates.
        let keys = self.scope.keys(permit).await?;
        self.make(permit, &keys, request, None, now).await
    }

    /// Issues an access certificate in the place of the one that asks: for the same domain and
    /// identities, by the same name, with another key. The one before stays good until it ends, or
    /// until it is revoked.
    ///
    /// # Errors
    /// `Error::NotSelfRenewing` where the certificate that asks is none of the domain's that was
    /// issued here; else as [`Self::issue`].
    pub async fn renew(
        &self,
        permit: &Permit,
        renewal: Renewal,
        now: Timestamp,
    ) -> Result<IssuedCredential, Error> {
        permit.check(Action::CredentialRenew, Resource::Tenant)?;
        let asking = permit.subject().peer_of_region().ok_or(Error::NotSelfRenewing)?;
        // Whoever has a proxy's key could have certificates for keys of its own, and keep them.
        if asking.is_forwarded() {
            return Err(Invalid(
                "a certificate renews itself over a connection of its own; connect to the server without the proxy, or ask an \
                 operator for a new one",
            )
            .into());
        }
        let keys = self.scope.keys(permit).await?;
        let (id, old) = self.of(&keys, asking.identity()).await?.ok_or(Error::NotSelfRenewing)?;
        let days = renewal.days.unwrap_or_else(|| old.days().min(DAYS_MAX));
        if !(1..=old.days()).contains(&days) {
            return Err(Invalid(
                "the validity must be from 1 day up to that of the certificate that is renewed",
            )
            .into());
        }
        let Before { keys: mut line, first } = self.before(&keys, (&id, &old)).await?;
        if line.len() >= RENEWALS_MAX {
            return Err(Invalid(
                "the certificate was renewed 1000 times, one from the other; ask an operator for a new one",
            )
            .into());
        }
        // Before a key is made; it is asked again when the certificate is stored.
        let snapshot = self.scope.engine().snapshot().await?;
        lines::has_room(&*snapshot, keys.id(), &first, now).await?;
        drop(snapshot);
        let request = CredentialRequest {
            name: old.name,
            description: old.description,
            identities: old.identities,
            key: renewal.key,
            days,
        };
        line.insert(0, old.key_sha256);
        let renews = Renewed { id, ends_at: old.ends_at, peer: asking, line, first };
        let issued = self.make(permit, &keys, request, Some(renews), now).await?;
        if renewal.revokes_old {
            let (ends_at, reason) = (Some(old.ends_at), RevocationReason::Superseded);
            let revocation = Revocation { at: now, reason, ends_at };
            let mark = Mark { serial: asking.identity().serial(), revocation, place: None };
            self.revocations.mark(permit.witness(), vec![mark]).await?;
        }
        Ok(issued)
    }

    /// Looks which certificates that of a principal was renewed from and whom it was issued for, for
    /// rules and policies that ask.
    ///
    /// # Errors
    /// `Error::Corrupt` where a record on the way is damaged: what is said of it is not known.
    pub async fn trace(&self, principal: &Principal) -> Result<(), Error> {
        let (Party::Tenant(id), auth::Subject::Certificate(peer)) =
            (principal.party(), principal.subject())
        else {
            return Ok(());
        };
        if peer.is_traced() {
            return Ok(());
        }
        let keys = self.scope.keys_of(id).await?;
        let (before, identities) = match self.of(&keys, peer.identity()).await? {
            Some((id, own)) => (self.before(&keys, (&id, &own)).await?.keys, own.identities),
            None => (Vec::new(), Vec::new()),
        };
        peer.trace(before, identities);
        Ok(())
    }

    /// The key by which the holder of a certificate is known through all renewals: that of the first
    /// one of its line. Its own where the domain's records know no line, or one of them is damaged: that
    /// one is then not renewed either. None where there is no certificate.
    ///
    /// # Errors
    /// `Error` where the store cannot be read.
    pub async fn first_key(&self, permit: &Permit) -> Result<Option<[u8; 32]>, Error> {
        permit.check(Action::DomainGet, Resource::Tenant)?;
        let auth::Subject::Certificate(peer) = permit.subject() else { return Ok(None) };
        match self.trace(permit.principal()).await {
            Ok(()) | Err(Error::Corrupt(_)) => Ok(Some(*peer.first_key_sha256())),
            Err(error) => Err(error),
        }
    }

    /// A page of the domain's access certificates, the oldest first. One whose record is damaged is
    /// left out, so that it does not hide the others.
    ///
    /// # Errors
    /// `Error::DomainNotFound`; `Error::Invalid` for a cursor that is not of this list.
    pub async fn list(
        &self,
        permit: &Permit,
        cursor: Option<Vec<u8>>,
        limit: usize,
    ) -> Result<Page<KnownCredential>, Error> {
        permit.check(Action::CredentialGet, Resource::Tenant)?;
        let keys = self.scope.keys(permit).await?;
        let place = cursor.map(|cursor| cursor::parse_credential(&keys, &cursor)).transpose()?;
        let (from, to) = credential::after(keys.id(), place.as_ref());
        let snapshot = self.scope.engine().snapshot().await?;
        let entries = snapshot.scan(Credential::SPACE, &from, &to, limit + 1).await?;
        let more = entries.len() > limit;
        let (mut found, mut last) = (Vec::with_capacity(entries.len()), None);
        for (key, record) in entries.into_iter().take(limit) {
            let id = credential::parse(&key).ok_or(Malformed)?;
            match open::<Credential>(&keys, &key, &record.bytes) {
                Ok(credential) => found.push(self.known(id, credential)),
                Err(error) => credential_is_damaged(&keys, id, &error),
            }
            last = Some(id);
        }
        let next = last.filter(|_| more).map(|id| cursor::after_credential(&keys, &id));
        Ok((found, next.transpose()?))
    }

    /// A page of those of the domain's access certificates that end from `now` on and within so many
    /// seconds, and were neither renewed nor revoked: the next one first. One whose record is damaged
    /// is left out.
    ///
    /// # Errors
    /// As [`Self::list`].
    pub async fn list_ending(
        &self,
        permit: &Permit,
        (now, seconds): (Timestamp, u64),
        cursor: Option<Vec<u8>>,
        limit: usize,
    ) -> Result<Page<KnownCredential>, Error> {
        permit.check(Action::CredentialGet, Resource::Tenant)?;
        let keys = self.scope.keys(permit).await?;
        let (mut from, to) = ending::of_domain(keys.id(), now, now.plus_seconds(seconds));
        if let Some(cursor) = cursor {
            let place = cursor::parse_ending(&keys, &cursor)?;
            from = from.max(ending::behind(keys.id(), &place));
        }
        let snapshot = self.scope.engine().snapshot().await?;
        let mut places = snapshot.keys(ending::SPACE, &from, &to, None, limit + 1).await?;
        let more = places.len() > limit;
        places.truncate(limit);
        let ids: Vec<_> = places.iter().filter_map(|key| ending::credential(key)).collect();
        let names: Vec<_> = ids.iter().map(|id| Credential::key(keys.id(), id)).collect();
        let parts: Vec<_> = names.iter().map(|key| Read::Key(Credential::SPACE, key)).collect();
        let mut found = Vec::with_capacity(ids.len());
        for ((id, key), record) in ids.iter().zip(&names).zip(snapshot.read(&parts).await?) {
            let opened = record.map_err(Error::from).and_then(|record| {
                open::<Credential>(&keys, key, &record.ok_or_else(missing)?.record.bytes)
            });
            match opened {
                Ok(credential) => found.push(self.known(*id, credential)),
                Err(error) => credential_is_damaged(&keys, *id, &error),
            }
        }
        // By its serial number alone, or just now.
        found.retain(|known| known.revocation.is_none());
        let last = places.last().filter(|_| more).and_then(|key| ending::place(key));
        let next = last.map(|place| cursor::after_ending(&keys, place));
        Ok((found, next.transpose()?))
    }

    /// The domain's access certificate with this id.
    ///
    /// # Errors
    /// `Error::CredentialNotFound` where there is none in the domain.
    pub async fn get(&self, permit: &Permit, id: Uuid) -> Result<KnownCredential, Error> {
        permit.check(Action::CredentialGet, Resource::Tenant)?;
        let keys = self.scope.keys(permit).await?;
        let found = self.find(&keys, id).await?;
        tells_of(permit, None, &found.credential);
        Ok(found)
    }

    /// Makes a certificate, and remembers it.
    async fn make(
        &self,
        permit: &Permit,
        keys: &DomainKeys,
        request: CredentialRequest,
        renews: Option<Renewed<'_>>,
        now: Timestamp,
    ) -> Result<IssuedCredential, Error> {
        let authority = Arc::clone(self.authority.as_ref().ok_or(Error::NoAuthority)?);
        let CredentialRequest { name, description, identities, key, days } = request;
        let authority_key = authority.key_sha256();
        let issued = certify(authority, keys.id(), (name.clone(), key, days), now).await?;
        // As it will be read when it is shown.
        let identity = CertIdentity::from_der(&issued.certificate_der)
            .map_err(|_| Error::Authority(pki::Error::Sign))?;
        if let Some(renewed) = &renews {
            self.stays_under_its_rules(keys.id(), renewed, (&identity, authority_key))?;
        }
        let validity = identity.validity();
        let credential = Credential {
            name,
            serial: identity.serial().significant().to_vec(),
            key_sha256: *identity.public_key_sha256(),
            issued_at: now,
            begins_at: Timestamp::from_unix_seconds(validity.not_before),
            ends_at: Timestamp::from_unix_seconds(validity.not_after),
            is_from_request: issued.key.is_none(),
            description,
            identities,
            certificate: Some(issued.certificate_der),
            renews: renews.as_ref().map(|renewed| renewed.id),
        };
        let id = id_by_time(now)?;
        tells_of(permit, Some(&id), &credential);
        // Of one line one after the other, so that none is let in beyond its bounds.
        let turn =
            renews.as_ref().map(|renewed| format!("line {}", Uuid::from_bytes(renewed.first)));
        let turns: Vec<_> = turn.iter().map(String::as_str).collect();
        let change = Change { name: ChangeName::IssueCredential, turns: &turns, by: Some(permit) };
        let basis = Making { id: &id, renews: renews.as_ref(), now };
        let store = |(), draft: &mut Draft<'_>| {
            draft.put(&id, &credential)?;
            draft.extend(endings::enter(keys.id(), &id, &credential));
            if let Some(Renewed { id: old, ends_at, first, .. }) = &renews {
                draft.extend(ending::leave(keys.id(), old, *ends_at));
                let (end, serial) = (credential.ends_at, credential.serial.clone());
                let member = Member { id, end, renews: *old, serial };
                draft.extend([lines::enter(keys.id(), first, &member)]);
            }
            Ok(())
        };
        self.scope.unit(change, keys, basis, store).await?;
        Ok(IssuedCredential {
            known: self.known(id, credential),
            certificate_pem: issued.certificate_pem,
            key: issued.key,
        })
    }

    /// Goes on where the rules say the same of a renewal as of the certificate that asks: else
    /// whoever may do little would come out of the rule that says so.
    fn stays_under_its_rules(
        &self,
        id: OkmsId,
        renewed: &Renewed<'_>,
        (renewal, authority_key): (&CertIdentity, [u8; 32]),
    ) -> Result<(), Error> {
        let Renewed { peer, line, .. } = renewed;
        let certificate = peer.identity();
        let before = line.get(1..).unwrap_or_default().to_vec();
        // Both were issued for the same identities, and rules do not ask for those.
        let (old, new) = (
            Line::new(certificate, before, Vec::new()),
            Line::new(renewal, line.clone(), Vec::new()),
        );
        // The authority may be another one by now.
        let by = Voucher { authority_key, ..*peer.voucher() };
        let old = Holder::new(certificate, peer.voucher(), Some(&old));
        let new = Holder::new(renewal, &by, Some(&new));
        match self.access.are_alike(id, &old, &new) {
            Some(true) => Ok(()),
            Some(false) => Err(Invalid(
                "a rule of the domain is about the renewed certificate alone, or about this one alone; ask an operator for a \
                 new one",
            )
            .into()),
            None => Err(Error::Closed),
        }
    }

    async fn find(&self, keys: &DomainKeys, id: Uuid) -> Result<KnownCredential, Error> {
        let id = id.into_bytes();
        let key = Credential::key(keys.id(), &id);
        let record = self.scope.engine().get(Credential::SPACE, &key).await?;
        let record = record.ok_or(Error::CredentialNotFound)?;
        Ok(self.known(id, open(keys, &key, &record.bytes)?))
    }

    /// The domain's record of a certificate. It is among those that were issued soon after that
    /// begins, so that it takes no index.
    async fn of(
        &self,
        keys: &DomainKeys,
        certificate: &CertIdentity,
    ) -> Result<Option<([u8; 16], Credential)>, Error> {
        let begins = Timestamp::from_unix_seconds(certificate.validity().not_before);
        let early = u64::from(Validity::EARLY_SECONDS);
        let (second, end) = (begins.plus_seconds(early), begins.plus_seconds(early + 1));
        let is_it = |_: &[u8; 16], found: &Credential| {
            found.serial == certificate.serial().significant()
                && found.key_sha256 == *certificate.public_key_sha256()
        };
        let mut damaged = false;
        // Nearly always in one second; sooner where its authority had just begun.
        for from in [second, begins] {
            let range = credential::issued(keys.id(), millis(from), millis(end));
            let mut found = self.search(keys, range, is_it).await?;
            if let Some(found) = found.wanted.pop() {
                return Ok(Some(found));
            }
            damaged |= found.is_damaged;
        }
        if damaged {
            return Err(Error::Corrupt("the record of an access certificate is damaged".into()));
        }
        Ok(None)
    }

    /// The certificates that this one was renewed from.
    async fn before(
        &self,
        keys: &DomainKeys,
        (id, certificate): (&[u8; 16], &Credential),
    ) -> Result<Before, Error> {
        let snapshot = self.scope.engine().snapshot().await?;
        let mut before = Before { keys: Vec::new(), first: *id };
        let mut next = certificate.renews;
        while let Some(id) = next {
            if before.keys.len() >= RENEWALS_MAX {
                return Err(Error::Corrupt("a certificate's renewals have no beginning".into()));
            }
            let key = Credential::key(keys.id(), &id);
            let record = snapshot.get(Credential::SPACE, &key).await?.ok_or_else(missing)?;
            let one: Credential = open(keys, &key, &record.bytes)?;
            before.keys.push(one.key_sha256);
            (before.first, next) = (id, one.renews);
        }
        Ok(before)
    }

    /// The access certificates in a range of the domain's that are wanted.
    async fn search(
        &self,
        keys: &DomainKeys,
        (mut from, to): (Vec<u8>, Vec<u8>),
        is_wanted: impl Fn(&[u8; 16], &Credential) -> bool,
    ) -> Result<Search, Error> {
        let snapshot = self.scope.engine().snapshot().await?;
        let mut all = Search::default();
        loop {
            let page = snapshot.scan(Credential::SPACE, &from, &to, AT_ONCE).await?;
            for (key, record) in &page {
                let id = credential::parse(key).ok_or(Malformed)?;
                match open::<Credential>(keys, key, &record.bytes) {
                    Ok(found) if is_wanted(&id, &found) => all.wanted.push((id, found)),
                    Ok(_) => {}
                    Err(_) => all.is_damaged = true,
                }
            }
            match page.last() {
                Some((key, _)) if page.len() == AT_ONCE => from = [key, [0].as_slice()].concat(),
                _ => return Ok(all),
            }
        }
    }

    fn known(&self, id: [u8; 16], credential: Credential) -> KnownCredential {
        let serial = Serial::from_be_bytes(&credential.serial);
        let revocation = serial.and_then(|serial| self.revocations.revoked().get(serial));
        KnownCredential { id: Uuid::from_bytes(id), credential, revocation }
    }
}

/// What was found among the domain's access certificates.
#[derive(Default)]
struct Search {
    wanted: Vec<([u8; 16], Credential)>,
    /// Whether some could not be read.
    is_damaged: bool,
}

/// The certificate that asks to be renewed.
struct Renewed<'a> {
    id: [u8; 16],
    ends_at: Timestamp,
    peer: &'a VerifiedPeer,
    /// Its key, and those of the certificates that it was renewed from itself.
    line: Vec<[u8; 32]>,
    /// The first of these, which an operator has issued.
    first: [u8; 16],
}

/// Those that a certificate was renewed from.
struct Before {
    /// Their keys, that of the last one first.
    keys: Vec<[u8; 32]>,
    /// The first of them, or the certificate itself where there is none.
    first: [u8; 16],
}

/// What a new certificate stands on: its id is free, and the one that it renews is not revoked, not
/// even since its request was let in, and its line has room.
struct Making<'a> {
    id: &'a [u8; 16],
    renews: Option<&'a Renewed<'a>>,
    now: Timestamp,
}

impl Basis for Making<'_> {
    type Facts = ();

    async fn read(&self, reader: &UnitReader<'_>) -> Result<(), Error> {
        let key = Credential::key(reader.records.keys.id(), self.id);
        if reader.hold(Credential::SPACE, key).await?.is_some() {
            return Err(Error::Contended);
        }
        let Some(renewed) = self.renews else { return Ok(()) };
        let key = revocation::key(renewed.peer.identity().serial().significant());
        if reader.hold(revocation::SPACE, key).await?.is_some() {
            return Err(Error::NotSelfRenewing);
        }
        let Reader { snapshot, keys } = reader.records;
        lines::has_room(snapshot, keys.id(), &renewed.first, self.now).await
    }
}

/// Tells the audit trail which certificate it is: what its address, if it has one, does not tell.
fn tells_of(permit: &Permit, id: Option<&[u8; 16]>, credential: &Credential) {
    if let Some(id) = id {
        let id = Uuid::from_bytes(*id).to_string();
        permit.learns(Detail::About(Thing::Credential, &id));
    }
    if let Some(serial) = Serial::from_be_bytes(&credential.serial) {
        permit.learns(Detail::About(Thing::Certificate, &serial.to_string()));
    }
    permit.learns(Detail::About(Thing::Subject, &credential.name));
}

/// Has the authority sign a certificate by this name, with this key, for so many days.
async fn certify(
    authority: Arc<CertificateAuthority>,
    domain: OkmsId,
    (name, key, days): (String, KeySource, u32),
    now: Timestamp,
) -> Result<Issued, Error> {
    let issue = move || {
        let key = match &key {
            KeySource::Fresh(kind) => pki::KeySource::Fresh(*kind),
            KeySource::Request(csr) => pki::KeySource::Request(csr),
        };
        authority.issue_access(&Subject::Domain(domain), &name, key, now, days)
    };
    // RSA keys take seconds to find.
    let issued = tokio::task::spawn_blocking(issue)
        .await
        .map_err(|_| Error::Authority(pki::Error::Random))?;
    issued.map_err(|error| match error {
        pki::Error::Request(_) | pki::Error::CommonName(_) | pki::Error::Validity => {
            Error::CertificateRefused(error)
        }
        ours => Error::Authority(ours),
    })
}
