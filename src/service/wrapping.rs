//! Wrapped responses: kept, sealed, for whoever of the domain brings their token, and told once.
//!
//! Always holds: what is wrapped in one domain is bounded, in number and in bytes. What was wrapped
//! since the last count is added up; where that reaches the bound, what is over is cleared away and
//! the rest is counted anew, from the keys in the order of their ends, which carry the sizes, and
//! from what is on its way there. So the count is right after a start, and what was unwrapped
//! meanwhile need not be followed.

use std::{
    collections::HashMap,
    fmt,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use quick_cache::sync::Cache;

use zeroize::Zeroizing;

use super::{
    Error,
    aside::aside,
    changes::ChangeName,
    records::{Draft, Reader, bind},
    scope::Scope,
    tokens::{Minted, clear_all, clear_some, id_of, is_free, open_or, remove, store},
    turns::Turns,
    unit::{Basis, Change, OneRecord, UnitReader},
};
use crate::{
    auth::{Action, Permit, Resource},
    crypto::{self, DomainKeys, SecretValue},
    model::{Invalid, OkmsId, Timestamp, Wrapped},
    store::{
        engine::{Op, Record},
        kinds::{
            token,
            wrapped::{self, WrappedResponse},
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

/// What may be wrapped in a domain at once.
const WRAPPED_MAX: u64 = 10_000;
const WRAPPED_BYTES_MAX: u64 = 16 << 20;
/// What is said where it is reached.
const FULL: Invalid = Invalid(
    "too much is wrapped in this domain: 10000 answers or 16 MiB at most; unwrap or revoke some, or wait until they are \
     over",
);
/// A domain that is full is not counted more often.
const COUNT_PAUSE: Duration = Duration::from_secs(1);
/// How many domains' counts are kept, and how many keys are counted in one go.
const COUNTS_MAX: usize = 1024;
const COUNTED_AT_ONCE: usize = 1000;

/// The use cases on wrapped responses.
pub struct Wrapping {
    scope: Scope,
    counts: Cache<OkmsId, Count>,
    under_way: Mutex<HashMap<OkmsId, Amount>>,
    turns: Turns,
}

/// So many answers, and their bytes.
#[derive(Clone, Copy, Default)]
struct Amount {
    number: u64,
    bytes: u64,
}

/// An answer that is on its way to the store, until this is dropped.
struct UnderWay<'a> {
    all: &'a Mutex<HashMap<OkmsId, Amount>>,
    id: OkmsId,
    bytes: u64,
}

impl<'a> UnderWay<'a> {
    fn new(all: &'a Mutex<HashMap<OkmsId, Amount>>, id: OkmsId, bytes: u64) -> Self {
        let mut amounts = all.lock().unwrap_or_else(PoisonError::into_inner);
        let amount = amounts.entry(id).or_default();
        *amount = Amount { number: amount.number + 1, bytes: amount.bytes.saturating_add(bytes) };
        drop(amounts);
        Self { all, id, bytes }
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let mut amounts = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(amount) = amounts.get_mut(&self.id) else { return };
        *amount = Amount {
            number: amount.number.saturating_sub(1),
            bytes: amount.bytes.saturating_sub(self.bytes),
        };
        if amount.number == 0 {
            amounts.remove(&self.id);
        }
    }
}

/// What is wrapped in a domain, or was when it was counted, and what was wrapped since.
#[derive(Clone, Copy)]
struct Count {
    amount: Amount,
    at: Instant,
}

impl Count {
    const fn takes(&self, bytes: u64) -> bool {
        self.amount.number < WRAPPED_MAX
            && self.amount.bytes.saturating_add(bytes) <= WRAPPED_BYTES_MAX
    }

    const fn and(self, bytes: u64) -> Self {
        let Amount { number, bytes: before } = self.amount;
        Self { amount: Amount { number: number + 1, bytes: before.saturating_add(bytes) }, ..self }
    }
}

impl Wrapping {
    pub(super) fn new(scope: Scope) -> Self {
        Self {
            scope,
            counts: Cache::new(COUNTS_MAX),
            under_way: Mutex::default(),
            turns: Turns::new(),
        }
    }

    /// Finds room for one more answer of so many bytes, which is under way until what is returned
    /// is dropped.
    async fn reserve(
        &self,
        keys: &DomainKeys,
        bytes: usize,
        now: Timestamp,
    ) -> Result<UnderWay<'_>, Error> {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let _turn = self.turns.take(keys.id(), &[""]).await?;
        let count = match self.counts.get(&keys.id()) {
            Some(known) if known.takes(bytes) => known,
            Some(full) if full.at.elapsed() < COUNT_PAUSE => return Err(FULL.into()),
            _ => {
                clear_all(&self.scope, keys, now).await?;
                self.count(keys).await?
            }
        };
        let takes = count.takes(bytes);
        self.counts.insert(keys.id(), if takes { count.and(bytes) } else { count });
        if takes { Ok(UnderWay::new(&self.under_way, keys.id(), bytes)) } else { Err(FULL.into()) }
    }

    async fn count(&self, keys: &DomainKeys) -> Result<Count, Error> {
        // First: what arrives in the store meanwhile is counted twice, and not left out.
        let under_way =
            self.under_way.lock().unwrap_or_else(PoisonError::into_inner).get(&keys.id()).copied();
        let mut count = Count { amount: under_way.unwrap_or_default(), at: Instant::now() };
        let mut from = token::ends(keys.id(), Timestamp::from_unix_seconds(0));
        let to = token::end_of_ends(keys.id());
        let snapshot = self.scope.engine().snapshot().await?;
        loop {
            let found = snapshot.scan(token::SPACE, &from, &to, COUNTED_AT_ONCE).await?;
            for (_, record) in &found {
                // A login's token has no size, and is none.
                if let Ok(size) = record.bytes.as_ref().try_into() {
                    count = count.and(u32::from_be_bytes(size).into());
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
        let _under_way = self.reserve(&keys, answer.body.expose().len(), now).await?;
        let minted = Minted::new()?;
        let wrapped = minted.describe(path, answer.status, ttl_seconds, now);
        let change = Change { name: ChangeName::Wrap, turns: &[] };
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
        let change = Change { name: ChangeName::Unwrap, turns: &[] };
        self.scope
            .unit(change, &keys, WrappedBasis::of(token, now)?, |(wrapped, body), draft| {
                remove(draft, id_of(token).unwrap_or_default(), wrapped.expires_at());
                Ok(Unwrapped { status: wrapped.status, body })
            })
            .await
    }

    /// Ends what is wrapped under this token, so that nobody is told of it any more.
    ///
    /// # Errors
    /// `Error::NothingWrapped`.
    pub async fn end(&self, permit: &Permit, token: &str, now: Timestamp) -> Result<(), Error> {
        self.lookup(permit, token, now).await?;
        self.end_by_accessor(permit, id_of(token).ok_or(Error::NothingWrapped)?, now).await
    }

    /// Ends what is wrapped under the token with this id, for whoever knows that alone.
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
        let change = Change { name: ChangeName::EndWrapping, turns: &[] };
        self.scope
            .unit(
                change,
                &keys,
                OneRecord::of::<WrappedResponse>(&keys, accessor),
                |found, draft| {
                    let answer = open(&keys, accessor, found, now)?;
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
        let change = Change { name: ChangeName::Rewrap, turns: &[] };
        let wrapped = self
            .scope
            .unit(change, &keys, WrappedBasis::of(token, now)?, |(before, body), draft| {
                remove(draft, id_of(token).unwrap_or_default(), before.expires_at());
                let wrapped = minted.describe(&before.path, before.status, before.ttl_seconds, now);
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

impl Minted {
    /// What is told of an answer that is wrapped under this token.
    fn describe(&self, path: &str, status: u16, ttl_seconds: u64, now: Timestamp) -> Wrapped {
        Wrapped {
            secret_sha256: self.fingerprint,
            created_at: now,
            ttl_seconds,
            path: path.to_owned(),
            status,
        }
    }
}

/// Keeps `body` under the token.
fn keep(
    draft: &mut Draft<'_>,
    minted: &Minted,
    wrapped: &Wrapped,
    body: &SecretValue,
) -> Result<(), Error> {
    let (keys, id) = (draft.keys, &minted.id);
    let size = u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes();
    let key = wrapped::body(keys.id(), id);
    let at = bind(token::SPACE, &key);
    let (data_key, sealed) = aside(body.len(), || keys.seal_value(&at, body))?;
    draft.extend([Op::Put(token::SPACE, key, sealed)]);
    let answer = WrappedResponse { wrapped: wrapped.clone(), data_key };
    store(draft, id, wrapped.expires_at(), size.to_vec(), &answer)
}
