//! Audit devices that are enabled over the API, as the store has them.
//!
//! Always holds: a device is one record, and that alone says that it is to be opened. Never does: open
//! one, or write to it.

use super::{
    Error,
    announced::{Announced, Committed},
    changes::ChangeName,
    records::keys_of,
    scope::Scope,
};
use crate::{
    auth::{Action, RegionPermit},
    crypto::Sealed,
    model::{DeviceName, EnabledDevice},
    store::{
        engine::{Batch, Expect, Op},
        kinds::{Malformed, audit_device},
    },
};

/// The use cases on audit devices.
pub struct AuditDevices {
    scope: Scope,
}

impl AuditDevices {
    pub(super) const fn new(scope: Scope) -> Self {
        Self { scope }
    }

    /// All that are enabled, for whoever opens them.
    ///
    /// # Errors
    /// `Error::Corrupt` where one is damaged: nobody knows then where records must go.
    pub async fn all(&self) -> Result<Vec<(DeviceName, EnabledDevice)>, Error> {
        let snapshot = self.scope.engine().snapshot().await?;
        let mut found = Vec::new();
        for key in keys_of(&*snapshot, audit_device::SPACE, audit_device::all()).await? {
            if let Some(record) = snapshot.get(audit_device::SPACE, &key).await? {
                let name = audit_device::parse(&key).ok_or(Malformed)?;
                found.push((name, audit_device::decode(&record.bytes)?));
            }
        }
        Ok(found)
    }

    /// Enables one whose name no other has.
    ///
    /// # Errors
    /// `Error::Contended` where another has it by now; `Error` where it cannot be stored.
    pub async fn put(
        &self,
        permit: &RegionPermit,
        name: &DeviceName,
        device: &EnabledDevice,
    ) -> Result<(), Error> {
        permit.check(Action::AuditDeviceEdit)?;
        let key = audit_device::key(name);
        let record = Sealed::public(audit_device::encode(device)?);
        let batch = Batch {
            preconditions: vec![(audit_device::SPACE, key.clone(), Expect::Absent)],
            ops: vec![Op::Put(audit_device::SPACE, key, record)],
            ..Batch::default()
        };
        self.change(permit, ChangeName::EnableAuditDevice, batch).await
    }

    /// Disables one.
    ///
    /// # Errors
    /// `Error` where that cannot be stored.
    pub async fn delete(&self, permit: &RegionPermit, name: &DeviceName) -> Result<(), Error> {
        permit.check(Action::AuditDeviceEdit)?;
        let op = Op::Delete(audit_device::SPACE, audit_device::key(name));
        let batch = Batch::of(vec![op]);
        self.change(permit, ChangeName::DisableAuditDevice, batch).await
    }

    async fn change(
        &self,
        permit: &RegionPermit,
        name: ChangeName,
        batch: Batch,
    ) -> Result<(), Error> {
        match Announced::new(name, permit.witness()).commit(&self.scope, batch).await? {
            Committed::Stored => Ok(()),
            Committed::Overtaken => Err(Error::Contended),
        }
    }
}
