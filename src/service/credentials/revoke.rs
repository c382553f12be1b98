//! Access certificates are taken back, with all that they have renewed themselves by, and with the tokens of
//! their keys.
//!
//! Always holds: who has renewed a certificate while it was revoked has one that is revoked as well; tokens of a
//! key stay while there is another certificate with that key that is known, and not revoked. Never does: revoke
//! what is of another line.

use std::collections::HashSet;

use uuid::Uuid;

use super::{AT_ONCE, Credentials, tells_of};
use crate::{
    auth::{Action, Permit, Resource},
    crypto::DomainKeys,
    model::{Credential, OkmsId, Revocation, RevocationReason, Timestamp},
    pki::Serial,
    service::{
        Error, lines,
        records::{missing, open},
        revocations::Mark,
    },
    store::{
        engine::Read,
        kinds::{Kind, Malformed, credential},
    },
};

/// Since when something is revoked, and why.
#[derive(Clone, Copy)]
struct Why {
    reason: RevocationReason,
    at: Timestamp,
}

impl Why {
    /// The revocation of a domain's certificate.
    fn mark(
        self,
        domain: OkmsId,
        (id, serial): ([u8; 16], &[u8]),
        end: Timestamp,
    ) -> Result<Mark, Malformed> {
        let serial = Serial::from_be_bytes(serial).ok_or(Malformed)?;
        let Self { reason, at } = self;
        let revocation = Revocation { at, reason, ends_at: Some(end) };
        Ok(Mark { serial, revocation, place: Some((domain, id)) })
    }
}

impl Credentials {
    /// Revokes the domain's access certificate with this id: from now on every request that it
    /// makes is refused. One that was revoked before stays as it was. Those that it has renewed
    /// itself by go with it, as a thief would have one, unless it was superseded by them. Tokens that were
    /// bound to the keys are ended, as nobody can bring them.
    ///
    /// # Errors
    /// `Error::CredentialNotFound` where there is none in the domain.
    pub async fn revoke(
        &self,
        permit: &Permit,
        id: Uuid,
        reason: RevocationReason,
        now: Timestamp,
    ) -> Result<(), Error> {
        permit.check(Action::CredentialDelete, Resource::Tenant)?;
        let keys = self.scope.keys(permit).await?;
        let credential = self.find(&keys, id).await?.credential;
        tells_of(permit, None, &credential);
        let (id, why) = (id.into_bytes(), Why { reason, at: now });
        // By itself, whatever has become of its line.
        let own = why.mark(keys.id(), (id, &credential.serial), credential.ends_at)?;
        self.revocations.mark(permit.witness(), vec![own]).await?;
        let mut revoked = HashSet::from([id]);
        if reason != RevocationReason::Superseded {
            let first = self.first_of(&keys, &id, &credential).await?;
            self.revoke_below(permit, &keys, (first, id), why, &mut revoked).await?;
        }
        self.end_tokens(&keys, &revoked, now).await
    }

    /// Revokes those of a line that have come of a certificate, and that are not among the `revoked`.
    async fn revoke_below(
        &self,
        permit: &Permit,
        keys: &DomainKeys,
        (first, id): ([u8; 16], [u8; 16]),
        why: Why,
        revoked: &mut HashSet<[u8; 16]>,
    ) -> Result<(), Error> {
        // Those that have come meanwhile, too. No renewal is stored once the one that asks is marked, so
        // that it ends.
        loop {
            let snapshot = self.scope.engine().snapshot().await?;
            let mut below = lines::below(lines::members(&*snapshot, keys.id(), &first).await?, id);
            drop(snapshot);
            below.retain(|member| revoked.insert(member.id));
            if below.is_empty() {
                return Ok(());
            }
            let marks = below.iter().map(|one| why.mark(keys.id(), (one.id, &one.serial), one.end));
            self.revocations.mark(permit.witness(), marks.collect::<Result<_, _>>()?).await?;
        }
    }

    /// The first of a certificate's line.
    async fn first_of(
        &self,
        keys: &DomainKeys,
        id: &[u8; 16],
        credential: &Credential,
    ) -> Result<[u8; 16], Error> {
        match self.before(keys, (id, credential)).await {
            // One between is damaged; it does not keep a thief's.
            Err(Error::Corrupt(_)) => {
                let snapshot = self.scope.engine().snapshot().await?;
                lines::first_of(&*snapshot, keys.id(), id).await?.ok_or_else(missing)
            }
            before => Ok(before?.first),
        }
    }

    /// Ends the tokens of the keys that these certificates had, and that no other one has.
    async fn end_tokens(
        &self,
        keys: &DomainKeys,
        revoked: &HashSet<[u8; 16]>,
        now: Timestamp,
    ) -> Result<(), Error> {
        let mut of = self.keys_of(keys, revoked).await?;
        let ends = self.tokens.ends_of(keys, &of, now).await?;
        if ends.is_empty() {
            return Ok(());
        }
        let all = credential::after(keys.id(), None);
        let is_other = |_: &[u8; 16], one: &Credential| {
            let serial = Serial::from_be_bytes(&one.serial);
            let is_revoked = serial.is_some_and(|one| self.revocations.revoked().contains(one));
            let lives = one.ends_at.unix_seconds() >= now.unix_seconds();
            lives && !is_revoked && of.contains(&one.key_sha256)
        };
        for (_, other) in self.search(keys, all, is_other).await?.wanted {
            of.remove(&other.key_sha256);
        }
        self.tokens.end_those_of(keys, (&of, &ends)).await
    }

    /// The keys that certificates have, but those that are damaged.
    async fn keys_of(
        &self,
        keys: &DomainKeys,
        ids: &HashSet<[u8; 16]>,
    ) -> Result<HashSet<[u8; 32]>, Error> {
        let names: Vec<_> = ids.iter().map(|id| Credential::key(keys.id(), id)).collect();
        let snapshot = self.scope.engine().snapshot().await?;
        let mut found = HashSet::new();
        for names in names.chunks(AT_ONCE) {
            let parts: Vec<_> = names.iter().map(|key| Read::Key(Credential::SPACE, key)).collect();
            for (key, part) in names.iter().zip(snapshot.read(&parts).await?) {
                let Ok(Some(part)) = part else { continue };
                let credential = open::<Credential>(keys, key, &part.record.bytes);
                found.extend(credential.ok().map(|credential| credential.key_sha256));
            }
        }
        Ok(found)
    }
}
