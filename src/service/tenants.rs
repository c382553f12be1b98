//! Tenants, which operators call domains: made, found and listed.

use uuid::Uuid;

use super::{
    Error,
    announced::{Announced, Committed},
    changes::ChangeName,
    cursor::{self, Page},
    keyring::open_record,
    names,
    records::bind,
    scope::Scope,
};
use crate::{
    auth::{Action, Detail, Permit, RegionPermit, Resource, Thing},
    crypto::{DomainKeys, Sealed},
    model::{Invalid, OkmsId, Timestamp},
    store::{
        engine::{Batch, Expect, Op},
        kinds::{
            Malformed, region,
            tenant::{self, DomainInfo, DomainRecord},
        },
    },
};

const NAME_MAX: usize = 128;
/// No unit: a tenant that is to come has no keys yet, and nobody to take turns with.
const CREATE: ChangeName = ChangeName::CreateTenant;

/// A domain as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Domain {
    /// Its id.
    pub id: OkmsId,
    /// The name that an operator gave it.
    pub name: String,
    /// When it was created.
    pub created_at: Timestamp,
}

/// The use cases on tenants.
pub struct Tenants {
    scope: Scope,
}

impl Tenants {
    pub(super) const fn new(scope: Scope) -> Self {
        Self { scope }
    }

    /// Creates a domain. No two have one name, however many are created at once.
    ///
    /// # Errors
    /// `Error::Invalid` for a name that is empty, long, or not printable; `Error::DomainExists` for
    /// one that is taken.
    pub async fn create(
        &self,
        permit: &RegionPermit,
        name: &str,
        now: Timestamp,
    ) -> Result<Domain, Error> {
        permit.check(Action::DomainCreate)?;
        let name = name.trim();
        if name.is_empty() || name.len() > NAME_MAX || name.chars().any(char::is_control) {
            return Err(Invalid(
                "a domain's name is text of 1 to 128 bytes without control characters",
            )
            .into());
        }
        let id = OkmsId::from_bytes(Uuid::new_v4().into_bytes())?;
        if let Some(witness) = permit.witness() {
            witness.learns(Detail::About(Thing::Domain, &id.to_string()));
        }
        let (keys, generation, wrapped) = DomainKeys::create(self.scope.root(), id)?;
        let info = DomainInfo { name: name.to_owned(), created_at: now };
        let (key, name_key) = (tenant::key(id), names::key(self.scope.root(), name)?);
        let sealed = keys.seal(&bind(tenant::SPACE, &key), &info.encode()?)?;
        let record = DomainRecord { keys: vec![(generation, wrapped)], info: sealed };
        let batch = Batch {
            preconditions: vec![
                (tenant::SPACE, key.clone(), Expect::Absent),
                (region::SPACE, name_key.clone(), Expect::Absent),
            ],
            ops: vec![
                Op::Put(tenant::SPACE, key, record.encode()?),
                Op::Put(region::SPACE, name_key, Sealed::public(id.as_bytes().to_vec())),
            ],
        };
        // The id is random, so that only the name can be taken.
        match Announced::new(CREATE, permit.witness()).commit(&self.scope, batch).await? {
            Committed::Stored => Ok(Domain { id, name: info.name, created_at: now }),
            Committed::Overtaken => Err(Error::DomainExists),
        }
    }

    /// The domain of this name, for those who may know of all domains.
    ///
    /// # Errors
    /// `Error::DomainNotFound` where there is none.
    pub async fn by_name(&self, permit: &RegionPermit, name: &str) -> Result<Domain, Error> {
        permit.check(Action::DomainGet)?;
        let snapshot = self.scope.engine().snapshot().await?;
        let key = names::key(self.scope.root(), name.trim())?;
        let record = snapshot.get(region::SPACE, &key).await?.ok_or(Error::DomainNotFound)?;
        let id = record.bytes.as_ref().try_into().map_err(|_| Malformed)?;
        let id = OkmsId::from_bytes(id)?;
        if permit.sees().is_some_and(|own| own != id) {
            return Err(Error::DomainNotFound);
        }
        self.show(id).await
    }

    /// The domain of the permit.
    ///
    /// # Errors
    /// `Error::DomainNotFound` where there is none.
    pub async fn get(&self, permit: &Permit) -> Result<Domain, Error> {
        permit.check(Action::DomainGet, Resource::Tenant)?;
        self.show(permit.okms_id()).await
    }

    /// A page of the domains that the permit may see, by id. A domain whose record is damaged is
    /// left out, so that it does not hide the others.
    ///
    /// # Errors
    /// `Error::Invalid` for a cursor that is not of this list.
    pub async fn list(
        &self,
        permit: &RegionPermit,
        cursor: Option<Vec<u8>>,
        limit: usize,
    ) -> Result<Page<Domain>, Error> {
        permit.check(Action::DomainGet)?;
        let after = cursor.map(|cursor| cursor::parse_tenant(&cursor)).transpose()?;
        if let Some(own) = permit.sees() {
            return match self.show(own).await {
                Ok(domain) => Ok((vec![domain], None)),
                Err(Error::DomainNotFound) => Ok((Vec::new(), None)),
                Err(error) => Err(error),
            };
        }
        let from =
            after.map_or_else(|| vec![0; 16], |id| [id.as_bytes().as_slice(), &[0]].concat());
        let snapshot = self.scope.engine().snapshot().await?;
        let entries = snapshot.scan(tenant::SPACE, &from, &[0xff; 17], limit + 1).await?;
        let more = entries.len() > limit;
        let (mut domains, mut last) = (Vec::with_capacity(entries.len()), None);
        for (key, record) in entries.into_iter().take(limit) {
            let id = tenant::parse(&key).ok_or(Malformed)?;
            match open_record(self.scope.root(), id, &record) {
                Ok((_, info)) => domains.push(domain(id, info)),
                Err(error) => tracing::error!(domain = %id, %error, "a domain's record is damaged"),
            }
            last = Some(id);
        }
        Ok((domains, last.filter(|_| more).map(cursor::after_tenant)))
    }

    async fn show(&self, id: OkmsId) -> Result<Domain, Error> {
        let snapshot = self.scope.engine().snapshot().await?;
        let record =
            snapshot.get(tenant::SPACE, &tenant::key(id)).await?.ok_or(Error::DomainNotFound)?;
        Ok(domain(id, open_record(self.scope.root(), id, &record)?.1))
    }
}

fn domain(id: OkmsId, info: DomainInfo) -> Domain {
    Domain { id, name: info.name, created_at: info.created_at }
}
