//! Tenants, which operators call domains: made, changed, found and listed.
//!
//! Always holds: no two have one name, or one alias; a partner is a domain that has no partner itself.

use std::sync::Arc;

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
    unit::{Basis, Change, UnitReader},
};
use crate::{
    auth::{Action, Detail, Permit, RegionPermit, Resource, Thing},
    crypto::{DomainKeys, RootKey, Salt},
    model::{Invalid, OkmsId, TenantAlias, Timestamp},
    store::{
        engine::{Batch, Expect, Op, Record, Snapshot},
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
    /// How it is called where domains are tenants.
    pub alias: Option<TenantAlias>,
    /// Its partner.
    pub partner: Option<OkmsId>,
}

impl Domain {
    /// How it is called where domains are tenants: by its alias, or by its id.
    #[must_use]
    pub fn label(&self) -> String {
        self.alias.as_ref().map_or_else(|| self.id.to_string(), ToString::to_string)
    }
}

/// What is said of a domain beside its name; what is `None` stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DomainPatch {
    /// How it is called where domains are tenants, if it is.
    pub alias: Option<Option<TenantAlias>>,
    /// Its partner, by its id or its alias, if it is to have one.
    pub partner: Option<Option<String>>,
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
        self.create_with(permit, name, &DomainPatch::default(), now).await
    }

    /// The same, with all that is to be said of it.
    ///
    /// # Errors
    /// As [`Self::create`], and [`Self::update`].
    pub async fn create_with(
        &self,
        permit: &RegionPermit,
        name: &str,
        patch: &DomainPatch,
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
        let root = self.scope.root();
        let alias = patch.alias.clone().flatten();
        let partner = self.wanted(patch).await?;
        let name_key = names::key(root, name)?;
        let alias_key =
            alias.as_ref().map(|alias| names::alias(root, alias.as_str())).transpose()?;
        let snapshot = self.scope.engine().snapshot().await?;
        let is_taken = async |snapshot: &dyn Snapshot| match &alias_key {
            Some(key) => Ok(id_at(snapshot, key.clone()).await?.is_some()),
            None => Ok::<_, Error>(false),
        };
        if is_taken(&*snapshot).await? {
            return Err(Error::AliasTaken);
        }
        if let Some(partner) = partner {
            may_be_partner(&*snapshot, partner).await?;
        }
        drop(snapshot);
        let (keys, generation, wrapped) = DomainKeys::create(root, id)?;
        let info = DomainInfo { name: name.to_owned(), created_at: now, alias: alias.clone() };
        let key = tenant::key(id);
        let sealed = keys.seal(&bind(tenant::SPACE, &key), &info.encode()?)?;
        let record = DomainRecord { keys: vec![(generation, wrapped)], info: sealed };
        let absent = |key: &Vec<u8>| (region::SPACE, key.clone(), Expect::Absent);
        let mut preconditions =
            vec![(tenant::SPACE, key.clone(), Expect::Absent), absent(&name_key)];
        preconditions.extend(alias_key.as_ref().map(absent));
        preconditions.extend(partner.map(region::partner).as_ref().map(absent));
        let mut ops =
            vec![Op::Put(tenant::SPACE, key, record.encode()?), names::is_of(name_key.clone(), id)];
        ops.extend(moved(root, id, (None, alias.as_ref()), (None, partner))?);
        let batch = Batch { preconditions, ..Batch::of(ops) };
        match Announced::new(CREATE, permit.witness()).commit(&self.scope, batch).await? {
            Committed::Stored => Ok(domain(id, info, partner)),
            // The id is random, so that it is something else.
            Committed::Overtaken => {
                let snapshot = self.scope.engine().snapshot().await?;
                Err(if id_at(&*snapshot, name_key).await?.is_some() {
                    Error::DomainExists
                } else if is_taken(&*snapshot).await? {
                    Error::AliasTaken
                } else {
                    Error::Contended
                })
            }
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
        let id = of_record(&record)?;
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
                Ok((_, info)) => domains.push(domain(id, info, partner(&*snapshot, id).await?)),
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
        let info = open_record(self.scope.root(), id, &record)?.1;
        Ok(domain(id, info, partner(&*snapshot, id).await?))
    }
}

fn domain(id: OkmsId, info: DomainInfo, partner: Option<OkmsId>) -> Domain {
    let DomainInfo { name, created_at, alias } = info;
    Domain { id, name, created_at, alias, partner }
}

/// What of kin is known before there is a permit.
impl Tenants {
    /// What makes what stands for names in a tenant.
    ///
    /// # Errors
    /// `Error::DomainNotFound` where there is none.
    pub async fn salt(&self, id: OkmsId) -> Result<Arc<Salt>, Error> {
        Ok(Arc::clone(self.scope.keys_of(id).await?.salt()))
    }

    /// The domain of this id or alias; one of an id may not be there.
    ///
    /// # Errors
    /// `Error` where the store cannot be read.
    pub async fn called(&self, name: &str) -> Result<Option<OkmsId>, Error> {
        if let Ok(id) = name.parse() {
            return Ok(Some(id));
        }
        let Ok(alias) = name.parse::<TenantAlias>() else { return Ok(None) };
        let key = names::alias(self.scope.root(), alias.as_str())?;
        let snapshot = self.scope.engine().snapshot().await?;
        id_at(&*snapshot, key).await
    }

    /// How a domain is called, to those whose partner it is.
    ///
    /// # Errors
    /// `Error::DomainNotFound` where there is none.
    pub async fn label(&self, id: OkmsId) -> Result<String, Error> {
        Ok(self.show(id).await?.label())
    }

    /// The partner of a domain.
    ///
    /// # Errors
    /// `Error` where the store cannot be read.
    pub async fn partner_of(&self, id: OkmsId) -> Result<Option<OkmsId>, Error> {
        partner(&*self.scope.engine().snapshot().await?, id).await
    }

    /// Whether a domain is the partner of some.
    ///
    /// # Errors
    /// `Error` where the store cannot be read.
    pub async fn is_partner(&self, id: OkmsId) -> Result<bool, Error> {
        is_partner(&*self.scope.engine().snapshot().await?, id).await
    }
}

impl Tenants {
    /// The partner that is asked for, if one is.
    async fn wanted(&self, patch: &DomainPatch) -> Result<Option<OkmsId>, Error> {
        match &patch.partner {
            Some(Some(name)) => Ok(Some(self.called(name).await?.ok_or(NO_PARTNER)?)),
            Some(None) | None => Ok(None),
        }
    }

    /// Changes how the permit's domain is called, and which partner it has: all or nothing.
    ///
    /// # Errors
    /// `Error::AliasTaken`; `Error::Invalid` where a partner is none that there is, has one itself, or is the domain
    /// itself, or where the domain is a partner.
    pub async fn update(&self, permit: &Permit, patch: &DomainPatch) -> Result<Domain, Error> {
        permit.learns(Detail::About(Thing::Domain, &permit.okms_id().to_string()));
        permit.check(Action::DomainEdit, Resource::Tenant)?;
        let keys = self.scope.keys(permit).await?;
        let wanted = self.wanted(patch).await?;
        let change = Change { name: ChangeName::UpdateTenant, turns: &[""], by: Some(permit) };
        let basis = Kin { patch, wanted };
        self.scope
            .unit(change, &keys, basis, |facts: Facts, draft| {
                let (id, root) = (keys.id(), self.scope.root());
                let Facts { record, alias, before, stands } = facts;
                stands?;
                let record = DomainRecord::decode(&record.ok_or(Error::DomainNotFound)?.bytes)?;
                let at = bind(tenant::SPACE, &tenant::key(id));
                let mut info = DomainInfo::decode(&keys.open(&at, record.info.as_ref())?)?;
                let old = info.alias.clone();
                if let Some(wanted) = &patch.alias {
                    if alias.is_some_and(|of| of != id) {
                        return Err(Error::AliasTaken);
                    }
                    info.alias.clone_from(wanted);
                }
                let after = if patch.partner.is_some() { wanted } else { before };
                let aliases = (old.as_ref(), info.alias.as_ref());
                let mut ops = moved(root, id, aliases, (before, after))?;
                if info.alias != old {
                    let sealed = keys.seal(&at, &info.encode()?)?;
                    let record = DomainRecord { info: sealed, ..record };
                    ops.push(Op::Put(tenant::SPACE, tenant::key(id), record.encode()?));
                }
                draft.extend(ops);
                Ok(domain(id, info, after))
            })
            .await
    }
}

const NO_PARTNER: Invalid =
    Invalid("partner is the okmsId, or the tenant name, of a domain that there is");

/// What a change of a domain's kin stands on.
struct Kin<'a> {
    patch: &'a DomainPatch,
    wanted: Option<OkmsId>,
}

struct Facts {
    record: Option<Record>,
    /// Whose the wanted alias is.
    alias: Option<OkmsId>,
    /// The partner so far.
    before: Option<OkmsId>,
    /// Whether the partner can be had.
    stands: Result<(), Error>,
}

impl Basis for Kin<'_> {
    type Facts = Facts;

    async fn read(&self, reader: &UnitReader<'_>) -> Result<Facts, Error> {
        let id = reader.records.keys.id();
        let snapshot = reader.records.snapshot;
        let record = reader.hold(tenant::SPACE, tenant::key(id)).await?;
        let alias = match &self.patch.alias {
            Some(Some(alias)) => {
                let key = names::alias(reader.scope.root(), alias.as_str())?;
                reader
                    .hold(region::SPACE, key)
                    .await?
                    .map(|record| of_record(&record))
                    .transpose()?
            }
            _ => None,
        };
        let before = reader.hold(region::SPACE, region::partner(id)).await?;
        let before = before.map(|record| of_record(&record)).transpose()?;
        let mut stands = Ok(());
        if let Some(wanted) = self.wanted {
            // One that gets a partner meanwhile is none; and this one, if it gets tenants, is one itself.
            reader.hold(region::SPACE, region::partner(wanted)).await?;
            reader.hold(region::SPACE, region::tenants(id)).await?;
            stands = if wanted == id {
                Err(Invalid("no domain is its own partner").into())
            } else if is_partner(snapshot, id).await? {
                Err(Invalid("the domain is a partner of others, and gets no partner itself").into())
            } else {
                may_be_partner(snapshot, wanted).await
            };
        }
        Ok(Facts { record, alias, before, stands })
    }
}

/// What leads from an alias and a partner to others.
fn moved(
    root: &dyn RootKey,
    id: OkmsId,
    (from, to): (Option<&TenantAlias>, Option<&TenantAlias>),
    (before, after): (Option<OkmsId>, Option<OkmsId>),
) -> Result<Vec<Op>, Error> {
    let mut ops = Vec::new();
    if from != to {
        if let Some(old) = from {
            ops.push(Op::Delete(region::SPACE, names::alias(root, old.as_str())?));
        }
        if let Some(new) = to {
            ops.push(names::is_of(names::alias(root, new.as_str())?, id));
        }
    }
    if before != after {
        if let Some(old) = before {
            ops.push(Op::Delete(region::SPACE, region::partner(id)));
            ops.push(Op::Delete(region::SPACE, region::tenant_of(old, id)));
        }
        if let Some(new) = after {
            ops.push(names::is_of(region::partner(id), new));
            // Written anew each time: whoever would give it a partner meanwhile is overtaken.
            ops.push(names::is_of(region::tenants(new), new));
            ops.push(names::is_of(region::tenant_of(new, id), id));
        }
    }
    Ok(ops)
}

/// Goes on where a domain may be the partner of another.
async fn may_be_partner(snapshot: &dyn Snapshot, id: OkmsId) -> Result<(), Error> {
    if snapshot.get(tenant::SPACE, &tenant::key(id)).await?.is_none() {
        return Err(NO_PARTNER.into());
    }
    match partner(snapshot, id).await? {
        None => Ok(()),
        Some(_) => Err(Invalid("a partner is a domain that has no partner of its own").into()),
    }
}

/// The tenant in a record of the region.
fn of_record(record: &Record) -> Result<OkmsId, Error> {
    Ok(OkmsId::from_bytes(record.bytes.as_ref().try_into().map_err(|_| Malformed)?)?)
}

async fn id_at(snapshot: &dyn Snapshot, key: Vec<u8>) -> Result<Option<OkmsId>, Error> {
    snapshot.get(region::SPACE, &key).await?.map(|record| of_record(&record)).transpose()
}

async fn partner(snapshot: &dyn Snapshot, id: OkmsId) -> Result<Option<OkmsId>, Error> {
    id_at(snapshot, region::partner(id)).await
}

async fn is_partner(snapshot: &dyn Snapshot, id: OkmsId) -> Result<bool, Error> {
    // Behind the note there are its tenants.
    let from = [region::tenants(id).as_slice(), &[0]].concat();
    let to = [region::tenants(id).as_slice(), &[0xff; 17]].concat();
    Ok(!snapshot.keys(region::SPACE, &from, &to, None, 1).await?.is_empty())
}
