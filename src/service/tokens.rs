//! Tokens: made for a certificate that is authenticated already, and good on connections with its
//! key alone; or for a user who has logged in without one, and then bound to no key.
//!
//! Always holds: a token's text is told once and kept as a fingerprint; it is found by the id in
//! it, so that their number slows nothing down; making one clears away more that are over, so that
//! they do not pile up; a domain has no more of them than its quota says, about, and one key of it no more than
//! it leaves free ([`counted`]).

mod counted;
mod of_keys;

use std::{fmt, sync::Arc};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use self::counted::Counted;
use super::{
    Error,
    changes::ChangeName,
    quotas::Quotas,
    records::{self, Draft, Reader},
    scope::Scope,
    turns::SharedTurn,
    unit::{Basis, Change, OneRecord, UnitReader},
};
use crate::{
    auth::{Action, Denied, Detail, Permit, Resource, Thing},
    crypto::{self, DomainKeys, Sealed},
    model::{Bearer, Invalid, OkmsId, Timestamp, Token, TokenLife, User},
    store::{
        engine::{Expect, Op, Record},
        kinds::{
            Kind, token,
            wrapped::{self, Load, share_of},
        },
    },
};

/// What every token begins with, so that one is known where it leaked.
const PREFIX: &str = "okms.";
/// How many that are over are cleared away after a new one is made.
const CLEARED: usize = 256;
/// How many accessors are read at once.
const LISTED_AT_ONCE: usize = 256;
/// The most of them in one answer.
const LISTED_MAX: usize = 200_000;
const TOO_MANY: Invalid = Invalid(
    "the list is larger than this server tells at once; read it in parts with limit, or by pages (X-Pagination-Size)",
);
/// How often, where there is no room for another one.
const CLEARED_AGAIN: usize = 64;
/// The longest text that can be a token.
const TEXT_MAX: usize = 128;

/// What is asked of a new token.
#[derive(Debug)]
pub struct TokenRequest {
    /// SHA-256 of the public key that it is bound to; none for a user's who logs in without a
    /// certificate.
    pub key_sha256: Option<[u8; 32]>,
    /// Its life in seconds.
    pub life_seconds: u64,
    /// When it ends at the latest, in seconds from now.
    pub most_seconds: u64,
    /// Whether it can be renewed.
    pub is_renewable: bool,
    /// Where it is made.
    pub path: String,
    /// What shows who has it.
    pub display_name: String,
    /// More about who has it: names and texts.
    pub meta: Vec<(String, String)>,
    /// What its bearer may do.
    pub bearer: Bearer,
}

/// Under what a token is brought.
#[derive(Clone, Copy, Debug)]
pub struct Presented<'a> {
    /// SHA-256 of the public key of the certificate, where there is one.
    pub key_sha256: Option<&'a [u8; 32]>,
    /// Whether a token counts that is bound to none.
    pub takes_unbound: bool,
}

/// A token's text, told once.
pub struct FreshToken {
    /// The text.
    pub text: Zeroizing<String>,
    /// What is known of it.
    pub known: KnownToken,
}

impl fmt::Debug for FreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FreshToken({})", self.known.accessor)
    }
}

/// A token, as one sees it who may know of it.
#[derive(Clone, Debug)]
pub struct KnownToken {
    /// Its id.
    pub accessor: String,
    /// What the store has of it.
    pub token: Token,
}

/// Accessors, or a part of them.
#[derive(Debug)]
pub struct Accessors {
    /// The accessors.
    pub accessors: Vec<String>,
    /// The place after the last of them, if there are more.
    pub next: Option<Vec<u8>>,
    /// Held while the list is in memory.
    _turn: SharedTurn,
}

/// The use cases on tokens.
pub struct Tokens {
    scope: Scope,
    quotas: Arc<Quotas>,
    counted: Counted,
}

impl Tokens {
    pub(super) fn new(scope: Scope, quotas: Arc<Quotas>) -> Self {
        Self { scope, quotas, counted: Counted::new() }
    }

    /// How many tokens of the permit's tenant are not over, about.
    ///
    /// # Errors
    /// `Error::DomainNotFound` where there is no such tenant.
    pub async fn number(&self, permit: &Permit, now: Timestamp) -> Result<u64, Error> {
        permit.check(Action::UsageGet, Resource::Tenant)?;
        let keys = self.scope.keys(permit).await?;
        self.counted.number(&self.scope, &keys, now).await
    }

    /// The same of any tenant, where it was counted.
    #[must_use]
    pub fn known_number(&self, id: OkmsId) -> Option<u64> {
        self.counted.last(id)
    }

    /// Makes a token.
    ///
    /// # Errors
    /// `Error::DomainNotFound`; `Error::TooManyTokens` where the domain, or the key, has as many as it may; `Error` where it cannot be stored.
    pub async fn create(
        &self,
        permit: &Permit,
        request: TokenRequest,
        now: Timestamp,
    ) -> Result<FreshToken, Error> {
        permit.check(Action::DomainGet, Resource::Tenant)?;
        // What is bound to nobody's key is somebody's, or it would be anybody's.
        if request.key_sha256.is_none() && request.bearer.user.is_none() {
            return Err(Error::TokenInvalid);
        }
        let keys = self.scope.keys(permit).await?;
        if let Some(most) = self.quotas.of(keys.id()).tokens {
            let share = share_of(request.key_sha256.as_ref());
            self.counted.add(&self.scope, &keys, (share, most), now).await?;
        }
        let Minted { id, text, fingerprint } = Minted::new()?;
        let token = Token {
            secret_sha256: fingerprint,
            key_sha256: request.key_sha256,
            created_at: now,
            renewed_at: None,
            expires_at: now.plus_seconds(request.life_seconds),
            ttl_seconds: request.life_seconds,
            ends_at: now.plus_seconds(request.most_seconds),
            is_renewable: request.is_renewable,
            path: request.path,
            display_name: request.display_name,
            meta: request.meta,
            bearer: request.bearer,
        };
        let change = Change { name: ChangeName::CreateToken, turns: &[], by: Some(permit) };
        self.scope
            .unit(change, &keys, OneRecord::of::<Token>(&keys, &id), |found, draft| {
                is_free(found.as_ref())?;
                store(draft, &id, token.expires_at, load_of(&token), &token)
            })
            .await?;
        clear_some(&self.scope, &keys, now).await;
        Ok(FreshToken { text, known: KnownToken { accessor: id, token } })
    }

    /// The token of this text, if it is one on such a connection.
    ///
    /// # Errors
    /// `Error::TokenInvalid`.
    pub async fn check(
        &self,
        permit: &Permit,
        text: &str,
        presented: Presented<'_>,
        now: Timestamp,
    ) -> Result<KnownToken, Error> {
        let known = self.lookup(permit, text, now).await?;
        let is_here = match (&known.token.key_sha256, presented.key_sha256) {
            (Some(bound), Some(key)) => crypto::is_same(bound, key),
            (Some(_), None) => false,
            (None, _) => presented.takes_unbound,
        };
        let is_good = is_here && self.has_its_user(permit, &known.token).await?;
        if is_good { Ok(known) } else { Err(Error::TokenInvalid) }
    }

    /// Whether the user for whom a token stands, if it does for one, is still there, and not another
    /// one of the same name.
    async fn has_its_user(&self, permit: &Permit, token: &Token) -> Result<bool, Error> {
        let Some(name) = &token.bearer.user else { return Ok(true) };
        let keys = self.scope.keys(permit).await?;
        let snapshot = self.scope.engine().snapshot().await?;
        let user: Option<User> =
            Reader { snapshot: &*snapshot, keys: &keys }.find(name.as_str()).await?;
        Ok(user.is_some_and(|user| user.created_at <= token.created_at))
    }

    /// The token of this text.
    ///
    /// # Errors
    /// `Error::TokenInvalid`.
    pub async fn lookup(
        &self,
        permit: &Permit,
        text: &str,
        now: Timestamp,
    ) -> Result<KnownToken, Error> {
        permit.check(Action::DomainGet, Resource::Tenant)?;
        let accessor = id_of(text).ok_or(Error::TokenInvalid)?;
        let known = self.find(permit, accessor, now).await?;
        if crypto::is_same(&known.token.secret_sha256, &crypto::fingerprint(text.as_bytes())) {
            Ok(known)
        } else {
            Err(Error::TokenInvalid)
        }
    }

    /// The token with this accessor, if it is the caller's own; another one, or that there is none,
    /// is told to who may see others' tokens.
    ///
    /// # Errors
    /// `Error::TokenInvalid`.
    pub async fn by_accessor(
        &self,
        permit: &Permit,
        accessor: &str,
        now: Timestamp,
    ) -> Result<KnownToken, Error> {
        permit.check(Action::DomainGet, Resource::Tenant)?;
        let found = self.find(permit, accessor, now).await;
        // What is none may be anything, a token itself among it.
        if found.is_ok() {
            permit.learns(Detail::About(Thing::Token, accessor));
        }
        let maker =
            found.as_ref().ok().and_then(|known| KnownBy::Accessor.makes_own(permit, &known.token));
        is_own_or_may(permit, maker, Action::TokenGet)?;
        found
    }

    async fn find(
        &self,
        permit: &Permit,
        accessor: &str,
        now: Timestamp,
    ) -> Result<KnownToken, Error> {
        let keys = self.scope.keys(permit).await?;
        let OneRecord(space, key) = record_of(&keys, accessor)?;
        let record = self.scope.engine().get(space, &key).await?;
        let token = open(&keys, accessor, record, now)?;
        Ok(KnownToken { accessor: accessor.to_owned(), token })
    }

    /// Gives the token with this accessor more time: the caller's own, which it has made or brings
    /// along (`own`), or by right another's.
    ///
    /// # Errors
    /// `Error::TokenInvalid`, `Error::NotRenewable`.
    pub async fn renew(
        &self,
        permit: &Permit,
        (accessor, by): (&str, KnownBy),
        own: Option<&str>,
        (increment, life): (Option<u64>, TokenLife),
        now: Timestamp,
    ) -> Result<KnownToken, Error> {
        permit.check(Action::DomainGet, Resource::Tenant)?;
        let keys = self.scope.keys(permit).await?;
        let change = Change { name: ChangeName::RenewToken, turns: &[], by: Some(permit) };
        self.scope
            .unit(change, &keys, record_of(&keys, accessor)?, |found, draft| {
                let before = open(&keys, accessor, found, now)?;
                draft.learns(Detail::About(Thing::Token, accessor));
                if own != Some(accessor) {
                    is_own_or_may(permit, by.makes_own(permit, &before), Action::TokenEdit)?;
                }
                if !before.is_renewable {
                    return Err(Error::NotRenewable);
                }
                remove(draft, accessor, before.expires_at);
                let token = before.renew(increment, life, now);
                store(draft, accessor, token.expires_at, load_of(&token), &token)?;
                Ok(KnownToken { accessor: accessor.to_owned(), token })
            })
            .await
    }

    /// The accessors of the domain's tokens and of what is wrapped there, in the order in which
    /// they end; at most `limit`, after the place `after`. The place that follows is told where
    /// there are more.
    ///
    /// # Errors
    /// `Error::Invalid` where they are too many for one answer.
    pub async fn accessors(
        &self,
        permit: &Permit,
        after: Option<&[u8]>,
        limit: Option<usize>,
        now: Timestamp,
    ) -> Result<Accessors, Error> {
        permit.check(Action::TokenGet, Resource::Tenant)?;
        let keys = self.scope.keys(permit).await?;
        let turn = self.scope.long_reads().turn(permit.okms_id()).await?;
        let snapshot = self.scope.engine().snapshot().await?;
        let (mut from, to) = token::ends_after(keys.id(), now, after);
        let limit = limit.unwrap_or(usize::MAX);
        let mut listed = Accessors { accessors: Vec::new(), next: None, _turn: turn };
        loop {
            let size = (limit - listed.accessors.len()).saturating_add(1).min(LISTED_AT_ONCE);
            let batch = snapshot.scan(token::SPACE, &from, &to, size).await?;
            let is_last = batch.len() < size;
            for (key, _) in batch {
                if listed.accessors.len() == limit {
                    listed.next = token::place(&from).map(<[u8]>::to_vec);
                    return Ok(listed);
                }
                if listed.accessors.len() == LISTED_MAX {
                    return Err(TOO_MANY.into());
                }
                listed.accessors.extend(token::parse_end(&key).map(str::to_owned));
                from = [&*key, &[0]].concat();
            }
            if is_last {
                return Ok(listed);
            }
            tokio::task::yield_now().await;
        }
    }

    /// Ends the token with this accessor: the caller's own, which it has made or brings along (`own`),
    /// or by right another's.
    ///
    /// # Errors
    /// `Error::TokenInvalid` where there is none.
    pub async fn revoke(
        &self,
        permit: &Permit,
        (accessor, by): (&str, KnownBy),
        own: Option<&str>,
        now: Timestamp,
    ) -> Result<(), Error> {
        permit.check(Action::DomainGet, Resource::Tenant)?;
        let keys = self.scope.keys(permit).await?;
        let change = Change { name: ChangeName::RevokeToken, turns: &[], by: Some(permit) };
        let share = self
            .scope
            .unit(change, &keys, record_of(&keys, accessor)?, |found, draft| {
                let token = open(&keys, accessor, found, now)?;
                draft.learns(Detail::About(Thing::Token, accessor));
                if own != Some(accessor) {
                    is_own_or_may(permit, by.makes_own(permit, &token), Action::TokenEdit)?;
                }
                remove(draft, accessor, token.expires_at);
                Ok(share_of(token.key_sha256.as_ref()))
            })
            .await?;
        self.counted.ended(keys.id(), share);
        Ok(())
    }
}

/// By what a token is known to whoever does something to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KnownBy {
    /// Its text, which nobody has but those whom it was given.
    Text,
    /// Its accessor, which others may have come by.
    Accessor,
}

impl KnownBy {
    /// The key of the certificate whose own a token is: where the accessor alone is known, for no
    /// other of the users who share that certificate, nor for it without a user's token.
    fn makes_own<'t>(self, permit: &Permit, token: &'t Token) -> Option<&'t [u8; 32]> {
        let is_own = self == Self::Text || token.bearer.user.as_deref() == permit.user();
        token.key_sha256.as_ref().filter(|_| is_own)
    }
}

/// Goes on if the permit is for a certificate over the key of `maker`, or if its holder may do
/// `action` to what others have made.
pub(super) fn is_own_or_may(
    permit: &Permit,
    maker: Option<&[u8; 32]>,
    action: Action,
) -> Result<(), Denied> {
    match (permit.subject().certificate(), maker) {
        (Some(own), Some(maker)) if own.public_key_sha256() == maker => Ok(()),
        _ => permit.check(action, Resource::Tenant),
    }
}

/// A token's text, just made: random, with the id under which it is found.
pub(super) struct Minted {
    pub id: String,
    pub text: Zeroizing<String>,
    pub fingerprint: [u8; 32],
}

impl Minted {
    pub(super) fn new() -> Result<Self, Error> {
        let id = URL_SAFE_NO_PAD.encode(crypto::random::<18>()?);
        let secret =
            Zeroizing::new(URL_SAFE_NO_PAD.encode(Zeroizing::new(crypto::random::<32>()?)));
        let text = Zeroizing::new(format!("{PREFIX}{id}.{}", *secret));
        Ok(Self { fingerprint: crypto::fingerprint(text.as_bytes()), id, text })
    }
}

/// The id in a token's text.
pub(super) fn id_of(text: &str) -> Option<&str> {
    let (id, _) = text.strip_prefix(PREFIX).filter(|_| text.len() <= TEXT_MAX)?.split_once('.')?;
    Some(id)
}

/// The record of the token with this accessor, whatever text that is: it is found under its own key
/// or not at all.
fn record_of(keys: &DomainKeys, accessor: &str) -> Result<OneRecord, Error> {
    if accessor.len() > TEXT_MAX {
        Err(Error::TokenInvalid)
    } else {
        Ok(OneRecord::of::<Token>(keys, accessor))
    }
}

fn open(
    keys: &DomainKeys,
    accessor: &str,
    record: Option<Record>,
    now: Timestamp,
) -> Result<Token, Error> {
    let token: Token = open_or(keys, accessor, record, || Error::TokenInvalid)?;
    if token.has_expired(now) { Err(Error::TokenInvalid) } else { Ok(token) }
}

/// The record of what lies under the token `id`. One that is damaged is none: whoever brings the
/// token makes another one, as for any that is over.
pub(super) fn open_or<K>(
    keys: &DomainKeys,
    id: &str,
    record: Option<Record>,
    none: fn() -> Error,
) -> Result<K, Error>
where
    K: for<'a> Kind<Name<'a> = &'a str>,
{
    let record = record.ok_or_else(none)?;
    records::open(keys, &K::key(keys.id(), id), &record.bytes).map_err(|error| {
        let error = &error as &dyn std::error::Error;
        tracing::error!(error, "the record of a token is damaged");
        none()
    })
}

/// What the record of a token's end tells.
fn load_of(token: &Token) -> Load {
    Load { bytes: 0, share: share_of(token.key_sha256.as_ref()) }
}

/// Stores what belongs to the token `id`, which ends at `end`, and is such a `load`.
pub(super) fn store<K>(
    draft: &mut Draft<'_>,
    id: &str,
    end: Timestamp,
    load: Load,
    record: &K,
) -> Result<(), Error>
where
    K: for<'a> Kind<Name<'a> = &'a str>,
{
    draft.learns(Detail::About(Thing::Token, id));
    draft.extend([Op::Put(
        token::SPACE,
        token::end(draft.keys.id(), end, id),
        Sealed::public(load.to_bytes()),
    )]);
    draft.put(id, record)
}

/// Removes the token `id`, which ends at `end`, with all that belongs to it.
pub(super) fn remove(draft: &mut Draft<'_>, id: &str, end: Timestamp) {
    draft.learns(Detail::About(Thing::Token, id));
    let tenant = draft.keys.id();
    clear_away(draft, id, token::end(tenant, end, id));
}

/// Removes whatever lies under the token `id`, and the record of its end.
fn clear_away(draft: &mut Draft<'_>, id: &str, end: Vec<u8>) {
    let tenant = draft.keys.id();
    let keys = [end, token::key(tenant, id), wrapped::key(tenant, id), wrapped::body(tenant, id)];
    draft.extend(keys.map(|key| Op::Delete(token::SPACE, key)));
}

/// Goes on if nothing was `found` in the place of a new token: ids are random, and long.
pub(super) fn is_free(found: Option<&Record>) -> Result<(), Error> {
    if found.is_some() { Err(Error::Contended) } else { Ok(()) }
}

/// Clears away what has expired, after a new token: it is made, and what is over can wait for the
/// next one.
pub(super) async fn clear_some(scope: &Scope, keys: &DomainKeys, now: Timestamp) {
    if let Err(error) = clear(scope, keys, now).await {
        tracing::debug!(%error, "tokens that are over were not cleared away");
    }
}

/// Clears away what has expired, much of it at least.
pub(super) async fn clear_all(
    scope: &Scope,
    keys: &DomainKeys,
    now: Timestamp,
) -> Result<(), Error> {
    for _ in 0..CLEARED_AGAIN {
        if clear(scope, keys, now).await? < CLEARED {
            break;
        }
    }
    Ok(())
}

/// Removes tokens that are over, if their ends are still as they were read: a token that was
/// renewed meanwhile has another. One request of a tenant does so at a time, and others leave it to
/// that one. Says how many were over.
async fn clear(scope: &Scope, keys: &DomainKeys, now: Timestamp) -> Result<usize, Error> {
    let Some(_turn) = scope.clearing(keys.id()) else { return Ok(0) };
    let change = Change { name: ChangeName::ClearTokens, turns: &[], by: None };
    scope
        .unit(change, keys, Expired(now), |ends, draft| {
            for end in &ends {
                if let Some(id) = token::parse_end(end) {
                    clear_away(draft, id, end.clone());
                }
            }
            Ok(ends.len())
        })
        .await
}

/// The ends of tokens that are over, held.
struct Expired(Timestamp);

impl Basis for Expired {
    type Facts = Vec<Vec<u8>>;

    async fn read(&self, reader: &UnitReader<'_>) -> Result<Self::Facts, Error> {
        let Reader { snapshot, keys } = reader.records;
        let from = token::ends(keys.id(), Timestamp::from_unix_seconds(0));
        let to = token::ends(keys.id(), self.0);
        let found = snapshot.scan(token::SPACE, &from, &to, CLEARED).await?;
        Ok(found
            .into_iter()
            .map(|(key, end)| {
                reader.holds(token::SPACE, key.clone(), Expect::At(end.revision));
                key
            })
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_token_says_its_id_and_nothing_prints_it() {
        let minted = Minted::new().unwrap();
        assert_eq!(id_of(&minted.text), Some(minted.id.as_str()));
        assert_eq!(minted.id.len(), 24);
        assert!(minted.text.len() <= TEXT_MAX && minted.text.starts_with("okms."));
        assert_ne!(Minted::new().unwrap().fingerprint, minted.fingerprint);
        for wrong in
            ["", "okms.", "okms.abc", "hvs.abc.def", &format!("okms.a.{}", "x".repeat(TEXT_MAX))]
        {
            assert_eq!(id_of(wrong), None, "{wrong}");
        }
    }
}
