//! Wrapped answers: kept, sealed, for whoever of the domain brings their token, and told once.

use std::fmt;

use zeroize::Zeroizing;

use super::{
    Domains, Error,
    records::commit,
    tokens::{Minted, commit_fresh, id_of, removed, stored, unchanged},
};
use crate::{
    auth::{Action, Permit},
    crypto::{self, DomainKeys, Place, SecretValue},
    domain::{Timestamp, Wrapped},
    store::{
        codec::Codec,
        engine::{Op, Revision, Snapshot, Space},
        keys,
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

/// The use cases on wrapped answers.
pub struct Wrapping {
    domains: Domains,
}

impl Wrapping {
    pub(super) const fn new(domains: Domains) -> Self {
        Self { domains }
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
        permit.require(Action::DomainGet)?;
        let keys = self.domains.keys(permit).await?;
        let (path, status) = (path.to_owned(), answer.status);
        let (info, ops) = fresh(&keys, &answer.body, path, status, ttl_seconds, now, Vec::new())?;
        commit_fresh(&self.domains, &keys, &info.accessor, ops, now).await?;
        Ok(info)
    }

    /// What is told of an answer without unwrapping it.
    ///
    /// # Errors
    /// `Error::NothingWrapped`.
    pub async fn lookup(&self, permit: &Permit, token: &str, now: Timestamp) -> Result<Wrapped, Error> {
        permit.require(Action::DomainGet)?;
        let keys = self.domains.keys(permit).await?;
        let snapshot = self.domains.engine().snapshot().await?;
        Ok(known(&*snapshot, &keys, token, now).await?.0)
    }

    /// Tells an answer, for the one time.
    ///
    /// # Errors
    /// `Error::NothingWrapped`, also where somebody else was faster.
    pub async fn unwrap(&self, permit: &Permit, token: &str, now: Timestamp) -> Result<Unwrapped, Error> {
        permit.require(Action::DomainGet)?;
        let keys = self.domains.keys(permit).await?;
        let (answer, _, ops, revision) = self.take(&keys, token, now).await?;
        self.commit(&keys, token, revision, ops).await?;
        Ok(answer)
    }

    /// Ends what is wrapped under this token, so that nobody is told of it any more.
    ///
    /// # Errors
    /// `Error::NothingWrapped`.
    pub async fn end(&self, permit: &Permit, token: &str, now: Timestamp) -> Result<(), Error> {
        self.lookup(permit, token, now).await?;
        self.end_by_accessor(permit, id_of(token).ok_or(Error::NothingWrapped)?, now).await
    }

    /// The same for whoever knows the token's id alone.
    ///
    /// # Errors
    /// `Error::NothingWrapped`.
    pub async fn end_by_accessor(&self, permit: &Permit, accessor: &str, now: Timestamp) -> Result<(), Error> {
        permit.require(Action::DomainGet)?;
        let keys = self.domains.keys(permit).await?;
        let snapshot = self.domains.engine().snapshot().await?;
        let (wrapped, revision) = find(&*snapshot, &keys, accessor, now).await?;
        let ops = removed(&keys, accessor, wrapped.expires_at());
        // Whoever was faster has unwrapped or ended it.
        commit(self.domains.engine(), unchanged(&keys, accessor, revision, ops)).await.map(drop)
    }

    /// Keeps an answer under a new token instead, for as long again.
    ///
    /// # Errors
    /// `Error::NothingWrapped`.
    pub async fn rewrap(&self, permit: &Permit, token: &str, now: Timestamp) -> Result<WrapInfo, Error> {
        permit.require(Action::DomainGet)?;
        let keys = self.domains.keys(permit).await?;
        let (answer, wrapped, ops, revision) = self.take(&keys, token, now).await?;
        let (path, ttl) = (wrapped.path, wrapped.ttl_seconds);
        let (info, ops) = fresh(&keys, &answer.body, path, answer.status, ttl, now, ops)?;
        self.commit(&keys, token, revision, ops).await?;
        Ok(info)
    }

    /// Reads an answer, and what takes it away.
    async fn take(
        &self,
        keys: &DomainKeys,
        token: &str,
        now: Timestamp,
    ) -> Result<(Unwrapped, Wrapped, Vec<Op>, Revision), Error> {
        let snapshot = self.domains.engine().snapshot().await?;
        let (wrapped, id, revision) = known(&*snapshot, keys, token, now).await?;
        let body = snapshot.get(Space::Token, &keys::wrapped_body(keys.id(), id)).await?;
        let body = keys.open_wrapped(id, body.ok_or(Error::NothingWrapped)?.bytes)?;
        let ops = removed(keys, id, wrapped.expires_at());
        Ok((Unwrapped { status: wrapped.status, body }, wrapped, ops, revision))
    }

    async fn commit(&self, keys: &DomainKeys, token: &str, revision: Revision, ops: Vec<Op>) -> Result<(), Error> {
        let id = id_of(token).ok_or(Error::NothingWrapped)?;
        let did = commit(self.domains.engine(), unchanged(keys, id, revision, ops)).await?;
        if did { Ok(()) } else { Err(Error::NothingWrapped) }
    }
}

/// What is wrapped under this token, with its id.
async fn known<'t>(
    snapshot: &dyn Snapshot,
    keys: &DomainKeys,
    token: &'t str,
    now: Timestamp,
) -> Result<(Wrapped, &'t str, Revision), Error> {
    let id = id_of(token).ok_or(Error::NothingWrapped)?;
    let (wrapped, revision) = find(snapshot, keys, id, now).await?;
    let is_right = crypto::is_same(&wrapped.secret_sha256, &crypto::fingerprint(token.as_bytes()));
    if is_right { Ok((wrapped, id, revision)) } else { Err(Error::NothingWrapped) }
}

async fn find(
    snapshot: &dyn Snapshot,
    keys: &DomainKeys,
    id: &str,
    now: Timestamp,
) -> Result<(Wrapped, Revision), Error> {
    let record = snapshot.get(Space::Token, &keys::token(keys.id(), id)).await?.ok_or(Error::NothingWrapped)?;
    // A login's token lies under an id as well, wraps nothing, and does not open as if it did.
    let wrapped = keys.open_record(Place::WrapInfo(id), record.bytes).map_err(|_| Error::NothingWrapped)?;
    let wrapped = Wrapped::decode(&wrapped)?;
    if wrapped.expires_at() > now { Ok((wrapped, record.revision)) } else { Err(Error::NothingWrapped) }
}

fn fresh(
    keys: &DomainKeys,
    body: &SecretValue,
    path: String,
    status: u16,
    ttl_seconds: u64,
    now: Timestamp,
    mut ops: Vec<Op>,
) -> Result<(WrapInfo, Vec<Op>), Error> {
    let Minted { id, text, fingerprint } = Minted::new()?;
    let wrapped = Wrapped { secret_sha256: fingerprint, created_at: now, ttl_seconds, path, status };
    ops.extend(stored(keys, &id, wrapped.expires_at(), Place::WrapInfo(&id), &wrapped.encode())?);
    let sealed = keys.seal_wrapped(&id, body)?.into_bytes();
    ops.push(Op::Put(Space::Token, keys::wrapped_body(keys.id(), &id), sealed));
    Ok((WrapInfo { token: text, accessor: id, wrapped }, ops))
}
