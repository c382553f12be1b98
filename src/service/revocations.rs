//! Revocations: a certificate of the region's authority is taken back for good.
//!
//! Always holds: a revocation is one record, and that alone says so; it is in memory before it is
//! acknowledged, and before anybody is served; what another process has stored is followed by the
//! feed of changes. Never does: take one back, or judge a request: that is [`crate::auth`]'s.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;

use super::{
    Error,
    announced::{Announced, Committed},
    changes::ChangeName,
    follower::{self, Follower},
    scope::Scope,
};
use crate::{
    auth::{Action, Detail, RegionPermit, Revoked, Thing, Witness},
    crypto::Sealed,
    model::{Revocation, RevocationReason, Timestamp},
    pki::{self, CertificateAuthority, RevokedCertificate, Serial},
    store::{
        engine::{Batch, Expect, Op, Revision, Touched},
        kinds::revocation,
    },
};

/// How many are read at once.
const PAGE: usize = 1024;
/// How long a published list counts.
const LIST_SECONDS: u64 = 24 * 3600;
/// How long one that has ended stays in the list: longer than the last list that was made before.
const ENDED_SECONDS: u64 = 2 * LIST_SECONDS;

/// The use cases on revocations.
pub struct Revocations {
    scope: Scope,
    authority: Option<Arc<CertificateAuthority>>,
    revoked: Revoked,
    /// Everything up to this revision was read when the store was opened.
    begun: Revision,
    list: Mutex<Option<List>>,
}

/// A list as it was signed.
struct List {
    der: Bytes,
    /// How many revocations there were.
    of: usize,
    made_at: Timestamp,
}

impl Revocations {
    /// Reads all that there are.
    pub(super) async fn open(
        scope: Scope,
        authority: Option<Arc<CertificateAuthority>>,
    ) -> Result<Self, Error> {
        let (revoked, begun) = (Revoked::default(), Revision(0));
        let all = Self { scope, authority, revoked, begun, list: Mutex::default() };
        let begun = follower::begin(&all).await?;
        Ok(Self { begun, ..all })
    }

    /// The certificates that were revoked.
    #[must_use]
    pub const fn revoked(&self) -> &Revoked {
        &self.revoked
    }

    /// Revokes the certificate of the region's authority that has this serial number, whether it is
    /// known here or not. One that was revoked before stays as it was.
    ///
    /// # Errors
    /// `Error` where it cannot be stored.
    pub async fn revoke(
        &self,
        permit: &RegionPermit,
        serial: Serial,
        reason: RevocationReason,
        now: Timestamp,
    ) -> Result<Revocation, Error> {
        permit.check(Action::CredentialDelete)?;
        self.mark(permit.witness(), serial, Revocation { at: now, reason, ends_at: None }, []).await
    }

    /// Stores the revocation, unless there is one, and does `more` with it.
    pub(super) async fn mark(
        &self,
        witness: Option<&dyn Witness>,
        serial: Serial,
        revocation: Revocation,
        more: impl IntoIterator<Item = Op>,
    ) -> Result<Revocation, Error> {
        const NAME: ChangeName = ChangeName::RevokeCredential;
        if let Some(witness) = witness {
            witness.learns(Detail::About(Thing::Certificate, &serial.to_string()));
        }
        if let Some(known) = self.revoked.get(serial) {
            return Ok(known);
        }
        let key = revocation::key(serial.significant());
        let record = Sealed::public(revocation::encode(&revocation)?);
        let batch = Batch {
            preconditions: vec![(revocation::SPACE, key.clone(), Expect::Absent)],
            ops: [Op::Put(revocation::SPACE, key.clone(), record)]
                .into_iter()
                .chain(more)
                .collect(),
        };
        match Announced::new(NAME, witness).commit(&self.scope, batch).await? {
            Committed::Stored => {
                self.revoked.add(&[(serial, revocation)]);
                Ok(revocation)
            }
            // Somebody else was faster, and it is done.
            Committed::Overtaken => {
                self.learn(&key).await?;
                self.revoked.get(serial).ok_or(Error::Contended)
            }
        }
    }

    /// Follows what other processes revoke in the same store, for good.
    pub async fn follow(&self) -> Infallible {
        follower::follow(self, self.begun).await
    }

    /// Reads one revocation, unless it is known.
    async fn learn(&self, key: &[u8]) -> Result<(), Error> {
        let Some(serial) = serial_in(key).filter(|serial| !self.revoked.contains(*serial)) else {
            return Ok(());
        };
        let record = self.scope.engine().snapshot().await?.get(revocation::SPACE, key).await?;
        if let Some(record) = record {
            self.revoked.add(&[(serial, decoded(serial, &record.bytes))]);
        }
        Ok(())
    }

    /// The list of all that are revoked and have not ended long ago, DER, signed by the region's
    /// authority. It is made anew where something was revoked, and before it ends.
    ///
    /// # Errors
    /// `Error::NoAuthority` where this server has none; `Error::NoList` where that signs no lists.
    pub fn list(&self, now: Timestamp) -> Result<Bytes, Error> {
        let authority = self.authority.as_ref().ok_or(Error::NoAuthority)?;
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        let of = self.revoked.len();
        let fresh = |list: &&List| {
            let ends = list.made_at.plus_seconds(LIST_SECONDS / 2);
            list.of == of && (list.made_at..ends).contains(&now)
        };
        if let Some(list) = list.as_ref().filter(fresh) {
            return Ok(list.der.clone());
        }
        let mut lines: Vec<_> = self
            .revoked
            .all()
            .into_iter()
            .filter(|(_, one)| one.ends_at.is_none_or(|end| end.plus_seconds(ENDED_SECONDS) > now))
            .map(|(serial, Revocation { at, reason, .. })| RevokedCertificate {
                serial,
                at,
                reason,
            })
            .collect();
        lines.sort_by_key(|line| line.at);
        let der = authority.revocation_list(&lines, now, now.plus_seconds(LIST_SECONDS));
        let der = Bytes::from(der.map_err(|error| match error {
            pki::Error::CrlSign => Error::NoList,
            error => Error::Authority(error),
        })?);
        *list = Some(List { der: der.clone(), of, made_at: now });
        Ok(der)
    }
}

impl Follower for Revocations {
    const WHAT: &'static str = "revocations";

    fn scope(&self) -> &Scope {
        &self.scope
    }

    async fn read_all(&self) -> Result<(), Error> {
        let snapshot = self.scope.engine().snapshot().await?;
        let (mut from, to) = revocation::after(None);
        loop {
            let page = snapshot.scan(revocation::SPACE, &from, &to, PAGE).await?;
            let found: Vec<_> = page
                .iter()
                .filter_map(|(key, record)| {
                    let serial = serial_in(key)?;
                    Some((serial, decoded(serial, &record.bytes)))
                })
                .collect();
            self.revoked.add(&found);
            match page.last() {
                Some((key, _)) if page.len() == PAGE => from = revocation::after(Some(key)).0,
                _ => return Ok(()),
            }
        }
    }

    async fn read_again(&self, touched: &[Touched]) -> Result<(), Error> {
        for touched in touched {
            if let Touched::Put(revocation::SPACE, key) = touched {
                self.learn(key).await?;
            }
        }
        Ok(())
    }
}

fn serial_in(key: &[u8]) -> Option<Serial> {
    revocation::parse(key).and_then(Serial::from_be_bytes)
}

/// What a record says. One that is damaged still revokes: that it is there says enough.
fn decoded(serial: Serial, bytes: &[u8]) -> Revocation {
    revocation::decode(bytes).unwrap_or_else(|_| {
        tracing::error!(%serial, "the record of a revocation is damaged; it counts all the same");
        let at = Timestamp::from_unix_seconds(0);
        Revocation { at, reason: RevocationReason::Unspecified, ends_at: None }
    })
}
