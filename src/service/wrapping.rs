//! Wrapped responses: kept, sealed, for whoever of the domain brings their token, and told once.
//!
//! Always holds: what is wrapped in one domain is bounded, in number and in bytes, and so is what
//! one key has wrapped: at most as much as it leaves free, so that others find room. What was
//! wrapped since the last count is added up; where that reaches a bound, what is over is cleared
//! away and the rest is counted anew, from the records in the order of their ends, which carry
//! sizes and shares, and from what is on its way there. So the count is right after a start, and
//! what was unwrapped meanwhile need not be followed.

use std::{
    collections::HashMap,
    fmt,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use quick_cache::{Weighter, sync::Cache};
use rpds::HashTrieMapSync;
use zeroize::Zeroizing;

use super::{
    Error,
    aside::aside,
    changes::ChangeName,
    records::{Draft, Reader, bind},
    scope::Scope,
    tokens::{
        Minted, clear_all, clear_some, id_of, is_free, is_own_or_may, open_or, remove, store,
    },
    turns::Turns,
    unit::{Basis, Change, OneRecord, UnitReader},
};
use crate::{
    auth::{Action, Detail, Permit, Resource, Thing},
    crypto::{self, DomainKeys, SecretValue},
    model::{Invalid, OkmsId, Timestamp, Wrapped},
    store::{
        engine::{Op, Record},
        kinds::{
            token,
            wrapped::{self, Load, WrappedResponse, share_of},
        },
    },
};

/// Where an answer is kept, and for how long.
pub struct WrapInfo {
    /// The token to bring.
    pub token: Zeroizing<String>,
    /// Its id.
    pub accessor: String,
    /// What is told of it.
    pub wrapped: Wrapped,
}

impl fmt::Debug for WrapInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WrapInfo({})", self.accessor)
    }
}

/// An answer that was wrapped.
#[derive(Debug)]
pub struct Unwrapped {
    /// Its status.
    pub status: u16,
    /// Its body.
    pub body: SecretValue,
}

/// What may be wrapped in a domain at once. One key alone reaches half of it.
const WRAPPED_MAX: u64 = 20_000;
const WRAPPED_BYTES_MAX: u64 = 32 << 20;
/// What is said where that, or the key's part of it, is reached.
const FULL: Invalid = Invalid(
    "too much is wrapped in this domain: with one key 10000 answers or 16 MiB at most, and less where others have \
     wrapped much; unwrap or revoke some, or wait until they are over",
);
/// A domain that is full is not counted more often.
const COUNT_PAUSE: Duration = Duration::from_secs(1);
/// How many domains' counts are kept about, with how many shares in all of them, and how many
/// records are counted in one go.
const COUNTS: usize = 1024;
const SHARES_MAX: u64 = 100_000;
const COUNTED_AT_ONCE: usize = 1000;

/// The use cases on wrapped responses.
pub struct Wrapping {
    scope: Scope,
    counts: Cache<OkmsId, Count, Shares>,
    under_way: Mutex<UnderWay>,
    turns: Turns,
}

/// What is on its way to the store, by domain and share.
type UnderWay = HashMap<(OkmsId, u64), Amount>;

/// So many answers, and their bytes.
#[derive(Clone, Copy, Default)]
struct Amount {
    number: u64,
    bytes: u64,
}

impl Amount {
    /// It, and an answer of so many bytes.
    const fn and(self, bytes: u64) -> Self {
        Self { number: self.number + 1, bytes: self.bytes.saturating_add(bytes) }
    }
}

/// An answer that is on its way to the store, until this is dropped.
struct OnItsWay<'a> {
    all: &'a Mutex<UnderWay>,
    whose: (OkmsId, u64),
    bytes: u64,
}

impl<'a> OnItsWay<'a> {
    fn new(all: &'a Mutex<UnderWay>, whose: (OkmsId, u64), bytes: u64) -> Self {
        let mut amounts = all.lock().unwrap_or_else(PoisonError::into_inner);
        let amount = amounts.entry(whose).or_default();
        *amount = amount.and(bytes);
        drop(amounts);
        Self { all, whose, bytes }
    }
}

impl Drop for OnItsWay<'_> {
    fn drop(&mut self) {
        let mut amounts = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(amount) = amounts.get_mut(&self.whose) else { return };
        *amount = Amount {
            number: amount.number.saturating_sub(1),
            bytes: amount.bytes.saturating_sub(self.bytes),
        };
        if amount.number == 0 {
            amounts.remove(&self.whose);
        }
    }
}

/// What is wrapped in a domain, or was when it was counted, and what was wrapped since.
#[derive(Clone)]
struct Count {
    all: Amount,
    shares: HashTrieMapSync<u64, Amount>,
    at: Instant,
}

impl Count {
    fn none() -> Self {
        Self { all: Amount::default(), shares: HashTrieMapSync::new_sync(), at: Instant::now() }
    }

    /// Whether a share takes so many bytes more: with them it has no more than it leaves free.
    fn takes(&self, share: u64, bytes: u64) -> bool {
        let own = self.shares.get(&share).copied().unwrap_or_default().and(bytes);
        let all = self.all.and(bytes);
        own.number <= WRAPPED_MAX.saturating_sub(all.number)
            && own.bytes <= WRAPPED_BYTES_MAX.saturating_sub(all.bytes)
    }

    fn add(&mut self, share: u64, bytes: u64) {
        let own = self.shares.get(&share).copied().unwrap_or_default().and(bytes);
        self.shares.insert_mut(share, own);
        self.all = self.all.and(bytes);
    }
}

/// What a count takes in memory, in shares.
#[derive(Clone)]
struct Shares;

impl Weighter<OkmsId, Count> for Shares {
    fn weight(&self, _: &OkmsId, count: &Count) -> u64 {
        1 + count.shares.size() as u64
    }
}

impl Wrapping {
    pub(super) fn new(scope: Scope) -> Self {
        Self {
            scope,
            counts: Cache::with_weighter(COUNTS, SHARES_MAX, Shares),
            under_way: Mutex::default(),
            turns: Turns::new(),
        }
    }

    /// Finds room for one more answer of so many bytes, which is under way until what is returned
    /// is dropped.
    async fn reserve(
        &self,
        keys: &DomainKeys,
        share: u64,
        bytes: usize,
        now: Timestamp,
    ) -> Result<OnItsWay<'_>, Error> {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let _turn = self.turns.take(keys.id(), &[""]).await?;
        let mut count = match self.counts.get(&keys.id()) {
            Some(known) if known.takes(share, bytes) => known,
            Some(full) if full.at.elapsed() < COUNT_PAUSE => return Err(FULL.into()),
            _ => {
                clear_all(&self.scope, keys, now).await?;
                self.count(keys).await?
            }
        };
        let takes = count.takes(share, bytes);
        if takes {
            count.add(share, bytes);
        }
        self.counts.insert(keys.id(), count);
        if takes {
            Ok(OnItsWay::new(&self.under_way, (keys.id(), share), bytes))
        } else {
            Err(FULL.into())
        }
    }

    async fn count(&self, keys: &DomainKeys) -> Result<Count, Error> {
        let mut count = Count::none();
        // First: what arrives in the store meanwhile is counted twice, and not left out.
        let under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for ((_, share), amount) in under_way.into_iter().filter(|((id, _), _)| *id == keys.id()) {
            count.shares.insert_mut(share, amount);
            count.all = Amount {
                number: count.all.number + amount.number,
                bytes: count.all.bytes.saturating_add(amount.bytes),
            };
        }
        let mut from = token::ends(keys.id(), Timestamp::from_unix_seconds(0));
        let to = token::end_of_ends(keys.id());
        let snapshot = self.scope.engine().snapshot().await?;
        loop {
            let found = snapshot.scan(token::SPACE, &from, &to, COUNTED_AT_ONCE).await?;
            for (_, record) in &found {
                let Load { bytes, share } = Load::from_bytes(&record.bytes);
                // Tokens wrap nothing.
                if bytes > 0 {
                    count.add(share, bytes.into());
                }
            }
            match found.last() {
                Some((last, _)) if found.len() == COUNTED_AT_ONCE => {
                    from = [last.as_slice(), &[0]].concat();
                }
                _ => return Ok(count),
            }
        }
    }

    /// Keeps an answer for `ttl_seconds`.
    ///
    /// # Errors
    /// `Error::DomainNotFound`; `Error` where it cannot be stored.
    pub async fn wrap(
        &self,
        permit: &Permit,
        answer: Unwrapped,
        path: &str,
        ttl_seconds: u64,
        now: Timestamp,
    ) -> Result<WrapInfo, Error> {
        permit.check(Action::DomainGet, Resource::Tenant)?;
        let keys = self.scope.keys(permit).await?;
        let maker = permit.subject().certificate().map(|own| *own.public_key_sha256());
        let share = share_of(maker.as_ref());
        let _on_its_way = self.reserve(&keys, share, answer.body.expose().len(), now).await?;
        let minted = Minted::new()?;
        let wrapped = Wrapped {
            secret_sha256: minted.fingerprint,
            created_at: now,
            ttl_seconds,
            path: path.to_owned(),
            status: answer.status,
            key_sha256: maker,
        };
        let change = Change { name: ChangeName::Wrap, turns: &[], by: Some(permit) };
        self.scope
            .unit(
                change,
                &keys,
                OneRecord::of::<WrappedResponse>(&keys, &minted.id),
                |found, draft| {
                    is_free(found.as_ref())?;
                    keep(draft, &minted, &wrapped, &answer.body)
                },
            )
            .await?;
        clear_some(&self.scope, &keys, now).await;
        Ok(WrapInfo { token: minted.text, accessor: minted.id, wrapped })
    }

    /// What is told of an answer without unwrapping it.
    ///
    /// # Errors
    /// `Error::NothingWrapped`.
    pub async fn lookup(
        &self,
        permit: &Permit,
        token: &str,
        now: Timestamp,
    ) -> Result<Wrapped, Error> {
        permit.check(Action::DomainGet, Resource::Tenant)?;
        let keys = self.scope.keys(permit).await?;
        let id = id_of(token).ok_or(Error::NothingWrapped)?;
        let snapshot = self.scope.engine().snapshot().await?;
        let record = snapshot.get(token::SPACE, &wrapped::key(keys.id(), id)).await?;
        Ok(is_right(open(&keys, id, record, now)?, token)?.wrapped)
    }

    /// Tells an answer, for the one time.
    ///
    /// # Errors
    /// `Error::NothingWrapped`, also where somebody else was faster.
    pub async fn unwrap(
        &self,
        permit: &Permit,
        token: &str,
        now: Timestamp,
    ) -> Result<Unwrapped, Error> {
        permit.check(Action::DomainGet, Resource::Tenant)?;
        let keys = self.scope.keys(permit).await?;
        let change = Change { name: ChangeName::Unwrap, turns: &[], by: Some(permit) };
        self.scope
            .unit(change, &keys, WrappedBasis::of(token, now)?, |(wrapped, body), draft| {
                remove(draft, id_of(token).unwrap_or_default(), wrapped.expires_at());
                Ok(Unwrapped { status: wrapped.status, body })
            })
            .await
    }

    /// Ends what is wrapped under this token, so that nobody is told of it any more: for whoever has
    /// it, who could unwrap it as well.
    ///
    /// # Errors
    /// `Error::NothingWrapped`.
    pub async fn end(&self, permit: &Permit, token: &str, now: Timestamp) -> Result<(), Error> {
        permit.check(Action::DomainGet, Resource::Tenant)?;
        let keys = self.scope.keys(permit).await?;
        let id = id_of(token).ok_or(Error::NothingWrapped)?;
        let change = Change { name: ChangeName::EndWrapping, turns: &[], by: Some(permit) };
        let basis = OneRecord::of::<WrappedResponse>(&keys, id);
        self.scope
            .unit(change, &keys, basis, |found, draft| {
                let answer = is_right(open(&keys, id, found, now)?, token)?;
                remove(draft, id, answer.wrapped.expires_at());
                Ok(())
            })
            .await
    }

    /// Ends what is wrapped under the token with this id, for whoever knows that alone: the
    /// caller's own, or by right another's. Whether there is any is told by that right, too.
    ///
    /// # Errors
    /// `Error::NothingWrapped`.
    pub async fn end_by_accessor(
        &self,
        permit: &Permit,
        accessor: &str,
        now: Timestamp,
    ) -> Result<(), Error> {
        permit.check(Action::DomainGet, Resource::Tenant)?;
        let keys = self.scope.keys(permit).await?;
        let change = Change { name: ChangeName::EndWrapping, turns: &[], by: Some(permit) };
        self.scope
            .unit(
                change,
                &keys,
                OneRecord::of::<WrappedResponse>(&keys, accessor),
                |found, draft| {
                    let answer = open(&keys, accessor, found, now);
                    if answer.is_ok() {
                        draft.learns(Detail::About(Thing::Token, accessor));
                    }
                    let maker = answer.as_ref().ok().and_then(|a| a.wrapped.key_sha256.as_ref());
                    is_own_or_may(permit, maker, Action::TokenEdit)?;
                    let answer = answer?;
                    remove(draft, accessor, answer.wrapped.expires_at());
                    Ok(())
                },
            )
            .await
    }

    /// Keeps an answer under a new token instead, for as long again.
    ///
    /// # Errors
    /// `Error::NothingWrapped`.
    pub async fn rewrap(
        &self,
        permit: &Permit,
        token: &str,
        now: Timestamp,
    ) -> Result<WrapInfo, Error> {
        permit.check(Action::DomainGet, Resource::Tenant)?;
        let keys = self.scope.keys(permit).await?;
        let minted = Minted::new()?;
        let change = Change { name: ChangeName::Rewrap, turns: &[], by: Some(permit) };
        let wrapped = self
            .scope
            .unit(change, &keys, WrappedBasis::of(token, now)?, |(before, body), draft| {
                remove(draft, id_of(token).unwrap_or_default(), before.expires_at());
                let secret_sha256 = minted.fingerprint;
                let wrapped = Wrapped { secret_sha256, created_at: now, ..before };
                keep(draft, &minted, &wrapped, &body)?;
                Ok(wrapped)
            })
            .await?;
        Ok(WrapInfo { token: minted.text, accessor: minted.id, wrapped })
    }
}

/// An answer that is wrapped under a token, held.
struct WrappedBasis<'a> {
    token: &'a str,
    id: &'a str,
    now: Timestamp,
}

impl<'a> WrappedBasis<'a> {
    fn of(token: &'a str, now: Timestamp) -> Result<Self, Error> {
        Ok(Self { token, id: id_of(token).ok_or(Error::NothingWrapped)?, now })
    }
}

impl Basis for WrappedBasis<'_> {
    type Facts = (Wrapped, SecretValue);

    async fn read(&self, reader: &UnitReader<'_>) -> Result<Self::Facts, Error> {
        let Reader { snapshot, keys } = reader.records;
        let found = OneRecord::of::<WrappedResponse>(keys, self.id).read(reader).await?;
        let answer = is_right(open(keys, self.id, found, self.now)?, self.token)?;
        let key = wrapped::body(keys.id(), self.id);
        let body = snapshot.get(token::SPACE, &key).await?.ok_or(Error::NothingWrapped)?.bytes;
        let at = bind(token::SPACE, &key);
        Ok((answer.wrapped, aside(body.len(), || keys.open_value(&at, &answer.data_key, &body))?))
    }
}

fn open(
    keys: &DomainKeys,
    id: &str,
    record: Option<Record>,
    now: Timestamp,
) -> Result<WrappedResponse, Error> {
    let answer: WrappedResponse = open_or(keys, id, record, || Error::NothingWrapped)?;
    if answer.wrapped.expires_at() > now { Ok(answer) } else { Err(Error::NothingWrapped) }
}

/// `answer`, if `token` is the one that it is wrapped under.
fn is_right(answer: WrappedResponse, token: &str) -> Result<WrappedResponse, Error> {
    let is_right =
        crypto::is_same(&answer.wrapped.secret_sha256, &crypto::fingerprint(token.as_bytes()));
    if is_right { Ok(answer) } else { Err(Error::NothingWrapped) }
}

/// Keeps `body` under the token.
fn keep(
    draft: &mut Draft<'_>,
    minted: &Minted,
    wrapped: &Wrapped,
    body: &SecretValue,
) -> Result<(), Error> {
    let (keys, id) = (draft.keys, &minted.id);
    let load = Load {
        bytes: u32::try_from(body.len()).unwrap_or(u32::MAX),
        share: share_of(wrapped.key_sha256.as_ref()),
    };
    let key = wrapped::body(keys.id(), id);
    let at = bind(token::SPACE, &key);
    let (data_key, sealed) = aside(body.len(), || keys.seal_value(&at, body))?;
    draft.extend([Op::Put(token::SPACE, key, sealed)]);
    let answer = WrappedResponse { wrapped: wrapped.clone(), data_key };
    store(draft, id, wrapped.expires_at(), load, &answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever comes first leaves as much as it takes, and so does each after it.
    #[test]
    fn shares_leave_room() {
        let mut count = Count::none();
        let fill = |count: &mut Count, share, bytes| {
            (0..=WRAPPED_MAX)
                .take_while(|_| {
                    let takes = count.takes(share, bytes);
                    if takes {
                        count.add(share, bytes);
                    }
                    takes
                })
                .count()
        };
        assert_eq!([1, 2, 3].map(|share| fill(&mut count, share, 1)), [10_000, 5_000, 2_500]);
        let mut count = Count::none();
        let large = WRAPPED_BYTES_MAX / 2 + 1;
        assert!(!count.takes(1, large) && count.takes(1, large - 1));
        count.add(1, large - 1);
        assert!(count.takes(2, large / 2) && !count.takes(2, large / 2 + 1));
    }
}
