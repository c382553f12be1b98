//! Revocations: a certificate of the region's authority is taken back for good.
//!
//! Always holds: a revocation is one record, and that alone says so; it is in memory before it is
//! acknowledged, and before anybody is served; what another process has stored is followed by the
//! feed of changes; it is forgotten long after its certificate has ended, and else never. Never does: take
//! one back, or judge a request: that is [`crate::auth`]'s; or keep a worker with the list.

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
    tries::Tries,
};
use crate::{
    auth::{Action, Detail, RegionPermit, Revoked, Thing, Witness},
    crypto::Sealed,
    model::{OkmsId, Revocation, RevocationReason, Timestamp},
    pki::{self, CertificateAuthority, RevokedCertificate, Serial},
    store::{
        engine::{Batch, Expect, Op, Revision, Touched},
        kinds::{ending, revocation},
    },
};

/// How many are read at once.
const PAGE: usize = 1024;
/// How many are stored at once.
const AT_ONCE: usize = 256;
/// How long a published list counts.
const LIST_SECONDS: u64 = 24 * 3600;
/// So long before a list was made can those have come who get it.
const WAITED_SECONDS: i64 = 60;
/// How long one that has ended stays in the list: longer than the last list that was made before.
const ENDED_SECONDS: u64 = 2 * LIST_SECONDS;

/// The use cases on revocations.
pub struct Revocations {
    scope: Scope,
    authority: Option<Arc<CertificateAuthority>>,
    revoked: Revoked,
    /// Everything up to this revision was read when the store was opened.
    begun: Revision,
    /// The last one that was made, held for as long as it takes to hand it out.
    list: Mutex<Option<List>>,
    /// Held by the one who makes the next.
    pub(super) making: Arc<tokio::sync::Mutex<()>>,
}

/// A certificate that is to be revoked.
#[derive(Debug)]
pub(super) struct Mark {
    pub serial: Serial,
    pub revocation: Revocation,
    /// Its domain and its id, where it may be in the order of what ends next.
    pub place: Option<(OkmsId, [u8; 16])>,
}

impl Mark {
    /// What takes it out of that order.
    fn leaves(&self) -> Option<[Op; 2]> {
        let ((domain, id), end) = (self.place?, self.revocation.ends_at?);
        Some(ending::leave(domain, &id, end))
    }
}

/// A list as it was signed.
struct List {
    der: Bytes,
    /// The generation of revocations.
    of: u64,
    made_at: Timestamp,
}

impl List {
    /// Whether it is not older than so many seconds. Who asks may have waited while it was made.
    fn counts(&self, seconds: u64, now: Timestamp) -> bool {
        let from = self.made_at.unix_seconds().saturating_sub(WAITED_SECONDS);
        from <= now.unix_seconds() && now < self.made_at.plus_seconds(seconds)
    }
}

impl Revocations {
    /// Reads all that there are.
    pub(super) async fn open(
        scope: Scope,
        authority: Option<Arc<CertificateAuthority>>,
    ) -> Result<Self, Error> {
        let (revoked, begun) = (Revoked::default(), Revision(0));
        let (list, making) = (Mutex::default(), Arc::default());
        let all = Self { scope, authority, revoked, begun, list, making };
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
        let revocation = Revocation { at: now, reason, ends_at: None };
        self.mark(permit.witness(), vec![Mark { serial, revocation, place: None }]).await?;
        self.revoked.get(serial).ok_or(Error::Contended)
    }

    /// Stores revocations, but where there is one already; and takes what is revoked out of the order of
    /// what ends next. Each of them counts once it is stored, some together.
    pub(super) async fn mark(
        &self,
        witness: Option<&dyn Witness>,
        marks: Vec<Mark>,
    ) -> Result<(), Error> {
        for marks in marks.chunks(AT_ONCE) {
            self.mark_some(witness, marks).await?;
        }
        Ok(())
    }

    async fn mark_some(&self, witness: Option<&dyn Witness>, marks: &[Mark]) -> Result<(), Error> {
        if let Some(witness) = witness {
            for Mark { serial, .. } in marks {
                witness.learns(Detail::About(Thing::Certificate, &serial.to_string()));
            }
        }
        let mut announced = Announced::new(ChangeName::RevokeCredential, witness);
        let mut tries = Tries::new();
        while tries.next().await {
            let (known, new): (Vec<_>, Vec<_>) =
                marks.iter().partition(|mark| self.revoked.contains(mark.serial));
            let mut batch = Batch::default();
            for Mark { serial, revocation, .. } in &new {
                let key = revocation::key(serial.significant());
                let record = Sealed::public(revocation::encode(revocation)?);
                batch.preconditions.push((revocation::SPACE, key.clone(), Expect::Absent));
                batch.ops.push(Op::Put(revocation::SPACE, key, record));
            }
            batch.ops.extend(new.iter().filter_map(|mark| mark.leaves()).flatten());
            batch.ops.extend(self.still_waiting(&known).await?);
            if batch.ops.is_empty() {
                return Ok(());
            }
            if announced.commit(&self.scope, batch).await? == Committed::Stored {
                let new: Vec<_> = new.iter().map(|mark| (mark.serial, mark.revocation)).collect();
                self.revoked.add(&new);
                return Ok(());
            }
            // Somebody else was faster with one of them.
            for mark in new {
                self.learn(&revocation::key(mark.serial.significant())).await?;
            }
        }
        Err(Error::Contended)
    }

    /// What takes out of the order of what ends next those that are still in it.
    async fn still_waiting(&self, known: &[&Mark]) -> Result<Vec<Op>, Error> {
        let places: Vec<_> = known.iter().filter_map(|mark| mark.leaves()).collect();
        let mut ops = Vec::new();
        if places.is_empty() {
            return Ok(ops);
        }
        let snapshot = self.scope.engine().snapshot().await?;
        for leaves in places {
            let [Op::Delete(space, key), _] = &leaves else { continue };
            if snapshot.get(*space, key).await?.is_some() {
                ops.extend(leaves);
            }
        }
        Ok(ops)
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
        let record = self.scope.engine().get(revocation::SPACE, key).await?;
        if let Some(record) = record {
            self.revoked.add(&[(serial, decoded(serial, &record.bytes))]);
        }
        Ok(())
    }

    /// Forgets those of certificates that have ended before `cutoff`, where it is known when they end: in
    /// the store, and in this process. Another one forgets them by its own sweep.
    pub(super) async fn sweep(&self, cutoff: Timestamp) -> Result<(), Error> {
        let (all, _) = self.revoked.all();
        let is_over = |one: &Revocation| one.ends_at.is_some_and(|end| end < cutoff);
        let over: Vec<_> =
            all.into_iter().filter(|(_, one)| is_over(one)).map(|(serial, _)| serial).collect();
        for serials in over.chunks(AT_ONCE) {
            let keys = serials.iter().map(|serial| revocation::key(serial.significant()));
            let ops = keys.map(|key| Op::Delete(revocation::SPACE, key)).collect();
            let batch = Batch::of(ops);
            Announced::new(ChangeName::SweepCredentials, None).commit(&self.scope, batch).await?;
            self.revoked.forget(serials);
        }
        Ok(())
    }

    /// The list of all that are revoked and have not ended long ago, DER, signed by the region's
    /// authority. It is made anew where something was revoked, and before it ends: by one at a time, while
    /// others get the one before as long as that counts.
    ///
    /// # Errors
    /// `Error::NoAuthority` where this server has none; `Error::NoList` where that signs no lists.
    pub async fn list(self: &Arc<Self>, now: Timestamp) -> Result<Bytes, Error> {
        if self.authority.is_none() {
            return Err(Error::NoAuthority);
        }
        if let Some(list) = self.last(|list| self.is_fresh(list, now)) {
            return Ok(list);
        }
        let turn = match Arc::clone(&self.making).try_lock_owned() {
            Ok(turn) => turn,
            Err(_) => match self.last(|list| list.counts(LIST_SECONDS, now)) {
                Some(list) => return Ok(list),
                None => Arc::clone(&self.making).lock_owned().await,
            },
        };
        // Somebody else may have made it meanwhile.
        if let Some(list) = self.last(|list| self.is_fresh(list, now)) {
            return Ok(list);
        }
        // Whoever asks may be gone before it is made; the turn ends when it is.
        let all = Arc::clone(self);
        let make = move || {
            let _turn = turn;
            all.make_list(now)
        };
        tokio::task::spawn_blocking(make).await.map_err(|_| Error::Authority(pki::Error::Sign))?
    }

    /// The last list, if it is as wanted.
    fn last(&self, is_wanted: impl Fn(&List) -> bool) -> Option<Bytes> {
        let list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        list.as_ref().filter(|list| is_wanted(list)).map(|list| list.der.clone())
    }

    fn is_fresh(&self, list: &List, now: Timestamp) -> bool {
        list.of == self.revoked.generation() && list.counts(LIST_SECONDS / 2, now)
    }

    /// Collects, sorts and signs: as long as that takes.
    fn make_list(&self, now: Timestamp) -> Result<Bytes, Error> {
        let authority = self.authority.as_ref().ok_or(Error::NoAuthority)?;
        let (all, of) = self.revoked.all();
        let mut lines: Vec<_> = all
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
        let list = List { der: der.clone(), of, made_at: now };
        *self.list.lock().unwrap_or_else(PoisonError::into_inner) = Some(list);
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
