//! A change of one policy or rule, counted with all others of its domain.
//!
//! Always holds: it stands on the domain's tally, which it writes anew, so that of two changes that
//! stand on the same state one is decided again: no bound is passed and no name is given twice,
//! however many processes there are.

use std::marker::PhantomData;

use super::stored::all;
use crate::{
    auth::{Detail, Thing},
    crypto::DomainKeys,
    model::{
        CertRule, IamPolicy, Invalid, Tally, User, VaultPolicy,
        tally::{Counted, Size},
    },
    service::{
        Error,
        records::{Draft, open},
        unit::{Basis, UnitReader},
    },
    store::{
        engine::{Snapshot, Space},
        kinds::{Kind, policy, rule, user, vault_policy},
    },
};

/// A kind of record that is counted.
pub(in crate::service) trait Counts: Kind + Sync + Send {
    const COUNTED: Counted;

    /// What one under this key takes.
    fn size(&self, key: &[u8]) -> Size;

    /// The policy's name that it has beside its key, for the audit trail.
    fn policy(&self) -> Option<&str> {
        None
    }
}

impl Counts for IamPolicy {
    const COUNTED: Counted = Counted::Iam;

    fn size(&self, _: &[u8]) -> Size {
        self.size()
    }

    fn policy(&self) -> Option<&str> {
        Some(&self.name)
    }
}

impl Counts for User {
    const COUNTED: Counted = Counted::User;

    fn size(&self, key: &[u8]) -> Size {
        self.size(user::name(key).unwrap_or_default())
    }
}

impl Counts for VaultPolicy {
    const COUNTED: Counted = Counted::Vault;

    fn size(&self, key: &[u8]) -> Size {
        self.size(vault_policy::name(key).unwrap_or_default())
    }
}

impl Counts for CertRule {
    const COUNTED: Counted = Counted::Rule;

    fn size(&self, key: &[u8]) -> Size {
        self.size(rule::name(key).unwrap_or_default())
    }
}

/// A record that is changed, and what the change stands on.
pub(in crate::service) struct Counting<'a, K> {
    key: Vec<u8>,
    /// The name that no other policy may have.
    name: Option<&'a str>,
    kind: PhantomData<fn() -> K>,
}

impl<'a, K: Counts> Counting<'a, K> {
    pub(in crate::service) fn of(keys: &DomainKeys, of: K::Name<'_>) -> Self {
        Self { key: K::key(keys.id(), of), name: None, kind: PhantomData }
    }

    /// The same for a policy that is to have this name.
    pub(in crate::service) const fn named(mut self, name: &'a str) -> Self {
        self.name = Some(name);
        self
    }
}

/// What lies under a key.
pub(in crate::service) enum Place<K> {
    Empty,
    Damaged,
    Record(K),
}

impl<K> Place<K> {
    /// The record, where it can be read.
    pub(in crate::service) const fn record(&self) -> Option<&K> {
        if let Self::Record(record) = self { Some(record) } else { None }
    }

    /// Whether nothing is there.
    pub(in crate::service) const fn is_empty(&self) -> bool {
        matches!(self, Self::Empty)
    }
}

/// What a change stands on.
pub(in crate::service) struct Standing<K> {
    key: Vec<u8>,
    /// What is there already.
    pub(in crate::service) found: Place<K>,
    /// What all take, and all others.
    whole: Tally,
    others: Tally,
    is_taken: bool,
}

impl<K: Counts> Basis for Counting<'_, K> {
    type Facts = Standing<K>;

    async fn read(&self, reader: &UnitReader<'_>) -> Result<Standing<K>, Error> {
        let (snapshot, keys) = (reader.records.snapshot, reader.records.keys);
        let mark = Tally::key(keys.id(), ());
        let tally = reader.hold(Tally::SPACE, mark.clone()).await?;
        let tally = tally.and_then(|tally| open::<Tally>(keys, &mark, &tally.bytes).ok());
        let found = reader.hold(K::SPACE, self.key.clone()).await?;
        let found = found.map_or(Place::Empty, |found| {
            open(keys, &self.key, &found.bytes).map_or(Place::Damaged, Place::Record)
        });
        let size = found.record().map(|record: &K| record.size(&self.key));
        let with = |others: Tally| match size {
            None if found.is_empty() => others,
            size => others.with(K::COUNTED, size.unwrap_or_default()),
        };
        let (whole, others) = match (tally, size) {
            (Some(tally), Some(size)) => (tally, tally.without(K::COUNTED, size)),
            (Some(tally), None) if found.is_empty() => (tally, tally),
            // Nobody has counted yet, or what is replaced does not say what it took.
            _ => {
                let others = count(snapshot, keys, (K::SPACE, &self.key)).await?;
                (with(others), others)
            }
        };
        let is_taken = match self.name {
            Some(name) => is_taken(snapshot, keys, name, &self.key).await?,
            None => false,
        };
        Ok(Standing { key: self.key.clone(), found, whole, others, is_taken })
    }
}

impl<K: Counts> Standing<K> {
    /// Puts a record in its place.
    pub(in crate::service) fn put(
        &self,
        draft: &mut Draft<'_>,
        name: K::Name<'_>,
        record: &K,
    ) -> Result<(), Error> {
        self.tells(draft, Some(record));
        if self.is_taken {
            return Err(Invalid("another policy has this name").into());
        }
        let tally = self.others.with(K::COUNTED, record.size(&self.key));
        tally.check(self.whole)?;
        draft.put(name, record)?;
        draft.put((), &tally)
    }

    /// Removes it.
    pub(in crate::service) fn remove(&self, draft: &mut Draft<'_>) -> Result<(), Error> {
        self.tells(draft, None);
        draft.delete(K::SPACE, self.key.clone());
        draft.put((), &self.others)
    }

    /// Tells which policy it is, by the name before and the one that it is given.
    fn tells(&self, draft: &Draft<'_>, record: Option<&K>) {
        let names = [self.found.record(), record].into_iter().flatten().filter_map(K::policy);
        names.for_each(|name| draft.learns(Detail::About(Thing::Policy, name)));
    }
}

/// What all take but the one under a key. What is damaged takes nothing.
async fn count(
    snapshot: &dyn Snapshot,
    keys: &DomainKeys,
    except: (Space, &[u8]),
) -> Result<Tally, Error> {
    async fn more<K: Counts>(
        tally: Tally,
        snapshot: &dyn Snapshot,
        keys: &DomainKeys,
        range: (Vec<u8>, Vec<u8>),
        except: (Space, &[u8]),
    ) -> Result<Tally, Error> {
        let found = all::<K>(snapshot, keys, range).await?;
        let others = found.iter().filter(|(key, _)| (K::SPACE, &**key) != except);
        Ok(others.fold(tally, |tally, (key, record)| {
            let size = record.as_ref().map(|record| record.size(key));
            tally.with(K::COUNTED, size.unwrap_or_default())
        }))
    }
    let id = keys.id();
    let tally = Tally::default();
    let tally = more::<IamPolicy>(tally, snapshot, keys, policy::iam(id), except).await?;
    let tally = more::<VaultPolicy>(tally, snapshot, keys, vault_policy::all(id), except).await?;
    let tally = more::<CertRule>(tally, snapshot, keys, rule::all(id), except).await?;
    more::<User>(tally, snapshot, keys, user::all(id), except).await
}

/// Whether another policy has this name, in whichever language.
async fn is_taken(
    snapshot: &dyn Snapshot,
    keys: &DomainKeys,
    name: &str,
    own: &[u8],
) -> Result<bool, Error> {
    let in_vault = VaultPolicy::key(keys.id(), name);
    if in_vault != own && snapshot.get(VaultPolicy::SPACE, &in_vault).await?.is_some() {
        return Ok(true);
    }
    let known = all::<IamPolicy>(snapshot, keys, policy::iam(keys.id())).await?;
    let has_name = |policy: &IamPolicy| policy.name == name;
    Ok(known.iter().any(|(key, policy)| key != own && policy.as_ref().is_some_and(has_name)))
}
