//! Tokens: made for a certificate that is authenticated already, and good on connections with its key alone.
//!
//! Always holds: a token's text is told once and kept as a fingerprint; it is found by the id in it, so that their
//! number slows nothing down; making one clears away more that are over, so that they do not pile up.

use std::{fmt, sync::Arc};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use super::{
    Domains, Error,
    records::{COMMIT_ATTEMPTS, commit},
    turns::{LongRead, LongReads},
};
use crate::{
    auth::{Action, Permit, Resource},
    crypto::{self, DomainKeys, Place},
    domain::{Invalid, Timestamp, Token, TokenLife},
    store::{
        codec::Codec,
        engine::{Batch, Expect, Op, Revision, Snapshot, Space},
        keys,
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
    /// SHA-256 of the public key that it is bound to.
    pub key_sha256: [u8; 32],
    /// Its life in seconds.
    pub life_seconds: u64,
    /// When it ends at the latest, in seconds from now.
    pub most_seconds: u64,
    /// Whether it can be renewed.
    pub is_renewable: bool,
    /// Where it is made.
    pub path: &'static str,
    /// What shows who has it.
    pub display_name: String,
    /// More about that.
    pub meta: Vec<(String, String)>,
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
    /// The rest.
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
    _turn: LongRead,
}

/// The use cases on tokens.
pub struct Tokens {
    domains: Domains,
    long_reads: Arc<LongReads>,
}

impl Tokens {
    pub(super) const fn new(domains: Domains, long_reads: Arc<LongReads>) -> Self {
        Self { domains, long_reads }
    }

    /// Makes a token.
    ///
    /// # Errors
    /// `Error::DomainNotFound`; `Error` where it cannot be stored.
    pub async fn create(&self, permit: &Permit, request: TokenRequest, now: Timestamp) -> Result<FreshToken, Error> {
        permit.check(Action::DomainGet, Resource::Tenant)?;
        let keys = self.domains.keys(permit).await?;
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
            path: request.path.to_owned(),
            display_name: request.display_name,
            meta: request.meta,
        };
        let ops = stored(&keys, &id, token.expires_at, Vec::new(), Place::Token(&id), &token.encode())?;
        commit_fresh(&self.domains, &keys, &id, ops, now).await?;
        Ok(FreshToken { text, known: KnownToken { accessor: id, token } })
    }

    /// The token of this text, if it is one on a connection with this key.
    ///
    /// # Errors
    /// `Error::TokenInvalid`.
    pub async fn check(
        &self,
        permit: &Permit,
        text: &str,
        key_sha256: &[u8; 32],
        now: Timestamp,
    ) -> Result<KnownToken, Error> {
        let known = self.lookup(permit, text, now).await?;
        if crypto::is_same(&known.token.key_sha256, key_sha256) { Ok(known) } else { Err(Error::TokenInvalid) }
    }

    /// The token of this text.
    ///
    /// # Errors
    /// `Error::TokenInvalid`.
    pub async fn lookup(&self, permit: &Permit, text: &str, now: Timestamp) -> Result<KnownToken, Error> {
        let accessor = id_of(text).ok_or(Error::TokenInvalid)?;
        let known = self.by_accessor(permit, accessor, now).await?;
        if crypto::is_same(&known.token.secret_sha256, &crypto::fingerprint(text.as_bytes())) {
            Ok(known)
        } else {
            Err(Error::TokenInvalid)
        }
    }

    /// The token with this accessor.
    ///
    /// # Errors
    /// `Error::TokenInvalid`.
    pub async fn by_accessor(&self, permit: &Permit, accessor: &str, now: Timestamp) -> Result<KnownToken, Error> {
        permit.check(Action::DomainGet, Resource::Tenant)?;
        let keys = self.domains.keys(permit).await?;
        let snapshot = self.domains.engine().snapshot().await?;
        let (token, _) = read(&*snapshot, &keys, accessor, now).await?;
        Ok(KnownToken { accessor: accessor.to_owned(), token })
    }

    /// Gives the token with this accessor more time.
    ///
    /// # Errors
    /// `Error::TokenInvalid`, `Error::NotRenewable`.
    pub async fn renew(
        &self,
        permit: &Permit,
        accessor: &str,
        increment: Option<u64>,
        life: TokenLife,
        now: Timestamp,
    ) -> Result<KnownToken, Error> {
        permit.check(Action::DomainGet, Resource::Tenant)?;
        let keys = self.domains.keys(permit).await?;
        for _ in 0..COMMIT_ATTEMPTS {
            let snapshot = self.domains.engine().snapshot().await?;
            let (before, revision) = read(&*snapshot, &keys, accessor, now).await?;
            if !before.is_renewable {
                return Err(Error::NotRenewable);
            }
            let mut ops = removed(&keys, accessor, before.expires_at);
            let token = before.renewed(increment, life, now);
            let end = token.expires_at;
            ops.extend(stored(&keys, accessor, end, Vec::new(), Place::Token(accessor), &token.encode())?);
            if commit(self.domains.engine(), unchanged(&keys, accessor, revision, ops)).await? {
                return Ok(KnownToken { accessor: accessor.to_owned(), token });
            }
        }
        Err(Error::Contended)
    }

    /// The accessors of the domain's tokens and of what is wrapped there, in the order in which they end; at most `limit`,
    /// after the place `after`. The place that follows is told where there are more.
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
        permit.check(Action::DomainGet, Resource::Tenant)?;
        let keys = self.domains.keys(permit).await?;
        let turn = self.long_reads.turn(permit.okms_id()).await?;
        let snapshot = self.domains.engine().snapshot().await?;
        let (mut from, to) = keys::token_ends_after(keys.id(), now, after);
        let limit = limit.unwrap_or(usize::MAX);
        let mut listed = Accessors { accessors: Vec::new(), next: None, _turn: turn };
        loop {
            let size = (limit - listed.accessors.len()).saturating_add(1).min(LISTED_AT_ONCE);
            let batch = snapshot.scan(Space::Token, &from, &to, size).await?;
            let is_last = batch.len() < size;
            for (key, _) in batch {
                if listed.accessors.len() == limit {
                    listed.next = keys::token_end_place(&from).map(<[u8]>::to_vec);
                    return Ok(listed);
                }
                if listed.accessors.len() == LISTED_MAX {
                    return Err(TOO_MANY.into());
                }
                listed.accessors.extend(keys::parse_token_end(&key).map(str::to_owned));
                from = [&*key, &[0]].concat();
            }
            if is_last {
                return Ok(listed);
            }
            tokio::task::yield_now().await;
        }
    }

    /// Ends the token with this accessor.
    ///
    /// # Errors
    /// `Error::TokenInvalid` where there is none.
    pub async fn revoke(&self, permit: &Permit, accessor: &str, now: Timestamp) -> Result<(), Error> {
        permit.check(Action::DomainGet, Resource::Tenant)?;
        let keys = self.domains.keys(permit).await?;
        for _ in 0..COMMIT_ATTEMPTS {
            let snapshot = self.domains.engine().snapshot().await?;
            let (token, revision) = read(&*snapshot, &keys, accessor, now).await?;
            let ops = removed(&keys, accessor, token.expires_at);
            if commit(self.domains.engine(), unchanged(&keys, accessor, revision, ops)).await? {
                return Ok(());
            }
        }
        Err(Error::Contended)
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
        let secret = Zeroizing::new(URL_SAFE_NO_PAD.encode(Zeroizing::new(crypto::random::<32>()?)));
        let text = Zeroizing::new(format!("{PREFIX}{id}.{}", *secret));
        Ok(Self { fingerprint: crypto::fingerprint(text.as_bytes()), id, text })
    }
}

/// The id in a token's text.
pub(super) fn id_of(text: &str) -> Option<&str> {
    let (id, _) = text.strip_prefix(PREFIX).filter(|_| text.len() <= TEXT_MAX)?.split_once('.')?;
    Some(id)
}

async fn read(
    snapshot: &dyn Snapshot,
    keys: &DomainKeys,
    accessor: &str,
    now: Timestamp,
) -> Result<(Token, Revision), Error> {
    // Whatever text it is, it is found under its own key or not at all.
    if accessor.len() > TEXT_MAX {
        return Err(Error::TokenInvalid);
    }
    let found = snapshot.get(Space::Token, &keys::token(keys.id(), accessor)).await?;
    let record = found.ok_or(Error::TokenInvalid)?;
    // What is wrapped lies under ids as well, is no token, and does not open as one.
    let token = keys.open_record(Place::Token(accessor), record.bytes).map_err(|_| Error::TokenInvalid)?;
    let token = Token::decode(&token)?;
    if token.is_over(now) { Err(Error::TokenInvalid) } else { Ok((token, record.revision)) }
}

/// What stores the record of the token `id`, which ends at `end`, and has that `size` where it wraps something.
pub(super) fn stored(
    keys: &DomainKeys,
    id: &str,
    end: Timestamp,
    size: Vec<u8>,
    place: Place<'_>,
    record: &[u8],
) -> Result<Vec<Op>, Error> {
    let sealed = keys.seal_record(place, record)?;
    Ok(vec![
        Op::Put(Space::Token, keys::token(keys.id(), id), sealed),
        Op::Put(Space::Token, keys::token_end(keys.id(), end, id), size),
    ])
}

/// What removes the token `id`, which ends at `end`, with all that belongs to it.
pub(super) fn removed(keys: &DomainKeys, id: &str, end: Timestamp) -> Vec<Op> {
    vec![
        Op::Delete(Space::Token, keys::token(keys.id(), id)),
        Op::Delete(Space::Token, keys::token_end(keys.id(), end, id)),
        Op::Delete(Space::Token, keys::wrapped_body(keys.id(), id)),
    ]
}

/// `ops`, if the record of the token `id` is still at `revision`.
pub(super) fn unchanged(keys: &DomainKeys, id: &str, revision: Revision, ops: Vec<Op>) -> Batch {
    Batch { preconditions: vec![(Space::Token, keys::token(keys.id(), id), Expect::At(revision))], ops }
}

/// Commits `ops`, which make the token `id`, and then clears away what is over.
pub(super) async fn commit_fresh(
    domains: &Domains,
    keys: &DomainKeys,
    id: &str,
    ops: Vec<Op>,
    now: Timestamp,
) -> Result<(), Error> {
    let preconditions = vec![(Space::Token, keys::token(keys.id(), id), Expect::Absent)];
    domains.engine().commit(Batch { preconditions, ops }).await?;
    // The token is made, and what is over can wait for the next one.
    if let Err(error) = clear(domains, keys, now).await {
        tracing::debug!(%error, "tokens that are over were not cleared away");
    }
    Ok(())
}

/// Clears away what is over, much of it at least.
pub(super) async fn clear_all(domains: &Domains, keys: &DomainKeys, now: Timestamp) -> Result<(), Error> {
    for _ in 0..CLEARED_AGAIN {
        if clear(domains, keys, now).await? < CLEARED {
            break;
        }
    }
    Ok(())
}

/// Removes tokens that are over, if their ends are still as they were read: a token that was renewed meanwhile has
/// another. One request of a domain does so at a time, and others leave it to that one. Says how many were over.
async fn clear(domains: &Domains, keys: &DomainKeys, now: Timestamp) -> Result<usize, Error> {
    let Some(_turn) = domains.clearing(keys.id()) else { return Ok(0) };
    let (from, to) = (keys::token_ends(keys.id(), Timestamp::from_unix_seconds(0)), keys::token_ends(keys.id(), now));
    let snapshot = domains.engine().snapshot().await?;
    let mut batch = Batch::default();
    for (key, end) in snapshot.scan(Space::Token, &from, &to, CLEARED).await? {
        let Some(id) = keys::parse_token_end(&key) else { continue };
        batch.ops.extend([
            Op::Delete(Space::Token, keys::token(keys.id(), id)),
            Op::Delete(Space::Token, keys::wrapped_body(keys.id(), id)),
            Op::Delete(Space::Token, key.clone()),
        ]);
        batch.preconditions.push((Space::Token, key, Expect::At(end.revision)));
    }
    let over = batch.preconditions.len();
    if over > 0 {
        commit(domains.engine(), batch).await?;
    }
    Ok(over)
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
        for wrong in ["", "okms.", "okms.abc", "hvs.abc.def", &format!("okms.a.{}", "x".repeat(TEXT_MAX))] {
            assert_eq!(id_of(wrong), None, "{wrong}");
        }
    }
}
